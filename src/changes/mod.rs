//! What changed: for each service, whether the commit that is deployed differs from what runs there in anything that
//! concerns the service. Whatever cannot be told counts as changed, and says so.
//!
//! It decides and says why, and deploys nothing. `running` and `judge` read; the rest is pure.

pub(crate) mod base;
mod dead;
mod filter;
mod index;
mod judge;
mod order;
mod pattern;
mod running;
mod scope;
mod settings;
mod subject;
mod touched;

use serde::Serialize;

pub(crate) use base::{Base, Origin, by_object, by_release};
pub(crate) use dead::dead_patterns;
pub(crate) use filter::{Filter, Judgement, candidates};
pub(crate) use judge::{Asked, Judge};
pub(crate) use order::Order;
pub(crate) use pattern::Pattern;
pub(crate) use running::{Running, is_told_by_record, running};

/// How many files a reason names.
const NAMED: usize = 3;

/// What has to be done for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    Nothing,
    /// The image may be the same; how it runs is not.
    Deploy,
    Build,
}

/// The answer for one service, with its one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) work: Work,
    /// A sentence without its final period.
    pub(crate) reason: String,
    /// What it is compared with: a full hash.
    pub(crate) base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base_from: Option<Origin>,
    /// How many files that concern it differ.
    pub(crate) count: usize,
    /// The first of them.
    pub(crate) files: Vec<String>,
    /// The pattern that each of those files fits.
    #[serde(skip)]
    pub(crate) patterns: Vec<String>,
}

impl Change {
    /// It is to be built, for a reason that has nothing to do with files.
    pub(crate) fn build(reason: impl Into<String>) -> Self {
        Self {
            work: Work::Build,
            reason: reason.into(),
            base: None,
            base_from: None,
            count: 0,
            files: Vec::new(),
            patterns: Vec::new(),
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.work == Work::Nothing
    }
}
