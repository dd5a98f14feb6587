//! What would ship, for the person who is asked: from which commit to which, the commits between, the digests, and a
//! link to the difference. What git cannot tell is said.

use std::path::Path;

use crate::archive::ArchivePlan;
use crate::git::log::{self, Since};
use crate::plan::{Plan, ServicePlan};
use crate::revision::short;
use crate::rollback;
use crate::source::Source;

/// Commits that are shown one by one.
const SHOWN: usize = 10;

pub(crate) async fn lines(root: &Path, plan: &Plan) -> Vec<String> {
    let services = plan.services.iter().filter(|service| !service.change.is_nothing());
    let archives = plan.archives.iter().filter(|zip| !zip.change.is_nothing());
    let to = &plan.revision;
    let mut lines: Vec<String> = services.clone().map(|service| of_service(service, &to.short())).collect();
    lines.extend(archives.clone().map(|zip| of_archive(zip, &to.short())));
    let running = services.map(|service| &service.running_revision);
    let running = running.chain(archives.map(|zip| &zip.running_revision));
    let mut bases: Vec<&str> = running.filter_map(Option::as_deref).collect();
    bases.sort_unstable();
    bases.dedup();
    let remote = log::remote(root).await;
    for base in bases {
        match log::since(root, base, &to.commit, SHOWN).await {
            Some(since) => lines.extend(commits(base, &since)),
            None => lines.push(format!("this clone does not tell which commits came since {}", short(base))),
        }
        lines.extend(remote.as_deref().and_then(|remote| link(remote, base, &to.commit)));
    }
    lines
}

fn of_service(service: &ServicePlan, to: &str) -> String {
    let image = match &service.source {
        Source::Build(_) => "to be built".to_owned(),
        Source::Reuse(reuse) => format!("whose image {} is in the repository already", cut(&reuse.digest)),
        Source::Promote(promotion) => {
            let digest = promotion.digest.as_deref().map_or("the image", cut);
            format!("whose image is {digest}, as it runs in {}", promotion.from)
        }
    };
    let from = from(service.running_revision.as_deref(), service.running_digest.as_deref());
    format!("{}: from {from} to {to}, {image}", service.service)
}

fn of_archive(zip: &ArchivePlan, to: &str) -> String {
    let from = from(zip.running_revision.as_deref(), zip.running_digest.as_deref());
    format!("{}: from {from} to {to}, to be packed, over {}/{}", zip.service, zip.bucket, zip.latest_key)
}

fn from(revision: Option<&str>, digest: Option<&str>) -> String {
    match (revision, digest) {
        (Some(revision), Some(digest)) => format!("{} ({})", short(revision), cut(digest)),
        (None, Some(digest)) => format!("{}, of no recorded commit", cut(digest)),
        _ => "nothing".to_owned(),
    }
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

/// What is no longer as it was shown, of two plans of one commit; `None` where nothing changed.
pub(crate) fn changed(shown: &Plan, now: &Plan) -> Option<String> {
    let services = others(&shown.services, &now.services, |one, other| {
        (&one.previous_deployment, &one.running_digest, &one.running_revision, &one.latest_digest)
            == (&other.previous_deployment, &other.running_digest, &other.running_revision, &other.latest_digest)
    });
    let archives = others(&shown.archives, &now.archives, |one, other| one.latest_etag == other.latest_etag);
    let names = services.map(|one| &one.service).chain(archives.map(|one| &one.service));
    in_words(&names.map(String::as_str).collect::<Vec<_>>(), shown.findings != now.findings)
}

/// The same of two plans of one way back.
pub(crate) fn changed_back(shown: &rollback::Plan, now: &rollback::Plan) -> Option<String> {
    let services = others(&shown.services, &now.services, |one, other| {
        (&one.from, &one.to, &one.previous_deployment, &one.in_flight, &one.latest_digest)
            == (&other.from, &other.to, &other.previous_deployment, &other.in_flight, &other.latest_digest)
    });
    let archives =
        others(&shown.archives, &now.archives, |one, other| (&one.from, &one.to) == (&other.from, &other.to));
    let names = services.map(|one| &one.service).chain(archives.map(|one| &one.service));
    in_words(&names.map(String::as_str).collect::<Vec<_>>(), shown.findings != now.findings)
}

/// Both are in the order of deploy.yaml.
fn others<'p, T>(shown: &'p [T], now: &'p [T], same: fn(&T, &T) -> bool) -> impl Iterator<Item = &'p T> {
    shown.iter().zip(now).filter(move |(one, other)| !same(one, other)).map(|(one, _)| one)
}

fn in_words(names: &[&str], in_the_way: bool) -> Option<String> {
    match (names.is_empty(), in_the_way) {
        (false, _) => Some(format!("what runs has changed since it was shown: {}", names.join(", "))),
        (true, true) => Some("what is in the way has changed since it was shown".to_owned()),
        (true, false) => None,
    }
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
