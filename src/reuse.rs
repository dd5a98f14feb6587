//! Whether the repository has an image that was built from the same inputs: the look (`observe`), and the judgement on
//! what was seen (`decide`), which is pure.
//!
//! A tag alone proves nothing: anybody may have put it there. The label in the image's own config has to have the whole
//! key, and the config is the one that the manifest's digest stands for.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::aws::Clients;
use crate::aws::ecr::{self, Manifest};
use crate::config::specification::Service;
use crate::content_key::{self, Inputs, Keyed, LABEL, NoKey, PARTS_LABEL, differences};
use crate::docker::{Engine, ImageConfig};
use crate::error::{Error, Result};
use crate::source::{Build, Reuse, Source};

/// The label with the commit that an image was built from.
pub(crate) const REVISION_LABEL: &str = "org.opencontainers.image.revision";

/// What was seen of one service.
#[derive(Debug)]
pub(crate) struct Seen {
    keyed: Result<Arc<Keyed>, NoKey>,
    found: Found,
}

#[derive(Debug)]
enum Found {
    /// Without a key there is nothing to look for; with `--rebuild` nothing is wanted.
    NotAsked,
    /// No image has the key's tag. `last`: what the image that is `latest` was made of, where it says so.
    Nothing {
        last: Option<String>,
    },
    Image(Box<Candidate>),
    /// The repository could not be asked.
    Refused(Error),
}

/// The image with the key's tag.
#[derive(Debug)]
struct Candidate {
    manifest: Manifest,
    config: ImageConfig,
    /// How old it is, as far as that can be told.
    age: Option<Duration>,
}

/// What is looked at, besides the service.
#[derive(Clone, Copy)]
pub(crate) struct Look<'l> {
    pub(crate) clients: &'l Clients,
    pub(crate) engine: Option<&'l Engine>,
    /// `HOST/NAME` of the service's repository.
    pub(crate) uri: &'l str,
    /// The digest that `latest` has.
    pub(crate) latest: Option<&'l str>,
    /// `--rebuild`: the key is wanted, no image is.
    pub(crate) rebuild: bool,
}

/// Finds the key, and then the image. Reads only.
pub(crate) async fn observe(service: &Service, look: Look<'_>) -> Seen {
    let inputs = Inputs { engine: look.engine, clients: look.clients, uri: look.uri };
    let keyed = match content_key::observe(service, inputs).await {
        Ok(keyed) => Arc::new(keyed),
        Err(why) => return Seen { keyed: Err(why), found: Found::NotAsked },
    };
    let found =
        if look.rebuild { Found::NotAsked } else { find(service, &keyed, look).await.unwrap_or_else(Found::Refused) };
    Seen { keyed: Ok(keyed), found }
}

async fn find(service: &Service, keyed: &Keyed, look: Look<'_>) -> Result<Found> {
    let architecture = service.platform.architecture();
    let Some(manifest) = ecr::tagged(look.clients, &service.repository, &keyed.key.tag()).await? else {
        return Ok(Found::Nothing { last: last(service, look).await });
    };
    let config = ecr::config(look.clients, &service.repository, &manifest, architecture).await?;
    let mut made = config.created;
    if made.is_none() && service.rebuild_after.is_some() {
        let image = ecr::image(look.clients, &service.repository, &manifest.digest).await?;
        made = image.and_then(|image| image.pushed_at);
    }
    let age = made.and_then(|made| Duration::try_from(Timestamp::now().duration_since(made)).ok());
    Ok(Found::Image(Box::new(Candidate { manifest, config, age })))
}

/// What `latest` was made of. It only explains, so that no refusal is told.
async fn last(service: &Service, look: Look<'_>) -> Option<String> {
    let manifest = ecr::manifest(look.clients, &service.repository, look.latest?).await.ok()??;
    let architecture = service.platform.architecture();
    let config = ecr::config(look.clients, &service.repository, &manifest, architecture).await.ok()?;
    config.image.labels.get(PARTS_LABEL).cloned()
}

/// How the image comes to be. `uri`: `HOST/NAME` of the repository.
pub(crate) fn decide(service: &Service, uri: &str, seen: Option<&Seen>) -> Source {
    let plain = Build { uri: uri.to_owned(), ..Build::default() };
    let Some(seen) = seen else { return Source::Build(plain) };
    let keyed = match &seen.keyed {
        Ok(keyed) => keyed,
        Err(why) => return Source::Build(Build { why: Some(format!("no content key: {why}")), ..plain }),
    };
    let build = |why: String| Build {
        content_key: Some(keyed.key.clone()),
        why: Some(why),
        keyed: Some(Arc::clone(keyed)),
        ..plain.clone()
    };
    let tag = keyed.key.tag();
    match &seen.found {
        Found::NotAsked => Source::Build(Build { without_cache: true, ..build("--rebuild".to_owned()) }),
        Found::Refused(error) => Source::Build(build(format!("the repository was not looked into: {}", error.line()))),
        Found::Nothing { last } => {
            let differs = last.as_deref().and_then(|last| differences(&keyed.parts, last)).unwrap_or_default();
            let mut why = "the repository has no image of these inputs".to_owned();
            if !service.commit_args.is_empty() {
                let names = service.commit_args.join(", ");
                why = format!("{why}; `${{commit}}` in {names} gives every commit inputs of its own");
            }
            Source::Build(Build { differs, ..build(why) })
        }
        Found::Image(candidate) => match unfit(service, keyed, candidate) {
            Some(Unfit { why, without_cache }) => {
                Source::Build(Build { without_cache, ..build(format!("{tag} {why}")) })
            }
            None => Source::Reuse(Box::new(Reuse {
                content_key: keyed.key.clone(),
                digest: candidate.manifest.digest.clone(),
                revision: candidate.config.image.labels.get(REVISION_LABEL).cloned(),
                age_seconds: candidate.age.map(|age| age.as_secs()),
                uri: uri.to_owned(),
                manifest: candidate.manifest.clone(),
                image: candidate.config.image.clone(),
                tag,
            })),
        },
    }
}

/// Why the image behind the tag is not the one; what is said follows the tag's name.
struct Unfit {
    why: String,
    without_cache: bool,
}

fn unfit(service: &Service, keyed: &Keyed, candidate: &Candidate) -> Option<Unfit> {
    let image = &candidate.config.image;
    let no = |why: String| Some(Unfit { why, without_cache: false });
    if image.labels.get(LABEL).map(String::as_str) != Some(keyed.key.as_str()) {
        return no("is on an image with another key, or none: whoever put it there, it is not used".to_owned());
    }
    if let Err(error) = image.require_architecture(service.platform.architecture()) {
        return no(format!("is of no use: {}", error.message()));
    }
    let limit = service.rebuild_after?;
    match candidate.age {
        Some(age) if age <= limit => None,
        age => Some(Unfit {
            why: match age {
                Some(age) => format!("is {} old (rebuild_after)", in_words(age)),
                None => "has no age that can be told (rebuild_after)".to_owned(),
            },
            without_cache: true,
        }),
    }
}

/// `3 days`, `5 hours`, `40 minutes`: the largest unit is enough.
pub(crate) fn in_words(age: Duration) -> String {
    let seconds = age.as_secs();
    let (count, unit) = match seconds {
        0..60 => return "less than a minute".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::in_words;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        for (seconds, words) in [
            (59, "less than a minute"),
            (60, "1 minute"),
            (3599, "59 minutes"),
            (7200, "2 hours"),
            (86_399, "23 hours"),
            (86_400, "1 day"),
            (864_000, "10 days"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
