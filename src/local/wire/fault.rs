//! An answer that is an error, and how each protocol writes it: JSON 1.1, query/XML and OCI distribution.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use serde_json::json;

use crate::local::ids;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    /// The exception's name as the service model has it, or an OCI error code.
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
}

pub(crate) type Answered<T> = Result<T, Fault>;

impl Fault {
    /// A refusal of the caller's request: HTTP 400, which AWS uses for nearly all of them in JSON 1.1.
    pub(crate) fn client(code: &'static str, message: impl Into<String>) -> Self {
        Self::with_status(400, code, message)
    }

    pub(crate) fn with_status(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code: Cow::Borrowed(code), message: message.into() }
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::client("InvalidParameterException", message)
    }

    /// The stand-in itself could not do it.
    pub(crate) fn server(error: &dyn std::fmt::Display) -> Self {
        Self::with_status(500, "ServerException", format!("the stand-in failed: {error}"))
    }

    pub(crate) fn unknown_operation(operation: &str) -> Self {
        Self::client("UnknownOperationException", format!("the stand-in does not know the operation {operation}"))
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn into_json(self) -> Response<Body> {
        let body = json!({"__type": self.code, "message": self.message}).to_string();
        respond(
            self.status(),
            &[
                (header::CONTENT_TYPE.as_str(), "application/x-amz-json-1.1"),
                ("x-amzn-errortype", &self.code),
                ("x-amzn-requestid", &ids::uuid()),
            ],
            body,
        )
    }

    pub(crate) fn into_xml(self) -> Response<Body> {
        let id = ids::uuid();
        let kind = if self.status < 500 { "Sender" } else { "Receiver" };
        let body = format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>{kind}</Type><Code>{}</Code>\
             <Message>{}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
            escape_xml(&self.code),
            escape_xml(&self.message)
        );
        respond(self.status(), &[(header::CONTENT_TYPE.as_str(), "text/xml"), ("x-amzn-requestid", &id)], body)
    }

    pub(crate) fn into_oci(self) -> Response<Body> {
        let body = json!({"errors": [{"code": self.code, "message": self.message}]}).to_string();
        let mut headers = vec![
            (header::CONTENT_TYPE.as_str(), "application/json; charset=utf-8"),
            ("docker-distribution-api-version", "registry/2.0"),
        ];
        if self.status == 401 {
            headers.push((
                header::WWW_AUTHENTICATE.as_str(),
                "Basic realm=\"shipit local\",service=\"ecr.amazonaws.com\"",
            ));
        }
        respond(self.status(), &headers, body)
    }
}

/// A response of the stand-in. A header that cannot be sent (a control character in a name that came from outside) is
/// left out.
pub(crate) fn respond(status: StatusCode, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (header::HeaderName::try_from(*name), header::HeaderValue::try_from(*value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

pub(crate) fn escape_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::Fault;

    #[test]
    fn the_error_type_of_a_json_answer_is_in_the_header_and_in_the_body() {
        let response = Fault::client("ServiceNotFoundException", "Service not found.").into_json();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["x-amzn-errortype"], "ServiceNotFoundException");
    }

    #[test]
    fn a_refused_login_says_how_to_log_in() {
        let response = Fault::with_status(401, "UNAUTHORIZED", "no").into_oci();
        assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    }
}
