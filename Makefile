# The two commands of the README, and what goes with them.

help:
	@echo 'make demo   deploy the sample service to a stand-in for AWS, for real, on this machine'
	@echo 'make test   run all tests'
	@echo 'make lint   check format and lints'
	@echo 'make stop   stop the private Docker Engine, if one was started'

# Any branch: a clone is on main, and dev belongs to develop.
demo:
	@cargo build
	@DOCKER_HOST=$$(tests/engine up) && export DOCKER_HOST && tests/engine base && \
	target/debug/shipit deploy --env dev --any-branch --local

test:
	@PATH=$$(tests/tools) && export PATH && \
	DOCKER_HOST=$$(tests/engine up) && export DOCKER_HOST && tests/engine base && cargo test && \
	if [ "$$(id -u)" = 0 ] && command -v dockerd > /dev/null && command -v ip > /dev/null; then \
		cargo test --test integration -- --ignored --test-threads 1 unreachable_engine fresh_engine; \
	else echo 'not run: unreachable_engine and fresh_engine, which start engines of their own and need root, dockerd and ip'; fi

lint:
	cargo fmt --check
	cargo clippy --all-targets -- --deny warnings

stop:
	@tests/engine down

.PHONY: help demo test lint stop
