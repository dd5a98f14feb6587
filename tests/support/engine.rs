//! The Docker Engine of the tests.

/// Its address. A test that needs an engine fails without one: a test that is skipped proves nothing.
pub(crate) fn engine() -> String {
    std::env::var("DOCKER_HOST").expect("DOCKER_HOST names a Docker Engine; `make test` starts one where there is none")
}
