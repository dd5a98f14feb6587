//! Manifests and tags over OCI distribution.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use serde_json::json;

use super::{as_oci, name_unknown};
use crate::local::clock;
use crate::local::ecr::manifest::{self, Incoming, OCI_INDEX};
use crate::local::ecr::scan;
use crate::local::place::Place;
use crate::local::shared::Shared;
use crate::local::state::{Repository, State};
use crate::local::wire::fault::{Answered, Fault, respond};
use crate::local::wire::router;

fn find<'a>(state: &'a State, place: &Place, name: &str) -> Answered<&'a Repository> {
    let holdings = state.holdings.get(&place.key());
    holdings.and_then(|holdings| holdings.repositories.get(name)).ok_or_else(|| name_unknown(name, place))
}

/// `PUT …/manifests/TAG` or `/DIGEST`.
pub(crate) async fn put(
    shared: &Arc<Shared>,
    place: &Place,
    name: &str,
    reference: &str,
    request: Request<Body>,
) -> Answered<Response<Body>> {
    let (parts, body) = request.into_parts();
    let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let body = router::body(body).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| Fault::with_status(400, "MANIFEST_INVALID", "the manifest is not UTF-8"))?;
    let by_digest = reference.starts_with("sha256:");
    let incoming = Incoming {
        manifest: text,
        media_type,
        tag: (!by_digest).then_some(reference),
        digest: by_digest.then_some(reference),
        refuse_same: false,
    };
    let digest = shared.write(|state| {
        let repository = state.at(place).repositories.get_mut(name).ok_or_else(|| name_unknown(name, place))?;
        let now = clock::now();
        let digest = manifest::put(repository, place, incoming, now).map_err(as_oci)?;
        scan::pushed(state.at(place), name, &digest, now);
        Ok(digest)
    })?;
    let location = format!("/v2/{name}/manifests/{digest}");
    let headers = [("location", location.as_str()), ("docker-content-digest", &digest)];
    Ok(respond(StatusCode::CREATED, &headers, Body::empty()))
}

/// `GET` and `HEAD …/manifests/REFERENCE`.
pub(crate) fn get(
    shared: &Shared,
    place: &Place,
    name: &str,
    reference: &str,
    method: &Method,
) -> Answered<Response<Body>> {
    shared.read(|state| {
        let repository = find(state, place, name)?;
        let found = repository.resolve(reference).and_then(|digest| repository.images.get_key_value(digest));
        let (digest, image) =
            found.ok_or_else(|| Fault::with_status(404, "MANIFEST_UNKNOWN", "Requested image not found"))?;
        let length = image.manifest.len().to_string();
        let headers = [
            ("content-type", image.media_type.as_str()),
            ("content-length", &length),
            ("docker-content-digest", digest),
        ];
        let body = if method == Method::HEAD { Body::empty() } else { Body::from(image.manifest.clone()) };
        Ok(router::ok(&headers, body))
    })
}

/// `GET …/tags/list`, in one page.
pub(crate) fn tags(shared: &Shared, place: &Place, name: &str) -> Answered<Response<Body>> {
    let tags: Vec<String> =
        shared.read(|state| find(state, place, name).map(|found| found.image_tags.keys().cloned().collect()))?;
    Ok(router::ok(&[("content-type", "application/json")], json!({"name": name, "tags": tags}).to_string()))
}

/// `GET …/referrers/DIGEST`: nothing refers to anything here.
pub(crate) fn referrers(shared: &Shared, place: &Place, name: &str) -> Answered<Response<Body>> {
    shared.read(|state| find(state, place, name).map(|_| ()))?;
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []});
    Ok(router::ok(&[("content-type", OCI_INDEX)], index.to_string()))
}
