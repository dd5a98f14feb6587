//! Sends a report to Bitbucket Cloud's Code Insights. Inside Pipelines it goes through the proxy that runs beside every
//! step and signs requests to `http://api.bitbucket.org`, so no token is needed; elsewhere it takes an access token, over
//! HTTPS. What the report says is decided in `report/review`.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tower_service::Service as _;

use super::Ci;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::registry::{Connector, Proxies};
use crate::report::Insights;
use crate::secret::Secret;
use crate::vars::Vars;

/// Where Pipelines has its proxy. In a container of one's own it is at `host.docker.internal`.
const PROXY: &str = "http://localhost:29418";
const PROXY_VARIABLE: &str = "SHIPIT_BITBUCKET_PROXY";
const TOKEN_VARIABLE: &str = "BITBUCKET_ACCESS_TOKEN";
const HOST_NAME: &str = "api.bitbucket.org";
/// Bitbucket takes this many annotations in a request.
const AT_ONCE: usize = 100;
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most that is read of an answer, in bytes.
const LARGEST: usize = 64 << 10;
/// What a path segment may hold as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A commit that Bitbucket knows, and the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Bitbucket {
    /// `/2.0/repositories/WORKSPACE/REPOSITORY/commit/COMMIT/reports`
    base: String,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    /// The proxy's address.
    Proxy(Uri),
    Token(Secret, Proxies),
}

impl Bitbucket {
    /// `commit` is that of the checkout. In a pull request it is a merge that Bitbucket has never seen, so what the CI
    /// says comes first.
    ///
    /// # Errors
    /// The repository, the commit or the way is not known ([`Exit::Usage`]).
    pub(crate) fn of(vars: &Vars, ci: Option<&Ci>, commit: Option<&str>) -> Result<Self> {
        let unknown = |what: &str, hint: &str| Err(Error::new(Exit::Usage, what).hint(hint));
        let repository = vars.get("BITBUCKET_REPO_FULL_NAME").and_then(|name| name.split_once('/'));
        let Some((workspace, slug)) = repository else {
            return unknown(
                "which Bitbucket repository the report belongs to is not known",
                "set BITBUCKET_REPO_FULL_NAME to WORKSPACE/REPOSITORY, as Pipelines does",
            );
        };
        let in_pipelines = ci.is_some_and(|ci| ci.provider == super::Provider::Bitbucket);
        let named = ci.filter(|_| in_pipelines).and_then(|ci| ci.commit.as_deref());
        let Some(commit) = named.or_else(|| vars.get("BITBUCKET_COMMIT")).or(commit) else {
            return unknown("which commit the report belongs to is not known", "set BITBUCKET_COMMIT to its full hash");
        };
        let commit = commit.strip_suffix("-dirty").unwrap_or(commit);
        let [workspace, slug, commit] = [workspace, slug, commit].map(segment);
        let base = format!("/2.0/repositories/{workspace}/{slug}/commit/{commit}/reports");
        Ok(Self { base, way: way(vars, in_pipelines)? })
    }

    /// Replaces the report of this key, and all its annotations.
    ///
    /// # Errors
    /// Bitbucket cannot be reached or refuses ([`Exit::Fault`]).
    pub(crate) async fn send(&self, insights: &Insights) -> Result<()> {
        let report = format!("{}/{}", self.base, segment(&insights.id));
        // An annotation that is not sent again would stay; deleting what is not there is no error worth a word.
        self.ask(Method::DELETE, &report, None::<&()>).await?;
        accepted(self.ask(Method::PUT, &report, Some(&insights.report)).await?)?;
        for some in insights.annotations.chunks(AT_ONCE) {
            accepted(self.ask(Method::POST, &format!("{report}/annotations"), Some(&some)).await?)?;
        }
        Ok(())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<(StatusCode, String)> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|error| failed(&error))?.unwrap_or_default();
        let request = self.request(method, path, Bytes::from(body)).map_err(|error| failed(&error))?;
        let slow = |_| unreachable().cause(format!("no answer within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, self.exchange(request)).await.map_err(slow)?
    }

    /// To a proxy the whole address is named, and it is one of plain HTTP: the proxy speaks TLS from there on.
    fn request(&self, method: Method, path: &str, body: Bytes) -> http::Result<Request<Full<Bytes>>> {
        let request =
            Request::builder().method(method).header(HOST, HOST_NAME).header(CONTENT_TYPE, "application/json");
        let request = match &self.way {
            Way::Proxy(_) => request.uri(format!("http://{HOST_NAME}{path}")),
            Way::Token(token, _) => {
                let mut bearer = http::HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
                bearer.set_sensitive(true);
                request.uri(path).header(AUTHORIZATION, bearer)
            }
        };
        request.body(Full::new(body))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, String)> {
        let (mut connector, to) = match &self.way {
            Way::Proxy(proxy) => (Connector::plain(), proxy.clone()),
            Way::Token(_, proxies) => (Connector::with_tls(proxies)?, Uri::from_static("https://api.bitbucket.org/")),
        };
        let lost = |error: &(dyn std::error::Error + 'static)| self.lost(error);
        let stream = connector.call(to).await.map_err(|error| lost(&error))?;
        let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| lost(&error))?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(|error| lost(&error))?;
        let status = answer.status();
        // What was refused is explained in the body; a body that breaks off explains less.
        let body = Limited::new(answer.into_body(), LARGEST).collect().await.map(http_body_util::Collected::to_bytes);
        connection.abort();
        Ok((status, body.map(|body| String::from_utf8_lossy(&body).into_owned()).unwrap_or_default()))
    }

    fn lost(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        let error = unreachable().because(error);
        match &self.way {
            Way::Proxy(proxy) => error
                .cause(format!("it was asked through the proxy of Pipelines at {proxy}"))
                .hint(format!("in a container of its own the step's proxy is http://host.docker.internal:29418: set {PROXY_VARIABLE} to it")),
            Way::Token(..) => error,
        }
    }
}

/// A proxy that is named wins, so that a token never goes where it is not expected; then the token; then the proxy that
/// every step of Pipelines has.
fn way(vars: &Vars, in_pipelines: bool) -> Result<Way> {
    if let Some(named) = vars.get(PROXY_VARIABLE) {
        let proxy: Option<Uri> = named.parse().ok();
        return proxy
            .filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some())
            .map(Way::Proxy)
            .ok_or_else(|| {
                Error::new(Exit::Usage, format!("{PROXY_VARIABLE} is not the address of an HTTP proxy"))
                    .hint(format!("leave it out, or give http://HOST:PORT; in Pipelines it is {PROXY}"))
            });
    }
    if let Some(token) = token(vars) {
        return Ok(Way::Token(token, Proxies::of(vars)));
    }
    if in_pipelines {
        return Ok(Way::Proxy(Uri::from_static(PROXY)));
    }
    Err(Error::new(Exit::Usage, "a report to Bitbucket needs an access token outside of Pipelines")
        .hint(format!("set {TOKEN_VARIABLE} to a repository access token that may write repositories")))
}

/// What opens Bitbucket, whether or not it is used: it is hidden in all that is printed.
pub(crate) fn token(vars: &Vars) -> Option<Secret> {
    vars.get(TOKEN_VARIABLE).map(Secret::new)
}

/// Each part of the address comes from a variable, and stays one part of it. The two names that mean a folder would lead
/// elsewhere.
fn segment(text: &str) -> String {
    match text {
        "." | ".." => text.replace('.', "%2E"),
        _ => utf8_percent_encode(text, PLAIN).to_string(),
    }
}

fn accepted((status, body): (StatusCode, String)) -> Result<()> {
    if status.is_success() {
        return Ok(());
    }
    let error = Error::new(Exit::Fault, format!("Bitbucket refuses the report: HTTP {status}"));
    let said = serde_json::from_str::<serde_json::Value>(&body).ok();
    let said = said.as_ref().and_then(|said| said["error"]["message"].as_str());
    let error = match said {
        Some(said) => error.cause(said.chars().take(300).collect::<String>()),
        None => error,
    };
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => error.hint(format!(
            "the access token needs the permission to write repositories; inside Pipelines leave {TOKEN_VARIABLE} out"
        )),
        StatusCode::NOT_FOUND => error.hint("the commit has to be pushed before it can have a report"),
        _ => error,
    })
}

fn unreachable() -> Error {
    Error::new(Exit::Fault, "Bitbucket cannot be reached for the report")
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::new(Exit::Fault, "the report to Bitbucket cannot be made").because(error)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Method;

    use super::{Bitbucket, Way, segment};
    use crate::ci::detect;
    use crate::vars::Vars;

    const RUN: [(&str, &str); 3] =
        [("BITBUCKET_BUILD_NUMBER", "7"), ("BITBUCKET_COMMIT", "c0ffee"), ("BITBUCKET_REPO_FULL_NAME", "team/shop")];

    fn of(pairs: &[(&str, &str)], commit: Option<&str>) -> crate::error::Result<Bitbucket> {
        let vars: Vars = pairs.iter().copied().collect();
        Bitbucket::of(&vars, detect(&vars).as_ref(), commit)
    }

    #[test]
    fn inside_pipelines_the_proxy_signs() {
        let bitbucket = of(&RUN, Some("5ce7c4ed-dirty")).unwrap();
        assert_eq!(bitbucket.base, "/2.0/repositories/team/shop/commit/c0ffee/reports");
        let request = bitbucket.request(Method::PUT, "/x", Bytes::new()).unwrap();
        assert_eq!(request.uri(), "http://api.bitbucket.org/x");
        assert!(request.headers().get("authorization").is_none());
        assert!(matches!(&bitbucket.way, Way::Proxy(uri) if uri == "http://localhost:29418/"), "{bitbucket:?}");
    }

    #[test]
    fn elsewhere_a_token_does_and_is_never_shown() {
        let vars = [("BITBUCKET_REPO_FULL_NAME", "team/shop"), ("BITBUCKET_ACCESS_TOKEN", "hunter2")];
        let bitbucket = of(&vars, Some("c0ffee-dirty")).unwrap();
        assert_eq!(bitbucket.base, "/2.0/repositories/team/shop/commit/c0ffee/reports");
        let request = bitbucket.request(Method::PUT, "/x", Bytes::new()).unwrap();
        assert_eq!(
            (request.uri().to_string().as_str(), &request.headers()["host"]),
            ("/x", &"api.bitbucket.org".parse().unwrap())
        );
        assert_eq!(request.headers()["authorization"], "Bearer hunter2");
        assert!(!format!("{bitbucket:?} {request:?}").contains("hunter2"));
    }

    #[test]
    fn a_proxy_that_is_named_wins_over_the_token() {
        let named = ("SHIPIT_BITBUCKET_PROXY", "http://host.docker.internal:29418");
        let bitbucket = of(&[&RUN[..], &[named, ("BITBUCKET_ACCESS_TOKEN", "hunter2")]].concat(), None).unwrap();
        assert!(matches!(bitbucket.way, Way::Proxy(_)));
        for wrong in ["https://proxy:1", "proxy", "ftp://x/"] {
            assert!(of(&[&RUN[..], &[("SHIPIT_BITBUCKET_PROXY", wrong)]].concat(), None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        for (vars, what) in [
            (&[][..], "repository"),
            (&[("BITBUCKET_REPO_FULL_NAME", "team/shop")], "commit"),
            (&[("BITBUCKET_REPO_FULL_NAME", "team/shop"), ("BITBUCKET_COMMIT", "c0ffee")], "access token"),
        ] {
            let error = of(vars, None).expect_err(what);
            assert!(error.line().contains(what) && !error.hints().is_empty(), "{error}");
        }
    }

    #[test]
    fn no_variable_leads_to_another_address() {
        for (given, wanted) in
            [("..", "%2E%2E"), ("a/b", "a%2Fb"), ("{u-1}", "%7Bu-1%7D"), ("a?b#c d\r\n", "a%3Fb%23c%20d%0D%0A")]
        {
            assert_eq!(segment(given), wanted);
        }
    }
}
