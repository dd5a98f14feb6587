//! The plan: what a deploy will do, decided from the specification and what was observed. Pure: no clock, no I/O.
//! `--dry-run` prints the very value that `deploy` runs.

use serde::Serialize;

/// What would be done, or why not. Holds no secret values.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) environment: String,
    pub(crate) account: Option<String>,
    pub(crate) region: Option<String>,
    /// The assumed identity's ARN.
    pub(crate) identity: Option<String>,
    /// The engine in words: version, platform, address.
    pub(crate) engine: Option<String>,
    pub(crate) services: Vec<ServicePlan>,
    /// What stands in the way; a deploy with any of these does not start.
    pub(crate) findings: Vec<Finding>,
    /// What could not be checked, in words.
    pub(crate) unchecked: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServicePlan {
    pub(crate) service: String,
    /// `REGISTRY/REPOSITORY`.
    pub(crate) repository: String,
    pub(crate) cluster: String,
    pub(crate) ecs_service: String,
    /// The tags to push, in the order of pushing.
    pub(crate) tags: Vec<String>,
    pub(crate) platform: String,
    pub(crate) build_args: Vec<String>,
    pub(crate) build_secrets: Vec<String>,
    /// Digest that `latest` has now.
    pub(crate) latest: Option<String>,
    /// Revision that runs now, from the service tag.
    pub(crate) running: Option<String>,
    pub(crate) desired: Option<u32>,
    /// The actions in order, each a sentence fragment.
    pub(crate) actions: Vec<String>,
}

/// One thing in the way, or worth a warning.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    pub(crate) exit_code: crate::exit::Exit,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}
