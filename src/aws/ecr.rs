//! ECR: the repository, its login, and which digest a tag has.

mod config;
mod images;
mod repositories;
pub(crate) mod scan;

use aws_sdk_ecr::error::ProvideErrorMetadata;
use aws_sdk_ecr::types::ImageIdentifier;
use base64::Engine as _;

use super::Clients;
use super::error::aws;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::secret::Secret;

pub(crate) use config::{config, tagged};
pub(crate) use images::{Image, image, images};
pub(crate) use repositories::repositories;

/// The manifest types that may stand behind a tag: without this list ECR converts or refuses.
const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

#[derive(Clone, Debug)]
pub(crate) struct Repository {
    pub(crate) name: String,
    /// `HOST/NAME`, as ECR says it: what a task definition names.
    pub(crate) uri: String,
    /// Whether the repository itself asks for a basic scan of what is pushed; the registry's rules may do so too.
    pub(crate) scan_on_push: bool,
    mutability: Mutability,
}

/// Which tags may be moved, by `imageTagMutability` and its exclusion filters.
#[derive(Clone, Debug)]
enum Mutability {
    Mutable { except: Vec<String> },
    Immutable { except: Vec<String> },
}

impl Repository {
    /// Whether a push may move this tag once it exists.
    pub(crate) fn tag_is_mutable(&self, tag: &str) -> bool {
        let excluded = |filters: &[String]| filters.iter().any(|filter| wildcard(filter, tag));
        match &self.mutability {
            Mutability::Mutable { except } => !excluded(except),
            Mutability::Immutable { except } => excluded(except),
        }
    }
}

/// How to log in to a registry; the password stays in memory.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// `HOST[:PORT]`, from the token's `proxyEndpoint`.
    pub(crate) host: String,
    pub(crate) username: String,
    pub(crate) password: Secret,
}

impl From<Login> for crate::docker::RegistryAuth {
    fn from(login: Login) -> Self {
        Self { host: login.host, username: login.username, password: login.password }
    }
}

/// A manifest as the registry has it, byte for byte.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) digest: String,
    body: String,
    media_type: Option<String>,
}

impl Manifest {
    /// The digest of the linux child of that architecture, when this is an index.
    pub(crate) fn child(&self, architecture: &str) -> Option<String> {
        let index: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        index.get("manifests")?.as_array()?.iter().find_map(|entry| {
            let platform = entry.get("platform")?;
            let fits = platform.get("os")? == "linux" && platform.get("architecture")? == architecture;
            fits.then(|| entry.get("digest")?.as_str().map(str::to_owned)).flatten()
        })
    }
}

/// Whether the registry mounts a layer that another of its repositories has (the account setting `BLOB_MOUNTING`, which
/// is off by default). Where that cannot be read it counts as off.
pub(crate) async fn mounts_blobs(clients: &Clients) -> bool {
    let answer = clients.ecr.get_account_setting().name("BLOB_MOUNTING").send().await;
    let answer = answer.map_err(|error| aws("ecr:GetAccountSetting", &error));
    answer.is_ok_and(|setting| setting.value().is_some_and(|value| value.eq_ignore_ascii_case("enabled")))
}

/// A login for the account's registry, good for 12 hours.
pub(crate) async fn login(clients: &Clients) -> Result<Login> {
    let broken = || Error::new(Exit::Aws, "ecr:GetAuthorizationToken answered without a usable token");
    let answer =
        clients.ecr.get_authorization_token().send().await.map_err(|error| aws("ecr:GetAuthorizationToken", &error))?;
    let data = answer.authorization_data().first().ok_or_else(broken)?;
    let token = data.authorization_token().ok_or_else(broken)?;
    let token = base64::prelude::BASE64_STANDARD.decode(token).map_err(|_| broken())?;
    let token = String::from_utf8(token).map_err(|_| broken())?;
    let (username, password) = token.split_once(':').ok_or_else(broken)?;
    let endpoint = data.proxy_endpoint().ok_or_else(broken)?;
    let host = endpoint.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    Ok(Login { host: host.to_owned(), username: username.to_owned(), password: Secret::new(password) })
}

/// The manifest digest that a tag has now; `None` when there is no such tag.
pub(crate) async fn digest_of(clients: &Clients, repository: &str, tag: &str) -> Result<Option<String>> {
    let id = ImageIdentifier::builder().image_tag(tag).build();
    match clients.ecr.describe_images().repository_name(repository).image_ids(id).send().await {
        Ok(answer) => Ok(answer.image_details().first().and_then(|image| image.image_digest()).map(str::to_owned)),
        Err(error) if error.code() == Some("ImageNotFoundException") => Ok(None),
        Err(error) => Err(aws("ecr:DescribeImages", &error)),
    }
}

/// The manifest with that digest; `None` when the registry does not have it (any more).
pub(crate) async fn manifest(clients: &Clients, repository: &str, digest: &str) -> Result<Option<Manifest>> {
    fetch(clients, repository, ImageIdentifier::builder().image_digest(digest).build()).await
}

async fn fetch(clients: &Clients, repository: &str, id: ImageIdentifier) -> Result<Option<Manifest>> {
    let mut call = clients.ecr.batch_get_image().repository_name(repository).image_ids(id);
    for media_type in MANIFEST_TYPES {
        call = call.accepted_media_types(media_type);
    }
    let answer = call.send().await.map_err(|error| aws("ecr:BatchGetImage", &error))?;
    Ok(answer.images().first().and_then(|image| {
        Some(Manifest {
            digest: image.image_id()?.image_digest()?.to_owned(),
            body: image.image_manifest()?.to_owned(),
            media_type: image.image_manifest_media_type().map(str::to_owned),
        })
    }))
}

/// Puts a tag on a manifest that the repository has: the same bytes, so the same digest, and no layer is sent.
pub(crate) async fn put_tag(clients: &Clients, repository: &str, manifest: &Manifest, tag: &str) -> Result<()> {
    let sent = clients
        .ecr
        .put_image()
        .repository_name(repository)
        .image_manifest(&manifest.body)
        .set_image_manifest_media_type(manifest.media_type.clone())
        .image_digest(&manifest.digest)
        .image_tag(tag)
        .send()
        .await;
    match sent {
        Ok(_) => Ok(()),
        // The tag is there already, on this very manifest.
        Err(error) if error.code() == Some("ImageAlreadyExistsException") => Ok(()),
        Err(error) => Err(aws("ecr:PutImage", &error)),
    }
}

/// ECR's exclusion filters know one wildcard: `*`, any run of characters.
fn wildcard(filter: &str, tag: &str) -> bool {
    let mut parts = filter.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = tag.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{Manifest, Mutability, Repository, wildcard};

    #[test]
    fn exclusion_filters_are_wildcards() {
        let cases = [
            ("latest", "latest", true),
            ("latest", "latest2", false),
            ("late*", "latest", true),
            ("*", "anything", true),
            ("*test", "latest", true),
            ("l*t*t", "latest", true),
            ("l*x*t", "latest", false),
            ("a.b*", "axb1", false),
            ("aa*a", "aa", false),
        ];
        for (filter, tag, expected) in cases {
            assert_eq!(wildcard(filter, tag), expected, "{filter} on {tag}");
        }
    }

    #[test]
    fn mutability_with_and_without_exclusions() {
        let repository =
            |mutability| Repository { name: "api".into(), uri: "r/api".into(), scan_on_push: false, mutability };
        let except = vec!["latest".to_owned()];
        assert!(repository(Mutability::Mutable { except: vec![] }).tag_is_mutable("latest"));
        assert!(!repository(Mutability::Mutable { except: except.clone() }).tag_is_mutable("latest"));
        assert!(!repository(Mutability::Immutable { except: vec![] }).tag_is_mutable("latest"));
        assert!(repository(Mutability::Immutable { except: except.clone() }).tag_is_mutable("latest"));
        assert!(!repository(Mutability::Immutable { except }).tag_is_mutable("git-0123456789ab"));
    }

    #[test]
    fn an_index_names_its_child_and_a_manifest_has_none() {
        let manifest = |body: &str| Manifest { digest: "sha256:i".into(), body: body.into(), media_type: None };
        let index = r#"{"manifests":[
            {"digest":"sha256:a","platform":{"os":"linux","architecture":"arm64"}},
            {"digest":"sha256:b","platform":{"os":"linux","architecture":"amd64"}}]}"#;
        assert_eq!(manifest(index).child("amd64").as_deref(), Some("sha256:b"));
        assert_eq!(manifest(r#"{"layers":[]}"#).child("amd64"), None);
    }
}
