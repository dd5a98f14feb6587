//! Images that were not built here and now: what is known of them, and layers as a registry gives them out.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use sha2::{Digest as _, Sha256};

use super::needles::{Hit, Needles};
use super::scope::Scope;
use super::{Found, Place, Sought, config, export, layers, places, seek};
use crate::config::specification::Service;
use crate::docker::{Image, hexadecimal};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::secret::Secret;

/// The label of an image that says which secrets were looked for in its files. A digest for each, because a word in the
/// image may be what somebody's secret is.
const LABEL: &str = "dev.shipit.searched";

/// What helps where the base image cannot be told from the build's own layers.
pub(crate) const BUILD_TELLS: &str = "pass --rebuild: a build tells whether it comes from the base image";

const WHAT: &str = "a secret is readable in the image of an earlier build";

/// The gate for an image that was built before and is known by its config.
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
    Err(Error::new(Exit::Gate, format!("{WHAT}: {}", places(&sought, &found))).hint(BUILD_TELLS))
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

    /// The label for an image that is built now and looked through for these.
    pub(crate) fn label(&self, environment: &str) -> (String, String) {
        let names = self.names();
        let marks: Vec<String> = names.iter().map(|name| mark(environment, name)).collect();
        (LABEL.to_owned(), marks.join(" "))
    }

    /// Whether the image's build looked for all of them, as those of this environment.
    pub(crate) fn were_looked_for(&self, image: &Image, environment: &str) -> bool {
        let marks: Vec<&str> = image.labels.get(LABEL).map(|label| label.split(' ').collect()).unwrap_or_default();
        self.names().iter().all(|name| marks.contains(&mark(environment, name).as_str()))
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

fn mark(environment: &str, name: &str) -> String {
    hexadecimal(&Sha256::digest(format!("{environment}\n{name}")))[..12].to_owned()
}

fn not_read(error: &io::Error) -> Error {
    Error::new(Exit::Registry, "a layer could not be looked through for secrets").because(error)
}
