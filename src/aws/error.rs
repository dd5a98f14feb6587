//! What an AWS call's failure means for the person in front of the screen.

use aws_sdk_ecs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::error::Error;
use crate::exit::Exit;

/// The failure of `action` (`ecs:DescribeServices`), with AWS's code and words and a hint for the usual causes.
pub(super) fn aws<E>(action: &str, error: &SdkError<E>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let code = error.code();
    let failure = match (code, error.message()) {
        (Some(code), Some(message)) => {
            Error::new(Exit::Aws, format!("AWS refused {action}")).cause(format!("{code}: {message}"))
        }
        (Some(code), None) => Error::new(Exit::Aws, format!("AWS refused {action}")).cause(code),
        _ => Error::new(Exit::Aws, format!("{action} got no answer from AWS")).cause(words(error)),
    };
    let failure = if is_transient(error, code) { failure.transient() } else { failure };
    match hint(action, code, error) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Whether asking again may well work: throttling, a server's fault, a connection that broke.
fn is_transient<E>(error: &SdkError<E>, code: Option<&str>) -> bool {
    code.is_some_and(|code| code.contains("Throttl") || code.contains("TooManyRequests")) || is_ambiguous(error)
}

/// Whether the call may have taken effect although no answer came: a time-out, a broken connection, a 5xx.
pub(super) fn is_ambiguous<E>(error: &SdkError<E>) -> bool {
    let status = error.raw_response().map(|response| response.status().as_u16());
    match error {
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_timeout() || failure.is_io(),
        SdkError::ServiceError(_) => status.is_some_and(|status| status >= 500),
        _ => false,
    }
}

fn words<E>(error: &SdkError<E>) -> String
where
    E: std::error::Error + Send + Sync + 'static,
{
    // The debug part that the SDK appends after the chain is of no use to a person.
    let text = DisplayErrorContext(error).to_string();
    text.split(" (").next().unwrap_or(&text).to_owned()
}

fn hint<E>(action: &str, code: Option<&str>, error: &SdkError<E>) -> Option<String>
where
    E: std::error::Error + Send + Sync + 'static,
{
    Some(match code {
        Some("AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation") => {
            format!("allow {action} for this identity; the README has the whole policy")
        }
        Some("ExpiredTokenException" | "ExpiredToken" | "RequestExpired") => {
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
            if text.contains("redentials") {
                "no usable AWS credentials: set AWS_PROFILE, log in (`aws sso login`), or give the pipeline a role"
                    .to_owned()
            } else if text.contains("dns")
                || text.contains("Connect")
                || text.contains("connect")
                || text.contains("timeout")
            {
                "check the network, the region and AWS_ENDPOINT_URL".to_owned()
            } else {
                return None;
            }
        }
    })
}
