//! Who calls: the access key of a signed request, looked up among those that the stand-in gave out. The signature
//! itself is not verified; the key decides the account, the credential scope decides the region.

use std::collections::HashMap;

use axum::http::{HeaderMap, header};

use super::fault::{Answered, Fault};
use crate::local::clock::Millis;
use crate::local::place::Place;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) place: Place,
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

/// An assumed role.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) account: String,
    pub(crate) arn: String,
    pub(crate) user_id: String,
    pub(crate) expires_at: Millis,
}

/// What may sign: the credentials of the state, and the sessions given out since the process started.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) account: String,
    pub(crate) access_key: String,
    pub(crate) sessions: HashMap<String, Session>,
}

impl Keys {
    /// # Errors
    /// As AWS words them: no signature, an unknown key, an expired session.
    pub(crate) fn caller(&self, headers: &HeaderMap, now: Millis) -> Answered<Caller> {
        let (key, region) = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(credential_scope)
            .ok_or_else(|| Fault::client("MissingAuthenticationTokenException", "Missing Authentication Token"))?;
        if key == self.access_key {
            return Ok(Caller {
                place: Place::new(&self.account, region),
                arn: format!("arn:aws:iam::{}:user/local", self.account),
                user_id: "AIDASHIPITLOCAL".to_owned(),
            });
        }
        let session = self.sessions.get(key).ok_or_else(|| {
            Fault::client("UnrecognizedClientException", "The security token included in the request is invalid.")
        })?;
        if session.expires_at <= now {
            return Err(Fault::client(
                "ExpiredTokenException",
                "The security token included in the request is expired",
            ));
        }
        Ok(Caller {
            place: Place::new(&session.account, region),
            arn: session.arn.clone(),
            user_id: session.user_id.clone(),
        })
    }
}

/// Access key and region of an `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, …` header.
fn credential_scope(authorization: &str) -> Option<(&str, &str)> {
    let parameters = authorization.strip_prefix("AWS4-HMAC-SHA256")?;
    let credential = parameters.split(',').find_map(|parameter| parameter.trim().strip_prefix("Credential="))?;
    let mut scope = credential.split('/');
    let key = scope.next()?;
    let region = scope.nth(1)?;
    (scope.nth(1)? == "aws4_request").then_some((key, region))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::http::HeaderMap;

    use super::{Keys, Session};

    fn keys() -> Keys {
        let session = Session {
            account: "210987654321".into(),
            arn: "arn:aws:sts::210987654321:assumed-role/deploy/me".into(),
            user_id: "AROA:me".into(),
            expires_at: 1000,
        };
        Keys {
            account: "123456789012".into(),
            access_key: "AKIA1".into(),
            sessions: HashMap::from([("ASIA1".to_owned(), session)]),
        }
    }

    fn signed(key: &str) -> HeaderMap {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/eu-west-1/ecs/aws4_request, SignedHeaders=host, Signature=0"
        );
        HeaderMap::from_iter([(axum::http::header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn the_key_decides_the_account_and_the_scope_the_region() {
        let caller = keys().caller(&signed("AKIA1"), 0).unwrap();
        assert_eq!((caller.place.account.as_str(), caller.place.region.as_str()), ("123456789012", "eu-west-1"));
        assert_eq!(keys().caller(&signed("ASIA1"), 0).unwrap().place.account, "210987654321");
    }

    #[test]
    fn refusals_are_told_apart() {
        let code = |headers: &HeaderMap, now| keys().caller(headers, now).unwrap_err().code;
        assert_eq!(code(&HeaderMap::new(), 0), "MissingAuthenticationTokenException");
        assert_eq!(code(&signed("AKIA2"), 0), "UnrecognizedClientException");
        assert_eq!(code(&signed("ASIA1"), 1000), "ExpiredTokenException");
    }
}
