//! The OIDC token that a pipeline gives to a step, and what can be read in it without its key. It is passed to STS and
//! to nobody else, and is never written to a file.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

use super::github;
use crate::error::Error;
use crate::registry::Proxies;
use crate::secret::Secret;
use crate::vars::{TOKENS, Vars};

/// Bitbucket sets it in a step with `oidc: true`.
const BITBUCKET: &str = "BITBUCKET_STEP_OIDC_TOKEN";

/// For every pipeline that lets its author name the variable, as GitLab's `id_tokens` does.
pub(crate) const ANY: &str = "SHIPIT_ID_TOKEN";

/// GitHub gives no token but a place to ask for one.
const GITHUB_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const GITHUB_BEARER: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

#[derive(Clone, Debug)]
pub(crate) enum Token {
    /// It is there from the start and lasts as long as it lasts.
    Given { variable: &'static str, value: Secret },
    /// A new one can be asked for as long as the job runs.
    GitHub { url: String, bearer: Secret, proxies: Proxies },
}

impl Token {
    pub(crate) fn of(vars: &Vars) -> Option<Self> {
        let given = [ANY, BITBUCKET].into_iter().find_map(|variable| {
            // A line's end, as `echo` leaves it, is no part of the token.
            let value = Secret::new(vars.get(variable)?.trim());
            Some(Self::Given { variable, value })
        });
        given.or_else(|| {
            let (url, bearer) = (vars.get(GITHUB_URL)?.to_owned(), Secret::new(vars.get(GITHUB_BEARER)?));
            Some(Self::GitHub { url, bearer, proxies: Proxies::of(vars) })
        })
    }

    /// The variable that it is known by.
    pub(crate) fn variable(&self) -> &'static str {
        match self {
            Self::Given { variable, .. } => variable,
            Self::GitHub { .. } => GITHUB_URL,
        }
    }

    /// # Errors
    /// GitHub does not give one ([`crate::exit::Exit::Aws`]).
    pub(super) async fn value(&self) -> Result<Secret, Error> {
        match self {
            Self::Given { value, .. } => Ok(value.clone()),
            Self::GitHub { url, bearer, proxies } => github::token(url, bearer, proxies).await,
        }
    }
}

/// The values that must not be read in any output.
pub(crate) fn secrets(vars: &Vars) -> Vec<Secret> {
    TOKENS.into_iter().filter_map(|name| vars.get(name)).map(Secret::new).collect()
}

/// What a token says about itself. Nothing of it is believed: STS is the judge, and this is for words and warnings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Claims {
    /// Of what is no JWT nothing is known.
    pub(crate) fn of(token: &str) -> Self {
        let payload = token.trim().split('.').nth(1).unwrap_or_default();
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).unwrap_or_default();
        let claims: Value = serde_json::from_slice(&payload).unwrap_or_default();
        let text = |name: &str| match &claims[name] {
            Value::String(text) => Some(text.clone()),
            Value::Array(several) => several.first().and_then(Value::as_str).map(str::to_owned),
            _ => None,
        };
        Self {
            issuer: text("iss"),
            audience: text("aud"),
            subject: text("sub"),
            expires_at: claims["exp"].as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::{Claims, Token, secrets};
    use crate::vars::Vars;

    #[test]
    fn what_a_token_says_is_read_and_garbage_says_nothing() {
        let payload = r#"{"iss":"https://issuer","aud":["a","b"],"sub":"me","exp":1000}"#;
        let claims = Claims::of(&format!("x.{}.y\n", BASE64_URL_SAFE_NO_PAD.encode(payload)));
        assert_eq!(claims.issuer.as_deref(), Some("https://issuer"));
        assert_eq!((claims.audience.as_deref(), claims.subject.as_deref()), (Some("a"), Some("me")));
        assert_eq!(claims.expires_at.map(jiff::Timestamp::as_second), Some(1000));
        for garbage in ["", "a", "a.b.c", "a..c"] {
            assert_eq!(Claims::of(garbage), Claims::default(), "{garbage}");
        }
    }

    #[test]
    fn the_token_is_found_and_not_shown() {
        let found = |pairs: &[(&str, &str)]| {
            let vars: Vars = pairs.iter().copied().collect();
            (Token::of(&vars).map(|token| format!("{token:?}")), secrets(&vars).len())
        };
        assert_eq!(found(&[]), (None, 0));
        assert_eq!(found(&[("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x")]), (None, 0));
        for pairs in [
            [("BITBUCKET_STEP_OIDC_TOKEN", "hunter22"), ("X", "y")],
            [("SHIPIT_ID_TOKEN", "hunter22"), ("X", "y")],
            [("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x"), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "hunter22")],
        ] {
            let (token, hidden) = found(&pairs);
            assert!(token.is_some_and(|token| !token.contains("hunter22")), "{pairs:?}");
            assert_eq!(hidden, 1);
        }
    }
}
