//! STS: who is calling, and roles to become. A role can be assumed in every account that the stand-in keeps something
//! for; there are no policies.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::clock::Millis;
use super::ids;
use super::wire::caller::{Caller, Keys, Session};
use super::wire::fault::{Answered, Fault};

/// Seconds that a session lasts unless the caller says otherwise.
const SESSION: i64 = 3600;

/// The longest session, in seconds.
const LONGEST_SESSION: i64 = 43_200;

pub(crate) fn identity(caller: &Caller) -> Value {
    json!({"Arn": caller.arn, "UserId": caller.user_id, "Account": caller.place.account})
}

/// `lasts`: seconds, in place of what was asked for.
///
/// # Errors
/// `AccessDenied` for a role of an account that nothing is kept for.
pub(crate) fn assume_role(
    keys: &mut Keys,
    caller: &Caller,
    form: &BTreeMap<String, String>,
    known: impl Fn(&str) -> bool,
    lasts: Option<i64>,
    now: Millis,
) -> Answered<Value> {
    let arn = required(form, "RoleArn")?;
    let role = role(arn).filter(|(account, _)| known(account)).ok_or_else(|| {
        Fault::with_status(
            403,
            "AccessDenied",
            format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}", caller.arn),
        )
    })?;
    open_session(keys, role, form, lasts, now)
}

/// `lasts`: seconds, in place of what was asked for.
///
/// # Errors
/// `InvalidIdentityToken` for a token that is no JWT, `ExpiredTokenException` for one that has expired, `AccessDenied`
/// for a role that is not known.
pub(crate) fn assume_role_with_web_identity(
    keys: &mut Keys,
    form: &BTreeMap<String, String>,
    known: impl Fn(&str) -> bool,
    lasts: Option<i64>,
    now: Millis,
) -> Answered<Value> {
    let arn = required(form, "RoleArn")?;
    let claims = claims(required(form, "WebIdentityToken")?.trim()).ok_or_else(|| {
        Fault::client(
            "InvalidIdentityToken",
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        )
    })?;
    if claims.get("exp").and_then(Value::as_i64).is_some_and(|until| until * 1000 <= now) {
        return Err(Fault::client("ExpiredTokenException", "Token expired"));
    }
    let role = role(arn).filter(|(account, _)| known(account)).ok_or_else(|| {
        Fault::with_status(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    })?;
    let mut answer = open_session(keys, role, form, lasts, now)?;
    for (member, claim) in [("SubjectFromWebIdentityToken", "sub"), ("Audience", "aud"), ("Provider", "iss")] {
        if let Some(text) = claims.get(claim).and_then(Value::as_str) {
            answer[member] = json!(text);
        }
    }
    Ok(answer)
}

fn required<'a>(form: &'a BTreeMap<String, String>, name: &str) -> Answered<&'a str> {
    form.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or_else(|| {
        Fault::client(
            "ValidationError",
            format!(
                "1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must not be null"
            ),
        )
    })
}

/// Account and name of a role's ARN.
fn role(arn: &str) -> Option<(&str, &str)> {
    let (account, path) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    Some((account, name))
}

/// The claims of a token in three parts. Its signature cannot be verified: the key is with its issuer.
fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let decode = |part: &str| -> Option<Value> {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?).ok()
    };
    decode(header).filter(|header| header.get("alg").is_some())?;
    let claims = decode(payload).filter(Value::is_object)?;
    (!signature.is_empty() && parts.next().is_none()).then_some(claims)
}

fn open_session(
    keys: &mut Keys,
    (account, role): (&str, &str),
    form: &BTreeMap<String, String>,
    lasts: Option<i64>,
    now: Millis,
) -> Answered<Value> {
    let name = required(form, "RoleSessionName")?;
    let seconds = form.get("DurationSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(SESSION);
    let expires_at = now + lasts.unwrap_or_else(|| seconds.clamp(900, LONGEST_SESSION)) * 1000;
    let key = ids::access_key("ASIA");
    let role_id = format!("AROA{}", ids::hex::<8>().to_uppercase());
    let session = Session {
        account: account.to_owned(),
        arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{name}"),
        user_id: format!("{role_id}:{name}"),
        expires_at,
    };
    let expiration = jiff::Timestamp::from_millisecond(expires_at).map(|at| format!("{at:.0}")).unwrap_or_default();
    let answer = json!({
        "Credentials": {
            "AccessKeyId": key,
            "SecretAccessKey": ids::token(),
            "SessionToken": ids::token(),
            "Expiration": expiration,
        },
        "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
    });
    keys.sessions.retain(|_, session| session.expires_at > now);
    keys.sessions.insert(key, session);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::{claims, role};

    #[test]
    fn garbage_is_no_token() {
        let part = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
        let good = format!("{}.{}.c2ln", part(r#"{"alg":"RS256"}"#), part(r#"{"sub":"x"}"#));
        assert_eq!(claims(&good).unwrap()["sub"], "x");
        for bad in ["", "garbage", "a.b.c", &format!("{}..x", part("{}")), &good[..good.len() - 4]] {
            assert!(claims(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn roles_have_an_account_and_a_name() {
        assert_eq!(role("arn:aws:iam::210987654321:role/ci/deploy"), Some(("210987654321", "deploy")));
        assert_eq!(role("arn:aws:iam::210987654321:user/x"), None);
        assert_eq!(role("deploy"), None);
    }
}
