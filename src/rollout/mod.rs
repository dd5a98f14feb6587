//! From "ECS accepted the deployment" to "what I pushed is what runs", or the reason why not.
//!
//! The judgements (`decision`, `proof`, `failure`, `stop`) are pure functions over what ECS answered and when. Only
//! `roll`, `watch` and `restore` make calls.

pub(crate) mod decision;
pub(crate) mod failure;
pub(crate) mod proof;
pub(crate) mod restore;
mod roll;
mod stop;
pub(crate) mod watch;

pub(crate) use roll::Roll;
pub(crate) use stop::Stop;
pub(crate) use watch::{End, Watched, watch};
