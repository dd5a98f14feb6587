//! The leak gate: a built image is pushed only when no secret lies in plain sight in it, in its config, its history or
//! the files of the layers that this build added.
//!
//! A secret that `build_args` names is meant to be readable, unless `build_secrets` names it too. What is packed into an
//! archive, compressed or encrypted inside of a file is not seen, and neither is what a running container writes.

mod base;
mod config;
mod export;
mod forms;
mod known;
mod layers;
mod needles;
mod scope;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use crate::config::specification::Service;
use crate::docker::{Engine, Image};
use crate::error::{Error, Result};
use crate::event::{Events, Kind};
use crate::exit::Exit;
use crate::secret::Secret;

use forms::Form;
pub(crate) use known::{BUILD_TELLS, Layers, Looked, check_known};
use layers::Searched;
use needles::Needles;
use scope::Scope;

/// Places that an error names.
const PLACES: usize = 8;

/// The gate of one run. It remembers which layers were clean, so that services that share layers do not pay twice, and
/// lets one image at a time out of the engine.
#[derive(Default)]
pub(crate) struct Gate {
    clean: Mutex<Clean>,
}

/// Layers in which the secrets of these names were looked for and not found.
#[derive(Default)]
struct Clean {
    /// By name in an export.
    entries: HashMap<String, BTreeSet<String>>,
    diff_ids: HashMap<String, BTreeSet<String>>,
}

/// What is looked through, and for what.
pub(crate) struct Look<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) image: &'a Image,
    /// The images that the build's stages begin with.
    pub(crate) bases: &'a [String],
    pub(crate) service: &'a Service,
    /// Of the whole run: no secret of any service may be in any image.
    pub(crate) secrets: &'a BTreeMap<String, Secret>,
    pub(crate) events: &'a Events,
}

/// One secret that must not be found.
struct Sought<'s> {
    name: &'s str,
    value: &'s str,
    scope: Scope,
}

impl Sought<'_> {
    /// Whether a text holds it only by being it.
    fn is_whole(&self) -> bool {
        matches!(self.scope, Scope::Named | Scope::Exact)
    }
}

/// A secret in a place.
#[derive(Clone, Debug)]
struct Found {
    /// Its place in the list of what is sought.
    secret: usize,
    form: Form,
    place: Place,
    /// The base image has it there already: it is not of this build.
    of_base: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Variable(String),
    Label(String),
    /// In words.
    Config(String),
    History {
        step: usize,
        steps: usize,
        instruction: String,
    },
    /// An empty path: the layer as a whole. An empty instruction: nobody knows it.
    File {
        path: String,
        layer: usize,
        layers: usize,
        instruction: String,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "its environment variable `{name}`"),
            Self::Label(key) => write!(f, "its label `{key}`"),
            Self::Config(words) => write!(f, "its {words}"),
            Self::History { step, steps, instruction } => {
                write!(f, "step {step} of {steps} of its history ({instruction})")
            }
            Self::File { path, layer, layers, instruction } => {
                if !path.is_empty() {
                    write!(f, "file `{path}` of ")?;
                }
                write!(f, "layer {layer} of {layers}")?;
                if instruction.is_empty() { Ok(()) } else { write!(f, " ({instruction})") }
            }
        }
    }
}

/// What has to be looked for in the image of a service to which `readable` and `mounted` are known.
fn seek<'s>(secrets: &'s BTreeMap<String, Secret>, readable: &[String], mounted: &[&String]) -> Vec<Sought<'s>> {
    let hidden = secrets.iter().filter(|(name, _)| mounted.contains(name) || !readable.contains(name));
    let sought =
        hidden.map(|(name, secret)| Sought { name, value: secret.expose(), scope: Scope::of(secret.expose()) });
    sought.filter(|one| !one.value.trim().is_empty()).collect()
}

impl Gate {
    /// Whether all of it was looked through; what could not be, and what the base image holds, is a warning.
    ///
    /// # Errors
    /// A secret is in the image ([`Exit::Gate`]): named with its places, never shown. The engine's export of the layers
    /// breaks off ([`Exit::Build`]).
    pub(crate) async fn check(&self, look: &Look<'_>) -> Result<bool> {
        let mounted: Vec<&String> = look.service.build_secrets.keys().collect();
        let sought = seek(look.secrets, &look.service.readable_secrets, &mounted);
        let of_scope = |wanted: &dyn Fn(Scope) -> bool| {
            let values = sought.iter().enumerate().filter(|(_, one)| wanted(one.scope));
            Needles::new(values.map(|(at, one)| (at, one.value)))
        };
        let in_config = of_scope(&|scope| matches!(scope, Scope::Everywhere | Scope::Config))?;
        let mut found = config::look(look.image, None, &sought, &in_config);
        let (searched, whole) = self.files(look, &sought, of_scope(&|scope| scope == Scope::Everywhere)?).await?;
        if found.is_empty() && searched.is_clean() {
            return Ok(whole);
        }
        // Only now is it worth the time to tell whose it is.
        let base = base::find(look).await;
        found = config::look(look.image, base.as_ref(), &sought, &in_config);
        found.extend(searched.found(base.as_ref(), &found));
        let (inherited, own): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|found| found.of_base);
        if own.is_empty() {
            look.events.warn(
                format!("the base image holds what is a secret here: {}", places(&sought, &inherited)),
                Some(
                    "it is not of this build and is let through; take another base image, or another value".to_owned(),
                ),
            );
            return Ok(whole);
        }
        let error = Error::new(Exit::Gate, format!("a secret is readable in the image: {}", places(&sought, &own))).hint(
            "take it by `RUN --mount=type=secret` and `build_secrets`; if it may be read, name it under `build_args`",
        );
        let in_files = own.iter().any(|found| matches!(found.place, Place::File { .. }));
        Err(if in_files {
            error.hint(
                "a file that a later step deletes is still in its layer: do not copy it (.dockerignore) or write it",
            )
        } else {
            error
        })
    }

    /// Looks through the layers, where some secret calls for it, and tells whether it got through all of them.
    async fn files(&self, look: &Look<'_>, sought: &[Sought<'_>], needles: Needles) -> Result<(Searched, bool)> {
        if needles.is_empty() {
            return Ok((Searched::default(), true));
        }
        let names: BTreeSet<String> =
            sought.iter().filter(|one| one.scope == Scope::Everywhere).map(|one| one.name.to_owned()).collect();
        let mut clean = self.clean.lock().await;
        let is_clean = |layer: &String| clean.diff_ids.get(layer).is_some_and(|of| of.is_superset(&names));
        if !look.image.layers.is_empty() && look.image.layers.iter().all(is_clean) {
            return Ok((Searched::default(), true));
        }
        let skip =
            clean.entries.iter().filter(|(_, of)| of.is_superset(&names)).map(|(entry, _)| entry.clone()).collect();
        let began = Instant::now();
        let Some(searched) = export::search(look.engine, &look.image.id, Arc::new(needles), skip, look.events).await?
        else {
            return Ok((Searched::default(), false));
        };
        for layer in &searched.layers {
            if let Some(why) = &layer.unread {
                let text = format!("the files of layer {} were not looked through for secrets: {why}", layer.diff_id);
                look.events.warn(text, None);
            } else if layer.files.is_empty() {
                clean.entries.entry(layer.entry.clone()).or_default().extend(names.iter().cloned());
                clean.diff_ids.entry(layer.diff_id.clone()).or_default().extend(names.iter().cloned());
            }
        }
        look.events.emit(Kind::ImageSearched {
            secrets: names.into_iter().collect(),
            layers: searched.layers.len(),
            bytes: searched.bytes,
            seconds: began.elapsed().as_secs_f64(),
        });
        let whole = searched.layers.iter().all(|layer| layer.unread.is_none());
        Ok((searched, whole))
    }
}

impl Searched {
    fn is_clean(&self) -> bool {
        self.config.is_empty() && self.layers.iter().all(|layer| layer.files.is_empty())
    }

    /// The finds in files, and those in the raw config that `known` has not.
    fn found(&self, base: Option<&Image>, known: &[Found]) -> Vec<Found> {
        let of_base = base.map_or(0, |base| base.layers.len());
        let mut found = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            for (path, (secret, form)) in &layer.files {
                let place = Place::File {
                    path: path.clone(),
                    layer: at + 1,
                    layers: self.layers.len(),
                    instruction: config::instruction(&layer.made_by),
                };
                found.push(Found { secret: *secret, form: *form, place, of_base: at < of_base });
            }
        }
        let told = |secret: usize| known.iter().any(|found| found.secret == secret);
        for (secret, form) in self.config.iter().filter(|(secret, _)| !told(*secret)) {
            found.push(Found {
                secret: *secret,
                form: *form,
                place: Place::Config("config".to_owned()),
                of_base: false,
            });
        }
        found
    }
}

/// `TOKEN in label `a`; KEY, in base64, in file `b` of layer 2 of 3 (COPY)`, each secret once at a place.
fn places(sought: &[Sought<'_>], found: &[Found]) -> String {
    let mut told: Vec<(usize, &Place)> = Vec::new();
    let mut texts = Vec::new();
    for one in found {
        if told.contains(&(one.secret, &one.place)) {
            continue;
        }
        told.push((one.secret, &one.place));
        texts.push(format!("{}{} in {}", sought[one.secret].name, one.form.words(), one.place));
    }
    let more = texts.len().saturating_sub(PLACES);
    texts.truncate(PLACES);
    if more > 0 {
        texts.push(format!("and in {more} more places"));
    }
    texts.join("; ")
}
