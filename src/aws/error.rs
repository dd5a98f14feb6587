//! What an AWS call's failure means for the person in front of the screen.

use aws_sdk_ecs::error::{ConnectorError, DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::remembered::told;
use crate::error::Error;
use crate::exit::Exit;

/// The failure of `action` (`ecs:DescribeServices`), with AWS's code and words and a hint for the usual causes.
pub(super) fn aws<E>(action: &str, error: &SdkError<E>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let failure = unhinted(action, error);
    if !failure.hints().is_empty() {
        return failure;
    }
    match hint(action, error.code(), error) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The same for a caller who has a better hint. One that was given on the way to credentials stays.
pub(super) fn unhinted<E>(action: &str, error: &SdkError<E>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    if let Some(told) = told(error) {
        return told.clone();
    }
    let code = error.code();
    let failure = match (code, error.message()) {
        (Some(code), Some(message)) => {
            Error::new(Exit::Aws, format!("AWS refused {action}")).cause(format!("{code}: {message}"))
        }
        (Some(code), None) => Error::new(Exit::Aws, format!("AWS refused {action}")).cause(code),
        _ => Error::new(Exit::Aws, format!("{action} got no answer from AWS")).cause(words(error)),
    };
    if is_transient(error, code) { failure.transient() } else { failure }
}

/// Whether asking again may well work: throttling, a server's fault, a connection that broke, also on the way to new
/// credentials. Credentials that have expired stay expired.
fn is_transient<E>(error: &SdkError<E>, code: Option<&str>) -> bool
where
    E: std::error::Error + Send + Sync + 'static,
{
    match code {
        Some(code) if is_throttling(code) => true,
        Some(code) if is_expiry(code) => false,
        _ => is_ambiguous(error) || is_broken_connection(error),
    }
}

fn is_throttling(code: &str) -> bool {
    ["Throttl", "TooManyRequests", "RequestLimitExceeded", "SlowDown"].iter().any(|word| code.contains(word))
}

fn is_expiry(code: &str) -> bool {
    matches!(code, "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" | "InvalidIdentityToken")
}

/// Looks through the chain for a failure of the network: the SDK words it differently for each of its layers.
fn is_broken_connection(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable,
        TimedOut, UnexpectedEof,
    };
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                BrokenPipe
                    | ConnectionAborted
                    | ConnectionRefused
                    | ConnectionReset
                    | HostUnreachable
                    | NetworkUnreachable
                    | TimedOut
                    | UnexpectedEof
            );
        }
        next = error.source();
    }
    false
}

/// Whether the call may have taken effect although no answer came: a time-out, a broken connection, a 5xx.
pub(super) fn is_ambiguous<E>(error: &SdkError<E>) -> bool {
    let status = error.raw_response().map(|response| response.status().as_u16());
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => {
            failure.is_timeout() || failure.is_io() || failure.as_connector_error().is_some_and(broke_on_the_way)
        }
        SdkError::ServiceError(_) => status.is_some_and(|status| status >= 500),
        _ => false,
    }
}

/// A connection that closes in place of an answer: the SDK knows it neither as a time-out nor as I/O. One that could
/// not be made, and a failure on the way to credentials, are none: then nothing was sent.
fn broke_on_the_way(error: &ConnectorError) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<hyper_util::client::legacy::Error>());
    cause.is_some_and(|cause| !cause.is_connect())
}

fn words<E>(error: &SdkError<E>) -> String
where
    E: std::error::Error + Send + Sync + 'static,
{
    chain(error).join(": ")
}

/// What each error of the chain says, without what one only repeats of the one above.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !texts.iter().any(|above| above.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts
}

fn hint<E>(action: &str, code: Option<&str>, error: &SdkError<E>) -> Option<String>
where
    E: std::error::Error + Send + Sync + 'static,
{
    Some(match code {
        Some("AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation") => {
            format!("allow {action} for this identity; `shipit doctor --iam-policy` prints the whole policy")
        }
        Some(code) if is_expiry(code) => {
            "the credentials have expired: log in again (`aws sso login`), or check the clock of this machine"
                .to_owned()
        }
        Some(
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch",
        ) => "the access key is unknown or its secret is wrong: check AWS_ACCESS_KEY_ID, AWS_PROFILE and the account"
            .to_owned(),
        Some("ThrottlingException" | "Throttling") => {
            "AWS is throttling this account: run it again in a minute".to_owned()
        }
        Some("ClusterNotFoundException") => "check `cluster` and the region in deploy.yaml".to_owned(),
        Some("ServiceNotFoundException") => "check `service`, `cluster` and the region in deploy.yaml".to_owned(),
        Some(_) => return None,
        None => {
            let text = DisplayErrorContext(error).to_string();
            if text.contains("ExpiredToken") || text.contains("has expired") {
                "the credentials have expired and could not be renewed: log in again, or give the pipeline's token and \
                 role session more time"
                    .to_owned()
            } else if text.contains("redentials") {
                "no usable AWS credentials: set AWS_PROFILE, log in (`aws sso login`), or give the pipeline a role"
                    .to_owned()
            } else if text.contains("dns")
                || text.contains("Connect")
                || text.contains("connect")
                || text.contains("timeout")
            {
                "check the network, HTTPS_PROXY and NO_PROXY, the region and AWS_ENDPOINT_URL".to_owned()
            } else {
                return None;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{aws, is_ambiguous};
    use aws_sdk_ecs::config::http::HttpResponse;
    use aws_sdk_ecs::error::{ConnectorError, ErrorMetadata, SdkError};
    use aws_sdk_ecs::operation::describe_services::DescribeServicesError;
    use std::io;

    type Failed = SdkError<DescribeServicesError>;

    fn refused(status: u16, code: &str) -> Failed {
        let metadata = ErrorMetadata::builder().code(code).message("said ECS").build();
        let response = HttpResponse::new(status.try_into().unwrap(), "".into());
        SdkError::service_error(DescribeServicesError::generic(metadata), response)
    }

    /// A failure on the way to credentials: the SDK wraps the cause, and calls it neither a time-out nor I/O.
    fn credentials(cause: impl std::error::Error + Send + Sync + 'static) -> Failed {
        SdkError::dispatch_failure(ConnectorError::other(Box::new(cause), None))
    }

    #[test]
    fn only_what_may_pass_by_itself_is_transient() {
        let io = |kind| io::Error::new(kind, "broken");
        let cases = [
            (refused(400, "ThrottlingException"), true),
            (refused(400, "Throttling"), true),
            (refused(503, "ServiceUnavailable"), true),
            (refused(500, "ServerException"), true),
            (SdkError::timeout_error("late"), true),
            (SdkError::dispatch_failure(ConnectorError::io("reset".into())), true),
            (credentials(io(io::ErrorKind::ConnectionRefused)), true),
            (credentials(io(io::ErrorKind::NotFound)), false),
            (credentials(io::Error::other("ExpiredTokenException: the token has expired")), false),
            (refused(400, "ExpiredTokenException"), false),
            (refused(403, "ExpiredToken"), false),
            (refused(400, "AccessDeniedException"), false),
            (refused(400, "UnrecognizedClientException"), false),
            (refused(400, "ClusterNotFoundException"), false),
        ];
        for (error, expected) in cases {
            let said = aws("ecs:DescribeServices", &error);
            assert_eq!(said.is_transient(), expected, "{}", said.line());
        }
    }

    #[test]
    fn an_expiry_says_what_to_do_in_either_layer() {
        let lost = credentials(io::Error::other("ExpiredTokenException: the token has expired"));
        for error in [refused(400, "ExpiredTokenException"), lost] {
            let said = aws("ecs:DescribeServices", &error);
            assert!(
                said.hints().iter().any(|hint| hint.contains("expired") && hint.contains("log in again")),
                "{said}"
            );
        }
    }

    #[test]
    fn a_call_without_credentials_was_never_sent() {
        assert!(!is_ambiguous(&credentials(io::Error::from(io::ErrorKind::ConnectionRefused))));
    }
}
