//! What the stand-in is started with.

use std::path::PathBuf;

use super::clock::Millis;
use crate::secret::Secret;

/// The port that is tried first, so that an address printed yesterday still answers today.
pub(crate) const DEFAULT_PORT: u16 = 4510;

#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The folder that keeps everything between runs. Only one process uses it at a time.
    pub(crate) state_dir: PathBuf,
    /// 0 takes a free port. `DEFAULT_PORT` falls back to a free one when it is taken; any other port is taken or
    /// refused.
    pub(crate) port: u16,
    /// The account of the credentials that the stand-in gives out.
    pub(crate) account: String,
    /// The region of what is seeded without one. Calls are answered for the region they were signed for.
    pub(crate) region: String,
    /// What exists from the start. Things that exist already are left as they are.
    pub(crate) seed: Vec<SeedService>,
    pub(crate) buckets: Vec<SeedBucket>,
    pub(crate) runtime: RuntimeChoice,
    /// A registry that keeps the images in place of the stand-in's own.
    pub(crate) registry: Option<OtherRegistry>,
}

/// A registry on this machine's loopback, and the login that `GetAuthorizationToken` gives for it.
#[derive(Clone, Debug)]
pub(crate) struct OtherRegistry {
    /// `HOST:PORT`.
    pub(crate) host: String,
    pub(crate) username: String,
    pub(crate) password: Secret,
}

/// A repository, a cluster and a service that deploy.yaml names.
#[derive(Clone, Debug)]
pub(crate) struct SeedService {
    /// `None`: the account of the options.
    pub(crate) account: Option<String>,
    /// `None`: the region of the options.
    pub(crate) region: Option<String>,
    pub(crate) repository: String,
    /// Of the service's `cache`.
    pub(crate) cache_repository: Option<String>,
    pub(crate) cluster: String,
    pub(crate) service: String,
    pub(crate) container: String,
    /// `None`: every TCP port that the image exposes.
    pub(crate) container_port: Option<u16>,
    pub(crate) desired: u32,
    /// As ECS names it: `X86_64` or `ARM64`.
    pub(crate) architecture: &'static str,
}

/// A bucket that deploy.yaml names.
#[derive(Clone, Debug)]
pub(crate) struct SeedBucket {
    /// `None`: the account of the options.
    pub(crate) account: Option<String>,
    /// `None`: the region of the options.
    pub(crate) region: Option<String>,
    pub(crate) name: String,
}

/// What tasks are made of.
#[derive(Clone, Debug)]
pub(crate) enum RuntimeChoice {
    /// Containers of a Docker Engine.
    Containers(bollard::Docker),
    /// A JSON file that says how tasks behave, read again whenever it changes.
    Script(PathBuf),
}

/// How long ECS's own steps take here. ECS needs minutes for some of them; nobody should have to wait that long for a
/// stand-in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The wait before the task after a first failure; it doubles with each further one.
    pub(crate) retry: Millis,
    pub(crate) retry_at_most: Millis,
    /// How long a failed deployment is still listed after it was given up, so that whoever polls can see it.
    pub(crate) linger: Millis,
    /// How long stopped tasks can be described. ECS: about an hour.
    pub(crate) remember_stopped: Millis,
}

impl Default for Pace {
    fn default() -> Self {
        Self { retry: 500, retry_at_most: 15_000, linger: 1500, remember_stopped: 3_600_000 }
    }
}
