//! A provider of credentials that knows what it gave last, so that looking at them asks nobody twice (a
//! `credential_process` may ask a person), and that puts the SDK's two commonest refusals into words.

use std::sync::{Arc, Mutex, PoisonError};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_ecs::config::Credentials;
use aws_sdk_sts::error::ProvideErrorMetadata as _;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;

use super::error::chain;
use crate::error::Error;
use crate::exit::Exit;

#[derive(Clone, Debug)]
pub(super) struct Remembered {
    inner: SharedCredentialsProvider,
    last: Arc<Mutex<Option<Credentials>>>,
    /// The role that `inner` assumes with other credentials.
    role: Option<String>,
    /// What to do where there are no credentials at all.
    missing: String,
    /// What logs in where they come through SSO.
    login: String,
}

impl Remembered {
    pub(super) fn new(inner: SharedCredentialsProvider, missing: String) -> Self {
        Self { inner, last: Arc::default(), role: None, missing, login: "aws sso login".to_owned() }
    }

    pub(super) fn of_login(mut self, login: String) -> Self {
        self.login = login;
        self
    }

    /// `inner` assumes this role.
    pub(super) fn assuming(mut self, role: &str) -> Self {
        self.role = Some(role.to_owned());
        self
    }

    /// What was given last, or what would be given now.
    ///
    /// # Errors
    /// There are no credentials, or they cannot be had.
    pub(super) async fn look(&self) -> Result<Credentials, CredentialsError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match last {
            Some(last) => Ok(last),
            None => self.ask().await,
        }
    }

    async fn ask(&self) -> Result<Credentials, CredentialsError> {
        let given = self.inner.provide_credentials().await.map_err(|error| self.in_words(error))?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(given.clone());
        Ok(given)
    }

    /// Everything else stays as it is: the failures of the network have their place elsewhere.
    fn in_words(&self, error: CredentialsError) -> CredentialsError {
        if told(&error).is_some() {
            return error;
        }
        if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
            let none = Error::new(Exit::Aws, "no usable AWS credentials").hint(self.missing.clone());
            return CredentialsError::provider_error(none);
        }
        if let Some(why) = sso(&error) {
            let none =
                Error::new(Exit::Aws, "no usable AWS credentials: the login of SSO has ended, or there was none");
            return CredentialsError::provider_error(none.cause(why).hint(format!("log in: `{}`", self.login)));
        }
        let (Some(role), Some(refused)) = (&self.role, find::<AssumeRoleError>(&error)) else { return error };
        let Some(code) = refused.code().filter(|code| code.starts_with("AccessDenied")) else { return error };
        let words = Error::new(Exit::Aws, format!("AWS refused sts:AssumeRole for {role}"))
            .cause(format!("{code}: {}", refused.message().unwrap_or_default()))
            .hint(format!(
                "allow sts:AssumeRole on {role} for this identity, and this identity in the trust policy of that role"
            ));
        CredentialsError::provider_error(words)
    }
}

impl ProvideCredentials for Remembered {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.ask())
    }
}

/// Why SSO gives no credentials, where it is that: its own types are not open, so its words have to tell.
fn sso(error: &CredentialsError) -> Option<String> {
    let texts = chain(error);
    let telling = ["SSO token", "/sso/cache/", "UnauthorizedException", "InvalidGrantException"];
    texts.into_iter().find(|text| telling.iter().any(|word| text.contains(word)))
}

/// The error of ours that lies beneath one of the SDK's: it was made where the fault is known best.
pub(super) fn told<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Error> {
    find::<Error>(error)
}

fn find<'e, E: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
