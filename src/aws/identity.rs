//! Who AWS says we are.

use super::Clients;
use super::error::aws;
use crate::error::{Error, Result};
use crate::exit::Exit;

#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// 12 digits.
    pub(crate) account: String,
    pub(crate) arn: String,
}

/// Asks STS. Needs no permission, so a failure means that the credentials do not work.
pub(crate) async fn identity(clients: &Clients) -> Result<Identity> {
    let answer =
        clients.sts.get_caller_identity().send().await.map_err(|error| aws("sts:GetCallerIdentity", &error))?;
    match (answer.account, answer.arn) {
        (Some(account), Some(arn)) => Ok(Identity { account, arn }),
        _ => Err(Error::new(Exit::Aws, "sts:GetCallerIdentity answered without an account")),
    }
}
