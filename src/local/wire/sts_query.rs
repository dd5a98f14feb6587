//! STS over its query protocol: a form in, XML out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use serde_json::Value;

use super::fault::{Answered, Fault, escape_xml};
use super::journal::{Call, summary};
use super::{Dropped, router};
use crate::local::shared::{Shared, lock};
use crate::local::{clock, ids, sts};

pub(crate) async fn answer(shared: &Arc<Shared>, request: Request<Body>) -> Result<Response<Body>, Dropped> {
    let (parts, body) = request.into_parts();
    let form = match router::body(body).await {
        Ok(bytes) => form(&String::from_utf8_lossy(&bytes)),
        Err(fault) => return Ok(fault.into_xml()),
    };
    let operation = form.get("Action").cloned().unwrap_or_default();
    let action = format!("sts:{operation}");
    let hit = lock(&shared.injected).hit(&action, "", None);
    tokio::time::sleep(hit.delay).await;
    let answered = match hit.fault {
        _ if hit.drop => return Err(Dropped),
        Some(fault) if fault.status < 500 => Err(Fault { status: 403, ..fault }),
        Some(fault) => Err(fault),
        None => call(shared, &operation, &form, &parts.headers),
    };
    let noted: Value = form.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    let status = answered.as_ref().err().map_or(200, |fault| fault.status);
    lock(&shared.journal).record(Call { at: clock::now(), operation: action, status, input: summary(&noted) });
    Ok(match answered {
        Ok(result) => {
            let id = ids::uuid();
            let text = format!(
                "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{operation}Result>{}\
                 </{operation}Result><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>",
                elements(&result)
            );
            router::ok(&[("content-type", "text/xml"), ("x-amzn-requestid", &id)], text)
        }
        Err(fault) => fault.into_xml(),
    })
}

fn call(shared: &Shared, operation: &str, form: &BTreeMap<String, String>, headers: &HeaderMap) -> Answered<Value> {
    let now = clock::now();
    let lasts = lock(&shared.injected).script().session_seconds;
    match operation {
        "GetCallerIdentity" => Ok(sts::identity(&caller(shared, headers)?)),
        "AssumeRole" => {
            let caller = caller(shared, headers)?;
            let known = |account: &str| shared.read(|state| state.has_account(account));
            sts::assume_role(&mut lock(&shared.keys), &caller, form, known, lasts, now)
        }
        "AssumeRoleWithWebIdentity" => {
            let known = |account: &str| shared.read(|state| state.has_account(account));
            sts::assume_role_with_web_identity(&mut lock(&shared.keys), form, known, lasts, now)
        }
        _ => {
            Err(Fault::client("InvalidAction", format!("Could not find operation {operation} for version 2011-06-15")))
        }
    }
}

/// STS words its refusals of a signature in its own way.
fn caller(shared: &Shared, headers: &HeaderMap) -> Answered<super::caller::Caller> {
    lock(&shared.keys).caller(headers, clock::now()).map_err(|fault| {
        let code = match fault.code.as_ref() {
            "UnrecognizedClientException" => "InvalidClientTokenId",
            "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
            _ => "ExpiredToken",
        };
        Fault::with_status(403, code, fault.message)
    })
}

/// JSON objects and strings as nested elements.
fn elements(value: &Value) -> String {
    match value {
        Value::Object(members) => members.iter().fold(String::new(), |mut xml, (name, value)| {
            let _ = write!(xml, "<{name}>{}</{name}>", elements(value));
            xml
        }),
        Value::String(text) => escape_xml(text),
        other => other.to_string(),
    }
}

/// The pairs of an `application/x-www-form-urlencoded` body.
fn form(body: &str) -> BTreeMap<String, String> {
    body.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decode(name), decode(value))).collect()
}

/// Undoes percent-encoding; what is not a valid escape stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = tail
            .get(..2)
            .filter(|_| byte == b'%')
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        rest = if escaped.is_some() { &tail[2..] } else { tail };
        bytes.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{elements, form};

    #[test]
    fn forms_are_decoded() {
        let form = form("Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam&Name=a+b%&Broken");
        assert_eq!(form["RoleArn"], "arn:aws:iam");
        assert_eq!(form["Name"], "a b%");
    }

    #[test]
    fn answers_are_escaped() {
        let xml = elements(&serde_json::json!({"Arn": "<a&b>"}));
        assert_eq!(xml, "<Arn>&lt;a&amp;b&gt;</Arn>");
    }
}
