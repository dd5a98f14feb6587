//! Images that were not built here and now: what is known of them, and layers as a registry gives them out.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

use super::needles::{Hit, Needles};
use super::scope::Scope;
use super::{Found, Place, Sought, config, export, layers, places, seek};
use crate::config::specification::Service;
use crate::docker::Image;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::secret::Secret;

const WHAT: &str = "a secret is readable in the image of an earlier build";

/// The gate for an image that was built before and is known by its config alone: its layers were looked through then.
/// What its base image holds cannot be told apart here, so a find sends the user back to a build, where it can.
///
/// # Errors
/// A secret is in the config or the history ([`Exit::Gate`]).
pub(crate) fn check_known(image: &Image, service: &Service, secrets: &BTreeMap<String, Secret>) -> Result<()> {
    let mounted: Vec<&String> = service.build_secrets.keys().collect();
    let sought = seek(secrets, &service.readable_secrets, &mounted);
    let values = sought.iter().enumerate().filter(|(_, one)| one.scope != Scope::Named);
    let needles = Needles::new(values.map(|(at, one)| (at, one.value)))?;
    let found = config::look(image, None, &sought, &needles);
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::new(Exit::Gate, format!("{WHAT}: {}", places(&sought, &found)))
        .hint("pass --rebuild: a build tells whether it comes from the base image"))
}

/// The files of layers that come from elsewhere: whoever had them built did not know the secrets of this environment.
pub(crate) struct Layers<'s> {
    sought: Vec<Sought<'s>>,
    needles: Arc<Needles>,
}

/// What one layer came to.
pub(crate) struct Looked {
    pub(crate) bytes: u64,
    /// Why its files could not be looked through.
    pub(crate) unread: Option<String>,
    pub(super) files: Vec<(String, Hit)>,
}

impl<'s> Layers<'s> {
    /// For the secrets of a service, here and where the image comes from. `None`: no secret calls for it.
    ///
    /// # Errors
    /// The secrets cannot be looked for ([`Exit::Fault`]).
    pub(crate) fn of(sides: &[(&'s Service, &'s BTreeMap<String, Secret>)]) -> Result<Option<Self>> {
        let mut sought = Vec::new();
        for (service, secrets) in sides {
            let mounted: Vec<&String> = service.build_secrets.keys().collect();
            sought.extend(seek(secrets, &service.readable_secrets, &mounted));
        }
        sought.retain(|one| one.scope == Scope::Everywhere);
        let needles = Needles::new(sought.iter().enumerate().map(|(at, one)| (at, one.value)))?;
        Ok((!needles.is_empty()).then(|| Self { sought, needles: Arc::new(needles) }))
    }

    /// The secrets' names, each once.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.sought.iter().map(|one| one.name.to_owned()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Looks through a layer, packed or not, as its bytes come.
    ///
    /// # Errors
    /// That of the bytes; or they are no layer ([`Exit::Registry`]).
    pub(crate) async fn look(&self, bytes: impl Stream<Item = Result<Bytes>> + Unpin) -> Result<Looked> {
        let needles = Arc::clone(&self.needles);
        let (looked, broken) = export::pour(bytes, move |reader| layers::one(reader, &needles)).await;
        match (looked, broken) {
            (_, Some(error)) => Err(error),
            (Ok(looked), None) => Ok(looked),
            (Err(error), None) => Err(not_read(&error)),
        }
    }

    /// The refusal, where something was found; `looked` are all layers that were looked through, by their numbers.
    pub(crate) fn refusal(&self, looked: &[(usize, Looked)], layers: usize) -> Option<Error> {
        let mut found = Vec::new();
        for (number, looked) in looked {
            for (path, (secret, form)) in &looked.files {
                let instruction = String::new();
                let place = Place::File { path: path.clone(), layer: *number, layers, instruction };
                found.push(Found { secret: *secret, form: *form, place, of_base: false });
            }
        }
        let refused = || Error::new(Exit::Gate, format!("{WHAT}: {}", places(&self.sought, &found)));
        (!found.is_empty()).then(refused)
    }
}

fn not_read(error: &io::Error) -> Error {
    Error::new(Exit::Registry, "a layer could not be looked through for secrets").because(error)
}
