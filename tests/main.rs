//! The integration tests: the real binary, as a user or a pipeline runs it, against the stand-in for AWS and a real
//! Docker Engine (`DOCKER_HOST`, which `make test` provides).

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on panics, and asks the environment for its engine"
)]

mod support;

/// `after` and `soak`: what runs in the environment before.
mod after;

/// The approval of a person, in pipelines and on a terminal.
mod approval;

/// From a branch to its environment, and past the gates.
mod branches;

/// What was built before is not built again.
mod content_key;

/// What changed, and the filter of a deploy.
mod changes;

/// A pipeline's OIDC token, and what is left over beside it.
mod credentials;

/// Every ending that a rollout can have.
mod endings;

/// Every exit code of the contract, with what it prints.
mod exit_codes;

/// What works, what does not, and the IAM policy.
mod doctor;

/// deploy.yaml and the CI file, from what a project has.
mod init;

/// Ctrl-C and SIGTERM at every stage.
mod interrupt;

/// `--local` with real containers: overlap, failures, two runs at once.
mod local;

/// `shipit check`, the schema, completions and the manual page.
mod offline;

/// The Docker of a Bitbucket pipeline.
mod bitbucket_docker;

/// Engines elsewhere.
mod builders;

/// What is found in the way before anything is built.
mod gates;

/// Pipeline files, as `shipit check` reads them.
mod pipelines;

/// Rollouts that go wrong: what is told of them.
mod rollouts;

/// The way back.
mod rollback;

/// `before_deploy`, and `shipit run`.
mod one_off;

/// `image: promote`.
mod promotion;

/// What a reviewer gets to see.
mod reports;

/// What runs where, the watch taken up again, and what was deployed.
mod status;

/// Secret values, looked for in everything that a deploy says and leaves behind.
mod secrets;
mod services;

/// Secrets in the image itself.
mod leaks;

/// What ECR finds in an image.
mod scans;

/// Another registry than the stand-in's own.
mod queue;
mod registry;

/// The stand-in against tools that are not ours: the aws command line, skopeo and docker.
mod stand_in;

/// An engine whose loopback is another one.
mod unreachable_engine;

/// An engine that has never built anything.
mod fresh_engine;
/// Services of `kind: zip`.
mod zips;
