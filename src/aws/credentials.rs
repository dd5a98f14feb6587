//! Where the credentials of a run come from and how long they live, as the SDK says it. No key is passed on.

use std::time::Duration;

use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use jiff::{SignedDuration, Timestamp};

use super::Clients;
use super::precedence::Renewal;
use super::remembered::told;
use crate::error::{Error, Result};
use crate::exit::Exit;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// For people: `a profile, through SSO`.
    pub(crate) words: String,
    /// Whether they are long-lived keys from the environment of the process, which nobody ends.
    pub(crate) keys_of_environment: bool,
    /// `None` for keys that do not expire, or where nobody says.
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) renewal: Renewal,
}

impl Source {
    /// When the last of them end, as far as it is known: what is renewed by itself has no end.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        match self.renewal {
            Renewal::Always => None,
            // The session that was opened last outlives the token that opened it.
            Renewal::Until(end) => Some(self.expires_at.map_or(end, |expiry| expiry.max(end))),
            Renewal::Unknown => self.expires_at,
        }
    }

    /// What is said where they end sooner than a wait that begins now may last.
    pub(crate) fn shortfall(&self, wait: Duration, now: Timestamp) -> Option<String> {
        let left = self.ends_at()?.duration_since(now);
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        if left >= wait {
            return None;
        }
        let unless = if self.renewal == Renewal::Unknown { ", unless they can be renewed" } else { "" };
        let when = match left.is_positive() {
            true => format!("end in {} minutes{unless}", left.as_mins()),
            false => format!("have ended{unless}"),
        };
        Some(format!(
            "the credentials ({}) {when}: a wait may last {} minutes here, and what is under way then goes on unwatched",
            self.words,
            wait.as_mins()
        ))
    }
}

/// Looks at the credentials: those that the run has already, or as the first call would ask for them.
///
/// # Errors
/// There are none, or they cannot be had ([`Exit::Aws`]).
pub(crate) async fn source(clients: &Clients) -> Result<Source> {
    let none = || Error::new(Exit::Aws, "no usable AWS credentials");
    let hint = "set AWS_PROFILE, log in (`aws sso login`), or give the pipeline a role";
    let Some(provider) = &clients.credentials else { return Err(none().hint(hint)) };
    let credentials = provider.look().await.map_err(|error| {
        if let Some(told) = told(&error) {
            return told.clone();
        }
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
        renewal: clients.renewal(features).await,
    })
}

/// What is worth knowing of the credentials before a run that may wait so long: which of several are used, and that they
/// end too soon. Credentials that cannot be had are no matter of warnings.
pub(crate) async fn warnings(clients: &Clients, wait: Duration) -> Vec<String> {
    let clash = clients.clash().map(|clash| format!("{}; {}", clash.text, clash.fix));
    let short = match source(clients).await {
        Ok(source) => source.shortfall(wait, Timestamp::now()),
        Err(_) => None,
    };
    clash.into_iter().chain(short).collect()
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
    use std::time::Duration;

    use super::{Feature, Renewal, Source, Timestamp, words};

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

    #[test]
    fn credentials_that_end_before_the_wait_does_are_told() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |minutes: i64| Timestamp::from_second(1_000_000 + minutes * 60).unwrap();
        let told = |expires: Option<i64>, renewal| {
            let words = "web identity (OIDC)".to_owned();
            let source = Source { words, keys_of_environment: false, expires_at: expires.map(at), renewal };
            source.shortfall(Duration::from_secs(20 * 60), now)
        };
        assert_eq!(told(None, Renewal::Unknown), None);
        assert_eq!(told(Some(5), Renewal::Always), None);
        // The session lives long enough, or the token renews it.
        assert_eq!(told(Some(60), Renewal::Until(at(5))), None);
        assert_eq!(told(Some(5), Renewal::Until(at(30))), None);
        let short = told(Some(10), Renewal::Until(at(5))).unwrap();
        assert!(short.contains("(web identity (OIDC)) end in 10 minutes: a wait may last 20 minutes"), "{short}");
        assert!(told(Some(10), Renewal::Unknown).unwrap().contains("10 minutes, unless they can be renewed"));
        assert!(told(Some(-1), Renewal::Until(at(-2))).unwrap().contains("have ended"));
    }
}
