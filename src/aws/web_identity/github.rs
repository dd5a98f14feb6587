//! A token of GitHub Actions: asked for with the job's own bearer token, for the audience that AWS expects. Nothing is
//! kept: a job may ask again for as long as it runs.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::error::Error;
use crate::exit::Exit;
use crate::registry::{Connector, Proxies, is_loopback};
use crate::secret::Secret;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The most that is read; a token is about two kilobytes.
const LARGEST: usize = 1 << 20;

/// Of the identity provider as AWS's own documentation has it set up.
const AUDIENCE: &str = "sts.amazonaws.com";

/// # Errors
/// [`Exit::Aws`]: it does not answer, refuses, or answers something else; transient where asking again may help.
pub(super) async fn token(url: &str, bearer: &Secret, proxies: &Proxies) -> Result<Secret, Error> {
    let failed = || {
        Error::new(Exit::Aws, "GitHub gives no OIDC token (ACTIONS_ID_TOKEN_REQUEST_URL)")
            .hint("check that the job still runs and has `permissions: { id-token: write }`")
    };
    let request = request(url, bearer).map_err(|why| failed().cause(why))?;
    let http = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(Connector::with_tls(proxies)?);
    let read = async {
        let answer = http.request(request).await.map_err(|error| failed().because(&error).transient())?;
        let status = answer.status();
        if !status.is_success() {
            let refused = failed().cause(format!("HTTP {status}"));
            return Err(if status.is_server_error() { refused.transient() } else { refused });
        }
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        Ok(body.map_err(|error| failed().because(error.as_ref()).transient())?.to_bytes())
    };
    let late = |_| Err(failed().cause(format!("no answer within {} s", PATIENCE.as_secs())).transient());
    let body = tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(late)?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let value = answer["value"].as_str().filter(|value| !value.is_empty());
    value.map(Secret::new).ok_or_else(|| failed().cause("the answer has no `value`"))
}

/// The bearer token goes over TLS, or stays on this machine.
fn request(url: &str, bearer: &Secret) -> Result<Request<Empty<Bytes>>, &'static str> {
    let joint = if url.contains('?') { '&' } else { '?' };
    let request = Request::get(format!("{url}{joint}audience={AUDIENCE}"))
        .header(header::AUTHORIZATION, format!("Bearer {}", bearer.expose()))
        .header(header::ACCEPT, "application/json; api-version=2.0")
        .body(Empty::new())
        .map_err(|_| "the address cannot be used")?;
    let host = request.uri().authority().ok_or("the address names no host")?.as_str();
    if request.uri().scheme_str() != Some("https") && !is_loopback(host) {
        return Err("the address is not https, so the job's token is not sent there");
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::request;
    use crate::secret::Secret;

    #[test]
    fn the_audience_is_added_and_the_bearer_is_sent_over_tls_alone() {
        let uri = |url| request(url, &Secret::new("b")).map(|request| request.uri().to_string());
        assert_eq!(
            uri("https://x.example/t?api-version=2.0").as_deref(),
            Ok("https://x.example/t?api-version=2.0&audience=sts.amazonaws.com")
        );
        assert_eq!(uri("https://x.example/t").as_deref(), Ok("https://x.example/t?audience=sts.amazonaws.com"));
        assert!(uri("http://127.0.0.1:1/t").is_ok());
        assert!(uri("http://x.example/t").is_err());
        assert!(uri("not an address").is_err());
    }
}
