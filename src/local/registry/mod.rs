//! The data plane: OCI distribution under `/v2/`, with Basic authentication. What it stores, `ecr` shows, and the other
//! way round.

pub(crate) mod auth;
mod blobs;
pub(crate) mod elsewhere;
mod manifests;
mod route;
pub(crate) mod uploads;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, Response};
use serde_json::Value;

use super::clock;
use super::place::Place;
use super::shared::{Shared, lock};
use super::wire::Dropped;
use super::wire::fault::{Answered, Fault};
use super::wire::journal::Call;
use super::wire::router;
use route::Route;

pub(crate) async fn answer(shared: &Arc<Shared>, request: Request<Body>) -> Result<Response<Body>, Dropped> {
    if let Some(elsewhere) = &shared.elsewhere {
        let text = format!("the registry of this stand-in is http://{}", elsewhere.host());
        return Ok(Fault::with_status(404, "UNSUPPORTED", text).into_oci());
    }
    let path = request.uri().path().to_owned();
    let route = Route::of(&path);
    let method = request.method().clone();
    let call = |status| Call { at: clock::now(), operation: format!("{method} {path}"), status, input: Value::Null };
    let place = auth::check(&shared.tokens, request.headers(), request.uri().query(), clock::now());
    let answered = match place {
        Err(fault) => Err(fault),
        Ok(place) => {
            let who = format!("arn:aws:iam::{}:user/local", place.account);
            let hit = match route.action(&method) {
                Some(action) => lock(&shared.injected).hit(&format!("ecr:{action}"), &who, route.repository()),
                None => super::wire::injected::Hit::default(),
            };
            tokio::time::sleep(hit.delay).await;
            if hit.drop {
                lock(&shared.journal).record(call(0));
                return Err(Dropped);
            }
            if let Some(fault) = hit.fault {
                Err(as_oci(fault))
            } else {
                let answered = dispatch(shared, &place, &route, request).await;
                let answered = if hit.altered { answered.map(blobs::altered) } else { answered };
                if hit.cut { answered.map(blobs::cut) } else { answered }
            }
        }
    };
    let response = answered.unwrap_or_else(Fault::into_oci);
    lock(&shared.journal).record(call(response.status().as_u16()));
    Ok(response)
}

async fn dispatch(
    shared: &Arc<Shared>,
    place: &Place,
    route: &Route<'_>,
    request: Request<Body>,
) -> Answered<Response<Body>> {
    let method = request.method().clone();
    match route {
        Route::Base => Ok(router::ok(
            &[("docker-distribution-api-version", "registry/2.0"), ("content-type", "application/json")],
            "{}",
        )),
        Route::Uploads { repository } if method == Method::POST => {
            uploads::begin(shared, place, repository, request).await
        }
        Route::Upload { repository, id } => uploads::go_on(shared, place, repository, id, request).await,
        Route::Blob { repository, digest } if matches!(method, Method::GET | Method::HEAD) => {
            blobs::send(shared, place, repository, digest, &method).await
        }
        Route::Manifest { repository, reference } if method == Method::PUT => {
            manifests::put(shared, place, repository, reference, request).await
        }
        Route::Manifest { repository, reference } if matches!(method, Method::GET | Method::HEAD) => {
            manifests::get(shared, place, repository, reference, &method)
        }
        Route::Tags { repository } if method == Method::GET => manifests::tags(shared, place, repository),
        Route::Referrers { repository } if method == Method::GET => manifests::referrers(shared, place, repository),
        Route::Nowhere => Err(Fault::with_status(404, "NOT_FOUND", "there is nothing at this address")),
        _ => Err(Fault::with_status(405, "UNSUPPORTED", "The operation is unsupported.")),
    }
}

fn name_unknown(name: &str, place: &Place) -> Fault {
    Fault::with_status(
        404,
        "NAME_UNKNOWN",
        format!("The repository with name '{name}' does not exist in the registry with id '{}'", place.account),
    )
}

/// A refusal of the control plane, as the data plane says it.
fn as_oci(fault: Fault) -> Fault {
    let (status, code) = match fault.code.as_ref() {
        "RepositoryNotFoundException" => (404, "NAME_UNKNOWN"),
        "AccessDeniedException" => (403, "DENIED"),
        "ImageTagAlreadyExistsException" => (400, "TAG_INVALID"),
        "ImageDigestDoesNotMatchException" => (400, "DIGEST_INVALID"),
        "LayersNotFoundException" => (404, "BLOB_UNKNOWN"),
        "ReferencedImagesNotFoundException" => (404, "MANIFEST_BLOB_UNKNOWN"),
        "InvalidParameterException" => (400, "MANIFEST_INVALID"),
        "ThrottlingException" => (429, "TOOMANYREQUESTS"),
        _ => return fault,
    };
    Fault { status, code: code.into(), message: fault.message }
}
