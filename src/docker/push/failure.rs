//! A refused push in words, with what usually helps. The texts are those of dockerd, ECR and Docker's own registry.

use crate::docker::http::{RequestError, plugin_hint};
use crate::error::Error;
use crate::exit::Exit;

/// The engine did not even begin.
pub(super) fn refused(reference: &str, error: RequestError) -> Error {
    match error {
        RequestError::Refused { message, .. } if !message.is_empty() => explain(reference, &message),
        other => other.during(Exit::Registry, format!("cannot push {reference}")),
    }
}

pub(super) fn explain(reference: &str, message: &str) -> Error {
    let error = Error::new(Exit::Registry, format!("cannot push {reference}")).cause(message.trim());
    match hint(reference, message) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Whether the same push may well work in a moment: the registry is throttling or failed by its own fault.
pub(super) fn may_pass(message: &str) -> bool {
    [
        "toomanyrequests",
        "Too Many Requests",
        "Rate exceeded",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
        "connection reset by peer",
    ]
    .iter()
    .any(|text| message.contains(text))
}

fn hint(reference: &str, message: &str) -> Option<String> {
    let said = |text: &str| message.contains(text);
    if let Some(hint) = plugin_hint(message) {
        return Some(hint);
    }
    if let Some(action) = denied_action(message) {
        return Some(format!("allow `{action}` on this repository in the policy of that identity"));
    }
    let hint = if said("authorization token has expired") {
        "run again: the registry login lives for twelve hours"
    } else if said("no basic auth credentials") {
        "the engine has no login for this host: check that region and account are those of the repository"
    } else if said("name unknown") || said("does not exist in the registry") || said("repository does not exist") {
        "create the repository, or correct `repository`, the account and the region"
    } else if said("tag invalid") || said("is immutable") || said("cannot be overwritten") {
        "the repository does not let this tag move: set its tag mutability to MUTABLE, or exclude `latest` from immutability"
    } else if said("toomanyrequests") || said("ThrottlingException") || said("Rate exceeded") {
        "the registry has had too many requests: run again in a minute"
    } else if said("server gave HTTP response to HTTPS client") {
        "the registry speaks plain HTTP: name it under `insecure-registries` of the engine, or give it TLS"
    } else if said("x509:") || said("certificate signed by unknown authority") {
        "the engine does not trust the registry's certificate: put its CA under /etc/docker/certs.d/HOST/ca.crt"
    } else if said("connection refused") && is_loopback(reference) {
        "the engine has another loopback than this process: it runs in a virtual machine or on another host"
    } else if said("connection refused") || said("no such host") || said("i/o timeout") || said("no route to host") {
        "the engine does not reach the registry: check its network, proxy and DNS settings"
    } else if said("403 Forbidden") || said("unexpected end of JSON input") {
        "a 403 with no text is most often a missing `ecr:BatchCheckLayerAvailability` or `ecr:BatchGetImage`"
    } else if said("unauthorized") || said("401 Unauthorized") || said("authentication required") {
        "the registry refused the login: check the account and the region of the credentials"
    } else if said("tag does not exist") || said("does not exist locally") || said("No such image") {
        "the image went away between build and push: run again, and keep other clean-up jobs off this engine"
    } else if said("EOF") {
        "the connection broke while sending, or `ecr:InitiateLayerUpload` is not allowed"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// The action that IAM names: `… is not authorized to perform: ecr:PutImage on resource: …`.
fn denied_action(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    rest.split_whitespace().next()
}

fn is_loopback(reference: &str) -> bool {
    let host = reference.split('/').next().unwrap_or_default();
    host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
}

#[cfg(test)]
mod tests {
    use super::{explain, may_pass};
    use crate::exit::Exit;

    #[test]
    fn only_what_passes_by_itself_is_pushed_again() {
        for (message, expected) in [
            ("toomanyrequests: Rate exceeded", true),
            ("received unexpected HTTP status: 503 Service Unavailable", true),
            ("write: connection reset by peer", true),
            ("denied: User: x is not authorized to perform: ecr:PutImage on resource: r", false),
            ("name unknown: The repository with name 'r' does not exist", false),
            ("tag invalid: it is immutable", false),
        ] {
            assert_eq!(may_pass(message), expected, "{message}");
        }
    }

    #[test]
    fn the_usual_refusals_have_a_hint() {
        for (message, expected) in [
            ("denied: Your authorization token has expired. Reauthenticate and try again.", "twelve hours"),
            (
                "denied: User: arn:aws:iam::1:user/x is not authorized to perform: ecr:InitiateLayerUpload on resource: r \
                 because no identity-based policy allows the ecr:InitiateLayerUpload action",
                "`ecr:InitiateLayerUpload`",
            ),
            (
                "name unknown: The repository with name 'r' does not exist in the registry with id '1'",
                "create the repository",
            ),
            (
                "tag invalid: The image tag 'latest' already exists in the 'r' repository and cannot be overwritten because \
                 the tag is immutable.",
                "tag mutability",
            ),
            ("unknown: unexpected status from HEAD request to https://x: 403 Forbidden", "BatchCheckLayerAvailability"),
            ("Error parsing HTTP response: unexpected end of JSON input: \"\"", "BatchCheckLayerAvailability"),
            ("no basic auth credentials", "no login for this host"),
            ("unauthorized: authentication required", "refused the login"),
            ("http: server gave HTTP response to HTTPS client", "insecure-registries"),
            ("Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused", "virtual machine"),
            ("toomanyrequests: Rate exceeded", "in a minute"),
            ("authorization denied by plugin pipelines: ", "Bitbucket"),
        ] {
            let error = explain("127.0.0.1:1/r:latest", message);
            assert_eq!(error.exit(), Exit::Registry);
            assert!(error.hints()[0].contains(expected), "{message}: {:?}", error.hints());
        }
    }
}
