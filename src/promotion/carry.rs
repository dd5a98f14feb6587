//! The way of a promoted image: out of the registry of the environment before, with that environment's credentials, into
//! this one's.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::after::Before;
use crate::aws::{Clients, ecr};
use crate::docker;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::exit::Exit;
use crate::plan::Plan;
use crate::registry::{Copy, Image, Proxies, Registry};
use crate::source::Promotion;

/// From one repository to another.
pub(crate) struct Route {
    from: Arc<Registry>,
    from_repository: String,
    to: Registry,
    to_repository: String,
    same_registry: bool,
}

impl Route {
    /// Logs in at both ends.
    ///
    /// # Errors
    /// `Exit::Aws` when either login is refused.
    pub(crate) async fn open(
        (before, promotion): (&Before, &Promotion),
        (clients, plan, repository): (&Clients, &Plan, &str),
        proxies: &Proxies,
    ) -> Result<Self> {
        let (theirs, ours) = tokio::try_join!(ecr::login(&before.clients), ecr::login(clients))?;
        let from = Registry::at(&theirs.host, &theirs.username, &theirs.password, proxies)?;
        let to = Registry::at(&ours.host, &ours.username, &ours.password, proxies)?;
        // A stand-in is one host for every account and region; what keeps registries apart in AWS is these two.
        let same_registry = theirs.host == ours.host
            && plan.account.as_ref() == Some(&before.identity.account)
            && plan.region == before.clients.region;
        Ok(Self {
            from: Arc::new(from),
            from_repository: promotion.repository.clone(),
            to,
            to_repository: repository.to_owned(),
            same_registry,
        })
    }

    /// Reads the manifests of the image, and what its config says of it.
    ///
    /// # Errors
    /// `Exit::Registry` when it is gone or is not what its digest says; `Exit::Gate` when it has nothing for this
    /// architecture.
    pub(crate) async fn look(&self, digest: &str, architecture: &str) -> Result<(Image, docker::Image)> {
        let image = Image::read(&self.from, &self.from_repository, digest).await?;
        let config = image.config(&self.from, &self.from_repository, architecture).await?;
        Ok((image, described(digest, &config)?))
    }

    pub(crate) fn copy<'a>(&'a self, events: &'a Events) -> Copy<'a> {
        Copy {
            from: &self.from,
            from_repository: &self.from_repository,
            to: &self.to,
            to_repository: &self.to_repository,
            same_registry: self.same_registry,
            events,
        }
    }

    /// `HOST/REPOSITORY:TAG`.
    pub(crate) fn reference(&self, tag: &str) -> String {
        format!("{}/{}:{tag}", self.to.host(), self.to_repository)
    }
}

/// The image config of OCI, as far as it is judged.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: String,
    #[serde(default, rename = "config")]
    settings: Settings,
    #[serde(default)]
    history: Vec<Step>,
}

/// Go writes an empty list as null.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Settings {
    env: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    comment: String,
}

/// The same words that the engine has for an image of its own.
fn described(digest: &str, config: &[u8]) -> Result<docker::Image> {
    let Config { architecture, os, variant, settings, history } = serde_json::from_slice(config).map_err(|error| {
        Error::new(Exit::Registry, format!("the config of the image {digest} is not understood")).because(&error)
    })?;
    // The config has the oldest layer first.
    let steps = history.into_iter().rev().flat_map(|step| [step.created_by, step.comment]);
    Ok(docker::Image {
        id: digest.to_owned(),
        architecture,
        os,
        variant,
        env: settings.env.unwrap_or_default(),
        labels: settings.labels.unwrap_or_default(),
        history: steps.filter(|text| !text.is_empty()).collect(),
        entrypoint: settings.entrypoint.unwrap_or_default(),
        command: settings.cmd.unwrap_or_default(),
        size: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::described;

    #[test]
    fn a_config_is_read_as_the_engine_would_show_it() {
        let config = br#"{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":null,
            "Labels":{"a":"b"},"Entrypoint":["/app"]},
            "history":[{"created_by":"COPY app"},{"created_by":"ENV X=1","comment":"buildkit","empty_layer":true}]}"#;
        let image = described("sha256:a", config).unwrap();
        assert_eq!((image.architecture.as_str(), image.os.as_str()), ("amd64", "linux"));
        assert_eq!(image.history, ["ENV X=1", "buildkit", "COPY app"]);
        assert_eq!((image.env.as_slice(), image.labels["a"].as_str()), (["PATH=/bin".to_owned()].as_slice(), "b"));
        assert_eq!((image.entrypoint.as_slice(), image.command.is_empty()), (["/app".to_owned()].as_slice(), true));
        assert!(described("sha256:a", b"{").is_err());
    }
}
