//! Takes the bytes of a request into a file of their own, with the checksums on the way. What the client says of them has
//! to be true.

use axum::body::Body;
use axum::http::HeaderMap;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::chunked::Decoder;
use super::model::{Checksum, Content};
use super::sums::{ALGORITHMS, DEFAULT, Sum};
use crate::local::ids::{self, hex_of};
use crate::local::shared::Shared;
use crate::local::wire::fault::{Answered, Fault};

/// The algorithm is the client's, else `wanted`, else S3's own.
pub(super) async fn receive(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
    wanted: Option<&str>,
) -> Answered<Content> {
    let id = ids::uuid();
    let received = write(shared, &id, headers, body, wanted).await;
    if received.is_err() {
        let _ = tokio::fs::remove_file(shared.store.object(&id)).await;
    }
    received
}

async fn write(shared: &Shared, id: &str, headers: &HeaderMap, body: Body, wanted: Option<&str>) -> Answered<Content> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let hash = header("x-amz-content-sha256").unwrap_or_default();
    let mut decoder = hash.starts_with("STREAMING-").then(Decoder::default);
    let said = ALGORITHMS
        .into_iter()
        .find_map(|algorithm| Some((algorithm, header(&format!("x-amz-checksum-{algorithm}"))?.to_owned())));
    let trailer = header("x-amz-trailer").and_then(|name| name.trim().strip_prefix("x-amz-checksum-"));
    let named = header("x-amz-sdk-checksum-algorithm").map(str::to_ascii_lowercase);
    let algorithm = said.as_ref().map(|(algorithm, _)| *algorithm).or(trailer).or(named.as_deref()).or(wanted);
    let algorithm = algorithm.unwrap_or(DEFAULT).to_owned();
    let mut sum = Sum::of(&algorithm).ok_or_else(|| {
        Fault::client("InvalidRequest", format!("the stand-in does not know the checksum algorithm {algorithm}"))
    })?;
    let mut sha256 = Sha256::new();
    let mut bytes = 0;
    let mut file = tokio::fs::File::create(shared.store.object(id)).await.map_err(|error| Fault::server(&error))?;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| incomplete())?;
        let pieces = match &mut decoder {
            Some(decoder) => decoder.push(&chunk)?,
            None => vec![chunk],
        };
        for piece in pieces {
            bytes += piece.len() as u64;
            sha256.update(&piece);
            sum.update(&piece);
            file.write_all(&piece).await.map_err(|error| Fault::server(&error))?;
        }
    }
    file.flush().await.map_err(|error| Fault::server(&error))?;
    let length = header("x-amz-decoded-content-length").and_then(|length| length.parse::<u64>().ok());
    if decoder.as_ref().is_some_and(|decoder| !decoder.is_complete()) || length.is_some_and(|length| length != bytes) {
        return Err(incomplete());
    }
    let sha256 = hex_of(&sha256.finalize());
    if hash.len() == 64 && !hash.eq_ignore_ascii_case(&sha256) {
        let text = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return Err(Fault::client("XAmzContentSHA256Mismatch", text));
    }
    let value = sum.finish();
    let name = format!("x-amz-checksum-{algorithm}");
    let trailed = decoder.and_then(|decoder| decoder.trailers.into_iter().find(|(trailer, _)| *trailer == name));
    if let Some(said) = said.map(|(_, said)| said).or(trailed.map(|(_, said)| said))
        && said != value
    {
        let name = algorithm.to_uppercase();
        return Err(Fault::client(
            "BadDigest",
            format!("The {name} you specified did not match the calculated checksum."),
        ));
    }
    // S3's own need not be an MD5 either.
    let etag = sha256[..32].to_owned();
    Ok(Content { id: id.to_owned(), bytes, etag, checksum: Checksum { algorithm, value } })
}

fn incomplete() -> Fault {
    let text = "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    Fault::client("IncompleteBody", text)
}
