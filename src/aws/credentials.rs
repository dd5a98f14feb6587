//! Where the credentials of a run come from and how long they live, as the SDK says it. No key is passed on.

use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_credential_types::provider::ProvideCredentials as _;
use jiff::Timestamp;

use super::Clients;
use crate::error::{Error, Result};
use crate::exit::Exit;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// For people: `a profile, through SSO`.
    pub(crate) words: String,
    /// Whether they are long-lived keys from the environment of the process, which nothing else in the chain can beat.
    pub(crate) keys_of_environment: bool,
    /// `None` for keys that do not expire, or where nobody says.
    pub(crate) expires_at: Option<Timestamp>,
}

/// Asks the chain for credentials, as the first call would.
///
/// # Errors
/// There are none, or they cannot be had ([`Exit::Aws`]).
pub(crate) async fn source(clients: &Clients) -> Result<Source> {
    let none = || Error::new(Exit::Aws, "no usable AWS credentials");
    let hint = "set AWS_PROFILE, log in (`aws sso login`), or give the pipeline a role";
    let Some(provider) = clients.config.credentials_provider() else { return Err(none().hint(hint)) };
    let credentials = provider.provide_credentials().await.map_err(|error| {
        // The chain's own words name every place it looked in; the first cause says it best.
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        none().cause(cause).hint(hint)
    })?;
    let features = credentials.get_property::<Vec<Feature>>().map(Vec::as_slice).unwrap_or_default();
    let at = credentials.expiry().and_then(|time| Timestamp::try_from(time).ok());
    Ok(Source {
        words: words(features),
        keys_of_environment: features.contains(&Feature::CredentialsEnvVars) && credentials.session_token().is_none(),
        expires_at: at,
    })
}

/// The steps that led to the credentials, each in a word or two.
fn words(features: &[Feature]) -> String {
    let step = |feature: &Feature| {
        Some(match feature {
            Feature::CredentialsEnvVars => "keys in the environment",
            Feature::CredentialsEnvVarsStsWebIdToken | Feature::CredentialsStsAssumeRoleWebId => "web identity (OIDC)",
            Feature::CredentialsProfileStsWebIdToken => "a profile, with web identity",
            Feature::CredentialsProfile => "keys of a profile",
            Feature::CredentialsProfileSourceProfile => "a profile and its source profile",
            Feature::CredentialsProfileNamedProvider => "a profile and its credential source",
            Feature::CredentialsProfileSso | Feature::CredentialsSso => "SSO",
            Feature::CredentialsProfileProcess | Feature::CredentialsProcess => "a profile's credential_process",
            Feature::CredentialsProfileLogin | Feature::CredentialsLogin => "a profile, by `aws login`",
            Feature::CredentialsHttp => "the container's credentials endpoint",
            Feature::CredentialsImds => "the instance's metadata",
            Feature::CredentialsStsAssumeRole => "an assumed role",
            Feature::CredentialsCode => "the stand-in",
            _ => return None,
        })
    };
    let mut steps: Vec<&str> = Vec::new();
    for word in features.iter().filter_map(step) {
        if !steps.contains(&word) {
            steps.push(word);
        }
    }
    if steps.is_empty() { "the SDK's chain".to_owned() } else { steps.join(", then ") }
}

#[cfg(test)]
mod tests {
    use super::{Feature, words};

    #[test]
    fn a_source_is_told_step_by_step() {
        assert_eq!(words(&[Feature::CredentialsEnvVars]), "keys in the environment");
        assert_eq!(
            words(&[
                Feature::CredentialsEnvVarsStsWebIdToken,
                Feature::CredentialsStsAssumeRoleWebId,
                Feature::CredentialsStsAssumeRole
            ]),
            "web identity (OIDC), then an assumed role"
        );
        assert_eq!(words(&[]), "the SDK's chain");
    }
}
