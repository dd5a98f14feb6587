//! deploy.yaml as written. These types are the grammar of the file: the JSON Schema is generated from them, and their
//! comments are what an editor shows.
//!
//! An optional here means "not written"; what the defaults are is decided in `resolve`.

use std::path::PathBuf;

use indexmap::IndexMap;
use jiff::civil::Weekday;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::builder::Builders;
use crate::config::cache::Cache;
use crate::config::specification::Platform;
use crate::freeze::{self, Window};

/// Which branch goes to which environment, and how each service is built and rolled out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with `version`, `environments` and `services`")]
pub(crate) struct Manifest {
    /// The version of this format: 1.
    #[schemars(extend("const" = 1))]
    pub(crate) version: u64,
    /// The project's name. Default: the name of the folder that holds this file.
    pub(crate) name: Option<String>,
    /// Where AWS is; each environment may override it key by key.
    pub(crate) aws: Option<Aws>,
    /// The Docker Engine that builds, or a list of them: `tcp://` with TLS, `ssh://` or `unix://`. Default: what DOCKER_HOST
    /// or Docker's context names.
    pub(crate) builder: Option<Builders>,
    /// The environments, in the order of promotion.
    #[schemars(extend("minProperties" = 1))]
    pub(crate) environments: IndexMap<String, Environment>,
    /// The services, each an image and the ECS service that runs it.
    #[schemars(extend("minProperties" = 1))]
    pub(crate) services: IndexMap<String, Service>,
    /// The folder that holds the file, absolute; set when it is loaded.
    #[serde(skip)]
    pub(crate) root: PathBuf,
    /// The file's text; set when it is loaded.
    #[serde(skip)]
    pub(crate) text: String,
}

/// Where AWS is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with `region` and `account`")]
pub(crate) struct Aws {
    /// The region. Default: what the AWS SDK's usual chain says.
    pub(crate) region: Option<String>,
    /// The account that is meant, 12 digits in quotes. Any other account is refused.
    #[schemars(regex(pattern = "^[0-9]{12}$"))]
    pub(crate) account: Option<String>,
}

/// One environment, and the branch that leads to it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with `branch`")]
pub(crate) struct Environment {
    /// The branch that belongs here. Where two environments share a branch, the branch alone leads to the one that has
    /// no `after`; the other is reached by `--env` only.
    #[schemars(length(min = 1))]
    pub(crate) branch: String,
    /// The environment in which a commit has to be live before it may come here.
    pub(crate) after: Option<String>,
    /// How long the commit has to be live in that environment before it may come here, as in `15m` or `2h`.
    pub(crate) soak: Option<String>,
    /// Where the image comes from. Default: `build`.
    pub(crate) image: Option<ImageSource>,
    /// `required`: a person says yes, each time.
    pub(crate) approval: Option<Approval>,
    /// What differs from the top-level `aws`, key by key.
    pub(crate) aws: Option<EnvironmentAws>,
    /// What stands before a secret's name in the environment variable that holds it. Default: the environment's name in
    /// upper case and `_`, as in `DEV_`. Empty: the variables have the bare names.
    #[schemars(regex(pattern = "^([A-Za-z_][A-Za-z0-9_]*)?$"))]
    pub(crate) secret_prefix: Option<String>,
    /// Whether a rollout that failed moves the tag `latest` back to the image that runs. Default: true.
    pub(crate) restore_latest: Option<bool>,
    /// What ECR's scan of a new image has to come to, for the services that say nothing themselves.
    pub(crate) scan: Option<Scan>,
    /// Times in which nothing is deployed here. Rollbacks are not held.
    #[serde(default)]
    pub(crate) freeze: Vec<Freeze>,
}

/// What ECR's scan of a new image has to come to before `latest` is moved and anything is rolled. Without it, what a scan
/// found is said after the rollout and stops nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with `fail_on`")]
pub(crate) struct Scan {
    /// The least severity that is refused. `off`: nothing is waited for, and nothing is refused.
    pub(crate) fail_on: FailOn,
    /// Vulnerabilities that are known and may pass for a while.
    #[serde(default)]
    pub(crate) ignore: Vec<Ignore>,
    /// How long to wait for the scan's end, as in `90s` or `10m`. Default: `5m`.
    pub(crate) timeout: Option<String>,
}

/// The least severity that is refused.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FailOn {
    /// Critical ones.
    Critical,
    /// High and critical ones.
    High,
    /// Medium ones and worse.
    Medium,
    /// Low ones and worse.
    Low,
    /// None.
    Off,
}

/// A vulnerability that may pass until a day.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with `id`, `until` and `reason`")]
pub(crate) struct Ignore {
    /// As the scanner names it, `CVE-…`.
    #[schemars(length(min = 1))]
    pub(crate) id: String,
    /// The last day (UTC) on which it is ignored, as in `2027-01-31`.
    #[schemars(extend("format" = "date"))]
    pub(crate) until: String,
    /// Why it may wait.
    #[schemars(length(min = 1))]
    pub(crate) reason: String,
}

/// Where an environment's images come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ImageSource {
    /// Each is built from the commit.
    Build,
    /// Nothing is built: the very images that run in the environment named by `after` are copied, byte for byte.
    Promote,
}

/// A time in which nothing is deployed: once, from a day or an instant to another, or every week on some days.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with `from` and `to`")]
pub(crate) struct Freeze {
    /// Every week on these days; then `from` and `to` are times of the clock.
    #[schemars(length(min = 1))]
    pub(crate) days: Option<Vec<Day>>,
    /// A day (`2026-12-24`), an instant (`2026-12-24T18:00:00+01:00`), or with `days` a time (`16:00`).
    pub(crate) from: String,
    /// The same. A day, and `23:59`, are frozen to their end; a time that is not later than `from` is on the next day.
    pub(crate) to: String,
    /// The time zone of days and of times of the clock, as in `Europe/Berlin`. Default: UTC.
    pub(crate) zone: Option<String>,
    /// Why, for who is refused.
    pub(crate) reason: Option<String>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Freeze {
    /// # Errors
    /// The key that is wrong, and how.
    pub(crate) fn window(&self) -> Result<Window, (&'static str, String)> {
        let days = self.days.as_ref().map(|days| days.iter().copied().map(Weekday::from).collect::<Vec<_>>());
        let when = freeze::read(days.as_deref(), &self.from, &self.to, self.zone.as_deref())?;
        Ok(Window { when, reason: self.reason.clone() })
    }
}

impl From<Day> for Weekday {
    fn from(day: Day) -> Self {
        match day {
            Day::Mon => Self::Monday,
            Day::Tue => Self::Tuesday,
            Day::Wed => Self::Wednesday,
            Day::Thu => Self::Thursday,
            Day::Fri => Self::Friday,
            Day::Sat => Self::Saturday,
            Day::Sun => Self::Sunday,
        }
    }
}

/// Who has to agree to a deploy.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Approval {
    /// A person says yes, each time.
    Required,
}

/// Where AWS is for one environment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with `region`, `account` and `role`")]
pub(crate) struct EnvironmentAws {
    /// The region.
    pub(crate) region: Option<String>,
    /// The account that is meant, 12 digits in quotes. Any other account is refused.
    #[schemars(regex(pattern = "^[0-9]{12}$"))]
    pub(crate) account: Option<String>,
    /// The ARN of an IAM role to assume for everything done in this environment.
    #[schemars(regex(pattern = "^arn:[a-z-]+:iam::[0-9]{12}:role/.+$"))]
    pub(crate) role: Option<String>,
}

/// One service: how its image is built, where it is pushed, and which ECS service runs it; or, with `kind: zip`, which
/// files are packed and where in S3 they go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with `repository`")]
#[schemars(extend(
    "if" = {"properties": {"kind": {"const": "zip"}}, "required": ["kind"]},
    "then" = {"required": ["bucket"]},
    "else" = {"required": ["repository"]}
))]
#[expect(clippy::struct_field_names, reason = "`service` is the word of deploy.yaml and of ECS")]
pub(crate) struct Service {
    /// What is delivered: an image that ECS runs (`container`, the default), or a zip in an S3 bucket (`zip`).
    pub(crate) kind: Option<ArtefactKind>,
    /// The build context, relative to this file; of a zip, the folder whose files are packed. Default: `.`.
    pub(crate) context: Option<String>,
    /// The Dockerfile, relative to the context. Default: `Dockerfile`.
    pub(crate) dockerfile: Option<String>,
    /// The stage of the Dockerfile to build. Default: the last.
    pub(crate) target: Option<String>,
    /// The platform to build for. Default: `linux/amd64`, whatever this machine is.
    pub(crate) platform: Option<Platform>,
    /// Names of the values that come from the environment of the process. `DB_HOST` is the variable `DEV_DB_HOST` in the
    /// environment `dev`. Each must be set and not empty.
    #[serde(default)]
    pub(crate) secrets: Vec<String>,
    /// Build arguments. What they hold can be read in the image by whoever can pull it. `${NAME}` is a name under
    /// `secrets`, or `env`, `service`, `branch` or `commit`; `$${` is a literal `${`.
    #[serde(default)]
    pub(crate) build_args: IndexMap<String, String>,
    /// Names under `secrets` that a `RUN --mount=type=secret,id=NAME` of the Dockerfile may read. They are in no layer.
    #[serde(default)]
    pub(crate) build_secrets: Vec<String>,
    /// Patterns of the files that concern this service, from the root of the repository. Default: its build context.
    pub(crate) paths: Option<Vec<String>>,
    /// Patterns of files that never concern it; they win over `paths`.
    #[serde(default)]
    pub(crate) ignore: Vec<String>,
    /// The ECR repository, as in `api-${env}`. A container has to have one.
    pub(crate) repository: Option<String>,
    /// The ECS cluster. Default: `${env}`.
    pub(crate) cluster: Option<String>,
    /// The ECS service. Default: this service's key.
    pub(crate) service: Option<String>,
    /// The container of the task definition. Default: the one whose image is this repository.
    pub(crate) container: Option<String>,
    /// A task that runs on the new image before the rollout, a database migration for instance.
    pub(crate) before_deploy: Option<BeforeDeploy>,
    /// Where a build on a machine that never built this service takes its layers from: `inline` (the repository's own
    /// images; the default), `off`, or `{ repository: NAME }`, an ECR repository of the same account and region that each
    /// build is pushed to as well.
    pub(crate) cache: Option<Cache>,
    /// An image that is older is not used again for the same inputs, but built without any cache: `7d`, `12h`. Default:
    /// never.
    pub(crate) rebuild_after: Option<String>,
    /// Any text. When it changes, nothing that was built before is used again. No secret belongs here.
    pub(crate) rebuild_token: Option<String>,
    /// Services that have to be deployed before this one is rolled out, where they are part of the same run. They are
    /// built side by side all the same.
    #[serde(default)]
    pub(crate) depends_on: Vec<String>,
    /// The S3 bucket, as in `apps-${env}`. A zip has to have one.
    pub(crate) bucket: Option<String>,
    /// Where in the bucket the zip of one commit is kept; it has `${commit}` once. Default: `${service}/${commit}.zip`.
    pub(crate) key: Option<String>,
    /// Where in the bucket the zip is that is live. Default: `${service}/latest.zip`.
    pub(crate) latest_key: Option<String>,
    /// Patterns of files that are not packed, as in a `.dockerignore` and relative to `context`; the last that matches
    /// wins, and `!` takes a file in again. `.git` is never packed. The file `.dockerignore` itself is not read.
    #[serde(default)]
    pub(crate) exclude: Vec<String>,
    /// What ECR's scan of the image has to come to. It replaces the environment's, whole.
    pub(crate) scan: Option<Scan>,
    /// What differs in one environment.
    #[serde(default)]
    pub(crate) environments: IndexMap<String, Override>,
}

/// What a service is delivered as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ArtefactKind {
    /// An image in ECR, run by an ECS service.
    #[default]
    Container,
    /// A zip of files in an S3 bucket. What picks it up there is not shipit's.
    Zip,
}

/// A task on the new image, with the service's own task definition and network, after the push and before the rollout.
/// When it fails, nothing is rolled.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with `command`")]
pub(crate) struct BeforeDeploy {
    /// The program and its arguments, in place of the container's command. There is no shell, and `${…}` is not read.
    #[schemars(length(min = 1))]
    pub(crate) command: Vec<String>,
    /// The container of the task definition. Default: the service's.
    pub(crate) container: Option<String>,
    /// How long it may take, as in `90s` or `10m`. Default: `10m`.
    pub(crate) timeout: Option<String>,
}

/// What differs in one environment. `build_args` are merged with the service's by name; everything else, lists
/// included, replaces what the service says.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of the keys that differ")]
pub(crate) struct Override {
    /// The build context, relative to this file.
    pub(crate) context: Option<String>,
    /// The Dockerfile, relative to the context.
    pub(crate) dockerfile: Option<String>,
    /// The stage of the Dockerfile to build.
    pub(crate) target: Option<String>,
    /// The platform to build for.
    pub(crate) platform: Option<Platform>,
    /// Replaces the service's list.
    pub(crate) secrets: Option<Vec<String>>,
    /// Merged with the service's by name; a name that is in both has the value written here.
    #[serde(default)]
    pub(crate) build_args: IndexMap<String, String>,
    /// Replaces the service's list.
    pub(crate) build_secrets: Option<Vec<String>>,
    /// The ECR repository.
    pub(crate) repository: Option<String>,
    /// The ECS cluster.
    pub(crate) cluster: Option<String>,
    /// The ECS service.
    pub(crate) service: Option<String>,
    /// The container of the task definition.
    pub(crate) container: Option<String>,
    /// Replaces the service's, whole.
    pub(crate) before_deploy: Option<BeforeDeploy>,
    /// Where a build takes its layers from: `inline`, `off` or `{ repository: NAME }`.
    pub(crate) cache: Option<Cache>,
    /// The age from which an image is not used again.
    pub(crate) rebuild_after: Option<String>,
    /// Any text; another one than before means a build.
    pub(crate) rebuild_token: Option<String>,
    /// The S3 bucket.
    pub(crate) bucket: Option<String>,
    /// Where in the bucket the zip of one commit is kept.
    pub(crate) key: Option<String>,
    /// Where in the bucket the zip is that is live.
    pub(crate) latest_key: Option<String>,
    /// Replaces the service's list.
    pub(crate) exclude: Option<Vec<String>>,
    /// Replaces the service's, whole.
    pub(crate) scan: Option<Scan>,
}
