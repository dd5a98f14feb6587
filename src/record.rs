//! The record of what runs: tags on the ECS service, written after the proof. Status, the gates and the next deploy's
//! changeset read it.
//!
//! Best effort: what is proven stays proven when a tag cannot be written. Only shipit's own keys are touched.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::aws::Clients;
use crate::aws::ecs::{self, Tag};
use crate::event::{Events, Stage};

/// What to write down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record<'a> {
    /// The revision that runs now; `None` where nothing says which commit the image was made from.
    pub(crate) revision: Option<&'a str>,
    /// Its digest in the registry.
    pub(crate) digest: &'a str,
    /// What the next changeset is counted from; after a rollback not the revision that runs.
    pub(crate) base: Option<&'a str>,
    /// The revision that a rollback took away.
    pub(crate) held: Option<&'a str>,
    /// The digest that ran before, where it was another one.
    pub(crate) previous: Previous<'a>,
    /// The identity's ARN.
    pub(crate) by: Option<&'a str>,
    pub(crate) approved_by: Option<&'a str>,
}

/// What becomes of the tag that says what ran before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Previous<'a> {
    /// The same digest was rolled again: what ran before it is still what ran before it.
    #[default]
    Kept,
    Is(&'a str),
    /// After a rollback: what ran before is what it took away.
    Unknown,
}

impl<'a> Previous<'a> {
    /// Of a deploy: what ran until now, unless it is what runs again.
    pub(crate) fn of(running: Option<&'a str>, digest: &str) -> Self {
        running.filter(|running| *running != digest).map_or(Self::Kept, Self::Is)
    }
}

impl Record<'_> {
    /// The tags to write, and those of `present` that are no longer true.
    fn changes(&self, at: Timestamp, present: &BTreeMap<String, String>) -> (Vec<(Tag, String)>, Vec<Tag>) {
        let mut write =
            vec![(Tag::Digest, self.digest.to_owned()), (Tag::DeployedAt, at.strftime("%FT%TZ").to_string())];
        let previous = match self.previous {
            Previous::Is(digest) => Some(digest),
            Previous::Kept => present.get(Tag::Previous.key()).map(String::as_str),
            Previous::Unknown => None,
        };
        let mut remove = Vec::new();
        for (tag, value) in [
            (Tag::Revision, self.revision),
            (Tag::Base, self.base),
            (Tag::Held, self.held),
            (Tag::Previous, previous),
            (Tag::DeployedBy, self.by),
            (Tag::ApprovedBy, self.approved_by),
        ] {
            match value {
                Some(value) => write.push((tag, value.to_owned())),
                None if present.contains_key(tag.key()) => remove.push(tag),
                None => {}
            }
        }
        (write, remove)
    }
}

/// Writes it to the service. `present`: the tags that the service had before.
pub(crate) async fn record(
    clients: &Clients,
    service_arn: &str,
    record: &Record<'_>,
    present: &BTreeMap<String, String>,
    events: &Events,
) {
    events.stage(Stage::Record);
    let (write, remove) = record.changes(Timestamp::now(), present);
    let mut done = ecs::write_tags(clients, service_arn, &write).await;
    if done.is_ok() && !remove.is_empty() {
        done = ecs::remove_tags(clients, service_arn, &remove).await;
    }
    if let Err(error) = done {
        let hint = error.hints().first().cloned();
        events.warn(format!("it runs, but the service's tags could not be written: {}", error.line()), hint);
    }
}

#[cfg(test)]
mod tests {
    use super::{Previous, Record};
    use crate::aws::ecs::Tag;
    use jiff::Timestamp;
    use std::collections::BTreeMap;

    fn present(tags: &[(Tag, &str)]) -> BTreeMap<String, String> {
        tags.iter().map(|(tag, value)| (tag.key().to_owned(), (*value).to_owned())).collect()
    }

    fn value(written: &[(Tag, String)], tag: Tag) -> Option<&str> {
        written.iter().find(|(written, _)| *written == tag).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_deploy_ends_a_hold_and_says_what_ran_before() {
        let record = Record {
            revision: Some("r2"),
            base: Some("r2"),
            digest: "sha256:2",
            previous: Previous::Is("sha256:1"),
            ..Record::default()
        };
        let before = present(&[(Tag::Held, "r1"), (Tag::ApprovedBy, "somebody"), (Tag::Revision, "r0")]);
        let (written, removed) = record.changes(Timestamp::UNIX_EPOCH, &before);
        assert_eq!(value(&written, Tag::Previous), Some("sha256:1"));
        assert_eq!(value(&written, Tag::DeployedAt), Some("1970-01-01T00:00:00Z"));
        assert_eq!(removed, [Tag::Held, Tag::ApprovedBy]);
    }

    #[test]
    fn a_rollback_holds_what_it_took_away() {
        let record = Record {
            revision: Some("r0"),
            base: Some("r1"),
            held: Some("r1"),
            digest: "sha256:0",
            previous: Previous::Unknown,
            ..Record::default()
        };
        let (written, removed) = record.changes(Timestamp::UNIX_EPOCH, &present(&[(Tag::Previous, "sha256:0")]));
        assert_eq!(value(&written, Tag::Held), Some("r1"));
        assert_eq!(value(&written, Tag::Base), Some("r1"));
        assert_eq!(value(&written, Tag::Revision), Some("r0"));
        assert_eq!(removed, [Tag::Previous]);
    }

    #[test]
    fn rolling_the_same_digest_again_keeps_what_ran_before() {
        assert_eq!(Previous::of(Some("sha256:1"), "sha256:1"), Previous::Kept);
        assert_eq!(Previous::of(Some("sha256:1"), "sha256:2"), Previous::Is("sha256:1"));
        assert_eq!(Previous::of(None, "sha256:2"), Previous::Kept);
        let record = Record { revision: Some("r1"), base: Some("r1"), digest: "sha256:1", ..Record::default() };
        let (written, removed) = record.changes(Timestamp::UNIX_EPOCH, &present(&[(Tag::Previous, "sha256:0")]));
        assert_eq!(value(&written, Tag::Previous), Some("sha256:0"));
        assert!(removed.is_empty());
    }
}
