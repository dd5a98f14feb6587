//! Which image a name stands for right now, as a build by this engine would take it. With a graph driver that is the one
//! that the engine has, else the one that the registry has; with containerd's store it is the other way round (moby's
//! and BuildKit's own resolvers). Nothing is pulled.

use http::Method;
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::json;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;

use super::credentials::{Login, RegistryAuth};
use super::engine::Engine;
use super::http::{RequestError, empty, path_element};

/// More than any answer about one image has.
const LARGEST_ANSWER: usize = 1 << 20;

/// The image in the engine with this name.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Local {
    id: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    repo_digests: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Distribution {
    descriptor: Descriptor,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

impl Engine {
    /// What identifies the image's content: `sha256:…`, of its manifest or index where a registry has it, else of its
    /// config. `platform`: `OS/ARCH`; an image in the engine for another one is none. The error is in words.
    pub(crate) async fn identity_of(&self, name: &str, platform: &str, own: &[RegistryAuth]) -> Result<String, String> {
        if self.facts().containerd_store {
            return match self.remote_identity(name, own).await {
                Ok(identity) => Ok(identity),
                Err(error) => self.local_identity(name, platform).await?.ok_or_else(|| error.to_string()),
            };
        }
        match self.local_identity(name, platform).await? {
            Some(identity) => Ok(identity),
            None => self.remote_identity(name, own).await.map_err(|error| error.to_string()),
        }
    }

    /// `None` where the engine has no such image, or one for another platform.
    async fn local_identity(&self, name: &str, platform: &str) -> Result<Option<String>, String> {
        let path = format!("/images/{}/json", path_element(name));
        match self.client.get::<Local>(&path, "").await {
            Ok(local) => Ok(fits(&local, platform).then(|| identity(&local, name))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether the engine has the image `REPOSITORY@DIGEST`, and with it, very likely, the layers of its build.
    pub(crate) async fn has(&self, reference: &str) -> bool {
        let path = format!("/images/{}/json", path_element(reference));
        self.client.get::<Local>(&path, "").await.is_ok()
    }

    async fn remote_identity(&self, name: &str, own: &[RegistryAuth]) -> Result<String, RequestError> {
        let path = format!("/distribution/{}/json", path_element(name));
        let mut request = self.client.request(Method::GET, &path, "");
        if let Some(header) = self.login_for(registry_of(name), own).await {
            request = request.header("X-Registry-Auth", header);
        }
        let answer = self.client.ask(request.body(empty())).await?;
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| RequestError::Unreadable(vec![error.to_string()]))?.to_bytes();
        let answer: Distribution =
            serde_json::from_slice(&body).map_err(|error| RequestError::Unreadable(vec![error.to_string()]))?;
        Ok(answer.descriptor.digest)
    }

    /// As a build has it: the logins of this run first, then those of Docker's configuration.
    async fn login_for(&self, host: &str, own: &[RegistryAuth]) -> Option<String> {
        if let Some(own) = own.iter().find(|auth| auth.host == host) {
            return Some(own.header());
        }
        let Login { username, secret } = self.credentials.find(host).await?;
        let login = if username.is_empty() {
            json!({ "identitytoken": secret.expose(), "serveraddress": host })
        } else {
            json!({ "username": username, "password": secret.expose(), "serveraddress": host })
        };
        Some(BASE64_URL_SAFE.encode(login.to_string()))
    }
}

fn fits(local: &Local, platform: &str) -> bool {
    let mut parts = platform.split('/');
    parts.next() == Some(local.os.as_str()) && parts.next() == Some(local.architecture.as_str())
}

/// The digest under which the registry has it; an image that came from no registry of that name has its id alone.
fn identity(local: &Local, name: &str) -> String {
    let repository = repository_of(name);
    let mut digests: Vec<&str> = local
        .repo_digests
        .iter()
        .flatten()
        .filter_map(|reference| reference.split_once('@'))
        .filter(|(of, _)| repository_of(of) == repository)
        .map(|(_, digest)| digest)
        .collect();
    digests.sort_unstable();
    digests.first().map_or_else(|| local.id.clone(), |digest| (*digest).to_owned())
}

/// The name without tag and digest, in its long form.
fn repository_of(name: &str) -> String {
    let name = name.split('@').next().unwrap_or(name);
    let name = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    };
    let host = registry_of(name);
    let path = if names_host(name) { name.split_once('/').map_or(name, |(_, path)| path) } else { name };
    let library = host == "docker.io" && !path.contains('/');
    format!("{host}/{}{path}", if library { "library/" } else { "" })
}

fn registry_of(name: &str) -> &str {
    match name.split_once('/') {
        Some((host, _)) if names_host(name) && host != "index.docker.io" => host,
        _ => "docker.io",
    }
}

/// As Docker tells a registry from a user's name.
fn names_host(name: &str) -> bool {
    name.split_once('/').is_some_and(|(host, _)| host == "localhost" || host.contains(['.', ':']))
}

#[cfg(test)]
mod tests {
    use super::{Local, fits, identity, registry_of, repository_of};

    #[test]
    fn names_are_told_apart_as_docker_does() {
        for (name, registry, repository) in [
            ("python", "docker.io", "docker.io/library/python"),
            ("python:3.12", "docker.io", "docker.io/library/python"),
            ("docker.io/python@sha256:1", "docker.io", "docker.io/library/python"),
            ("index.docker.io/library/python", "docker.io", "docker.io/library/python"),
            ("team/app:1", "docker.io", "docker.io/team/app"),
            ("localhost/app", "localhost", "localhost/app"),
            ("127.0.0.1:5000/app:1", "127.0.0.1:5000", "127.0.0.1:5000/app"),
            ("public.ecr.aws/docker/library/node:20", "public.ecr.aws", "public.ecr.aws/docker/library/node"),
        ] {
            assert_eq!(registry_of(name), registry, "{name}");
            assert_eq!(repository_of(name), repository, "{name}");
        }
    }

    #[test]
    fn an_image_is_known_by_the_registrys_digest_of_that_very_name() {
        let local = |digests: &[&str]| Local {
            id: "sha256:id".into(),
            os: "linux".into(),
            architecture: "amd64".into(),
            repo_digests: Some(digests.iter().map(|digest| (*digest).to_owned()).collect()),
        };
        assert_eq!(identity(&local(&["python@sha256:2", "other/python@sha256:1"]), "python:3"), "sha256:2");
        assert_eq!(identity(&local(&["other/python@sha256:1"]), "python:3"), "sha256:id");
        assert_eq!(identity(&local(&[]), "python:3"), "sha256:id");
        assert!(fits(&local(&[]), "linux/amd64") && !fits(&local(&[]), "linux/arm64"));
    }
}
