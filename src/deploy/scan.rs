//! Where the scan gate stands in a push: between the first tag and `latest`. Pure.

use crate::error::{Error, Result};
use crate::exit::Exit;

/// What the tag of an image begins with that is pushed for its scan alone; the commits' tags begin with `git-`.
const FOR_SCAN: &str = "scan-";

/// The tags to push. ECR scans only what it has, so that something has to go before `latest`: where the commit's tag is
/// there already and cannot be moved, a tag of the image itself does.
pub(super) fn tags(planned: &[String], gate: bool, image: &str) -> Vec<String> {
    let mut tags = planned.to_vec();
    if gate && tags.first().is_some_and(|tag| tag == "latest") {
        let id: String = image.trim_start_matches("sha256:").chars().take(12).collect();
        tags.insert(0, format!("{FOR_SCAN}{id}"));
    }
    tags
}

pub(super) fn is_for_scan(tag: &str) -> bool {
    tag.starts_with(FOR_SCAN)
}

/// # Errors
/// `latest` came out as another image than the one that was scanned ([`Exit::Registry`]).
pub(super) fn same(gate: bool, before: Option<&str>, now: Option<&str>) -> Result<()> {
    match (before, now) {
        (Some(before), Some(now)) if gate && before != now => {
            Err(Error::new(Exit::Registry, format!("{now} was pushed as `latest`, but {before} is what was scanned"))
                .hint("the engine made another manifest of the same image: nothing was rolled; run it again"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{same, tags};

    #[test]
    fn something_goes_before_latest_for_the_scan() {
        let planned = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        let image = "sha256:0123456789abcdef";
        assert_eq!(tags(&planned(&["git-1", "latest"]), true, image), ["git-1", "latest"]);
        assert_eq!(tags(&planned(&["latest"]), true, image), ["scan-0123456789ab", "latest"]);
        assert_eq!(tags(&planned(&["latest"]), false, image), ["latest"]);
    }

    #[test]
    fn what_was_scanned_is_what_latest_has_to_be() {
        assert!(same(true, Some("a"), Some("a")).is_ok() && same(true, None, Some("a")).is_ok());
        assert!(same(false, Some("a"), Some("b")).is_ok());
        assert!(same(true, Some("a"), Some("b")).is_err());
    }
}
