//! Which protocol a request speaks, and so who answers it.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use hyper::body::Incoming;

use super::fault::{Answered, Fault, respond};
use super::{Dropped, control, json11, sts_query};
use crate::local::registry;
use crate::local::s3;
use crate::local::shared::Shared;

/// The largest body of an API call; a manifest is 4 MiB at most. Blobs are streamed and have no limit here.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

pub(crate) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let request = request.map(Body::new);
    let path = request.uri().path();
    if path == "/v2" || path.starts_with("/v2/") {
        return registry::answer(&shared, request).await;
    }
    if let Some(what) = path.strip_prefix("/_stand-in/") {
        let what = what.to_owned();
        return Ok(control::answer(&shared, &what, request).await);
    }
    if s3::is_s3(&request) {
        return s3::answer(&shared, request).await;
    }
    if request.method() != Method::POST || path != "/" {
        let fault = Fault::with_status(404, "UnknownOperationException", "there is nothing at this address");
        return Ok(fault.into_json());
    }
    if request.headers().contains_key("x-amz-target") {
        return json11::answer(&shared, request).await;
    }
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if is_form {
        return sts_query::answer(&shared, request).await;
    }
    Ok(Fault::unknown_operation("(none named)").into_json())
}

/// The whole body of an API call.
///
/// # Errors
/// 413 when it is too large, 400 when it ends early.
pub(crate) async fn body(body: Body) -> Answered<Bytes> {
    to_bytes(body, LARGEST_BODY).await.map_err(|error| {
        Fault::with_status(413, "RequestEntityTooLargeException", format!("the request cannot be read: {error}"))
    })
}

pub(crate) fn ok(headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    respond(StatusCode::OK, headers, body)
}
