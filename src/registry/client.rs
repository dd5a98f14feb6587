//! A small client of the OCI distribution protocol with Basic authentication: plain HTTP to a registry on this machine's
//! loopback, HTTPS to every other. The login goes to no other host.
//!
//! Manifests and tags are here, blobs in `blobs`. Token services are not known: neither ECR nor the stand-in has one.

use std::future::Future;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::archive::digest;
use super::failure::Failure;
use super::transport::{Connector, Proxies, is_loopback};
use crate::error::Error;
use crate::secret::Secret;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Without this list a registry may convert what it answers, and so change its digest.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// The most that the specification lets a manifest have; lists of tags come in pages that are far smaller.
const LARGEST_ANSWER: usize = 4 << 20;

/// How long a registry may think about a request without a body of its own.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Pauses, in milliseconds, before what was broken off is tried again.
const PAUSES: [u64; 2] = [200, 1000];

/// As the registry's log shows us.
pub(super) const AGENT: &str = concat!("shipit/", env!("CARGO_PKG_VERSION"));

pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A registry and the login to it.
pub(crate) struct Registry {
    /// `http` or `https`.
    scheme: &'static str,
    host: String,
    username: String,
    authorization: HeaderValue,
    http: legacy::Client<Connector, Body>,
}

/// A manifest, byte for byte as the registry has it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) digest: String,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

impl Registry {
    /// A registry on this machine's loopback. `host` is `HOST[:PORT]`.
    pub(crate) fn new(host: &str, username: &str, password: &Secret) -> Self {
        Self::over("http", Connector::plain(), host, username, password)
    }

    /// A registry anywhere: over HTTPS, unless it is on this machine's loopback.
    ///
    /// # Errors
    /// `Exit::Fault` when TLS cannot be set up.
    pub(crate) fn at(host: &str, username: &str, password: &Secret, proxies: &Proxies) -> Result<Self, Error> {
        if is_loopback(host) {
            return Ok(Self::new(host, username, password));
        }
        Ok(Self::over("https", Connector::with_tls(proxies)?, host, username, password))
    }

    pub(super) fn over(
        scheme: &'static str,
        connector: Connector,
        host: &str,
        username: &str,
        password: &Secret,
    ) -> Self {
        let login = base64::prelude::BASE64_STANDARD.encode(format!("{username}:{}", password.expose()));
        // Base64 has no character that a header may not have.
        let mut authorization =
            HeaderValue::from_str(&format!("Basic {login}")).unwrap_or_else(|_| HeaderValue::from_static("Basic"));
        authorization.set_sensitive(true);
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Self { scheme, host: host.to_owned(), username: username.to_owned(), authorization, http }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn is_on_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    pub(crate) fn username(&self) -> &str {
        &self.username
    }

    /// Asks whether the login is good.
    pub(crate) async fn log_in(&self) -> Result<(), Failure> {
        let answer = self.ask(Method::GET, "/v2/", &[], Bytes::new()).await?;
        expect(answer, StatusCode::OK).await.map(drop)
    }

    /// All tags of a repository; none where there is no such repository yet.
    pub(crate) async fn tags(&self, repository: &str) -> Result<Vec<String>, Failure> {
        let mut tags = Vec::new();
        let mut next = Some(format!("/v2/{repository}/tags/list?n=1000"));
        while let Some(path) = next {
            let answer = self.ask(Method::GET, &path, &[], Bytes::new()).await?;
            if answer.status() == StatusCode::NOT_FOUND {
                return Ok(tags);
            }
            let answer = expect(answer, StatusCode::OK).await?;
            next = answer
                .headers()
                .get(header::LINK)
                .and_then(|link| next_page(link.to_str().ok()?))
                .map(|link| self.on_this_host(&path, &link))
                .transpose()?;
            let page: Value =
                serde_json::from_slice(&read(answer).await?).map_err(|error| Failure::Strange(error.to_string()))?;
            let page = page.get("tags").and_then(Value::as_array);
            tags.extend(page.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
        }
        Ok(tags)
    }

    /// The digest behind a tag, or of itself; `None` where there is none.
    pub(crate) async fn digest_of(&self, repository: &str, reference: &str) -> Result<Option<String>, Failure> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.ask(Method::HEAD, &path, &[(header::ACCEPT, MANIFEST_TYPES)], Bytes::new()).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = expect(answer, StatusCode::OK).await?;
        match text(answer.headers(), "docker-content-digest") {
            Some(digest) => Ok(Some(digest.to_owned())),
            None => Ok(self.manifest(repository, reference).await?.map(|found| found.digest)),
        }
    }

    pub(crate) async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Stored>, Failure> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.ask(Method::GET, &path, &[(header::ACCEPT, MANIFEST_TYPES)], Bytes::new()).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = expect(answer, StatusCode::OK).await?;
        let media_type = text(answer.headers(), header::CONTENT_TYPE.as_str()).unwrap_or(OCI_MANIFEST).to_owned();
        let bytes = read(answer).await?;
        Ok(Some(Stored { digest: digest(&bytes), media_type, bytes }))
    }

    /// Stores a manifest under a tag or its digest, and returns the digest.
    pub(crate) async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        manifest: Bytes,
    ) -> Result<String, Failure> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let digest = digest(&manifest);
        let answer = self.ask(Method::PUT, &path, &[(header::CONTENT_TYPE, media_type)], manifest).await?;
        let answer = expect(answer, StatusCode::CREATED).await?;
        match text(answer.headers(), "docker-content-digest") {
            Some(kept) if kept != digest => Err(Failure::Altered(format!("it keeps {kept} in place of {digest}"))),
            _ => Ok(digest),
        }
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(header::HeaderName, &str)],
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = self.request(method, path).header(header::CONTENT_LENGTH, body.len());
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.send(request.body(full(body)), PATIENCE).await
    }

    pub(super) fn address(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.host)
    }

    /// A request to the registry itself, with the login.
    pub(super) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(self.address(path))
            .header(header::USER_AGENT, AGENT)
            .header(header::AUTHORIZATION, self.authorization.clone())
    }

    pub(super) async fn send(
        &self,
        request: http::Result<Request<Body>>,
        patience: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let request = request.map_err(|error| Failure::Strange(error.to_string()))?;
        match tokio::time::timeout(patience, self.http.request(request)).await {
            Ok(answer) => answer.map_err(|error| Failure::unanswered(&error)),
            Err(_) => Err(Failure::Unanswered(vec![format!("no answer after {} s", patience.as_secs())])),
        }
    }

    /// The path of an address that the registry gave, which is absolute, of this host, or relative to `asked`.
    pub(super) fn on_this_host(&self, asked: &str, address: &str) -> Result<String, Failure> {
        let scheme = self.scheme;
        let address =
            address.strip_prefix("//").map_or_else(|| address.to_owned(), |rest| format!("{scheme}://{rest}"));
        if let Some((scheme, rest)) = address.split_once("://") {
            let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            if scheme.eq_ignore_ascii_case(self.scheme) && host.eq_ignore_ascii_case(&self.host) {
                return Ok(path.to_owned());
            }
            return Err(Failure::Strange(format!(
                "it leads on to {scheme}://{host}, and the login is sent nowhere else"
            )));
        }
        if address.starts_with('/') {
            return Ok(address);
        }
        let folder = asked.split('?').next().and_then(|path| path.rsplit_once('/')).map_or("", |(folder, _)| folder);
        Ok(format!("{folder}/{address}"))
    }
}

/// Does it again where a connection broke off or the registry had a fault of its own: a second attempt finds what the
/// first one has stored.
pub(super) async fn retrying<T, F>(mut step: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    for pause in PAUSES {
        match step().await {
            Err(failure) if failure.may_pass() => tokio::time::sleep(Duration::from_millis(pause)).await,
            ended => return ended,
        }
    }
    step().await
}

pub(super) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

pub(super) async fn expect(answer: Response<Incoming>, wanted: StatusCode) -> Result<Response<Incoming>, Failure> {
    let status = answer.status();
    if status == wanted {
        return Ok(answer);
    }
    Err(Failure::refused(status, &read(answer).await.unwrap_or_default()))
}

pub(super) async fn read(answer: Response<Incoming>) -> Result<Bytes, Failure> {
    let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect();
    match tokio::time::timeout(PATIENCE, body).await {
        Ok(body) => body.map(http_body_util::Collected::to_bytes).map_err(|error| Failure::unanswered(error.as_ref())),
        Err(_) => Err(Failure::Unanswered(vec!["the answer does not end".to_owned()])),
    }
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The address of `<ADDRESS>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let (address, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Registry, next_page};
    use crate::secret::Secret;

    fn registry() -> Registry {
        Registry::new("127.0.0.1:5000", "AWS", &Secret::new("x"))
    }

    #[test]
    fn an_upload_goes_on_at_this_host_and_nowhere_else() {
        let asked = "/v2/api/blobs/uploads/";
        for (given, path) in [
            ("http://127.0.0.1:5000/v2/api/blobs/uploads/1?_state=x", "/v2/api/blobs/uploads/1?_state=x"),
            ("HTTP://127.0.0.1:5000/v2/1", "/v2/1"),
            ("//127.0.0.1:5000/v2/1", "/v2/1"),
            ("/v2/api/blobs/uploads/1", "/v2/api/blobs/uploads/1"),
            ("1?_state=x", "/v2/api/blobs/uploads/1?_state=x"),
        ] {
            assert_eq!(registry().on_this_host(asked, given).unwrap(), path, "{given}");
        }
        for elsewhere in ["http://127.0.0.1:5001/v2/1", "https://127.0.0.1:5000/v2/1", "//evil.example/v2/1"] {
            assert!(registry().on_this_host(asked, elsewhere).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn the_next_page_is_named_by_a_link() {
        assert_eq!(next_page("</v2/a/tags/list?last=x&n=1>; rel=\"next\"").unwrap(), "/v2/a/tags/list?last=x&n=1");
        assert_eq!(next_page("<x>; rel=\"prev\""), None);
    }

    #[test]
    fn the_login_is_not_shown() {
        assert_eq!(format!("{:?}", registry().authorization), "Sensitive");
    }
}
