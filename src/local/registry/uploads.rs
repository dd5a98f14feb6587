//! Uploads of blobs: monolithic, chunked, and by mount from another repository. A blob goes to its file as it comes, is
//! hashed on the way, and becomes a blob only when its digest is the one that the client said.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::name_unknown;
use crate::local::ecr::manifest::is_digest;
use crate::local::ecr::settings;
use crate::local::ids::{self, hex_of};
use crate::local::place::Place;
use crate::local::shared::{Shared, lock};
use crate::local::wire::fault::{Answered, Fault, respond};
use crate::local::wire::sts_query::decode;

/// By upload id.
pub(crate) type Uploads = HashMap<String, Upload>;

#[derive(Clone, Debug)]
pub(crate) struct Upload {
    place: Place,
    repository: String,
    /// Bytes received so far.
    offset: u64,
    hash: Sha256,
}

/// `POST …/blobs/uploads/`: a mount where that can be done, a whole blob when `digest` comes along, else a new upload.
pub(crate) async fn begin(
    shared: &Arc<Shared>,
    place: &Place,
    repository: &str,
    request: Request<Body>,
) -> Answered<Response<Body>> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    if !shared.read(|state| {
        state.holdings.get(&place.key()).is_some_and(|holdings| holdings.repositories.contains_key(repository))
    }) {
        return Err(name_unknown(repository, place));
    }
    if let (Some(digest), Some(from)) = (parameter(&query, "mount"), parameter(&query, "from"))
        && mount(shared, place, repository, &from, &digest)
    {
        return Ok(created(repository, &digest));
    }
    let id = ids::uuid();
    let upload = Upload { place: place.clone(), repository: repository.to_owned(), offset: 0, hash: Sha256::new() };
    tokio::fs::File::create(shared.store.upload(&id)).await.map_err(|error| Fault::server(&error))?;
    if let Some(digest) = parameter(&query, "digest") {
        let upload = receive(shared, &id, upload, request.into_body()).await?;
        return finish(shared, &id, upload, &digest).await;
    }
    lock(&shared.uploads).insert(id.clone(), upload);
    Ok(accepted(repository, &id, 0))
}

/// `PATCH`, `PUT`, `GET` and `DELETE` of an upload.
pub(crate) async fn go_on(
    shared: &Arc<Shared>,
    place: &Place,
    repository: &str,
    id: &str,
    request: Request<Body>,
) -> Answered<Response<Body>> {
    // Taken out while it is being written to: two writers at once cannot both be right.
    let taken = {
        let mut uploads = lock(&shared.uploads);
        let known = uploads.get(id).is_some_and(|upload| upload.place == *place && upload.repository == repository);
        if known { uploads.remove(id) } else { None }
    };
    let upload = taken.ok_or_else(|| {
        Fault::with_status(404, "BLOB_UPLOAD_UNKNOWN", format!("blob upload unknown to registry: {id}"))
    })?;
    let (method, query) = (request.method().clone(), request.uri().query().unwrap_or_default().to_owned());
    match method {
        Method::PATCH => {
            if let Some(start) = range_start(&request)
                && start != upload.offset
            {
                let offset = upload.offset;
                lock(&shared.uploads).insert(id.to_owned(), upload);
                let message = format!("the chunk begins at {start}, the upload is at {offset}");
                return Err(Fault::with_status(416, "BLOB_UPLOAD_INVALID", message));
            }
            let upload = receive(shared, id, upload, request.into_body()).await?;
            let offset = upload.offset;
            lock(&shared.uploads).insert(id.to_owned(), upload);
            Ok(accepted(repository, id, offset))
        }
        Method::PUT => {
            let digest = parameter(&query, "digest")
                .ok_or_else(|| Fault::with_status(400, "DIGEST_INVALID", "the digest of the blob is missing"))?;
            let upload = receive(shared, id, upload, request.into_body()).await?;
            finish(shared, id, upload, &digest).await
        }
        Method::DELETE => {
            let _ = tokio::fs::remove_file(shared.store.upload(id)).await;
            Ok(respond(StatusCode::NO_CONTENT, &[], Body::empty()))
        }
        _ => {
            let offset = upload.offset;
            lock(&shared.uploads).insert(id.to_owned(), upload);
            let mut response = accepted(repository, id, offset);
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
    }
}

/// Appends a body to the upload's file.
async fn receive(shared: &Shared, id: &str, mut upload: Upload, body: Body) -> Answered<Upload> {
    let path = shared.store.upload(id);
    let mut file =
        tokio::fs::OpenOptions::new().append(true).open(&path).await.map_err(|error| Fault::server(&error))?;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else {
            let _ = tokio::fs::remove_file(&path).await;
            return Err(Fault::with_status(400, "BLOB_UPLOAD_INVALID", "the upload broke off"));
        };
        upload.hash.update(&chunk);
        upload.offset += chunk.len() as u64;
        file.write_all(&chunk).await.map_err(|error| Fault::server(&error))?;
    }
    file.flush().await.map_err(|error| Fault::server(&error))?;
    Ok(upload)
}

/// Makes a blob of an upload, if it is what the client says.
async fn finish(shared: &Shared, id: &str, upload: Upload, digest: &str) -> Answered<Response<Body>> {
    let path = shared.store.upload(id);
    let found = format!("sha256:{}", hex_of(&upload.hash.finalize()));
    if !is_digest(digest) || found != digest {
        let _ = tokio::fs::remove_file(&path).await;
        let message = format!("the blob has the digest {found}, the client says {digest}");
        return Err(Fault::with_status(400, "DIGEST_INVALID", message));
    }
    tokio::fs::rename(&path, shared.store.blob(digest)).await.map_err(|error| Fault::server(&error))?;
    let kept = shared.write(|state| {
        let repository = state.at(&upload.place).repositories.get_mut(&upload.repository)?;
        Some(repository.blobs.insert(digest.to_owned()))
    });
    kept.ok_or_else(|| name_unknown(&upload.repository, &upload.place))?;
    Ok(created(&upload.repository, digest))
}

/// As ECR does it: within one account and region, and only where the account wants it.
fn mount(shared: &Shared, place: &Place, to: &str, from: &str, digest: &str) -> bool {
    shared.write(|state| {
        let holdings = state.at(place);
        if !settings::mounts_blobs(holdings) {
            return false;
        }
        let repositories = &mut holdings.repositories;
        let has = repositories.get(from).is_some_and(|repository| repository.blobs.contains(digest));
        let target = repositories.get_mut(to).filter(|_| has);
        target.is_some_and(|target| {
            target.blobs.insert(digest.to_owned());
            true
        })
    })
}

fn accepted(repository: &str, id: &str, offset: u64) -> Response<Body> {
    let location = format!("/v2/{repository}/blobs/uploads/{id}");
    let range = format!("0-{}", offset.saturating_sub(1));
    let headers = [("location", location.as_str()), ("range", &range), ("docker-upload-uuid", id)];
    respond(StatusCode::ACCEPTED, &headers, Body::empty())
}

fn created(repository: &str, digest: &str) -> Response<Body> {
    let location = format!("/v2/{repository}/blobs/{digest}");
    respond(StatusCode::CREATED, &[("location", location.as_str()), ("docker-content-digest", digest)], Body::empty())
}

fn parameter(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| decode(value))
}

/// The first byte of a chunk's `Content-Range: START-END`.
fn range_start(request: &Request<Body>) -> Option<u64> {
    let range = request.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.trim_start_matches("bytes ").split_once('-')?.0.trim().parse().ok()
}
