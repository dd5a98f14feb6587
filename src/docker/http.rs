//! HTTP requests to an engine, over the connector. JSON bodies have a length, because Bitbucket's Docker refuses
//! chunked ones. What the engine's answers mean is for the callers to say.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::connector::Connector;
use crate::error::Error;
use crate::exit::Exit;

pub(super) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// The most that an answer read into memory may have, in bytes.
const LARGEST_ANSWER: usize = 16 << 20;

/// Sends requests, with connections kept open between them. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    connector: Connector,
    pool: legacy::Client<Connector, Body>,
    /// `/v1.41`, or empty before it is known.
    version: String,
    /// What helps where nobody answers.
    if_gone: &'static str,
}

/// Why a request has no good answer.
#[derive(Debug)]
pub(super) enum RequestError {
    /// No answer at all; the chain of causes, outermost first, and what helps.
    Unanswered { causes: Vec<String>, hint: &'static str },
    /// An answer that makes no sense, or a request that could not be put together.
    Unreadable(Vec<String>),
    /// The engine answered with an error, in its own words.
    Refused { status: StatusCode, message: String },
}

impl Client {
    /// `if_gone`: what helps where nobody answers.
    pub(super) fn new(connector: Connector, if_gone: &'static str) -> Self {
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build(connector.clone());
        Self { connector, pool, version: String::new(), if_gone }
    }

    /// The same client, for the API of this version (`1.41`).
    pub(super) fn at_version(mut self, version: &str) -> Self {
        self.version = format!("/v{version}");
        self
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(super) fn if_gone(&self) -> &'static str {
        self.if_gone
    }

    /// A request for a path beneath the API's version; `query` is encoded already, with no `?`.
    pub(super) fn request(&self, method: Method, path: &str, query: &str) -> http::request::Builder {
        let separator = if query.is_empty() { "" } else { "?" };
        Request::builder()
            .method(method)
            .uri(format!("http://docker{}{path}{separator}{query}", self.version))
            .header(header::USER_AGENT, concat!("shipit/", env!("CARGO_PKG_VERSION")))
    }

    /// Sends, and answers with whatever status comes. Dropping the response before its end closes the connection, which
    /// is how an engine learns that it should stop.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, legacy::Error> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        // The authority is the same for all, whatever the caller wrote, so that connections are shared.
        if let Ok(uri) = format!("http://docker{path}").parse::<Uri>() {
            parts.uri = uri;
        }
        // As the docker CLI has it: a POST with no body says so.
        if parts.method == Method::POST && body.size_hint().exact() == Some(0) {
            parts.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
        }
        self.pool.request(Request::from_parts(parts, body)).await
    }

    /// Sends, and takes any status below 400 for a good answer.
    pub(super) async fn ask(&self, request: http::Result<Request<Body>>) -> Result<Response<Incoming>, RequestError> {
        let request = request.map_err(|error| RequestError::Unreadable(vec![error.to_string()]))?;
        let response = self.send(request).await.map_err(|error| self.unanswered(&error))?;
        if response.status().as_u16() < 400 {
            return Ok(response);
        }
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Err(RequestError::Refused { status, message: message_of(&body) })
    }

    /// Sends a GET and reads the JSON of its answer.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &str) -> Result<T, RequestError> {
        let response = self.ask(self.request(Method::GET, path, query).body(empty())).await?;
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| self.unanswered(error.as_ref()))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| {
            RequestError::Unreadable(vec![format!("the answer to GET {path} is not as expected"), error.to_string()])
        })
    }

    /// The chain of causes, with what `ssh` had to say.
    pub(super) fn unanswered(&self, error: &(dyn std::error::Error + 'static)) -> RequestError {
        let mut causes = chain(error);
        // The client's own layer says nothing that a person needs.
        if causes.len() > 1 && causes[0].starts_with("client error (") {
            causes.remove(0);
        }
        let complaint = self.connector.complaint();
        if !complaint.is_empty() {
            causes.push(format!("ssh: {complaint}"));
        }
        RequestError::Unanswered { causes, hint: self.if_gone }
    }
}

impl RequestError {
    /// An error of ours for a request that served `doing`: "cannot look into the image `x`".
    pub(super) fn during(self, exit: Exit, doing: impl Into<String>) -> Error {
        let error = Error::new(exit, doing);
        match self {
            Self::Unanswered { causes, hint } => {
                let error = error.cause("the Docker Engine did not answer");
                causes.into_iter().fold(error, Error::cause).hint(hint).engine_lost()
            }
            Self::Unreadable(causes) => causes.into_iter().fold(error, Error::cause),
            Self::Refused { message, .. } => {
                let hint = plugin_hint(&message);
                let error = error.cause(message);
                hint.into_iter().fold(error, Error::hint)
            }
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND, .. })
    }
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unanswered { causes, .. } | Self::Unreadable(causes) => f.write_str(&causes.join(": ")),
            Self::Refused { status, message } if message.is_empty() => write!(f, "HTTP {status}"),
            Self::Refused { message, .. } => f.write_str(message),
        }
    }
}

/// What to do when an authorization plugin of the engine stood in the way; Bitbucket's is called `pipelines`.
pub(super) fn plugin_hint(message: &str) -> Option<String> {
    message.contains("authorization denied by plugin").then(|| {
        if message.contains("plugin pipelines") {
            "Bitbucket's own Docker refuses this; use `runtime: cloud: version: \"3\"` for the step, or a runner with its \
             own engine"
                .to_owned()
        } else {
            "ask whoever runs this engine to allow it".to_owned()
        }
    })
}

pub(super) fn empty() -> Body {
    full(Bytes::new())
}

/// A body whose length is known, and is therefore sent as `Content-Length`.
pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What a path element may not hold as it is; the engine takes `/`, `:` and `@` of an image's name literally.
const ELEMENT: AsciiSet =
    NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':').remove(b'@');

/// Encodes an image reference for a path.
pub(super) fn path_element(text: &str) -> String {
    utf8_percent_encode(text, &ELEMENT).to_string()
}

/// Builds a query from names and values, encoding the values.
#[derive(Default)]
pub(super) struct Query(String);

impl Query {
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        self
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// An error and what caused it, each once.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !texts.last().is_some_and(|above| above.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts
}

/// The engine says what is wrong as `{"message": …}`; a proxy in between may not.
fn message_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Refusal {
        message: String,
    }
    serde_json::from_slice::<Refusal>(body).map_or_else(
        |_| String::from_utf8_lossy(body).trim().chars().take(500).collect(),
        |refusal| refusal.message.trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::{Query, path_element};

    #[test]
    fn references_and_values_are_encoded_for_their_place() {
        assert_eq!(path_element("127.0.0.1:5000/a b:t@x"), "127.0.0.1:5000/a%20b:t@x");
        let query = Query::default().with("t", "a/b:c").with("q", "x&y=é").into_string();
        assert_eq!(query, "t=a%2Fb%3Ac&q=x%26y%3D%C3%A9");
    }
}
