//! Since which revision a service is looked at: the one that really runs there, never the last commit or the last push.
//! Pure; what is missing for an answer is asked for.

use serde::Serialize;

use crate::archive::Label;
use crate::aws::ecs::{RolloutState, Tag};
use crate::git::past::is_full_hash;
use crate::observe::ObservedService;
use crate::revision::short;

/// Who says what the base is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Origin {
    /// The tag `shipit:base` of the service.
    ServiceTag,
    /// The label of the running image.
    ImageLabel,
    /// What is written on the object that is live.
    Object,
    /// `--base`.
    CommandLine,
}

impl Origin {
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::ServiceTag => "recorded on the service",
            Self::ImageLabel => "the label of the image that runs",
            Self::Object => "written on the object that is live",
            Self::CommandLine => "by --base",
        }
    }
}

/// What a service is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// A full hash.
    Known { revision: String, origin: Origin },
    /// Why there is none, as a sentence.
    Unknown(String),
}

/// A base, or what has to be read for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Base(Base),
    /// The label of the running image with this digest decides.
    Label {
        digest: String,
    },
}

/// The label that shipit writes into every image: the commit that it was built from.
pub(crate) const LABEL: &str = "org.opencontainers.image.revision";

/// The base by shipit's own record, as long as that is of what runs. `container` is the one that runs the image.
pub(crate) fn by_record(seen: &ObservedService, container: Option<&str>) -> Found {
    let unknown = |why: &str| Found::Base(Base::Unknown(why.to_owned()));
    let Ok(service) = &seen.service else { return unknown("what runs there cannot be read") };
    let Some(container) = container else { return unknown("no container there runs an image of its repository") };
    let settled = service.deployments.len() == 1
        && service
            .primary()
            .is_some_and(|primary| primary.rollout.is_none_or(|state| state == RolloutState::Completed));
    if !settled {
        return unknown("no known base: the last rollout there is not complete");
    }
    let Some(running) = seen.running_digest(container) else {
        let tasks = seen.running.as_ref().and_then(|read| read.as_ref().ok()).map_or(0, Vec::len);
        return unknown(match tasks {
            0 => "no known base: nothing runs there",
            _ => "no known base: the tasks there do not run one and the same image",
        });
    };
    if seen.tag(Tag::Digest) != Some(&running) {
        return Found::Label { digest: running };
    }
    match seen.tag(Tag::Base).or_else(|| seen.tag(Tag::Revision)) {
        Some(recorded) => Found::Base(revision(recorded, Origin::ServiceTag)),
        None => Found::Label { digest: running },
    }
}

/// The base by the label of the image that runs.
pub(crate) fn by_label(label: Option<&str>) -> Base {
    label.map_or_else(
        || Base::Unknown(format!("no known base: the image that runs has no label {LABEL}")),
        |label| revision(label, Origin::ImageLabel),
    )
}

/// The base of a zip, by what is written on the object that is live.
pub(crate) fn by_object(label: &Label) -> Base {
    label.base().map_or_else(
        || Base::Unknown("no known base: nothing is live there, or it has no recorded revision".to_owned()),
        |written| revision(written, Origin::Object),
    )
}

/// The revision that another environment is recorded to run.
pub(crate) fn by_release(recorded: &str) -> Base {
    revision(recorded, Origin::ServiceTag)
}

/// Whoever may push an image or tag a service decides what stands there: nothing but a whole hash goes to git.
fn revision(written: &str, origin: Origin) -> Base {
    let written = written.trim();
    if let Some(commit) = written.strip_suffix("-dirty") {
        let short = short(commit);
        return Base::Unknown(format!("no known base: what runs was built from {short} with uncommitted changes"));
    }
    if is_full_hash(written) {
        Base::Known { revision: written.to_ascii_lowercase(), origin }
    } else {
        Base::Unknown("no known base: what is recorded of what runs is no commit".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Base, Origin, by_label};

    #[test]
    fn only_a_whole_hash_is_a_base() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let known = |revision: &str| Base::Known { revision: revision.to_owned(), origin: Origin::ImageLabel };
        assert_eq!(by_label(Some(commit)), known(commit));
        assert_eq!(by_label(Some(&commit.to_uppercase())), known(commit));
        assert_eq!(by_label(Some(&commit.repeat(2)[..64])), known(&commit.repeat(2)[..64]));
        for (label, why) in [
            (None, "has no label"),
            (Some(""), "is no commit"),
            (Some("main"), "is no commit"),
            (Some(&commit[..12]), "is no commit"),
            (Some("--output=/tmp/x"), "is no commit"),
            (Some("0123456789abcdef0123456789abcdef01234567-dirty"), "uncommitted changes"),
        ] {
            match by_label(label) {
                Base::Unknown(told) => assert!(told.contains(why), "{label:?}: {told}"),
                known @ Base::Known { .. } => panic!("{label:?}: {known:?}"),
            }
        }
    }
}
