//! The stand-in for AWS: STS, ECR with its registry, ECS, CloudWatch Logs and S3 on one loopback port of this machine.
//! Nothing outside `commands` knows of it: it is reached over the wire, as AWS is.

mod attach;
mod clock;
mod ecr;
mod ecs;
mod ids;
mod logs;
mod options;
mod place;
mod registry;
mod runtime;
mod s3;
mod schedule;
mod script;
mod seed;
mod shared;
mod stand_in;
mod state;
mod status;
mod store;
mod sts;
mod wire;
#[cfg(test)]
mod wire_tests;

pub(crate) use attach::{Attached, attach, without_guests};
pub(crate) use options::{DEFAULT_PORT, Options, OtherRegistry, RuntimeChoice, SeedBucket, SeedService};
pub(crate) use stand_in::{Credentials, StandIn};
pub(crate) use status::{reset, status};
