//! XML as S3 writes and reads it.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use jiff::Timestamp;

use crate::local::clock::Millis;
use crate::local::ids;
use crate::local::wire::fault::{Fault, escape_xml, respond};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

pub(super) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape_xml(text))
}

/// An answer with this root.
pub(super) fn answer(root: &str, inside: &str) -> Response<Body> {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{NAMESPACE}\">{inside}</{root}>");
    respond(StatusCode::OK, &[("content-type", "application/xml"), ("x-amz-request-id", &ids::uuid())], body)
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    respond(status, &[("x-amz-request-id", &ids::uuid())], Body::empty())
}

/// A refusal. The answer to a HEAD has no body, whatever it is. `region` is the bucket's, where it is another one's.
pub(super) fn refuse(fault: Fault, path: &str, head: bool, region: Option<&str>) -> Response<Body> {
    let fault = in_words_of_s3(fault);
    let id = ids::uuid();
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = vec![("content-type", "application/xml"), ("x-amz-request-id", &*id)];
    headers.extend(region.map(|region| ("x-amz-bucket-region", region)));
    let body = match head {
        true => Body::empty(),
        false => Body::from(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{}{}{}{}</Error>",
            element("Code", &fault.code),
            element("Message", &fault.message),
            element("Resource", path),
            element("RequestId", &id)
        )),
    };
    respond(status, &headers, body)
}

/// What the other services call otherwise.
fn in_words_of_s3(fault: Fault) -> Fault {
    let (status, code) = match fault.code.as_ref() {
        "AccessDeniedException" | "MissingAuthenticationTokenException" => (403, "AccessDenied"),
        "UnrecognizedClientException" => (403, "InvalidAccessKeyId"),
        "ExpiredTokenException" => (400, "ExpiredToken"),
        "ThrottlingException" => (503, "SlowDown"),
        "ServerException" | "InternalServerError" => (500, "InternalError"),
        _ => return fault,
    };
    Fault { status, code: code.into(), message: fault.message }
}

pub(super) fn time(at: Millis) -> String {
    Timestamp::from_millisecond(at).map_or_else(|_| String::new(), |at| at.strftime("%FT%T.000Z").to_string())
}

/// As HTTP's headers have it.
pub(super) fn date(at: Millis) -> String {
    let at = Timestamp::from_millisecond(at).unwrap_or_default();
    at.strftime("%a, %d %b %Y %T GMT").to_string()
}

/// What stands in every element of that name, as it is written. Elements of the same name are never nested in what S3
/// takes.
pub(super) fn inside<'x>(xml: &'x str, name: &str) -> Vec<&'x str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some((_, after)) = rest.split_once(&open) {
        let Some((text, after)) = after.split_once(&close) else { break };
        found.push(text);
        rest = after;
    }
    found
}

/// The text of the first element of that name.
pub(super) fn text(xml: &str, name: &str) -> Option<String> {
    let text = inside(xml, name).first()?.trim().to_owned();
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    Some(plain.iter().fold(text, |text, (escaped, plain)| text.replace(escaped, plain)))
}

#[cfg(test)]
mod tests {
    use super::{date, inside, text, time};

    #[test]
    fn elements_are_read() {
        let xml = "<A><Part><ETag>&quot;x&quot;</ETag></Part><Part><ETag>y &amp;lt;</ETag></Part></A>";
        let parts = inside(xml, "Part");
        assert_eq!(parts.len(), 2);
        assert_eq!(text(parts[0], "ETag").as_deref(), Some("\"x\""));
        assert_eq!(text(parts[1], "ETag").as_deref(), Some("y &lt;"));
        assert_eq!(text(xml, "None"), None);
    }

    #[test]
    fn times_are_written_in_two_ways() {
        assert_eq!(time(784_111_777_000), "1994-11-06T08:49:37.000Z");
        assert_eq!(date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
