//! How a service's image comes to be. The plan says it, and `deploy` does it.

use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Source {
    /// It is built from the commit.
    Build,
    /// The very image that runs in another environment is copied, byte for byte.
    Promote(Promotion),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Promotion {
    /// The environment that it runs in.
    pub(crate) from: String,
    /// Its ECR repository there.
    pub(crate) repository: String,
    /// Its digest; absent where nothing can be promoted, which a finding says.
    pub(crate) digest: Option<String>,
    /// The full commit, under the same condition.
    pub(crate) revision: Option<String>,
}
