//! The plan: what a deploy will do, decided from the specification and what was observed. Pure: no clock, no I/O.
//! `--dry-run` prints the very value that `deploy` runs.

mod draft;
mod finding;

use std::collections::BTreeMap;

use serde::Serialize;

pub(crate) use draft::plan;
pub(crate) use finding::Finding;

use crate::archive::ArchivePlan;
use crate::changes::Change;
use crate::revision::Revision;
use crate::scan::Severity;
use crate::source::Source;

/// What would be done, and what is in the way. Holds no secret's value.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) environment: String,
    pub(crate) branch: Option<String>,
    pub(crate) revision: Revision,
    pub(crate) account: Option<String>,
    pub(crate) region: String,
    /// The identity's ARN.
    pub(crate) identity: Option<String>,
    /// The Docker Engine in words, or all of them.
    pub(crate) engine: Option<String>,
    /// A person has to say yes before it starts.
    pub(crate) approval: bool,
    /// The containers.
    pub(crate) services: Vec<ServicePlan>,
    /// The zips.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) archives: Vec<ArchivePlan>,
    /// The keys of both, in the order of deploy.yaml.
    #[serde(skip)]
    pub(crate) names: Vec<String>,
    /// What is in the way: of the service it names, or of all.
    pub(crate) findings: Vec<Finding>,
    /// Worth knowing, and in nobody's way.
    pub(crate) warnings: Vec<String>,
    /// What could not be checked, in words.
    pub(crate) unchecked: Vec<String>,
}

/// One service's part. The fields are what `deploy` works with.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServicePlan {
    /// The key in deploy.yaml.
    pub(crate) service: String,
    /// ECR repository name.
    pub(crate) repository: String,
    pub(crate) platform: String,
    /// Whether it is deployed at all, and why.
    pub(crate) change: Change,
    /// How its image comes to be.
    pub(crate) source: Source,
    /// Names of the secrets that have to be set, each with a value now.
    pub(crate) secrets: Vec<String>,
    /// Names only.
    pub(crate) build_args: Vec<String>,
    /// Names only.
    pub(crate) build_secrets: Vec<String>,
    /// The tags to push, in the order of pushing: `latest` is the last.
    pub(crate) tags: Vec<String>,
    /// What runs on the new image before the rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before_deploy: Option<Vec<String>>,
    /// The gate that the pushed image has to pass before `latest` is moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scan: Option<ScanGate>,
    /// Services of this run that are rolled out before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) depends_on: Vec<String>,
    pub(crate) cluster: String,
    pub(crate) ecs_service: String,
    pub(crate) service_arn: Option<String>,
    /// The container that runs the image.
    pub(crate) container: Option<String>,
    pub(crate) desired: Option<u32>,
    /// The PRIMARY deployment before this one.
    pub(crate) previous_deployment: Option<String>,
    /// The digest that runs now: what `latest` goes back to when the rollout fails.
    pub(crate) running_digest: Option<String>,
    /// The revision that shipit recorded for what runs now.
    pub(crate) running_revision: Option<String>,
    /// What `latest` is now.
    pub(crate) latest_digest: Option<String>,
    /// The service's tags as they are now.
    #[serde(skip)]
    pub(crate) recorded: BTreeMap<String, String>,
}

/// What ECR's scan has to come to, and how long it is waited for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ScanGate {
    pub(crate) fail_on: Severity,
    /// Seconds.
    pub(crate) timeout: u64,
    /// Whether ECR scans this repository without being asked; absent where that could not be read.
    pub(crate) on_push: Option<bool>,
}

/// What the command line and git add to the specification.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub(crate) struct Request {
    pub(crate) revision: Revision,
    pub(crate) branch: Option<String>,
    pub(crate) allow_dirty: bool,
    /// Deploy what a rollback took away.
    pub(crate) release_hold: bool,
    /// Deploy a commit that is older than what runs.
    pub(crate) allow_older: bool,
    /// A dry run can do without an engine, and says so.
    pub(crate) dry_run: bool,
}

/// What the plans of a container and of a zip have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'p> {
    /// The key in deploy.yaml.
    pub(crate) name: &'p str,
    pub(crate) change: &'p Change,
    /// The services that it waits for.
    pub(crate) depends_on: &'p [String],
    /// What runs, or is live, now.
    pub(crate) running_revision: Option<&'p str>,
    pub(crate) running_digest: Option<&'p str>,
}

impl ServicePlan {
    pub(crate) fn entry(&self) -> Entry<'_> {
        Entry {
            name: &self.service,
            change: &self.change,
            depends_on: &self.depends_on,
            running_revision: self.running_revision.as_deref(),
            running_digest: self.running_digest.as_deref(),
        }
    }
}

impl Plan {
    /// Its services, whatever they are, in the order of deploy.yaml.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let services = self.services.iter().map(ServicePlan::entry);
        let mut entries: Vec<_> = services.chain(self.archives.iter().map(ArchivePlan::entry)).collect();
        entries.sort_by_key(|entry| self.names.iter().position(|name| name == entry.name));
        entries.into_iter()
    }

    /// The findings that keep this service from being deployed.
    pub(crate) fn findings_for<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(move |finding| finding.service.as_deref().is_none_or(|named| named == service))
    }
}
