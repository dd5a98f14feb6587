//! Images by API: `DescribeImages`, `ListImages`, `BatchGetImage`, `BatchDeleteImage`, `PutImage`,
//! `BatchCheckLayerAvailability`, `GetDownloadUrlForLayer`.

use serde_json::{Value, json};

use super::manifest::{self, Incoming};
use super::{repository, scan};
use crate::local::clock;
use crate::local::place::Place;
use crate::local::registry::auth;
use crate::local::state::{Image, Repository};
use crate::local::wire::context::Context;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

pub(crate) fn describe(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let place = context.place.clone();
    let repository = repository(context, input)?;
    let wanted = at_most_100(request.list("imageIds"))?;
    let digests: Vec<String> = if wanted.is_empty() {
        let tagged = |digest: &str| !repository.tags_of(digest).is_empty();
        let status = input.pointer("/filter/tagStatus").and_then(Value::as_str);
        let of_status = |digest: &&String| match status {
            Some("TAGGED") => tagged(digest),
            Some("UNTAGGED") => !tagged(digest),
            _ => true,
        };
        repository.images.keys().filter(of_status).cloned().collect()
    } else {
        wanted.iter().map(|id| find(repository, &place, Input(id))).collect::<Answered<_>>()?
    };
    let shown: Vec<Value> = digests
        .iter()
        .filter_map(|digest| repository.images.get(digest).map(|image| detail(repository, &place, digest, image)))
        .collect();
    let (page, next) = request.page(&shown, 1000)?;
    Ok(json!({"imageDetails": page, "nextToken": next}))
}

fn at_most_100(ids: &[Value]) -> Answered<&[Value]> {
    if ids.len() > 100 {
        return Err(Fault::invalid_parameter(
            "Invalid parameter at 'imageIds' failed to satisfy constraint: 'Member must have length less than or equal to \
             100'",
        ));
    }
    Ok(ids)
}

/// The digest of an image identifier, or ECR's refusal.
pub(super) fn find(repository: &Repository, place: &Place, id: Input<'_>) -> Answered<String> {
    lookup(repository, id).ok_or_else(|| {
        let (tag, digest) = (id.text("imageTag").unwrap_or("null"), id.text("imageDigest").unwrap_or("null"));
        Fault::client(
            "ImageNotFoundException",
            format!(
                "The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the repository \
                 with name '{}' in the registry with id '{}'",
                repository.name, place.account
            ),
        )
    })
}

fn lookup(repository: &Repository, id: Input<'_>) -> Option<String> {
    let by_digest = id.text("imageDigest");
    let by_tag = id.text("imageTag");
    let found = repository.resolve(by_tag.or(by_digest)?)?;
    by_digest.is_none_or(|digest| digest == found).then(|| found.to_owned())
}

fn detail(repository: &Repository, place: &Place, digest: &str, image: &Image) -> Value {
    let mut shown = json!({
        "registryId": place.account,
        "repositoryName": repository.name,
        "imageDigest": digest,
        "imageSizeInBytes": image.size,
        "imagePushedAt": clock::seconds(image.pushed_at),
        "imageManifestMediaType": image.media_type,
        "artifactMediaType": "application/vnd.docker.container.image.v1+json",
    });
    let tags = repository.tags_of(digest);
    if !tags.is_empty() {
        shown["imageTags"] = json!(tags);
    }
    shown
}

pub(crate) fn list(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let repository = repository(context, input)?;
    let status = input.pointer("/filter/tagStatus").and_then(Value::as_str);
    let mut ids = Vec::new();
    for digest in repository.images.keys() {
        let tags = repository.tags_of(digest);
        if tags.is_empty() && status != Some("TAGGED") {
            ids.push(json!({"imageDigest": digest}));
        }
        if status != Some("UNTAGGED") {
            ids.extend(tags.into_iter().map(|tag| json!({"imageDigest": digest, "imageTag": tag})));
        }
    }
    let (page, next) = Input(input).page(&ids, 1000)?;
    Ok(json!({"imageIds": page, "nextToken": next}))
}

pub(crate) fn batch_get(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let place = context.place.clone();
    let wanted = at_most_100(Input(input).list("imageIds"))?;
    let repository = repository(context, input)?;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in wanted {
        let found = lookup(repository, Input(id));
        let Some((digest, image)) = found.and_then(|digest| repository.images.get_key_value(&digest)) else {
            failures.push(json!({
                "imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found",
            }));
            continue;
        };
        let mut image_id = json!({"imageDigest": digest});
        if let Some(tag) = Input(id).text("imageTag") {
            image_id["imageTag"] = json!(tag);
        }
        images.push(json!({
            "registryId": place.account,
            "repositoryName": repository.name,
            "imageId": image_id,
            "imageManifest": image.manifest,
            "imageManifestMediaType": image.media_type,
        }));
    }
    Ok(json!({"images": images, "failures": failures}))
}

pub(crate) fn batch_delete(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let repository = repository(context, input)?;
    let (mut gone, mut failures) = (Vec::new(), Vec::new());
    for id in Input(input).list("imageIds") {
        let Some(digest) = lookup(repository, Input(id)) else {
            failures.push(json!({
                "imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found",
            }));
            continue;
        };
        // A tag only takes that tag away; the image goes with its last tag, or when it is named by digest.
        match Input(id).text("imageTag") {
            Some(tag) => {
                repository.image_tags.remove(tag);
            }
            None => repository.image_tags.retain(|_, of| *of != digest),
        }
        if repository.tags_of(&digest).is_empty() {
            repository.images.remove(&digest);
        }
        let mut shown = id.clone();
        shown["imageDigest"] = json!(digest);
        gone.push(shown);
    }
    Ok(json!({"imageIds": gone, "failures": failures}))
}

pub(crate) fn put(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let (place, now) = (context.place.clone(), context.now);
    let incoming = Incoming {
        manifest: request.required("imageManifest")?,
        media_type: request.text("imageManifestMediaType"),
        tag: request.text("imageTag"),
        digest: request.text("imageDigest"),
        refuse_same: true,
    };
    let repository = repository(context, input)?;
    let digest = manifest::put(repository, &place, incoming, now)?;
    let name = repository.name.clone();
    scan::pushed(context.holdings(), &name, &digest, now);
    let repository = self::repository(context, input)?;
    let mut image_id = json!({"imageDigest": digest});
    if let Some(tag) = incoming.tag {
        image_id["imageTag"] = json!(tag);
    }
    Ok(json!({"image": {
        "registryId": place.account,
        "repositoryName": repository.name,
        "imageId": image_id,
        "imageManifest": incoming.manifest,
        "imageManifestMediaType": repository.images.get(&digest).map(|image| image.media_type.as_str()),
    }}))
}

pub(crate) fn check_layers(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let repository = repository(context, input)?;
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for digest in Input(input).texts("layerDigests") {
        if !manifest::is_digest(digest) {
            failures.push(json!({
                "layerDigest": digest, "failureCode": "InvalidLayerDigest", "failureReason": "Invalid layer digest",
            }));
            continue;
        }
        let availability = if repository.blobs.contains(digest) { "AVAILABLE" } else { "UNAVAILABLE" };
        layers.push(json!({"layerDigest": digest, "layerAvailability": availability}));
    }
    Ok(json!({"layers": layers, "failures": failures}))
}

pub(crate) fn download_url(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let digest = Input(input).required("layerDigest")?;
    let (place, now, host, tokens) = (context.place.clone(), context.now, context.host, context.tokens);
    let repository = repository(context, input)?;
    if !repository.blobs.contains(digest) {
        return Err(Fault::client(
            "LayersNotFoundException",
            format!(
                "The layer with digest '{digest}' does not exist in the repository with name '{}' in the registry with id \
                 '{}'",
                repository.name, place.account
            ),
        ));
    }
    // The address is good on its own, as a signed address of S3 is.
    let ticket = auth::issue(tokens, &place, now).password;
    Ok(json!({
        "downloadUrl": format!("http://{host}/v2/{}/blobs/{digest}?ticket={ticket}", repository.name),
        "layerDigest": digest,
    }))
}
