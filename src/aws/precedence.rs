//! Which of the credentials around this process are used, where there are several. Pure: it decides from variables and
//! from the environment's role, and asks nobody.
//!
//! The SDK takes keys from the environment before all else, and so a pipeline that was moved to OIDC goes on with its
//! old keys. A role in deploy.yaml beside a pipeline's token says what is meant, and settles it; everything else stays
//! with the SDK, and is told.

use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use jiff::Timestamp;

use super::web_identity::{ANY, Claims, Token};
use crate::ci::{self, Provider};
use crate::vars::Vars;

/// What the environment of the process offers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ambient {
    token: Option<Token>,
    /// `AWS_ROLE_ARN`.
    role: Option<String>,
    /// `AWS_ROLE_SESSION_NAME`.
    session_name: Option<String>,
    keys: Keys,
    /// `AWS_PROFILE`.
    profile: Option<String>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`.
    token_file: Option<String>,
    provider: Option<Provider>,
}

/// The keys in `AWS_ACCESS_KEY_ID`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Keys {
    #[default]
    None,
    LongLived,
    /// With a session token: somebody assumed a role on purpose.
    Session,
}

#[derive(Clone, Debug)]
pub(super) enum Choice {
    /// The SDK's own chain.
    Chain,
    /// The pipeline's token, for this role.
    Token { token: Token, role: String },
}

/// Two kinds of credentials where one was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clash {
    pub(crate) text: String,
    pub(crate) fix: &'static str,
    /// What is used is likely not what is meant.
    pub(crate) wrong: bool,
}

/// Until when new credentials can be had in the place of those that expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    Always,
    Until(Timestamp),
    Unknown,
}

const TAKE_OUT: &str =
    "take AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY out of the pipeline's variables (workspace and repository)";

impl Ambient {
    pub(crate) fn of(vars: &Vars) -> Self {
        let owned = |name: &str| vars.get(name).map(str::to_owned);
        let keys = match vars.has("AWS_ACCESS_KEY_ID") && vars.has("AWS_SECRET_ACCESS_KEY") {
            false => Keys::None,
            true if vars.has("AWS_SESSION_TOKEN") => Keys::Session,
            true => Keys::LongLived,
        };
        Self {
            token: Token::of(vars),
            role: owned("AWS_ROLE_ARN"),
            session_name: owned("AWS_ROLE_SESSION_NAME"),
            keys,
            profile: owned("AWS_PROFILE"),
            token_file: owned("AWS_WEB_IDENTITY_TOKEN_FILE"),
            provider: ci::detect(vars).map(|ci| ci.provider),
        }
    }

    /// `role` is the environment's. `AWS_ROLE_ARN` is what the token opens where it is set, as it is for the SDK; the
    /// environment's role is assumed from there.
    pub(super) fn choose(&self, role: Option<&str>) -> Choice {
        let Some(token) = &self.token else { return Choice::Chain };
        let Some(opens) = self.role.as_deref().or(role) else { return Choice::Chain };
        let elsewhere = self.profile.is_some() || self.token_file.is_some() || self.keys == Keys::Session;
        // Without a role in deploy.yaml nobody said that the keys are not meant.
        if elsewhere || (self.keys == Keys::LongLived && role.is_none()) {
            return Choice::Chain;
        }
        Choice::Token { token: token.clone(), role: opens.to_owned() }
    }

    pub(super) fn session_name(&self) -> String {
        self.session_name.clone().unwrap_or_else(|| "shipit".to_owned())
    }

    fn may_be_for_others(&self) -> bool {
        matches!(self.token, Some(Token::GitHub { .. })) && self.role.is_none() && self.token_file.is_none()
    }

    pub(crate) fn clash(&self, role: Option<&str>) -> Option<Clash> {
        let other = match (&self.token_file, &self.token, &self.role) {
            (Some(_), _, _) => "AWS_WEB_IDENTITY_TOKEN_FILE",
            (None, Some(token), _) => token.variable(),
            (None, None, Some(_)) => "AWS_ROLE_ARN",
            (None, None, None) => return None,
        };
        match (self.choose(role), self.keys) {
            (Choice::Token { token, role }, Keys::LongLived) => Some(Clash {
                text: format!(
                    "the keys in AWS_ACCESS_KEY_ID are not used: the OIDC token ({}) and {role} are",
                    token.variable()
                ),
                fix: TAKE_OUT,
                wrong: false,
            }),
            // A job of GitHub may have the permission for something else; a role is what makes it ours.
            (Choice::Chain, Keys::LongLived) if !self.may_be_for_others() => Some(Clash {
                text: format!("the keys in AWS_ACCESS_KEY_ID win over the web identity ({other}), which is not used"),
                fix: TAKE_OUT,
                wrong: true,
            }),
            (Choice::Chain, Keys::None) if self.profile.is_some() && self.token.is_some() => Some(Clash {
                text: format!("AWS_PROFILE is set, so the OIDC token ({other}) is not used"),
                fix: "unset AWS_PROFILE if the token is meant",
                wrong: false,
            }),
            _ => None,
        }
    }

    /// What logs in again where a profile has them from SSO.
    pub(super) fn login(&self) -> String {
        match &self.profile {
            Some(profile) => format!("aws sso login --profile {profile}"),
            None => "aws sso login".to_owned(),
        }
    }

    /// What to do where there are no credentials at all.
    pub(super) fn missing(&self, role: Option<&str>) -> String {
        if let Some(token) = &self.token
            && role.is_none()
            && self.role.is_none()
        {
            return format!(
                "{} holds a token, and nothing says for which role: set `role` under the environment's `aws` in \
                 deploy.yaml, or AWS_ROLE_ARN",
                token.variable()
            );
        }
        match self.provider {
            Some(Provider::Bitbucket) => {
                "add `oidc: true` to the step, and `role` under the environment's `aws` in deploy.yaml".to_owned()
            }
            Some(Provider::GitHub) => "add `permissions: { id-token: write, contents: read }` to the job, and `role` \
                                       under the environment's `aws` in deploy.yaml"
                .to_owned(),
            Some(Provider::GitLab) => format!(
                "add `id_tokens: {{ {ANY}: {{ aud: … }} }}` to the job, and `role` under the environment's `aws` in \
                 deploy.yaml"
            ),
            None => match &self.profile {
                Some(profile) => format!(
                    "AWS_PROFILE names `{profile}`: see what ~/.aws/config says of it, and log in: `{}`",
                    self.login()
                ),
                None => "set AWS_PROFILE, log in (`aws sso login`), or give the pipeline a role".to_owned(),
            },
        }
    }

    /// Of the credentials that came, by the SDK's own marks on them.
    pub(super) async fn renewal(&self, choice: &Choice, features: &[Feature]) -> Renewal {
        let until = |token: &str| Claims::of(token).expires_at.map_or(Renewal::Unknown, Renewal::Until);
        match choice {
            Choice::Token { token: Token::GitHub { .. }, .. } => Renewal::Always,
            Choice::Token { token: Token::Given { value, .. }, .. } => until(value.expose()),
            Choice::Chain
                if features.iter().any(|one| matches!(one, Feature::CredentialsImds | Feature::CredentialsHttp)) =>
            {
                Renewal::Always
            }
            // A role that is assumed with keys that do not end.
            Choice::Chain if self.keys == Keys::LongLived => Renewal::Always,
            Choice::Chain => match &self.token_file {
                Some(file) if self.keys == Keys::None && self.profile.is_none() => {
                    tokio::fs::read_to_string(file).await.map_or(Renewal::Unknown, |token| until(&token))
                }
                _ => Renewal::Unknown,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ambient, Choice};
    use crate::vars::Vars;

    const TOKEN: &str = "BITBUCKET_STEP_OIDC_TOKEN";
    const KEYS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

    fn ambient(names: &[&str]) -> Ambient {
        let vars: Vars = names.iter().map(|name| (*name, "x")).collect();
        Ambient::of(&vars)
    }

    #[test]
    fn the_token_wins_where_deploy_yaml_says_so() {
        // Variables, the environment's role, the role that the token opens, whether the clash is told and is wrong.
        type Case<'c> = (&'c [&'c str], Option<&'c str>, Option<&'c str>, Option<bool>);
        let cases: [Case<'_>; 14] = [
            (&[], None, None, None),
            (&[], Some("r"), None, None),
            (&KEYS, Some("r"), None, None),
            (&[TOKEN], None, None, None),
            (&[TOKEN], Some("r"), Some("r"), None),
            (&[TOKEN, "AWS_ROLE_ARN"], None, Some("x"), None),
            (&[TOKEN, "AWS_ROLE_ARN"], Some("r"), Some("x"), None),
            (&[TOKEN, KEYS[0], KEYS[1]], Some("r"), Some("r"), Some(false)),
            (&[TOKEN, KEYS[0], KEYS[1]], None, None, Some(true)),
            (&[TOKEN, "AWS_ROLE_ARN", KEYS[0], KEYS[1]], None, None, Some(true)),
            (&["AWS_WEB_IDENTITY_TOKEN_FILE", KEYS[0], KEYS[1]], None, None, Some(true)),
            (&["AWS_ROLE_ARN", KEYS[0], KEYS[1]], None, None, Some(true)),
            // A session token comes from a role that somebody assumed on purpose.
            (&[TOKEN, KEYS[0], KEYS[1], "AWS_SESSION_TOKEN"], Some("r"), None, None),
            (&[TOKEN, "AWS_PROFILE"], Some("r"), None, Some(false)),
        ];
        for (names, role, opens, clash) in cases {
            let ambient = ambient(names);
            let chosen = match ambient.choose(role) {
                Choice::Token { role, .. } => Some(role),
                Choice::Chain => None,
            };
            assert_eq!(chosen.as_deref(), opens, "{names:?} {role:?}");
            assert_eq!(ambient.clash(role).map(|clash| clash.wrong), clash, "{names:?} {role:?}");
        }
    }

    #[test]
    fn a_token_file_stays_with_the_sdk() {
        let ambient = ambient(&[TOKEN, "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"]);
        assert!(matches!(ambient.choose(Some("r")), Choice::Chain));
        assert_eq!(ambient.clash(Some("r")), None);
    }

    #[test]
    fn what_is_missing_is_told_in_the_words_of_the_pipeline() {
        let missing = |pairs: &[(&str, &str)]| {
            let vars: Vars = pairs.iter().copied().collect();
            Ambient::of(&vars).missing(None)
        };
        assert!(missing(&[]).contains("aws sso login"));
        assert!(missing(&[("BITBUCKET_BUILD_NUMBER", "1")]).contains("oidc: true"));
        assert!(missing(&[(TOKEN, "x"), ("BITBUCKET_BUILD_NUMBER", "1")]).contains("for which role"));
        assert!(missing(&[("GITHUB_ACTIONS", "true")]).contains("id-token: write"));
        assert!(missing(&[("GITLAB_CI", "true")]).contains("SHIPIT_ID_TOKEN"));
    }
}
