//! Taking in a manifest, from `PutImage` or from a push: what it refers to must be there, its digest is that of its
//! bytes, and a tag that may not move does not.

use std::borrow::Cow;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::local::clock::Millis;
use crate::local::ids::hex_of;
use crate::local::place::Place;
use crate::local::state::{Image, Repository};
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A manifest that somebody wants kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) manifest: &'a str,
    pub(crate) media_type: Option<&'a str>,
    pub(crate) tag: Option<&'a str>,
    /// The digest that the caller expects.
    pub(crate) digest: Option<&'a str>,
    /// `PutImage` calls the same manifest under the same tag an error; a push does not.
    pub(crate) refuse_same: bool,
}

pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex_of(&Sha256::digest(bytes)))
}

/// Whether a text is `sha256:` and 64 lower-case hexadecimal digits. Everything that becomes a file name passes here.
pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

/// Keeps the manifest and moves the tag; returns the digest.
///
/// # Errors
/// As ECR has them: `InvalidParameterException`, `ImageDigestDoesNotMatchException`, `LayersNotFoundException`,
/// `ReferencedImagesNotFoundException`, `ImageTagAlreadyExistsException`, `ImageAlreadyExistsException`.
pub(crate) fn put(repository: &mut Repository, place: &Place, incoming: Incoming<'_>, now: Millis) -> Answered<String> {
    let digest = digest_of(incoming.manifest.as_bytes());
    let name = repository.name.clone();
    let parsed: Value = serde_json::from_str(incoming.manifest)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| invalid("the manifest is not a JSON object"))?;
    if let Some(expected) = incoming.digest.filter(|expected| *expected != digest) {
        return Err(Fault::client(
            "ImageDigestDoesNotMatchException",
            format!("The digest '{expected}' does not match the digest '{digest}' of the manifest."),
        ));
    }
    if let Some(tag) = incoming.tag.filter(|tag| !is_tag(tag)) {
        return Err(invalid(&format!("'{tag}' is not an image tag")));
    }
    let media_type = media_type(incoming.media_type, &parsed);
    let size = check_references(repository, place, &parsed)?;
    if let Some(tag) = incoming.tag
        && let Some(current) = repository.image_tags.get(tag)
    {
        if !may_move(repository, tag) {
            return Err(Fault::client(
                "ImageTagAlreadyExistsException",
                format!(
                    "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because \
                     the tag is immutable."
                ),
            ));
        }
        if incoming.refuse_same && *current == digest {
            return Err(Fault::client(
                "ImageAlreadyExistsException",
                format!(
                    "Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{name}' in \
                     registry with id '{}'",
                    place.account
                ),
            ));
        }
    }
    if incoming.refuse_same && incoming.tag.is_none() && repository.images.contains_key(&digest) {
        return Err(Fault::client(
            "ImageAlreadyExistsException",
            format!("Image with digest '{digest}' already exists in the repository with name '{name}'"),
        ));
    }
    repository.images.entry(digest.clone()).or_insert_with(|| Image {
        manifest: incoming.manifest.to_owned(),
        media_type: media_type.into_owned(),
        pushed_at: now,
        size,
        scan_began: None,
    });
    if let Some(tag) = incoming.tag {
        repository.image_tags.insert(tag.to_owned(), digest.clone());
    }
    Ok(digest)
}

fn invalid(what: &str) -> Fault {
    Fault::invalid_parameter(format!("Invalid parameter at 'ImageManifest' failed to satisfy constraint: {what}"))
}

fn media_type<'a>(given: Option<&'a str>, manifest: &Value) -> Cow<'a, str> {
    if let Some(given) = given.filter(|given| !given.is_empty() && *given != "application/octet-stream") {
        return Cow::Borrowed(given);
    }
    match manifest.get("mediaType").and_then(Value::as_str) {
        Some(own) => Cow::Owned(own.to_owned()),
        None if manifest.get("manifests").is_some() => Cow::Borrowed(OCI_INDEX),
        None => Cow::Borrowed(OCI_MANIFEST),
    }
}

/// Everything that the manifest refers to is in the repository; returns its size in bytes.
fn check_references(repository: &Repository, place: &Place, manifest: &Value) -> Answered<u64> {
    let manifest = Input(manifest);
    let mut size = 0;
    let mut missing = Vec::new();
    if let Some(children) = manifest.member("manifests").and_then(Value::as_array) {
        for child in children.iter().map(Input) {
            let digest = child.text("digest").unwrap_or_default();
            match repository.images.get(digest) {
                Some(image) => size += image.size,
                None => missing.push(digest.to_owned()),
            }
        }
        return refuse_missing(
            repository,
            place,
            "ReferencedImagesNotFoundException",
            "referenced images",
            &missing,
            size,
        );
    }
    let config = manifest.member("config").ok_or_else(|| invalid("it has neither a config nor manifests"))?;
    for blob in std::iter::once(config).chain(manifest.list("layers")).map(Input) {
        let digest = blob.text("digest").unwrap_or_default();
        // A foreign layer is fetched from its own addresses.
        if !repository.blobs.contains(digest) && blob.list("urls").is_empty() {
            missing.push(digest.to_owned());
        }
        size += blob.number("size").and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
    }
    refuse_missing(repository, place, "LayersNotFoundException", "layers", &missing, size)
}

fn refuse_missing(
    repository: &Repository,
    place: &Place,
    code: &'static str,
    what: &str,
    missing: &[String],
    size: u64,
) -> Answered<u64> {
    if missing.is_empty() {
        return Ok(size);
    }
    Err(Fault::client(
        code,
        format!(
            "The {what} with digests '[{}]' required for pushing image into repository with name '{}' in the registry \
             with id '{}' do not exist",
            missing.join(", "),
            repository.name,
            place.account
        ),
    ))
}

fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    tag.len() <= 128
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Whether a tag that exists may be moved to another image.
fn may_move(repository: &Repository, tag: &str) -> bool {
    let excluded = repository.exclusions.iter().any(|pattern| matches_wildcard(pattern, tag));
    match repository.mutability.as_str() {
        "IMMUTABLE" => false,
        "IMMUTABLE_WITH_EXCLUSION" => excluded,
        "MUTABLE_WITH_EXCLUSION" => !excluded,
        _ => true,
    }
}

/// `*` is any run of characters; everything else is itself.
pub(super) fn matches_wildcard(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    (0..=rest.len()).any(|skip| rest.is_char_boundary(skip) && matches_wildcard(tail, &rest[skip..]))
}

#[cfg(test)]
mod tests {
    use super::{Incoming, digest_of, is_digest, is_tag, matches_wildcard, put};
    use crate::local::place::Place;
    use crate::local::state::Repository;

    fn repository() -> (Repository, String) {
        let mut repository = Repository::new("api", 0);
        let blob = digest_of(b"{}");
        repository.blobs.insert(blob.clone());
        let manifest = format!(r#"{{"config":{{"digest":"{blob}","size":2}},"layers":[]}}"#);
        (repository, manifest)
    }

    fn push<'a>(manifest: &'a str, tag: &'a str) -> Incoming<'a> {
        Incoming { manifest, media_type: None, tag: Some(tag), digest: None, refuse_same: true }
    }

    fn code(repository: &mut Repository, incoming: Incoming<'_>) -> String {
        put(repository, &Place::new("1", "r"), incoming, 0).unwrap_err().code.into_owned()
    }

    #[test]
    fn the_digest_is_that_of_the_bytes_and_the_older_image_stays_untagged() {
        let place = Place::new("1", "r");
        let (mut repository, first) = repository();
        let second = format!("{first} ");
        let before = put(&mut repository, &place, push(&first, "latest"), 0).unwrap();
        let after = put(&mut repository, &place, push(&second, "latest"), 0).unwrap();
        assert_eq!(after, digest_of(second.as_bytes()));
        assert!(repository.images.contains_key(&before) && repository.tags_of(&before).is_empty());
        assert_eq!(repository.resolve("latest"), Some(after.as_str()));
    }

    #[test]
    fn every_refusal_has_its_own_exception() {
        let (mut repository, manifest) = repository();
        let missing = manifest.replace("\"layers\":[]", r#""layers":[{"digest":"sha256:no"}]"#);
        assert_eq!(code(&mut repository, push(&missing, "latest")), "LayersNotFoundException");
        let index = r#"{"manifests":[{"digest":"sha256:no"}]}"#;
        assert_eq!(code(&mut repository, push(index, "latest")), "ReferencedImagesNotFoundException");
        let other = Incoming { digest: Some("sha256:other"), ..push(&manifest, "latest") };
        assert_eq!(code(&mut repository, other), "ImageDigestDoesNotMatchException");
        assert_eq!(code(&mut repository, push("[]", "latest")), "InvalidParameterException");
        assert_eq!(code(&mut repository, push(&manifest, "-x")), "InvalidParameterException");
        put(&mut repository, &Place::new("1", "r"), push(&manifest, "latest"), 0).unwrap();
        assert_eq!(code(&mut repository, push(&manifest, "latest")), "ImageAlreadyExistsException");
    }

    #[test]
    fn immutability_and_its_exclusions() {
        let table = [
            ("MUTABLE", None, None),
            ("IMMUTABLE", None, Some("ImageTagAlreadyExistsException")),
            ("IMMUTABLE_WITH_EXCLUSION", Some("lat*"), None),
            ("IMMUTABLE_WITH_EXCLUSION", Some("dev-*"), Some("ImageTagAlreadyExistsException")),
            ("MUTABLE_WITH_EXCLUSION", Some("latest"), Some("ImageTagAlreadyExistsException")),
            ("MUTABLE_WITH_EXCLUSION", Some("v*"), None),
        ];
        for (mutability, exclusion, refused) in table {
            let place = Place::new("1", "r");
            let (mut repository, manifest) = repository();
            mutability.clone_into(&mut repository.mutability);
            repository.exclusions = exclusion.into_iter().map(str::to_owned).collect();
            put(&mut repository, &place, push(&manifest, "latest"), 0).unwrap();
            let other = format!("{manifest} ");
            let again = put(&mut repository, &place, push(&other, "latest"), 0).err().map(|fault| fault.code);
            assert_eq!(again.as_deref(), refused, "{mutability} {exclusion:?}");
        }
    }

    #[test]
    fn names_are_checked_before_they_become_files() {
        assert!(is_digest(&digest_of(b"")));
        for bad in ["", "sha256:", "sha256:../../etc/passwd", "sha512:00", &digest_of(b"").to_uppercase()] {
            assert!(!is_digest(bad), "{bad}");
        }
        assert!(is_tag("git-0123_x.y") && !is_tag("") && !is_tag("a/b") && !is_tag(&"x".repeat(129)));
        assert!(matches_wildcard("*-rc*", "v1-rc2") && !matches_wildcard("v.*", "v1"));
    }
}
