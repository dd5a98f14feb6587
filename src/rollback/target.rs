//! Which image a rollback goes to. Pure: what was named, or what ran before, from all that is known of the past.

use std::collections::BTreeSet;

use crate::aws::ecr::Image;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::history::Sources;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Previous,
    /// A commit, a tag or a digest.
    Named(String),
}

/// What is known of one service, besides what ECR and ECS tell of its past.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now {
    /// The digest that is to be taken away.
    pub(crate) from: Option<String>,
    /// The digest that shipit recorded last.
    pub(crate) recorded: Option<String>,
    /// The digest that ran before the recorded one, by shipit's record.
    pub(crate) previous: Option<String>,
    /// What runs was brought by a rollback.
    pub(crate) held: bool,
}

/// The digest to go back to.
///
/// # Errors
/// Nothing fits, or more than one image does ([`Exit::Gate`]).
pub(crate) fn choose(to: &To, now: &Now, past: &Sources) -> Result<String> {
    match to {
        To::Named(name) => named(name, &past.images),
        To::Previous => previous(now, past).ok_or_else(|| {
            Error::new(Exit::Gate, "nothing is known to have run before what runs now")
                .hint(format!("name the revision: --to REV, one of {}", newest(&past.images)))
        }),
    }
}

fn named(name: &str, images: &[Image]) -> Result<String> {
    if name == "latest" {
        return Err(Error::new(Exit::Gate, "`latest` is what a rollback moves, so it cannot be where it goes")
            .hint(format!("name the revision: --to REV, one of {}", newest(images))));
    }
    let exact = |image: &&Image| image.digest == name || image.tags.iter().any(|tag| tag == name);
    if let Some(image) = images.iter().find(exact) {
        return Ok(image.digest.clone());
    }
    let fitting: BTreeSet<&str> = images
        .iter()
        .filter(|image| image.commits().any(|commit| is_commit(name, commit)))
        .map(|image| image.digest.as_str())
        .collect();
    let unknown = |text: String| Error::new(Exit::Gate, text);
    match fitting.into_iter().collect::<Vec<_>>().as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(unknown(format!("no image in the repository is of `{name}`"))
            .hint(format!("the newest are {}; see shipit history", newest(images)))),
        several => Err(unknown(format!("`{name}` fits {} images", several.len()))
            .hint("give more digits of the commit, or the whole digest")),
    }
}

/// Whether the beginning of a commit, 7 digits at least, is that of a tag `git-<12 digits>`. A tree that was not clean
/// is found by its whole tag only.
fn is_commit(name: &str, tagged: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let hex = name.len() >= 7 && name.chars().all(|c| c.is_ascii_hexdigit());
    hex && tagged.chars().all(|c| c.is_ascii_hexdigit()) && (tagged.starts_with(&name) || name.starts_with(tagged))
}

/// What ran before: by shipit's record where that is of what runs, then by ECS, then by the order of the pushes.
fn previous(now: &Now, past: &Sources) -> Option<String> {
    let from = now.from.as_deref()?;
    if now.recorded.as_deref() == Some(from)
        && !now.held
        && let Some(previous) = now.previous.as_ref().filter(|previous| *previous != from)
    {
        return Some(previous.clone());
    }
    // What never was proven is taken away: the proven one comes back.
    let proven = || now.recorded.clone().filter(|recorded| recorded != from);
    by_deployments(from, now.held, past).or_else(proven).or_else(|| by_pushes(from, past))
}

fn by_deployments(from: &str, held: bool, past: &Sources) -> Option<String> {
    let good = past.deployments.iter().filter(|one| one.is_successful()).filter_map(|one| past.digest_of(one));
    let good: Vec<&str> = good.collect();
    let rest = if held {
        // What a rollback brought was there once before: from that time on it goes back, not to what was taken away.
        let first = good.iter().rposition(|digest| *digest == from)?;
        &good[first..]
    } else {
        good.as_slice()
    };
    rest.iter().find(|digest| **digest != from).map(|digest| (*digest).to_owned())
}

fn by_pushes(from: &str, past: &Sources) -> Option<String> {
    let at = past.images.iter().position(|image| image.digest == from)?;
    let before = past.images[at + 1..].iter().find(|image| image.commits().next().is_some());
    before.map(|image| image.digest.clone())
}

/// The commits of the images that were pushed last, for a hint.
fn newest(images: &[Image]) -> String {
    let commits: Vec<&str> = images.iter().flat_map(Image::commits).take(5).collect();
    if commits.is_empty() { "none: no image here was pushed by shipit".to_owned() } else { commits.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::{Now, To, choose};
    use crate::aws::ecr::Image;
    use crate::aws::ecs::ServiceDeployment;
    use crate::history::Sources;
    use jiff::Timestamp;

    /// Images of the commits `a…`, `b…`, … pushed in that order, and deployments as `x` (good) or `!x` (rolled back).
    fn past(images: &str, deployments: &[&str]) -> Sources {
        let image = |(second, name): (usize, char)| Image {
            digest: format!("sha256:{name}"),
            tags: vec![format!("git-{}", name.to_string().repeat(12))],
            pushed_at: Timestamp::from_second(i64::try_from(second).expect("small")).ok(),
        };
        let deployment = |(second, word): (usize, &&str)| ServiceDeployment {
            arn: String::new(),
            status: if word.starts_with('!') { "ROLLBACK_SUCCESSFUL" } else { "SUCCESSFUL" }.to_owned(),
            reason: None,
            created_at: Timestamp::from_second(i64::try_from(second).expect("small")).ok(),
            finished_at: None,
            revision: Some(word.trim_start_matches('!').to_owned()),
        };
        let mut images: Vec<Image> = images.chars().enumerate().map(image).collect();
        images.reverse();
        let mut deployments: Vec<ServiceDeployment> = deployments.iter().enumerate().map(deployment).collect();
        deployments.reverse();
        let digests = images.iter().map(|image| (image.digest[7..].to_owned(), image.digest.clone())).collect();
        Sources { images, deployments, digests, ..Sources::default() }
    }

    fn now(from: &str, recorded: &str, previous: &str, held: bool) -> Now {
        let digest = |name: &str| (!name.is_empty()).then(|| format!("sha256:{name}"));
        Now { from: digest(from), recorded: digest(recorded), previous: digest(previous), held }
    }

    #[test]
    fn what_ran_before() {
        let cases: [(&str, Now, Sources, Option<&str>); 11] = [
            ("the record knows", now("b", "b", "a", false), past("ab", &[]), Some("a")),
            ("the record is of another image", now("c", "b", "a", false), past("abc", &["a", "b", "c"]), Some("b")),
            ("ECS knows", now("c", "", "", false), past("abc", &["a", "c"]), Some("a")),
            ("what failed never ran", now("c", "", "", false), past("abc", &["a", "!b", "c"]), Some("a")),
            ("rolled twice", now("b", "b", "", false), past("ab", &["a", "b", "b"]), Some("a")),
            ("in flight", now("c", "b", "a", false), past("abc", &["a", "b"]), Some("b")),
            (
                "a second rollback goes further back",
                now("b", "b", "", true),
                past("abc", &["a", "b", "c", "b"]),
                Some("a"),
            ),
            ("a third finds nothing", now("a", "a", "", true), past("abc", &["a", "b", "c", "b", "a"]), None),
            (
                "after a fix the old one is next",
                now("d", "d", "b", false),
                past("abcd", &["a", "b", "c", "b", "d"]),
                Some("b"),
            ),
            ("only the record of another", now("c", "b", "", false), past("abc", &[]), Some("b")),
            ("only the pushes", now("c", "", "", false), past("abc", &[]), Some("b")),
        ];
        for (name, now, past, expected) in cases {
            let chosen = choose(&To::Previous, &now, &past).ok();
            assert_eq!(chosen.as_deref(), expected.map(|name| format!("sha256:{name}")).as_deref(), "{name}");
        }
    }

    #[test]
    fn the_first_deploy_has_nothing_before_it() {
        let error = choose(&To::Previous, &now("a", "a", "", false), &past("a", &["a"])).expect_err("nothing");
        assert!(error.hints()[0].contains("aaaaaaaaaaaa"), "{error:?}");
        assert!(choose(&To::Previous, &Now::default(), &past("ab", &["a"])).is_err(), "what runs is not known");
    }

    #[test]
    fn a_named_revision_is_a_commit_a_tag_or_a_digest() {
        let past = past("abc", &[]);
        let cases = [
            ("aaaaaaa", Some("a")),
            ("AAAAAAAA", Some("a")),
            ("bbbbbbbbbbbb0123456789012345678901234567", Some("b")),
            ("git-cccccccccccc", Some("c")),
            ("sha256:c", Some("c")),
            ("aaaaaa", None),
            ("dddddddd", None),
            ("latest", None),
            ("", None),
        ];
        for (name, expected) in cases {
            let chosen = choose(&To::Named(name.to_owned()), &now("c", "", "", false), &past).ok();
            assert_eq!(chosen.as_deref(), expected.map(|name| format!("sha256:{name}")).as_deref(), "{name}");
        }
    }

    #[test]
    fn a_prefix_of_two_images_is_refused() {
        let mut past = past("ab", &[]);
        past.images[0].tags = vec!["git-aaaaaaab0000".to_owned()];
        let named = |name: &str| choose(&To::Named(name.to_owned()), &Now::default(), &past);
        assert!(named("aaaaaaa").is_err_and(|error| error.message().contains("2 images")));
        assert!(named("aaaaaaab").is_ok());
    }
}
