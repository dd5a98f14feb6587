//! What a request to S3 asks for: the bucket from the host or from the path, the key, and the operation from the method
//! and the query. Pure.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method, Request, header};
use percent_encoding::percent_decode_str;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) bucket: String,
    /// Empty where the bucket itself is meant.
    pub(super) key: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) operation: &'static str,
}

/// Whether a request is signed for S3, in its header or, as a link that somebody was given, in its query.
pub(crate) fn is_s3<B>(request: &Request<B>) -> bool {
    let signature = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    signature.is_some_and(|signature| signature.contains("/s3/aws4_request"))
        || request.uri().query().is_some_and(|query| query.contains("%2Fs3%2Faws4_request"))
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let path = request.uri().path().trim_start_matches('/');
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let in_path = || path.split_once('/').unwrap_or((path, ""));
        let (bucket, key) = bucket_of(host).map_or_else(in_path, |bucket| (bucket, path));
        let (bucket, key) = (decoded(bucket), decoded(key));
        let query = query(request.uri().query().unwrap_or_default());
        let operation = operation(request.method(), &bucket, &key, &query, request.headers());
        Self { bucket, key, query, operation }
    }
}

/// The bucket in `BUCKET.s3.REGION.amazonaws.com` or `BUCKET.localhost`; none in an address of numbers.
fn bucket_of(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.strip_suffix(".localhost").or_else(|| {
        let (bucket, rest) = name.split_once(".s3.").or_else(|| name.split_once(".s3-"))?;
        rest.ends_with("amazonaws.com").then_some(bucket)
    })
}

pub(super) fn query(text: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decoded(k), decoded(v))).collect()
}

fn operation(
    method: &Method,
    bucket: &str,
    key: &str,
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
) -> &'static str {
    let has = |name: &str| query.contains_key(name);
    let copies = headers.contains_key("x-amz-copy-source");
    // What is asked of an object or a bucket besides itself.
    let aside = ["acl", "tagging", "attributes", "policy", "cors", "lifecycle", "encryption", "website", "torrent"];
    if aside.iter().any(|name| has(name)) {
        return "NotImplemented";
    }
    match (method.as_str(), bucket.is_empty(), key.is_empty()) {
        ("GET", true, _) => "ListBuckets",
        ("HEAD", false, true) => "HeadBucket",
        ("PUT", false, true) => "CreateBucket",
        ("DELETE", false, true) => "DeleteBucket",
        ("GET", false, true) if has("location") => "GetBucketLocation",
        ("GET", false, true) if has("versioning") => "GetBucketVersioning",
        ("GET", false, true) if has("uploads") => "ListMultipartUploads",
        ("GET", false, true) if query.get("list-type").is_some_and(|kind| kind == "2") => "ListObjectsV2",
        ("GET", false, true) => "ListObjects",
        ("POST", false, true) if has("delete") => "DeleteObjects",
        ("HEAD", false, false) => "HeadObject",
        ("GET", false, false) if has("uploadId") => "ListParts",
        ("GET", false, false) => "GetObject",
        ("PUT", false, false) if has("uploadId") && !copies => "UploadPart",
        ("PUT", false, false) if has("uploadId") => "UploadPartCopy",
        ("PUT", false, false) if copies => "CopyObject",
        ("PUT", false, false) => "PutObject",
        ("DELETE", false, false) if has("uploadId") => "AbortMultipartUpload",
        ("DELETE", false, false) => "DeleteObject",
        ("POST", false, false) if has("uploads") => "CreateMultipartUpload",
        ("POST", false, false) if has("uploadId") => "CompleteMultipartUpload",
        _ => "NotImplemented",
    }
}

/// What IAM asks for before an operation, where it is called otherwise.
pub(super) fn permission(operation: &str) -> &str {
    match operation {
        "HeadBucket" | "ListObjectsV2" | "ListObjects" => "ListBucket",
        "HeadObject" => "GetObject",
        "CopyObject" | "UploadPart" | "UploadPartCopy" | "CreateMultipartUpload" | "CompleteMultipartUpload" => {
            "PutObject"
        }
        "DeleteObjects" => "DeleteObject",
        "ListBuckets" => "ListAllMyBuckets",
        "ListParts" => "ListMultipartUploadParts",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::{Asked, is_s3};

    fn asked(method: &str, host: &str, uri: &str) -> (String, String, &'static str) {
        let request = Request::builder().method(method).uri(uri).header("host", host).body(()).unwrap();
        let Asked { bucket, key, operation, .. } = Asked::of(&request);
        (bucket, key, operation)
    }

    #[test]
    fn a_bucket_is_in_the_path_or_in_the_host() {
        let table = [
            ("GET", "127.0.0.1:4510", "/", ("", "", "ListBuckets")),
            ("HEAD", "127.0.0.1:4510", "/apps", ("apps", "", "HeadBucket")),
            ("PUT", "127.0.0.1:4510", "/apps/a%20b/c+d.zip", ("apps", "a b/c+d.zip", "PutObject")),
            ("GET", "apps.localhost:4510", "/docs/latest.zip", ("apps", "docs/latest.zip", "GetObject")),
            ("GET", "my.apps.s3.eu-west-1.amazonaws.com", "/x", ("my.apps", "x", "GetObject")),
            ("GET", "127.0.0.1:4510", "/apps?list-type=2&prefix=a", ("apps", "", "ListObjectsV2")),
            ("POST", "127.0.0.1:4510", "/apps/x?uploads", ("apps", "x", "CreateMultipartUpload")),
            ("PUT", "127.0.0.1:4510", "/apps/x?partNumber=1&uploadId=7", ("apps", "x", "UploadPart")),
            ("DELETE", "127.0.0.1:4510", "/apps/x?uploadId=7", ("apps", "x", "AbortMultipartUpload")),
            ("GET", "127.0.0.1:4510", "/apps/x?acl", ("apps", "x", "NotImplemented")),
        ];
        for (method, host, uri, (bucket, key, operation)) in table {
            assert_eq!(asked(method, host, uri), (bucket.to_owned(), key.to_owned(), operation), "{method} {uri}");
        }
    }

    #[test]
    fn the_signature_says_that_it_is_for_s3() {
        let signed =
            |service: &str| format!("AWS4-HMAC-SHA256 Credential=K/1/eu-west-1/{service}/aws4_request, Signature=0");
        let request = |service| Request::builder().uri("/").header("authorization", signed(service)).body(()).unwrap();
        assert!(!is_s3(&Request::builder().uri("/").body(()).unwrap()));
        assert!(is_s3(&request("s3")) && !is_s3(&request("ecs")));
        let link = "/apps/x?X-Amz-Credential=K%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=0";
        assert!(is_s3(&Request::builder().uri(link).body(()).unwrap()));
    }
}
