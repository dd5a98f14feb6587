//! What deploy.yaml says for one environment once every default, override, `${…}` and secret is settled.
//! The rooms after this one never see an optional that means "default".

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::cache::Cache;
use crate::freeze::Window;
use crate::secret::Secret;

/// Everything a run has to know, for one environment.
#[derive(Clone, Debug)]
pub(crate) struct Specification {
    /// `name` of deploy.yaml, or the folder's name.
    pub(crate) project: String,
    /// The folder that holds deploy.yaml; contexts are relative to it.
    pub(crate) root: PathBuf,
    pub(crate) environment: Environment,
    /// The keys of everything that is part of the run, containers and zips, in the order of the file.
    pub(crate) names: Vec<String>,
    /// The containers, in the order of the file.
    pub(crate) services: Vec<Service>,
    /// The services of `kind: zip`, in the order of the file.
    pub(crate) archives: Vec<Archive>,
    /// The engines that build; empty: the one that Docker's own settings lead to.
    pub(crate) builders: Vec<Builder>,
    /// Every secret's name in deploy.yaml with its value, for the redactor and the leak gate. The same name is there once.
    pub(crate) secrets: BTreeMap<String, Secret>,
}

#[derive(Clone, Debug)]
pub(crate) struct Environment {
    pub(crate) name: String,
    pub(crate) branch: String,
    /// The environment that must run this commit first.
    pub(crate) after: Option<String>,
    /// How long it must have been live there; zero unless `soak` says more.
    pub(crate) soak: Duration,
    /// Nothing is built: the images that run in `after` are copied.
    pub(crate) promote: bool,
    /// A person has to say yes.
    pub(crate) approval: bool,
    /// `None`: the SDK's usual chain decides.
    pub(crate) region: Option<String>,
    /// Any other account is refused.
    pub(crate) account: Option<String>,
    /// A role to assume, by ARN.
    pub(crate) role: Option<String>,
    /// Whether a failed rollout moves `latest` back; true unless `restore_latest: false`.
    pub(crate) restore_latest: bool,
    /// Times in which nothing is deployed here.
    pub(crate) freeze: Vec<Window>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "`service` is the word of deploy.yaml and of ECS")]
pub(crate) struct Service {
    /// The key under `services`.
    pub(crate) name: String,
    /// Absolute path of the build context.
    pub(crate) context: PathBuf,
    /// Absolute path of the Dockerfile.
    pub(crate) dockerfile: PathBuf,
    pub(crate) target: Option<String>,
    pub(crate) platform: Platform,
    /// Name to value, `${…}` filled in. A value may hold a secret that is meant to be readable in the image.
    pub(crate) build_args: BTreeMap<String, Secret>,
    /// Arguments that are left out because their secret has no value, which only a run that needs none lets pass.
    pub(crate) unknown_args: Vec<String>,
    /// `RUN --mount=type=secret,id=NAME`: name to value.
    pub(crate) build_secrets: BTreeMap<String, Secret>,
    /// Names under `secrets` of this service.
    pub(crate) secrets: Vec<String>,
    /// The subset of `secrets` whose value enters some build argument, and so may be found in the image.
    pub(crate) readable_secrets: Vec<String>,
    /// Patterns of the files that concern it, from the top of the repository; `None`: its build context.
    pub(crate) paths: Option<Vec<String>>,
    /// Patterns of files that never concern it.
    pub(crate) ignore: Vec<String>,
    /// The build arguments that hold `${commit}`, and so are others for every commit.
    pub(crate) commit_args: Vec<String>,
    /// ECR repository name.
    pub(crate) repository: String,
    pub(crate) cluster: String,
    /// ECS service name.
    pub(crate) service: String,
    /// Container name; `None`: the container whose image is this repository.
    pub(crate) container: Option<String>,
    pub(crate) before_deploy: Option<BeforeDeploy>,
    /// A repository's name is complete.
    pub(crate) cache: Cache,
    /// The age from which an image is not used again for the same inputs.
    pub(crate) rebuild_after: Option<Duration>,
    pub(crate) rebuild_token: Option<String>,
    /// What a scan of the image has to come to; `None`: it is only told.
    pub(crate) scan: Option<crate::scan::Policy>,
    /// Services that are rolled out before this one, by their keys; they need not be part of the run.
    pub(crate) depends_on: Vec<String>,
}

/// A service of `kind: zip`: files that are packed and put into a bucket. It has nothing that ECR or ECS know.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    /// The key under `services`.
    pub(crate) name: String,
    /// Absolute path of the folder whose files are packed.
    pub(crate) context: PathBuf,
    /// Patterns of what is left out, as in a `.dockerignore`.
    pub(crate) exclude: Vec<String>,
    /// Names of the secrets that have to be set. Their values go nowhere.
    pub(crate) secrets: Vec<String>,
    pub(crate) bucket: String,
    /// Where the zip of each commit is kept.
    pub(crate) key: VersionedKey,
    /// Where the one is that is live.
    pub(crate) latest_key: String,
    /// Patterns of the files that concern it; `None`: those that are packed.
    pub(crate) paths: Option<Vec<String>>,
    /// Patterns of files that never do.
    pub(crate) ignore: Vec<String>,
    /// Services that are deployed before this one, by their keys; they need not be part of the run.
    pub(crate) depends_on: Vec<String>,
}

/// An object key with a place for the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionedKey {
    pub(crate) prefix: String,
    pub(crate) suffix: String,
}

impl VersionedKey {
    /// `commit` is as it is recorded: the full hash, `-dirty` appended where the tree was not clean.
    pub(crate) fn of(&self, commit: &str) -> String {
        format!("{}{commit}{}", self.prefix, self.suffix)
    }

    /// The commit that a key is of; `None` for a key of something else.
    pub(crate) fn commit_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        let commit = key.strip_prefix(&*self.prefix)?.strip_suffix(&*self.suffix)?;
        let hash = commit.strip_suffix("-dirty").unwrap_or(commit);
        let is_hash = matches!(hash.len(), 40 | 64) && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then_some(commit)
    }
}

/// An engine that builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Builder {
    /// What it is called in all that is said of it.
    pub(crate) name: String,
    /// `tcp://build-1:2376`
    pub(crate) host: String,
    /// The folder of its TLS files, absolute; `None`: as the process's variables have it.
    pub(crate) certs: Option<PathBuf>,
    /// Builds at a time; `None`: what the command line says.
    pub(crate) jobs: Option<usize>,
    /// Empty: any.
    pub(crate) platforms: Vec<Platform>,
}

/// A task on the new image, before the rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BeforeDeploy {
    /// Never empty.
    pub(crate) command: Vec<String>,
    /// `None`: the service's.
    pub(crate) container: Option<String>,
    pub(crate) timeout: Duration,
}

/// An OCI platform of Linux, `linux/ARCH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum Platform {
    /// 64-bit x86, the usual one of Fargate.
    #[serde(rename = "linux/amd64")]
    LinuxAmd64,
    /// 64-bit ARM, Graviton.
    #[serde(rename = "linux/arm64")]
    LinuxArm64,
}

impl Platform {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "linux/amd64",
            Self::LinuxArm64 => "linux/arm64",
        }
    }

    /// As an image config and `docker inspect` name it (GOARCH).
    pub(crate) const fn architecture(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "amd64",
            Self::LinuxArm64 => "arm64",
        }
    }

    /// As ECS names it in `runtimePlatform.cpuArchitecture`.
    pub(crate) const fn ecs_architecture(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "X86_64",
            Self::LinuxArm64 => "ARM64",
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
