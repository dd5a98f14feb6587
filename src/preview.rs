//! What would ship, for the person who is asked: from which commit to which, the commits between, the digests, and a
//! link to the difference. What git cannot tell is said.

use std::path::Path;

use crate::git::log::{self, Since};
use crate::plan::{Plan, ServicePlan};
use crate::revision::short;

/// Commits that are shown one by one.
const SHOWN: usize = 10;

pub(crate) async fn lines(root: &Path, plan: &Plan) -> Vec<String> {
    let shipped = || plan.services.iter().filter(|service| !service.change.is_nothing());
    let mut lines: Vec<String> = shipped().map(|service| of_service(service, plan)).collect();
    let mut bases: Vec<&str> = shipped().filter_map(|service| service.running_revision.as_deref()).collect();
    bases.sort_unstable();
    bases.dedup();
    let remote = log::remote(root).await;
    let to = &plan.revision.commit;
    for base in bases {
        match log::since(root, base, to, SHOWN).await {
            Some(since) => lines.extend(commits(base, &since)),
            None => lines.push(format!("this clone does not tell which commits came since {}", short(base))),
        }
        lines.extend(remote.as_deref().and_then(|remote| link(remote, base, to)));
    }
    lines
}

fn of_service(service: &ServicePlan, plan: &Plan) -> String {
    let name = &service.service;
    let from = match (&service.running_revision, &service.running_digest) {
        (Some(revision), Some(digest)) => format!("{} ({})", short(revision), cut(digest)),
        (None, Some(digest)) => format!("{}, of no recorded commit", cut(digest)),
        _ => "nothing".to_owned(),
    };
    format!("{name}: from {from} to {}, built from it", plan.revision.short())
}

fn commits(base: &str, since: &Since) -> Vec<String> {
    let count = |count: u64| if count == 1 { "1 commit".to_owned() } else { format!("{count} commits") };
    let mut lines = vec![format!("{} since {}", count(since.count), short(base))];
    lines.extend(
        since
            .commits
            .iter()
            .map(|commit| format!("  {} {} ({})", short(&commit.revision), commit.subject, commit.author)),
    );
    let more = since.count.saturating_sub(since.commits.len() as u64);
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    if since.lost > 0 {
        lines.push(format!("{} of {} would be gone: it is not an ancestor", count(since.lost), short(base)));
    }
    lines
}

/// `sha256:` and 12 digits.
fn cut(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

/// Where a browser shows the difference, for the three hosts whose addresses are known. Without user and password.
fn link(remote: &str, from: &str, to: &str) -> Option<String> {
    let (host, path) = match remote.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        // `git@host:owner/name`
        None => remote.split_once(':')?,
    };
    let host = host.rsplit('@').next()?;
    let host = host.split(':').next()?;
    let path = path.trim_matches('/').trim_end_matches(".git");
    let from = from.strip_suffix("-dirty").unwrap_or(from);
    let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./~".contains(c));
    if !plain(host) || !plain(path) {
        return None;
    }
    if host.contains("bitbucket") {
        return Some(format!("https://{host}/{path}/branches/compare/{to}..{from}#diff"));
    }
    if host.contains("gitlab") {
        return Some(format!("https://{host}/{path}/-/compare/{from}...{to}"));
    }
    host.contains("github").then(|| format!("https://{host}/{path}/compare/{from}...{to}"))
}

/// What is no longer as it was shown: the services of two plans of one commit, in words; `None` where nothing changed.
pub(crate) fn changed(shown: &Plan, now: &Plan) -> Option<String> {
    let same = |one: &ServicePlan, other: &ServicePlan| {
        (&one.previous_deployment, &one.running_digest, &one.running_revision, &one.latest_digest)
            == (&other.previous_deployment, &other.running_digest, &other.running_revision, &other.latest_digest)
    };
    let pairs = shown.services.iter().zip(&now.services);
    let names: Vec<&str> =
        pairs.filter(|(one, other)| !same(one, other)).map(|(one, _)| one.service.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::link;

    #[test]
    fn links_hold_no_password() {
        for (remote, expected) in [
            ("git@bitbucket.org:team/shop.git", Some("https://bitbucket.org/team/shop/branches/compare/b..a#diff")),
            ("https://ada:secret@github.com/team/shop", Some("https://github.com/team/shop/compare/a...b")),
            (
                "ssh://git@gitlab.example.com:2222/team/sub/shop.git",
                Some("https://gitlab.example.com/team/sub/shop/-/compare/a...b"),
            ),
            ("https://git.example.com/team/shop", None),
            ("/srv/git/shop", None),
            ("https://github.com/team/\u{1b}[31m", None),
        ] {
            assert_eq!(link(remote, "a", "b").as_deref(), expected, "{remote}");
        }
    }
}
