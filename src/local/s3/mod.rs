//! S3, as far as zips need it: buckets, objects with their metadata and checksums, copies, listings, uploads in parts.
//! No versions, no access lists, no encryption: an object is what was put there last.

mod buckets;
mod chunked;
mod conditions;
pub(crate) mod model;
mod objects;
mod parts;
mod receive;
mod request;
mod sums;
mod xml;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use serde_json::json;

use super::clock;
use super::place::Place;
use super::shared::{Shared, lock};
use super::wire::Dropped;
use super::wire::fault::{Answered, Fault};
use super::wire::journal::{Call, summary};
use request::{Asked, permission};

pub(crate) use request::is_s3;

const EXPECTED_OWNER: &str = "x-amz-expected-bucket-owner";

/// One request, and whose it is.
struct Asking<'a> {
    shared: &'a Arc<Shared>,
    place: Place,
    asked: Asked,
    headers: HeaderMap,
}

pub(crate) async fn answer(shared: &Arc<Shared>, request: Request<Body>) -> Result<Response<Body>, Dropped> {
    let asked = Asked::of(&request);
    let path = request.uri().path().to_owned();
    let head = request.method() == Method::HEAD;
    let action = format!("s3:{}", asked.operation);
    let owner = request.headers().get(EXPECTED_OWNER).and_then(|owner| owner.to_str().ok());
    let input = json!({"bucket": asked.bucket, "key": asked.key, "query": asked.query, "owner": owner});
    let note = |status| {
        let call = Call { at: clock::now(), operation: action.clone(), status, input: summary(&input) };
        lock(&shared.journal).record(call);
    };
    let mut region = None;
    let answered = match caller(shared, &request) {
        Err(fault) => Err(fault),
        Ok((place, who)) => {
            let allowed = lock(&shared.injected).denies(&format!("s3:{}", permission(asked.operation)), &who);
            let hit = lock(&shared.injected).hit(&action, &who, Some(&asked.bucket));
            tokio::time::sleep(hit.delay).await;
            if hit.drop && !hit.after_effect {
                note(0);
                return Err(Dropped);
            }
            region = elsewhere(shared, &asked.bucket, &place);
            let (before, after) = if hit.after_effect { (None, hit.fault) } else { (hit.fault, None) };
            let answered = match allowed.or(before) {
                Some(fault) => Err(fault),
                None => dispatch(shared, place, asked, request).await,
            };
            if hit.drop {
                note(0);
                return Err(Dropped);
            }
            match after {
                Some(fault) => answered.and(Err(fault)),
                None => answered,
            }
        }
    };
    let response = answered.unwrap_or_else(|fault| xml::refuse(fault, &path, head, region.as_deref()));
    note(response.status().as_u16());
    Ok(response)
}

/// The account, and the ARN of who asks.
fn caller(shared: &Shared, request: &Request<Body>) -> Answered<(Place, String)> {
    let query = request::query(request.uri().query().unwrap_or_default());
    let caller = match query.get("X-Amz-Credential") {
        Some(credential) => {
            let signature = format!("AWS4-HMAC-SHA256 Credential={credential}");
            let value = HeaderValue::try_from(signature).map_err(|error| Fault::server(&error))?;
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            lock(&shared.keys).caller(&headers, clock::now())
        }
        None => lock(&shared.keys).caller(request.headers(), clock::now()),
    }?;
    Ok((caller.place, caller.arn))
}

/// The bucket's region, where it is not the one that was asked.
fn elsewhere(shared: &Shared, bucket: &str, place: &Place) -> Option<String> {
    let region = shared.read(|state| Some(state.buckets.get(bucket)?.place.region.clone()))?;
    (region != place.region).then_some(region)
}

async fn dispatch(
    shared: &Arc<Shared>,
    place: Place,
    asked: Asked,
    request: Request<Body>,
) -> Answered<Response<Body>> {
    let (parts, body) = request.into_parts();
    let call = Asking { shared, place, asked, headers: parts.headers };
    let operation = call.asked.operation;
    if !matches!(operation, "ListBuckets" | "CreateBucket") {
        call.reachable()?;
    }
    match operation {
        "ListBuckets" => Ok(call.list_buckets()),
        "HeadBucket" => Ok(call.head_bucket()),
        "CreateBucket" => call.create_bucket(),
        "DeleteBucket" => call.delete_bucket(),
        "GetBucketLocation" => Ok(call.bucket_location()),
        "GetBucketVersioning" => Ok(xml::answer("VersioningConfiguration", "")),
        "ListObjectsV2" | "ListObjects" => Ok(call.list_objects()),
        "DeleteObjects" => call.delete_objects(body).await,
        "HeadObject" | "GetObject" => call.get_object().await,
        "PutObject" => call.put_object(body).await,
        "CopyObject" => call.copy_object().await,
        "DeleteObject" => Ok(call.delete_object()),
        "CreateMultipartUpload" => call.begin_upload(),
        "UploadPart" => call.put_part(body).await,
        "CompleteMultipartUpload" => call.complete_upload(body).await,
        "AbortMultipartUpload" => call.abort_upload(),
        "ListParts" => call.list_parts(),
        "ListMultipartUploads" => Ok(call.list_uploads()),
        _ => Err(Fault::with_status(501, "NotImplemented", "the stand-in does not do this")),
    }
}

impl Asking<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.asked.query.get(name).map(String::as_str)
    }

    /// The bucket is there, is this account's, and is in the region that was asked.
    fn reachable(&self) -> Answered<()> {
        let of = self.shared.read(|state| Some(state.buckets.get(&self.asked.bucket)?.place.clone()));
        let of = of.ok_or_else(|| Fault::with_status(404, "NoSuchBucket", "The specified bucket does not exist"))?;
        let expected = self.header(EXPECTED_OWNER).is_none_or(|owner| owner == of.account);
        if of.account != self.place.account || !expected {
            return Err(Fault::with_status(403, "AccessDenied", "Access Denied"));
        }
        if of.region != self.place.region {
            let text = "The bucket you are attempting to access must be addressed using the specified endpoint.";
            return Err(Fault::with_status(301, "PermanentRedirect", text));
        }
        Ok(())
    }
}
