//! Blobs: looking, mounting, sending, and reading them wherever the registry keeps them.
//!
//! ECR answers the `GET` of a blob with an address in S3, which is signed and takes no login.

use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;

use super::archive;
use super::client::{AGENT, Body, PATIENCE, Registry, expect, full, read, text};
use super::failure::Failure;

/// How often a registry may send us on.
const SENT_ON_AT_MOST: usize = 5;

/// A body that takes longer than this, in bytes a second, will not arrive.
const SLOWEST: u64 = 64 << 10;

/// What came of the wish to have a blob in a repository.
pub(super) enum Upload {
    /// It is there, mounted from another repository.
    Mounted,
    /// It can be sent to this path.
    At(String),
}

impl Registry {
    pub(super) async fn has_blob(&self, repository: &str, digest: &str) -> Result<bool, Failure> {
        let path = format!("/v2/{repository}/blobs/{digest}");
        let answer = self.ask(Method::HEAD, &path, &[], Bytes::new()).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            // It says where the blob is, so it has it.
            status if status.is_redirection() => Ok(true),
            _ => expect(answer, StatusCode::OK).await.map(|_| true),
        }
    }

    /// Asks for a place for a blob, and for its being mounted from another repository of this registry if that can be.
    /// A registry that does not mount answers as if nobody had asked.
    pub(super) async fn begin_upload(
        &self,
        repository: &str,
        digest: &str,
        mount_from: Option<&str>,
    ) -> Result<Upload, Failure> {
        let mut path = format!("/v2/{repository}/blobs/uploads/");
        if let Some(from) = mount_from {
            path += &format!("?mount={digest}&from={}", from.replace('/', "%2F"));
        }
        let answer = self.ask(Method::POST, &path, &[], Bytes::new()).await?;
        if mount_from.is_some() && answer.status() == StatusCode::CREATED {
            return Ok(Upload::Mounted);
        }
        let answer = expect(answer, StatusCode::ACCEPTED).await?;
        let place = text(answer.headers(), header::LOCATION.as_str())
            .ok_or_else(|| Failure::Strange("it names no place for the upload".to_owned()))?;
        Ok(Upload::At(self.on_this_host(&path, place)?))
    }

    /// Sends a blob in one piece to the place that `begin_upload` gave.
    pub(super) async fn finish_upload(&self, place: &str, digest: &str, size: u64, body: Body) -> Result<(), Failure> {
        let path = format!("{place}{}digest={digest}", if place.contains('?') { '&' } else { '?' });
        let request = self
            .request(Method::PUT, &path)
            .header(header::CONTENT_LENGTH, size)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(body);
        let patience = PATIENCE + Duration::from_secs(size / SLOWEST);
        expect(self.send(request, patience).await?, StatusCode::CREATED).await.map(drop)
    }

    /// One upload in one piece: POST for a place, PUT for the bytes.
    pub(super) async fn put_blob(&self, repository: &str, digest: &str, size: u64, body: Body) -> Result<(), Failure> {
        match self.begin_upload(repository, digest, None).await? {
            Upload::Mounted => Ok(()),
            Upload::At(place) => self.finish_upload(&place, digest, size, body).await,
        }
    }

    /// Takes an upload back that will not be finished. The registry forgets it by itself, if later.
    pub(super) async fn give_upload_up(&self, place: &str) {
        let _ = self.ask(Method::DELETE, place, &[], Bytes::new()).await;
    }

    /// A blob's bytes from `from` on, as they come; from the beginning, where the answer is 200.
    pub(super) async fn blob(&self, repository: &str, digest: &str, from: u64) -> Result<Response<Incoming>, Failure> {
        let path = format!("/v2/{repository}/blobs/{digest}");
        let mut request = self.request(Method::GET, &path);
        let here: Uri =
            self.address(&path).parse().map_err(|_| Failure::Strange("its name is no address".to_owned()))?;
        let mut asked = here.clone();
        for _ in 0..SENT_ON_AT_MOST {
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            let answer = self.send(request.body(full(Bytes::new())), PATIENCE).await?;
            if !answer.status().is_redirection() {
                // A registry that knows no ranges gives all of it.
                if answer.status() == StatusCode::OK {
                    return Ok(answer);
                }
                let wanted = if from > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
                return expect(answer, wanted).await;
            }
            let next = text(answer.headers(), header::LOCATION.as_str())
                .ok_or_else(|| Failure::Strange("it leads on, and does not say where".to_owned()))?;
            asked = sent_on(&asked, next)?;
            request = if asked.authority() == here.authority() && asked.scheme() == here.scheme() {
                self.request(Method::GET, asked.path_and_query().map_or("/", |path| path.as_str()))
            } else {
                Request::builder().method(Method::GET).uri(asked.clone()).header(header::USER_AGENT, AGENT)
            };
        }
        Err(Failure::Strange(format!("it leads on more than {SENT_ON_AT_MOST} times")))
    }

    /// A blob that is small enough to be held, checked against its digest.
    pub(super) async fn small_blob(&self, repository: &str, digest: &str) -> Result<Bytes, Failure> {
        let bytes = read(self.blob(repository, digest, 0).await?).await?;
        if archive::digest(&bytes) == digest { Ok(bytes) } else { Err(Failure::other_bytes(digest)) }
    }
}

/// Where an answer leads. What was asked for over HTTPS is not fetched over anything less.
fn sent_on(asked: &Uri, location: &str) -> Result<Uri, Failure> {
    let strange = || Failure::Strange("it leads on to what is no address".to_owned());
    let next: Uri = location.parse().map_err(|_| strange())?;
    let mut parts = next.into_parts();
    if parts.authority.is_none() {
        parts.authority = asked.authority().cloned();
        parts.scheme = None;
        if !location.starts_with('/') {
            return Err(strange());
        }
    }
    if parts.scheme.is_none() {
        parts.scheme = asked.scheme().cloned();
    }
    if asked.scheme() == Some(&Scheme::HTTPS) && parts.scheme != Some(Scheme::HTTPS) {
        return Err(Failure::Strange("it leads on from HTTPS to plain HTTP".to_owned()));
    }
    Uri::from_parts(parts).map_err(|_| strange())
}

#[cfg(test)]
mod tests {
    use super::sent_on;

    #[test]
    fn a_redirect_keeps_to_https() {
        let asked = "https://1.dkr.ecr.eu-west-1.amazonaws.com/v2/api/blobs/sha256:a".parse().unwrap();
        let bucket = "https://bucket.s3.amazonaws.com/a?X-Amz-Signature=x";
        assert_eq!(sent_on(&asked, bucket).unwrap().to_string(), bucket);
        assert_eq!(
            sent_on(&asked, "/elsewhere?x=1").unwrap().to_string(),
            "https://1.dkr.ecr.eu-west-1.amazonaws.com/elsewhere?x=1"
        );
        for refused in ["http://bucket.s3.amazonaws.com/a", "ftp://x/y", "blobs", ""] {
            assert!(sent_on(&asked, refused).is_err(), "{refused}");
        }
        let plain = "http://127.0.0.1:5000/v2/api/blobs/sha256:a".parse().unwrap();
        assert_eq!(sent_on(&plain, "http://127.0.0.1:9/a").unwrap().to_string(), "http://127.0.0.1:9/a");
    }
}
