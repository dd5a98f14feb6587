//! From "ECS accepted the deployment" to "what I pushed is what runs", or the reason why not.
//!
//! The judgements are pure functions over what ECS answered and when: `decision` and `strategy` (how it goes), `proof`
//! (what runs), `failure`, `cause` and `diagnosis` (why not), `outcome` (what it means to a run). `session` puts them in
//! order, still without I/O. Only `roll`, `watch`,
//! `explain` and `restore` make calls.

pub(crate) mod cause;
pub(crate) mod decision;
pub(crate) mod diagnosis;
mod explain;
pub(crate) mod failure;
mod outcome;
pub(crate) mod proof;
pub(crate) mod restore;
mod rhythm;
mod roll;
mod session;
mod stop;
mod strategy;
mod tell;
pub(crate) mod watch;

#[cfg(test)]
mod properties;

use outcome::outcome;
pub(crate) use roll::{NOTHING_ROLLED, Roll};
pub(crate) use stop::Stop;
use watch::{Watched, watch};
