//! The stand-in's own addresses, `/_stand-in/…`, for tests and for a second process: what was called, a new script, what
//! should exist. They give no secret away, and a web page in a browser cannot use them.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, Response, header};
use serde_json::json;

use super::fault::Fault;
use super::router;
use crate::local::script;
use crate::local::seed;
use crate::local::shared::{Shared, lock};

pub(crate) async fn answer(shared: &Arc<Shared>, what: &str, request: Request<Body>) -> Response<Body> {
    // Browsers send it with every request that a page makes to somewhere else.
    if request.headers().contains_key(header::ORIGIN) {
        return Fault::with_status(403, "Forbidden", "not for web pages").into_json();
    }
    let method = request.method().clone();
    match (method, what) {
        (Method::GET, "calls") => {
            let calls: Vec<_> = lock(&shared.journal).calls().cloned().collect();
            router::ok(&[("content-type", "application/json")], json!({"calls": calls}).to_string())
        }
        (Method::POST, "script") => {
            let body = match router::body(request.into_body()).await {
                Ok(body) => body,
                Err(fault) => return fault.into_json(),
            };
            match script::parse(&body) {
                Ok(script) => {
                    seed::apply_script(shared, script);
                    router::ok(&[], "{}")
                }
                Err(error) => Fault::client("InvalidScript", error).into_json(),
            }
        }
        _ => Fault::with_status(404, "NotFound", "there is nothing at this address").into_json(),
    }
}
