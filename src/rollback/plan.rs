//! The plan of a rollback: what goes from which image to which, and what is in the way. Data, and how people read it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::archive::ArchiveStep;
use crate::plan::Finding;

/// What would be done, and what is in the way.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) environment: String,
    pub(crate) region: String,
    pub(crate) account: Option<String>,
    /// The identity's ARN.
    pub(crate) identity: Option<String>,
    /// A person has to say yes before it starts.
    pub(crate) approval: bool,
    pub(crate) services: Vec<Step>,
    /// The zips.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) archives: Vec<ArchiveStep>,
    /// The keys of both, in the order of deploy.yaml.
    #[serde(skip)]
    pub(crate) names: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) warnings: Vec<String>,
}

/// One service's part.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Step {
    /// The key in deploy.yaml.
    pub(crate) service: String,
    /// ECR repository name.
    pub(crate) repository: String,
    pub(crate) cluster: String,
    pub(crate) ecs_service: String,
    pub(crate) service_arn: Option<String>,
    pub(crate) container: Option<String>,
    pub(crate) desired: Option<u32>,
    /// What is taken away.
    pub(crate) from: Version,
    /// What comes back.
    pub(crate) to: Version,
    /// The PRIMARY deployment before.
    pub(crate) previous_deployment: Option<String>,
    /// The rollout in flight that is stopped first.
    pub(crate) in_flight: Option<String>,
    pub(crate) latest_digest: Option<String>,
    /// It is there already: nothing is to be done.
    pub(crate) unchanged: bool,
    /// The service's tags as they are now.
    #[serde(skip)]
    pub(crate) recorded: BTreeMap<String, String>,
    /// The digests that prove it.
    #[serde(skip)]
    pub(crate) proof: Vec<String>,
}

/// One of the two ends of the way back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Version {
    pub(crate) digest: Option<String>,
    /// The commit, full where it is known in full.
    pub(crate) revision: Option<String>,
    pub(crate) subject: Option<String>,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.revision, &self.digest) {
            (Some(revision), _) => write!(f, "{}", revision.get(..12).unwrap_or(revision))?,
            (None, Some(digest)) => write!(f, "{}", digest.get(..19).unwrap_or(digest))?,
            (None, None) => write!(f, "what runs now")?,
        }
        match &self.subject {
            Some(subject) => write!(f, " ({subject})"),
            None => Ok(()),
        }
    }
}

impl Plan {
    /// The findings that keep this service from being rolled back.
    pub(crate) fn findings_for<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(move |finding| finding.service.as_deref().is_none_or(|named| named == service))
    }

    /// The plan in sentences, for people.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let step = |step: &Step| {
            let Step { service, from, to, .. } = step;
            if step.unchanged {
                return format!("{service}: {to} runs already");
            }
            let first = match &step.in_flight {
                Some(id) => format!("the rollout {id} is stopped, then "),
                None => String::new(),
            };
            let held = match &from.revision {
                Some(revision) => format!("; {} is held", revision.get(..12).unwrap_or(revision)),
                None => String::new(),
            };
            format!("{service}: from {from} back to {to}: {first}`latest` is moved, rolled and proven{held}")
        };
        let going = self.services.iter().filter(|step| self.findings_for(&step.service).next().is_none());
        let zip = |step: &ArchiveStep| {
            let ArchiveStep { service, from, to, latest_key, .. } = step;
            match (&from.revision, step.unchanged) {
                (_, true) => format!("{service}: {to} is live already"),
                (Some(held), _) => format!(
                    "{service}: from {from} back to {to}: its zip is copied over {latest_key}; {} is held",
                    held.get(..12).unwrap_or(held)
                ),
                (None, _) => format!("{service}: back to {to}: its zip is copied over {latest_key}"),
            }
        };
        let zips = self.archives.iter().filter(|step| self.findings_for(&step.service).next().is_none());
        going.map(step).chain(zips.map(zip)).collect()
    }
}
