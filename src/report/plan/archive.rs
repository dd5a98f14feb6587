//! How a zip's part of a plan is printed.

use super::fact;
use crate::archive::{ArchivePlan, place};
use crate::report::line::Line;
use crate::report::words;

pub(super) fn in_short(zip: &ArchivePlan) -> Line {
    if zip.change.is_nothing() {
        return Line::new().strong(zip.service.clone()).plain(format!(": {}", zip.change.reason)).hanging(4);
    }
    let live = zip.running_revision.as_deref().map_or_else(
        || match zip.latest_etag {
            Some(_) => "what is there has no recorded revision".to_owned(),
            None => "nothing is there yet".to_owned(),
        },
        |revision| format!("{} is there", words::short_revision(revision)),
    );
    Line::new().strong(zip.service.clone()).plain(format!(": zip {}; {live}", place(&zip.bucket, &zip.latest_key)))
}

pub(super) fn lines(zip: &ArchivePlan) -> Vec<Line> {
    let mut lines = vec![Line::new().strong(zip.service.clone())];
    let files = zip.files.map(|files| format!(", {}", words::count(files as u64, "file"))).unwrap_or_default();
    let facts = [
        ("zip", Some(format!("of {}{files}", zip.context))),
        ("bucket", Some(zip.bucket.clone())),
        ("key", Some(zip.key.clone())),
        ("latest key", Some(zip.latest_key.clone())),
        ("secrets", (!zip.secrets.is_empty()).then(|| zip.secrets.join(", "))),
        ("live", live(zip)),
    ];
    lines.extend(facts.into_iter().filter_map(|(label, value)| Some(fact(label, value?))));
    for (at, action) in actions(zip).into_iter().enumerate() {
        lines.push(Line::new().dim(format!("  {:>2}. ", at + 1)).plain(action).hanging(6));
    }
    lines
}

/// The revision that is live, as far as it is recorded, and its digest.
pub(in crate::report) fn live(zip: &ArchivePlan) -> Option<String> {
    let digest = zip.running_digest.as_deref().map(words::short_digest);
    match (zip.running_revision.as_deref(), digest) {
        (Some(revision), Some(digest)) => Some(format!("{} ({digest})", words::short_revision(revision))),
        (Some(revision), None) => Some(words::short_revision(revision)),
        (None, digest) => digest,
    }
}

/// What will be done, in order.
pub(in crate::report) fn actions(zip: &ArchivePlan) -> Vec<String> {
    if zip.change.is_nothing() {
        return vec![format!("nothing: {}", zip.change.reason)];
    }
    let mut steps = vec!["pack the files".to_owned()];
    steps.push(match zip.kept {
        true => format!("put the zip to {}, unless the one that is there already is the same", zip.key),
        false => format!("put the zip to {}", zip.key),
    });
    if !zip.depends_on.is_empty() {
        let are = if zip.depends_on.len() == 1 { "is" } else { "are" };
        steps.push(format!("wait until {} {are} deployed", words::list(&zip.depends_on)));
    }
    steps.push(format!("copy it over {}", zip.latest_key));
    steps.push(format!("prove that {} is this zip", zip.latest_key));
    steps
}
