//! What is asked about: a service that is a container, or one of `kind: zip`. Each has files that concern it, and
//! settings that make another one of it.

use std::path::Path;

use super::scope::Scope;
use super::settings::{self, Settings};
use crate::config::specification::{Archive, Service, Specification};
use crate::git::Repository;

#[derive(Clone, Debug)]
pub(super) enum Subject {
    Container(Box<Service>),
    Zip(Box<Archive>),
}

impl Subject {
    /// The only one of a specification that was resolved for one service.
    pub(super) fn only(mut specification: Specification) -> Option<Self> {
        let container = specification.services.pop().map(|service| Self::Container(Box::new(service)));
        container.or_else(|| specification.archives.pop().map(|archive| Self::Zip(Box::new(archive))))
    }

    /// # Errors
    /// Why git cannot tell what becomes of it, as a sentence.
    pub(super) fn scope(&self, repository: &Repository, root: &Path) -> Result<Scope, String> {
        match self {
            Self::Container(service) => Scope::of(service, repository, root),
            Self::Zip(archive) => Scope::of_zip(archive, repository, root),
        }
    }

    /// Whether it has the same `paths` and `ignore`.
    pub(super) fn filters_alike(&self, other: &Self) -> bool {
        self.patterns() == other.patterns()
    }

    fn patterns(&self) -> (Option<&[String]>, &[String]) {
        match self {
            Self::Container(service) => (service.paths.as_deref(), &service.ignore),
            Self::Zip(archive) => (archive.paths.as_deref(), &archive.ignore),
        }
    }

    pub(super) fn compare(&self, now: &Self) -> Settings {
        match (self, now) {
            (Self::Container(before), Self::Container(now)) => settings::compare(before, now),
            (Self::Zip(before), Self::Zip(now)) => settings::compare_zips(before, now),
            _ => Settings::Build(vec!["kind"]),
        }
    }
}
