//! `GET` and `HEAD` of a blob, streamed from its file.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{Method, Response};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::io::ReaderStream;

use super::name_unknown;
use crate::local::place::Place;
use crate::local::shared::Shared;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::router;

pub(crate) async fn send(
    shared: &Arc<Shared>,
    place: &Place,
    repository: &str,
    digest: &str,
    method: &Method,
) -> Answered<Response<Body>> {
    let has = shared.read(|state| {
        let repository = state.holdings.get(&place.key())?.repositories.get(repository)?;
        Some(repository.blobs.contains(digest))
    });
    let unknown = || Fault::with_status(404, "BLOB_UNKNOWN", format!("blob unknown to registry: {digest}"));
    if !has.ok_or_else(|| name_unknown(repository, place))? {
        return Err(unknown());
    }
    let file = tokio::fs::File::open(shared.store.blob(digest)).await.map_err(|_| unknown())?;
    let length = file.metadata().await.map_err(|error| Fault::server(&error))?.len().to_string();
    let headers = [
        ("content-type", "application/octet-stream"),
        ("content-length", length.as_str()),
        ("docker-content-digest", digest),
    ];
    let body = if method == Method::HEAD { Body::empty() } else { Body::from_stream(ReaderStream::new(file)) };
    Ok(router::ok(&headers, body))
}

/// The same answer with another first byte.
pub(crate) fn altered(answer: Response<Body>) -> Response<Body> {
    answer.map(|body| {
        let mut first = true;
        Body::from_stream(body.into_data_stream().map_ok(move |chunk| {
            let mut bytes = chunk.to_vec();
            if let Some(byte) = bytes.first_mut().filter(|_| std::mem::take(&mut first)) {
                *byte ^= 1;
            }
            Bytes::from(bytes)
        }))
    })
}

/// The same answer, which breaks off after its first bytes.
pub(crate) fn cut(answer: Response<Body>) -> Response<Body> {
    answer.map(|body| {
        let broken = stream::once(async { Err(axum::Error::new(std::io::Error::other("broken off"))) });
        Body::from_stream(body.into_data_stream().take(1).chain(broken))
    })
}
