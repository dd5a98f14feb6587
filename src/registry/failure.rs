//! Why a registry did not do what it was asked to, and what usually helps.

use http::StatusCode;
use serde_json::Value;

use super::client::Registry;
use crate::error::Error;
use crate::exit::Exit;

/// The most of a refusal's text that is shown, in characters.
const SHOWN: usize = 500;

#[derive(Debug)]
pub(crate) enum Failure {
    /// No answer, or half of one; the chain of causes, outermost first.
    Unanswered(Vec<String>),
    /// The registry's own words.
    Refused { status: StatusCode, text: String },
    /// An answer that cannot be followed.
    Strange(String),
    /// Other bytes than the digest says.
    Altered(String),
}

impl Failure {
    pub(super) fn unanswered(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next {
            causes.push(error.to_string());
            next = error.source();
        }
        // The client's own layer says nothing that a person needs.
        if causes.len() > 1 && causes[0].starts_with("client error (") {
            causes.remove(0);
        }
        Self::Unanswered(causes)
    }

    pub(super) fn refused(status: StatusCode, body: &[u8]) -> Self {
        let text = said(body).unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
        Self::Refused { status, text: text.chars().take(SHOWN).collect() }
    }

    pub(super) fn other_bytes(digest: &str) -> Self {
        Self::Altered(format!("it delivers other bytes than those of {digest}"))
    }

    /// Whether another attempt may well go better.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Refused { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Strange(_) | Self::Altered(_) => false,
        }
    }

    pub(crate) fn is_bad_login(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. })
    }

    /// An error of ours; `doing` completes "cannot …".
    pub(crate) fn during(self, registry: &Registry, doing: &str) -> Error {
        let host = registry.host();
        let error = Error::new(Exit::Registry, format!("cannot {doing}"));
        match self {
            Self::Unanswered(causes) => {
                let error = error.cause(format!("the registry {host} does not answer"));
                let error = causes.into_iter().fold(error, Error::cause).transient();
                if registry.is_on_loopback() {
                    error.hint(format!("check that something still listens on {host}, then run it again"))
                } else {
                    error.hint("check the network, and HTTPS_PROXY where it needs a proxy, then run it again")
                }
            }
            Self::Refused { status, text } if text.contains("authorization token has expired") => error
                .cause(format!("the registry {host} answers {status} {text}").trim_end())
                .hint("the login that ECR gave for this run has ended; what has arrived stays: run it again"),
            Self::Refused { status, text } if failure_of_permission(status) && !registry.is_on_loopback() => error
                .cause(format!("the registry {host} answers {status} {text}").trim_end())
                .hint(
                    "the identity has to be allowed to read (ecr:BatchGetImage, ecr:GetDownloadUrlForLayer) or to push \
                     there, by its own policy and, from another account, by the repository's",
                ),
            failure @ Self::Refused { .. } if failure.is_bad_login() => error
                .cause(format!("the registry {host} refuses the login of `{}`", registry.username()))
                .hint("the login is what ecr:GetAuthorizationToken gave: whoever answers it has to know the registry's password"),
            Self::Refused { status, text } => {
                let hint = hint(status, &text);
                let error = error.cause(format!("the registry {host} answers {status} {text}").trim_end());
                let error = if status.is_server_error() { error.transient() } else { error };
                hint.into_iter().fold(error, Error::hint)
            }
            Self::Altered(what) => error
                .cause(format!("the registry {host} cannot be trusted with this image"))
                .cause(what)
                .hint("nothing of it is used; push the image again, and look for what changes it on its way"),
            Self::Strange(what) => error
                .cause(format!("the registry {host} is not understood"))
                .cause(what)
                .hint("let the registry name itself by the address that it is reached at"),
        }
    }
}

/// ECR answers `HEAD` without a body, and so without words.
fn failure_of_permission(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Code and message of an OCI error body.
fn said(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let first = body.get("errors")?.as_array()?.first()?;
    let member = |name| first.get(name).and_then(Value::as_str).unwrap_or_default();
    Some(format!("{}: {}", member("code"), member("message")))
}

fn hint(status: StatusCode, text: &str) -> Option<&'static str> {
    let said = |code: &str| text.starts_with(code);
    if said("NAME_UNKNOWN") {
        return Some("create the repository, or correct `repository`, the account and the region");
    }
    if said("TAG_INVALID") {
        return Some(
            "the repository does not let this tag move: set its tag mutability to MUTABLE, or exclude `latest` from immutability",
        );
    }
    match status {
        StatusCode::METHOD_NOT_ALLOWED => Some("the registry is read-only: let it take pushes"),
        StatusCode::TOO_MANY_REQUESTS => Some("the registry has had too many requests: run again in a minute"),
        StatusCode::PAYLOAD_TOO_LARGE => {
            Some("a proxy before the registry limits the size of a request: raise that limit")
        }
        _ if status.is_server_error() => Some("see the registry's own log; its disk may be full"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::Failure;
    use crate::exit::Exit;
    use crate::registry::Registry;
    use crate::secret::Secret;

    /// In ECR's words.
    const EXPIRED: &str = r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#;

    #[test]
    fn every_failure_says_which_registry_and_what_to_do() {
        let registry = Registry::new("127.0.0.1:5000", "AWS", &Secret::new("hidden-password"));
        let refused =
            |status: u16, body: &str| Failure::refused(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        let name = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}"#;
        for (failure, cause, hint) in [
            (refused(401, ""), "refuses the login of `AWS`", "ecr:GetAuthorizationToken"),
            (refused(404, name), "NAME_UNKNOWN: no such repository", "create the repository"),
            (refused(403, EXPIRED), "has expired", "run it again"),
            (refused(405, ""), "answers 405", "read-only"),
            (refused(500, "no space left"), "no space left", "disk may be full"),
            (Failure::Unanswered(vec!["connection refused".into()]), "does not answer: connection refused", "listens"),
            (Failure::Strange("it leads on".into()), "it leads on", "name itself"),
        ] {
            let error = failure.during(&registry, "send a layer");
            assert_eq!(error.exit(), Exit::Registry);
            assert!(error.line().contains("127.0.0.1:5000"), "{error}");
            assert!(error.line().contains(cause), "{error}");
            assert!(error.hints()[0].contains(hint), "{:?}", error.hints());
            assert!(!format!("{error:?}").contains("hidden-password"));
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (status, again) in [(500, true), (503, true), (429, true), (400, false), (401, false), (404, false)] {
            let failure = Failure::refused(StatusCode::from_u16(status).unwrap(), b"");
            assert_eq!(failure.may_pass(), again, "{status}");
        }
        assert!(Failure::Unanswered(Vec::new()).may_pass());
    }
}
