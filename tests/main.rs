//! The integration tests: the real binary, as a user or a pipeline runs it, against the stand-in for AWS and a real
//! Docker Engine (`DOCKER_HOST`, which `make test` provides).

mod support;

/// Every exit code of the contract, with what it prints.
mod exit_codes;
