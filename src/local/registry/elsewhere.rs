//! Another registry in place of the stand-in's own: ECR's control plane in front of, say, Debian's docker-registry.
//!
//! What that registry has is looked up before each operation that depends on it, and kept as the own images are; the
//! operation itself is then the same for both. Nothing is cached: only manifests, which never change, are not read
//! twice. Layers stay there.

use axum::body::Bytes;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::error::Result;
use crate::local::clock;
use crate::local::ecr::manifest::{self, Incoming};
use crate::local::options::OtherRegistry;
use crate::local::place::Place;
use crate::local::shared::Shared;
use crate::local::state::{Image, Repository};
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;
use crate::registry::{Failure, Registry, Stored};
use crate::secret::Secret;

/// Questions to the registry at a time.
const AT_ONCE: usize = 8;

pub(crate) struct Elsewhere {
    registry: Registry,
    username: String,
    password: Secret,
    /// One look at a time, so that an older one never overwrites a newer one.
    looking: Mutex<()>,
}

impl std::fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Elsewhere({})", self.host())
    }
}

/// What a look at a repository has found.
struct Found {
    tags: Vec<(String, String)>,
    manifests: Vec<Stored>,
}

impl Elsewhere {
    /// # Errors
    /// `Exit::Registry` when the registry does not answer, or refuses the login.
    pub(crate) async fn open(other: &OtherRegistry) -> Result<Self> {
        let registry = Registry::new(&other.host, &other.username, &other.password);
        registry.log_in().await.map_err(|failure| {
            let bad_login = failure.is_bad_login();
            let error = failure.during(&registry, "keep the images in the registry of `--registry`");
            if bad_login { error.hint("check SHIPIT_REGISTRY_USERNAME and SHIPIT_REGISTRY_PASSWORD") } else { error }
        })?;
        let OtherRegistry { username, password, .. } = other.clone();
        Ok(Self { registry, username, password, looking: Mutex::default() })
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> &str {
        self.registry.host()
    }

    /// User and password, for the engine.
    pub(crate) fn login(&self) -> (String, String) {
        (self.username.clone(), self.password.expose().to_owned())
    }

    /// `base64("USER:PASSWORD")`, as `GetAuthorizationToken` has it.
    pub(crate) fn authorization(&self) -> String {
        BASE64_STANDARD.encode(format!("{}:{}", self.username, self.password.expose()))
    }

    /// What has to be done there before the stand-in answers an operation: look, and for `PutImage` put.
    ///
    /// # Errors
    /// `ServerException` when the registry does not answer; `UnsupportedOperationException` for what it cannot do.
    pub(crate) async fn before(
        &self,
        shared: &Shared,
        place: &Place,
        (service, operation): (&str, &str),
        input: &Value,
    ) -> Answered<()> {
        let name = Input(input).text("repositoryName").unwrap_or_default();
        match (service, operation) {
            ("ecr", "DescribeImages" | "ListImages" | "BatchGetImage") => {
                let _one = self.looking.lock().await;
                self.look(shared, place, name, &digests_of(input)).await
            }
            ("ecr", "PutImage") => {
                let _one = self.looking.lock().await;
                self.look(shared, place, name, &references(input)).await?;
                self.put(shared, place, name, input).await
            }
            ("ecr", "BatchDeleteImage" | "BatchCheckLayerAvailability" | "GetDownloadUrlForLayer") => {
                let text = format!("images are kept by the registry at {}: ask it for {operation}", self.host());
                Err(Fault::client("UnsupportedOperationException", text))
            }
            ("ecs", "UpdateService" | "CreateService" | "RunTask") => {
                let _one = self.looking.lock().await;
                let names: Vec<String> = shared.read(|state| {
                    let holdings = state.holdings.get(&place.key());
                    holdings.map(|holdings| holdings.repositories.keys().cloned().collect()).unwrap_or_default()
                });
                for name in names {
                    self.look(shared, place, &name, &[]).await?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes over what the registry has under this name now: all tags, and the digests that are asked for. A login that
    /// it refuses leaves what was known: ECR's control plane has no need of the registry's password, and the push that
    /// comes will tell.
    async fn look(&self, shared: &Shared, place: &Place, name: &str, digests: &[String]) -> Answered<()> {
        let Some(known) = repository(shared, place, name) else { return Ok(()) };
        match self.find(&known, digests).await {
            Ok(found) => {
                shared.write(|state| {
                    if let Some(repository) = state.at(place).repositories.get_mut(name) {
                        take_over(repository, found, digests);
                    }
                });
                Ok(())
            }
            Err(failure) if failure.is_bad_login() => Ok(()),
            Err(failure) => Err(Fault::server(&failure.during(&self.registry, &format!("look into {name}")))),
        }
    }

    async fn find(&self, known: &Repository, digests: &[String]) -> Result<Found, Failure> {
        let (registry, name) = (&self.registry, known.name.as_str());
        let tags = registry.tags(name).await?.into_iter();
        let tags = tags.map(|tag| async move { Ok((registry.digest_of(name, &tag).await?, tag)) });
        let tags: Vec<(Option<String>, String)> = stream::iter(tags).buffer_unordered(AT_ONCE).try_collect().await?;
        // A tag can go away while it is looked at.
        let tags: Vec<(String, String)> = tags.into_iter().filter_map(|(digest, tag)| Some((tag, digest?))).collect();
        let mut wanted: Vec<String> = tags.iter().map(|(_, digest)| digest).chain(digests).cloned().collect();
        wanted.sort();
        wanted.dedup();
        // What is known needs no reading, unless somebody asks for it: then it may be gone.
        wanted.retain(|digest| digests.contains(digest) || !known.images.contains_key(digest));
        let wanted = wanted.into_iter().map(|digest| async move { registry.manifest(name, &digest).await });
        let manifests: Vec<Option<Stored>> = stream::iter(wanted).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(Found { tags, manifests: manifests.into_iter().flatten().collect() })
    }

    /// Puts the manifest there, unless the stand-in is about to refuse it.
    async fn put(&self, shared: &Shared, place: &Place, name: &str, input: &Value) -> Answered<()> {
        let Some(mut known) = repository(shared, place, name) else { return Ok(()) };
        let input = Input(input);
        let incoming = Incoming {
            manifest: input.text("imageManifest").unwrap_or_default(),
            media_type: input.text("imageManifestMediaType"),
            tag: input.text("imageTag"),
            digest: input.text("imageDigest"),
            refuse_same: true,
        };
        let Ok(digest) = manifest::put(&mut known, place, incoming, clock::now()) else { return Ok(()) };
        let media_type = known.images.get(&digest).map(|image| image.media_type.clone()).unwrap_or_default();
        let bytes = Bytes::copy_from_slice(incoming.manifest.as_bytes());
        let reference = incoming.tag.unwrap_or(&digest);
        let put = self.registry.put_manifest(name, reference, &media_type, bytes).await;
        put.map(drop)
            .map_err(|failure| Fault::server(&failure.during(&self.registry, &format!("put {name}:{reference}"))))
    }
}

fn repository(shared: &Shared, place: &Place, name: &str) -> Option<Repository> {
    shared.read(|state| state.holdings.get(&place.key())?.repositories.get(name).cloned())
}

/// The digests among the image identifiers of a request.
fn digests_of(input: &Value) -> Vec<String> {
    let ids = Input(input).list("imageIds").iter();
    ids.filter_map(|id| Input(id).text("imageDigest"))
        .filter(|digest| manifest::is_digest(digest))
        .map(str::to_owned)
        .collect()
}

/// The children of an index that is to be put.
fn references(input: &Value) -> Vec<String> {
    let index: Value = serde_json::from_str(Input(input).text("imageManifest").unwrap_or_default()).unwrap_or_default();
    let children = Input(&index).list("manifests").iter().filter_map(|child| Input(child).text("digest"));
    children.filter(|digest| manifest::is_digest(digest)).map(str::to_owned).collect()
}

fn take_over(repository: &mut Repository, found: Found, asked: &[String]) {
    repository.images.retain(|digest, _| {
        !asked.contains(digest) || found.manifests.iter().any(|manifest| manifest.digest == *digest)
    });
    for Stored { digest, media_type, bytes } in found.manifests {
        let Ok(text) = String::from_utf8(bytes.to_vec()) else { continue };
        let manifest: Value = serde_json::from_str(&text).unwrap_or_default();
        let (manifest, mut size) = (Input(&manifest), 0);
        for blob in manifest.member("config").into_iter().chain(manifest.list("layers")).map(Input) {
            repository.blobs.extend(blob.text("digest").map(str::to_owned));
            size += blob.number("size").and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        }
        // The protocol does not say when it was pushed: the first look is as near as one can come.
        let image = || Image { manifest: text, media_type, pushed_at: clock::now(), size, scan_began: None };
        repository.images.entry(digest).or_insert_with(image);
    }
    repository.image_tags = found.tags.into_iter().collect();
}

#[cfg(test)]
mod tests {
    use super::{Found, Stored, digests_of, references, take_over};
    use crate::local::ecr::manifest::digest_of;
    use crate::local::state::Repository;

    fn stored(text: &str) -> Stored {
        Stored {
            digest: digest_of(text.as_bytes()),
            media_type: "m".into(),
            bytes: axum::body::Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    #[test]
    fn what_the_registry_has_replaces_what_was_known() {
        let one = r#"{"config":{"digest":"sha256:c","size":2},"layers":[{"digest":"sha256:l","size":3}]}"#;
        let two = r#"{"config":{"digest":"sha256:d","size":2},"layers":[]}"#;
        let (first, second) = (digest_of(one.as_bytes()), digest_of(two.as_bytes()));
        let mut repository = Repository::new("api", 0);
        let latest = |digest: &String| vec![("latest".to_owned(), digest.clone())];
        take_over(&mut repository, Found { tags: latest(&first), manifests: vec![stored(one)] }, &[]);
        assert_eq!(repository.resolve("latest"), Some(first.as_str()));
        assert_eq!(repository.images[&first].size, 5);
        assert!(repository.blobs.contains("sha256:c") && repository.blobs.contains("sha256:l"));
        // The tag moved; the older image is still known, until somebody asks and it is gone.
        take_over(&mut repository, Found { tags: latest(&second), manifests: vec![stored(two)] }, &[]);
        assert_eq!(repository.resolve("latest"), Some(second.as_str()));
        assert!(repository.images.contains_key(&first));
        take_over(&mut repository, Found { tags: vec![], manifests: vec![] }, std::slice::from_ref(&first));
        assert!(!repository.images.contains_key(&first) && repository.resolve("latest").is_none());
    }

    #[test]
    fn only_digests_are_asked_for() {
        let digest = digest_of(b"x");
        let input = serde_json::json!({
            "imageIds": [{"imageTag": "latest"}, {"imageDigest": digest}, {"imageDigest": "../x"}],
            "imageManifest": format!(r#"{{"manifests":[{{"digest":"{digest}"}},{{"digest":"?"}}]}}"#),
        });
        assert_eq!(digests_of(&input), std::slice::from_ref(&digest));
        assert_eq!(references(&input), [digest]);
    }
}
