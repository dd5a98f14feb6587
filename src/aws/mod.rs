//! The calls to AWS: identity, ECR and ECS, in our own words and types.
//!
//! Nothing here decides anything about a deploy. It reads, it changes one thing when told to, and it turns every
//! refusal into an error that names the action and what to do.

mod calls;
pub(crate) mod clients;
pub(crate) mod credentials;
mod download;
pub(crate) mod ecr;
pub(crate) mod ecs;
mod error;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod identity;
pub(crate) mod log_stream;
pub(crate) mod logs;
pub(crate) mod pace;
mod precedence;
mod remembered;
pub(crate) mod s3;
pub(crate) mod web_identity;

pub(crate) use calls::Calls;
pub(crate) use clients::{Clients, Settings};
pub(crate) use precedence::{Clash, Renewal};
