//! `shipit local serve|status|reset`, and `--local` of the other commands: the stand-in for AWS.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::Context;
use crate::aws::Settings;
use crate::cli::local::{LocalArgs, LocalCommand, ServeArgs, StateArgs};
use crate::config::cache::Cache;
use crate::config::{self, Manifest, ResolveInput, SecretsMode};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::local::{
    self, Credentials, DEFAULT_PORT, Options, OtherRegistry, RuntimeChoice, SeedBucket, SeedService, StandIn,
};
use crate::secret::Secret;
use crate::vars::Vars;

/// The account where deploy.yaml names none.
const ACCOUNT: &str = "000000000000";
/// The region where neither deploy.yaml nor the environment of the process names one.
const REGION: &str = "us-east-1";

pub(super) async fn run(args: LocalArgs, context: &Context) -> Result<Exit> {
    match args.command {
        LocalCommand::Serve(args) => serve(args, context).await,
        LocalCommand::Status(args) => status(args, context),
        LocalCommand::Reset(args) => reset(args, context).await,
    }
}

/// Serves until interrupted. The first line says where, the others are to be copied into a shell.
async fn serve(args: ServeArgs, context: &Context) -> Result<Exit> {
    let (manifest, state_dir) = surroundings(args.state, &context.vars)?;
    let runtime = match args.script {
        Some(script) => RuntimeChoice::Script(script),
        None => RuntimeChoice::Containers(context.engine().await?.bollard().clone()),
    };
    let interrupts = Interrupts::listen()?;
    let mut options = options(manifest.as_ref(), state_dir, args.port, runtime, &context.vars)?;
    options.registry = args.registry.map(|url| other_registry(&url, &context.vars)).transpose()?;
    let region = options.region.clone();
    let stand_in = StandIn::start(options).await?;
    let (endpoint, credentials) = (stand_in.endpoint(), stand_in.credentials());
    // The keys open nothing but this process on this machine.
    context.console.data(&format!(
        "listening on {endpoint}\nexport AWS_ENDPOINT_URL={endpoint}\nexport AWS_ACCESS_KEY_ID={}\n\
         export AWS_SECRET_ACCESS_KEY={}\nexport AWS_REGION={region}\nexport AWS_DEFAULT_REGION={region}\n",
        credentials.access_key_id,
        credentials.secret_access_key.expose(),
    ))?;
    let stop = CancellationToken::new();
    tokio::select! {
        () = stop.cancelled() => {}
        () = interrupts.second(stop.clone()) => {}
    }
    stand_in.stop().await?;
    Ok(Exit::Success)
}

fn status(args: StateArgs, context: &Context) -> Result<Exit> {
    let (_, state_dir) = surroundings(args, &context.vars)?;
    let Some(status) = local::status(&state_dir)? else {
        context.console.data("nothing is kept for this project: no stand-in has run yet")?;
        return Ok(Exit::Success);
    };
    let mut text = match &status.running {
        Some(running) => format!("listening on {} (process {})\n", running.endpoint, running.pid),
        None => "not serving; its containers go on\n".to_owned(),
    };
    for service in &status.services {
        text.push_str(&format!(
            "{}/{}  {} of {} running  {}  {}\n",
            service.cluster,
            service.service,
            service.running,
            service.desired,
            service.digest.as_deref().unwrap_or("-"),
            service.urls.join(" "),
        ));
    }
    context.console.data(&text)?;
    Ok(Exit::Success)
}

async fn reset(args: StateArgs, context: &Context) -> Result<Exit> {
    let (_, state_dir) = surroundings(args, &context.vars)?;
    let engine = context.engine().await.ok();
    let removed = local::reset(&state_dir, engine.as_ref().map(Engine::bollard)).await?;
    let unreached = if engine.is_some() { "" } else { "; no Docker Engine answers, so containers may be left" };
    context.console.data(&format!("removed {removed} containers and {}{unreached}", state_dir.display()))?;
    Ok(Exit::Success)
}

/// The stand-in of one `--local` run: the one that serves already, or one inside this process.
pub(super) enum Session {
    Own { stand_in: Box<StandIn>, state_dir: PathBuf, events: Events },
    Attached(local::Attached),
}

impl Session {
    pub(super) async fn open(manifest: &Manifest, context: &Context, events: &Events) -> Result<Self> {
        let state_dir = state_dir(Some(&manifest.root), &context.vars)?;
        if let Some(attached) = local::attach(&state_dir)? {
            events.note(format!("using the stand-in for AWS that serves at {}", attached.endpoint));
            return Ok(Self::Attached(attached));
        }
        let docker = context.engine().await?.bollard().clone();
        let options =
            options(Some(manifest), state_dir.clone(), DEFAULT_PORT, RuntimeChoice::Containers(docker), &context.vars)?;
        let stand_in = StandIn::start(options).await?;
        events.note(format!("a stand-in for AWS on this machine serves at {}", stand_in.endpoint()));
        Ok(Self::Own { stand_in: Box::new(stand_in), state_dir, events: events.clone() })
    }

    pub(super) fn settings(&self) -> Settings {
        let (endpoint, Credentials { access_key_id, secret_access_key }) = match self {
            Self::Own { stand_in, .. } => (stand_in.endpoint(), stand_in.credentials()),
            Self::Attached(attached) => (attached.endpoint.clone(), attached.credentials.clone()),
        };
        Settings::stand_in(endpoint, access_key_id, &secret_access_key, REGION)
    }

    /// Saves the state; the containers go on. A run that has begun to use this stand-in meanwhile is waited for, unless
    /// this one is interrupted.
    pub(super) async fn close(self, cancel: &CancellationToken) -> Result<()> {
        match self {
            Self::Own { stand_in, state_dir, events } => {
                let waiting = || events.note("another run uses this stand-in for AWS: it goes on until that one ends");
                let alone = tokio::select! {
                    biased;
                    () = cancel.cancelled() => None,
                    alone = local::without_guests(&state_dir, waiting) => Some(alone),
                };
                stand_in.stop().await?;
                alone.transpose().map(|_| ())
            }
            Self::Attached(_) => Ok(()),
        }
    }
}

/// The registry of `--registry`. Its login goes over plain HTTP, so it has to be on this machine; a password on the
/// command line could be read by everybody on it.
fn other_registry(url: &str, vars: &Vars) -> Result<OtherRegistry> {
    let wrong = |what: &str| {
        Error::new(Exit::Usage, format!("`--registry` {what}"))
            .hint("name a registry on this machine: `--registry http://127.0.0.1:5000`")
    };
    let parsed: http::Uri = url.trim_end_matches('/').parse().map_err(|_| wrong("is not an address"))?;
    let authority = parsed.authority().ok_or_else(|| wrong("is not an address"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("has a login in its address: put it in the environment"));
    }
    let loopback = authority.host() == "localhost"
        || authority.host().parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    if parsed.scheme_str() != Some("http") || !loopback || parsed.path() != "/" || parsed.query().is_some() {
        return Err(wrong(&format!("takes plain HTTP to a loopback address, not {url}")));
    }
    let (user, password) = ("SHIPIT_REGISTRY_USERNAME", "SHIPIT_REGISTRY_PASSWORD");
    let missing: Vec<&str> = [user, password].into_iter().filter(|name| !vars.has(name)).collect();
    let (Some(username), Some(password)) = (vars.get(user), vars.get(password)) else {
        return Err(Error::new(Exit::Secret, format!("the login to {url} is missing: {}", missing.join(", ")))
            .hint("set both variables to the login that the registry knows"));
    };
    if username.contains(':') {
        return Err(Error::new(Exit::Usage, format!("{user} has a colon, which no user of a registry may have")));
    }
    Ok(OtherRegistry {
        host: authority.as_str().to_owned(),
        username: username.to_owned(),
        password: Secret::new(password),
    })
}

/// deploy.yaml, where there is one, and the state directory.
fn surroundings(args: StateArgs, vars: &Vars) -> Result<(Option<Manifest>, PathBuf)> {
    let manifest = if args.config.config.exists() { Some(config::load(&args.config.config)?) } else { None };
    let state_dir = match args.state {
        Some(state) => state,
        None => state_dir(manifest.as_ref().map(|manifest| manifest.root.as_path()), vars)?,
    };
    Ok((manifest, state_dir))
}

/// A folder for each project under the user's state directory (the XDG base directory specification).
fn state_dir(root: Option<&Path>, vars: &Vars) -> Result<PathBuf> {
    let states = vars.get("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let states = states.or_else(|| vars.home().map(|home| home.join(".local/state"))).ok_or_else(|| {
        Error::new(Exit::Usage, "there is no folder to keep the stand-in's state in")
            .hint("set HOME or XDG_STATE_HOME, or name a folder with `--state`")
    })?;
    let name = root.map_or_else(
        || "no-project".to_owned(),
        |root| {
            let mut hasher = DefaultHasher::new();
            root.hash(&mut hasher);
            let folder = root.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy().into_owned());
            format!("{folder}-{:08x}", hasher.finish() & 0xffff_ffff)
        },
    );
    Ok(states.join("shipit/local").join(name))
}

fn options(
    manifest: Option<&Manifest>,
    state_dir: PathBuf,
    port: u16,
    runtime: RuntimeChoice,
    vars: &Vars,
) -> Result<Options> {
    let default_region = vars.get("AWS_REGION").or_else(|| vars.get("AWS_DEFAULT_REGION")).unwrap_or(REGION);
    let (mut seed, mut buckets) = (Vec::new(), Vec::new());
    let (mut account, mut region) = (ACCOUNT.to_owned(), default_region.to_owned());
    if let Some(manifest) = manifest {
        for (at, name) in manifest.environments.keys().enumerate() {
            let specification = manifest.resolve(&ResolveInput {
                environment: name,
                branch: None,
                commit: Some("0000000000000000000000000000000000000000"),
                services: &[],
                vars,
                secrets: SecretsMode::Optional,
            })?;
            let environment = &specification.environment;
            // Where only a role says which account it is, that role has to be there to be assumed.
            let of_role = || environment.role.as_deref().and_then(|role| role.split(':').nth(4)).map(str::to_owned);
            let its_account = environment.account.clone().or_else(of_role);
            if at == 0 {
                account = its_account.clone().unwrap_or(account);
                region = environment.region.clone().unwrap_or(region);
            }
            buckets.extend(specification.archives.iter().map(|archive| SeedBucket {
                account: environment.account.clone(),
                region: environment.region.clone(),
                name: archive.bucket.clone(),
            }));
            seed.extend(specification.services.iter().map(|service| SeedService {
                account: its_account.clone(),
                region: environment.region.clone(),
                repository: service.repository.clone(),
                cache_repository: match &service.cache {
                    Cache::Repository(name) => Some(name.clone()),
                    Cache::Inline | Cache::Off => None,
                },
                cluster: service.cluster.clone(),
                service: service.service.clone(),
                container: service.container.clone().unwrap_or_else(|| service.name.clone()),
                container_port: None,
                desired: 1,
                architecture: service.platform.ecs_architecture(),
            }));
        }
    }
    Ok(Options { state_dir, port, account, region, seed, buckets, runtime, registry: None })
}
