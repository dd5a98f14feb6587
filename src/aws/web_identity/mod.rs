//! Credentials for the OIDC token of a pipeline's step: `sts:AssumeRoleWithWebIdentity` with the token from memory, again
//! whenever the session runs out and the token still lives. The file that the SDK would read is not needed.

mod github;
mod token;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_ecs::config::Credentials;
use aws_sdk_sts::error::ProvideErrorMetadata as _;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityOutput;

pub(crate) use token::{ANY, Claims, Token, secrets};

use super::Calls;
use super::error::unhinted;
use crate::error::{Error, Result};
use crate::exit::Exit;

const ACTION: &str = "sts:AssumeRoleWithWebIdentity";

/// STS fetches the issuer's keys itself. Where it could not, asking again after a moment helps; in milliseconds.
const PAUSES: [u64; 2] = [500, 2000];

/// Trades a token for a session of a role.
#[derive(Debug)]
pub(super) struct WebIdentity {
    sts: aws_sdk_sts::Client,
    token: Token,
    role: String,
    session_name: String,
}

impl WebIdentity {
    /// `config` is for region, endpoint and retries: the call is not signed.
    pub(super) fn new(config: &SdkConfig, calls: &Calls, token: Token, role: String, session_name: String) -> Self {
        let config = aws_sdk_sts::config::Builder::from(config).interceptor(calls.clone()).build();
        Self { sts: aws_sdk_sts::Client::from_conf(config), token, role, session_name }
    }

    async fn session(&self) -> Result<Credentials> {
        let token = self.token.value().await?;
        let mut pauses = PAUSES.into_iter();
        let answer = loop {
            let call = self
                .sts
                .assume_role_with_web_identity()
                .role_arn(&self.role)
                .role_session_name(&self.session_name)
                .web_identity_token(token.expose());
            let refused = match call.send().await {
                Ok(answer) => break answer,
                Err(refused) => refused,
            };
            let keys_missing = refused.message().is_some_and(|words| words.contains("retrieve verification key"));
            if let Some(pause) = pauses.next().filter(|_| keys_missing) {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                continue;
            }
            let failed = unhinted(ACTION, &refused);
            let words = (refused.code().unwrap_or_default(), refused.message().unwrap_or_default());
            return Err(self.explain(failed, words, &Claims::of(token.expose())));
        };
        credentials(answer)
            .ok_or_else(|| Error::new(Exit::Aws, format!("{ACTION} answered without credentials for {}", self.role)))
    }

    /// What to do about a refusal, for whoever can change the role or the pipeline.
    fn explain(&self, failed: Error, (code, words): (&str, &str), claims: &Claims) -> Error {
        let failed = failed.cause(format!("for {} with the token of {}", self.role, self.token.variable()));
        match hint(&self.role, code, words, claims) {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }
}

fn hint(role: &str, code: &str, words: &str, claims: &Claims) -> Option<String> {
    let told = |claim: &Option<String>| claim.clone().unwrap_or_else(|| "(not in the token)".to_owned());
    let provider =
        || format!("the identity provider {} with the audience {}", told(&claims.issuer), told(&claims.audience));
    Some(match code {
        "AccessDenied" | "AccessDeniedException" => format!(
            "let the trust policy of {role} allow {ACTION} for {}, and its condition on `sub` fit {}; the role has to exist",
            provider(),
            told(&claims.subject)
        ),
        "ExpiredTokenException" | "ExpiredToken" => {
            let when = claims.expires_at.map_or(String::new(), |at| format!(" at {at}"));
            format!(
                "the step's token ended{when}, and a new one comes with a new step: run it again, or split a long step"
            )
        }
        "InvalidIdentityToken" | "InvalidIdentityTokenException" if words.contains("verification key") => {
            "AWS could not read the issuer's keys: run it again in a minute".to_owned()
        }
        "InvalidIdentityToken" | "InvalidIdentityTokenException" => {
            format!("have in IAM of the role's account {}", provider())
        }
        "IDPCommunicationError" => "AWS could not reach the token's issuer: run it again in a minute".to_owned(),
        "" => "check the network, HTTPS_PROXY and NO_PROXY, the region and AWS_ENDPOINT_URL".to_owned(),
        _ => return None,
    })
}

fn credentials(answer: AssumeRoleWithWebIdentityOutput) -> Option<Credentials> {
    let given = answer.credentials?;
    let expires_at = std::time::SystemTime::try_from(given.expiration).ok()?;
    let mut credentials = Credentials::new(
        given.access_key_id,
        given.secret_access_key,
        Some(given.session_token),
        Some(expires_at),
        "shipit's web identity",
    );
    credentials.get_property_mut_or_default::<Vec<Feature>>().push(Feature::CredentialsStsAssumeRoleWebId);
    Some(credentials)
}

impl ProvideCredentials for WebIdentity {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.session().await.map_err(CredentialsError::provider_error) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Claims, hint};

    #[test]
    fn a_refusal_names_what_the_role_has_to_trust() {
        let claims = Claims {
            issuer: Some("https://issuer".to_owned()),
            audience: Some("ari:x".to_owned()),
            subject: Some("{repo}:{step}".to_owned()),
            expires_at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        };
        let said = |code, words| hint("arn:role", code, words, &claims).unwrap_or_default();
        for (code, words, expected) in [
            ("AccessDenied", "Not authorized", "trust policy of arn:role"),
            ("AccessDenied", "Not authorized", "provider https://issuer with the audience ari:x"),
            ("AccessDenied", "Not authorized", "`sub` fit {repo}:{step}"),
            ("ExpiredTokenException", "Token expired", "ended at 2026-01-01T00:00:00Z"),
            ("InvalidIdentityToken", "No OpenIDConnect provider found", "https://issuer"),
            ("InvalidIdentityToken", "Couldn't retrieve verification key", "again in a minute"),
            ("", "", "network"),
        ] {
            assert!(said(code, words).contains(expected), "{code}: {}", said(code, words));
        }
        assert_eq!(said("PackedPolicyTooLarge", ""), "");
    }
}
