//! Images in the engine: looking into one, tagging, and reading one out as a tar.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, future};
use http::{Method, StatusCode};
use http_body_util::{BodyDataStream, BodyExt};
use serde::Deserialize;

use super::engine::Engine;
use super::http::{Query, RequestError, chain, empty, path_element};
#[cfg(test)]
use super::reference::split_tag;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// What an image says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// `sha256:…`
    pub(crate) id: String,
    /// In Go's words: `amd64`.
    pub(crate) architecture: String,
    pub(crate) os: String,
    /// `v8`; empty for most.
    pub(crate) variant: String,
    /// `NAME=value`
    pub(crate) env: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// The command and the comment of each step, newest first.
    pub(crate) history: Vec<String>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) command: Vec<String>,
    /// The whole config, as the engine shows it.
    pub(crate) config: serde_json::Value,
    /// The diff ids of its layers, the lowest first.
    pub(crate) layers: Vec<String>,
    /// Bytes, unpacked.
    pub(crate) size: u64,
}

impl Engine {
    /// Looks into an image that the engine has.
    pub(crate) async fn inspect(&self, reference: &str) -> Result<Image> {
        let doing = |error: RequestError| error.during(Exit::Build, format!("cannot look into the image {reference}"));
        let path = format!("/images/{}", path_element(reference));
        let answer: InspectAnswer = self.client.get(&format!("{path}/json"), "").await.map_err(doing)?;
        let layers: Vec<Layer> = self.client.get(&format!("{path}/history"), "").await.map_err(doing)?;
        let raw = answer.config.unwrap_or_default();
        let config: ConfigAnswer = serde_json::from_value(raw.clone()).unwrap_or_default();
        Ok(Image {
            id: answer.id,
            architecture: answer.architecture,
            os: answer.os,
            variant: answer.variant,
            env: config.env.unwrap_or_default(),
            labels: config.labels.unwrap_or_default(),
            history: layers.into_iter().map(Layer::into_text).collect(),
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
            config: raw,
            layers: answer.root_fs.layers.unwrap_or_default(),
            size: answer.size,
        })
    }

    /// Gives an image a further name, `repository:tag`.
    pub(crate) async fn tag(&self, image: &str, repository: &str, tag: &str) -> Result<()> {
        let query = Query::default().with("repo", repository).with("tag", tag).into_string();
        let path = format!("/images/{}/tag", path_element(image));
        let request = self.client.request(Method::POST, &path, &query).body(empty());
        self.client
            .ask(request)
            .await
            .map_err(|error| error.during(Exit::Build, format!("cannot tag {image} as {repository}:{tag}")))?;
        Ok(())
    }

    /// Takes an image without a name away again, as far as nobody needs it.
    pub(crate) async fn remove(&self, image: &str) -> Result<()> {
        let path = format!("/images/{}", path_element(image));
        let request = self.client.request(Method::DELETE, &path, "").body(empty());
        match self.client.ask(request).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error.during(Exit::Build, format!("cannot take the image {image} away"))),
        }
    }

    #[cfg(test)]
    /// Takes a name away from an image. Its layers stay as long as another name holds them; a name that is not there is
    /// no error.
    pub(crate) async fn untag(&self, reference: &str) -> Result<()> {
        let (repository, tag) = split_tag(reference);
        let path = format!("/images/{}:{}", path_element(repository), path_element(tag));
        let request = self.client.request(Method::DELETE, &path, "noprune=1").body(empty());
        match self.client.ask(request).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error.during(Exit::Build, format!("cannot take the tag {reference} away"))),
        }
    }

    /// The image as the tar of `docker save`, in pieces as they come: for a registry that the engine cannot reach.
    pub(crate) async fn export(&self, image: &str) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
        self.open_export(image).await.map_err(|error| cannot_export(error, image))
    }

    /// The same; the inner error is what the engine says when it lets no image out, as an authorization plugin may have
    /// it.
    pub(crate) async fn export_if_allowed(
        &self,
        image: &str,
    ) -> Result<Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, String>> {
        match self.open_export(image).await {
            Ok(export) => Ok(Ok(export)),
            Err(RequestError::Refused { status: StatusCode::FORBIDDEN, message }) => Ok(Err(message)),
            Err(error) => Err(cannot_export(error, image)),
        }
    }

    async fn open_export(
        &self,
        image: &str,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, RequestError> {
        let path = format!("/images/{}/get", path_element(image));
        let request = self.client.request(Method::GET, &path, "").body(empty());
        let response = self.client.ask(request).await?;
        // A failure after the first byte ends the tar early: whoever reads it finds it incomplete.
        let data =
            BodyDataStream::new(response.into_body().map_err(|error| io::Error::other(chain(&error).join(": "))));
        Ok(data.filter(|piece| future::ready(!matches!(piece, Ok(bytes) if bytes.is_empty()))))
    }
}

fn cannot_export(error: RequestError, image: &str) -> Error {
    error.during(Exit::Build, format!("cannot read the image {image} out of the engine"))
}

impl Image {
    /// An error unless the image is for this architecture (Go's word) of Linux.
    pub(crate) fn require_architecture(&self, architecture: &str) -> Result<()> {
        if self.os == "linux" && self.architecture == architecture {
            return Ok(());
        }
        let what = format!("the image was built for {}/{}, not for linux/{architecture}", self.os, self.architecture);
        Err(Error::new(Exit::Gate, what).hint(
            "take a base image that exists for that platform, and no `--platform` in its FROM line that says otherwise",
        ))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectAnswer {
    id: String,
    architecture: String,
    os: String,
    #[serde(default)]
    variant: String,
    #[serde(default)]
    size: u64,
    config: Option<serde_json::Value>,
    #[serde(default, rename = "RootFS")]
    root_fs: RootFs,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct RootFs {
    layers: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ConfigAnswer {
    env: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Layer {
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    comment: String,
}

impl Layer {
    fn into_text(self) -> String {
        match (self.created_by, self.comment) {
            (command, comment) if comment.is_empty() => command,
            (command, comment) => format!("{command}\n{comment}"),
        }
    }
}
