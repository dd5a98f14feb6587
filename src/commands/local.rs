//! `shipit local serve|status|reset`: the stand-in for AWS as a process of its own.

use std::path::PathBuf;

use bollard::Docker;
use clap::{Args, Subcommand};

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::local::{self, DEFAULT_PORT, Options, RuntimeChoice, SeedService, StandIn};

/// The stand-in for AWS on this machine.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum LocalCommand {
    /// Serve STS, ECR, ECS and logs on a loopback port until interrupted.
    Serve(ServeArgs),
    /// Show what the stand-in keeps and what runs.
    Status(StateArgs),
    /// Remove the stand-in's containers and everything it keeps.
    Reset(StateArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct StateArgs {
    /// The folder that keeps everything between runs.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ServeArgs {
    /// The folder that keeps everything between runs.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// The loopback port; 0 takes a free one.
    #[arg(long, default_value_t = DEFAULT_PORT)]
    pub(crate) port: u16,
    /// Tasks follow this JSON file in place of containers.
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,
}

/// What the command line cannot say by itself: deploy.yaml's names, the engine, the default folder.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) state_dir: PathBuf,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) seed: Vec<SeedService>,
    pub(crate) docker: Option<Docker>,
}

/// Runs one of the commands. What it says goes to `out`.
///
/// # Errors
/// As the stand-in has them; `Exit::Usage` when there is neither an engine nor a script.
pub(crate) async fn run(
    command: LocalCommand,
    surroundings: Surroundings,
    out: &mut (impl std::io::Write + Send),
) -> Result<()> {
    match command {
        LocalCommand::Serve(args) => serve(args, surroundings, out).await,
        LocalCommand::Status(args) => status(&args.state.unwrap_or(surroundings.state_dir), out),
        LocalCommand::Reset(args) => {
            let folder = args.state.unwrap_or(surroundings.state_dir);
            let removed = local::reset(&folder, surroundings.docker.as_ref()).await?;
            say(out, &format!("removed {removed} containers and {}", folder.display()))
        }
    }
}

/// Serves until SIGINT or SIGTERM. The first line says where.
async fn serve(args: ServeArgs, surroundings: Surroundings, out: &mut (impl std::io::Write + Send)) -> Result<()> {
    let runtime = match (args.script, surroundings.docker) {
        (Some(script), _) => RuntimeChoice::Script(script),
        (None, Some(docker)) => RuntimeChoice::Containers(docker),
        (None, None) => {
            return Err(Error::new(Exit::Usage, "there is no Docker Engine to run tasks on")
                .hint("start one, or let tasks follow a file with `--script`"));
        }
    };
    let stand_in = StandIn::start(Options {
        state_dir: args.state.unwrap_or(surroundings.state_dir),
        port: args.port,
        account: surroundings.account,
        region: surroundings.region.clone(),
        seed: surroundings.seed,
        runtime,
    })
    .await?;
    let credentials = stand_in.credentials();
    say(out, &format!("listening on {}", stand_in.endpoint()))?;
    // These open nothing but this process on this machine; they are here to be copied into a shell.
    say(out, &format!("export AWS_ENDPOINT_URL={}", stand_in.endpoint()))?;
    say(out, &format!("export AWS_ACCESS_KEY_ID={}", credentials.access_key_id))?;
    say(out, &format!("export AWS_SECRET_ACCESS_KEY={}", credentials.secret_access_key.expose()))?;
    // The SDKs read the first, the older aws command line only the second.
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        say(out, &format!("export {name}={}", surroundings.region))?;
    }
    interrupted().await;
    stand_in.stop().await
}

#[cfg(unix)]
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
}

fn status(state_dir: &std::path::Path, out: &mut impl std::io::Write) -> Result<()> {
    let Some(status) = local::status(state_dir)? else {
        return say(out, &format!("nothing is kept in {}", state_dir.display()));
    };
    match &status.running {
        Some(running) => say(out, &format!("listening on {} (process {})", running.endpoint, running.pid))?,
        None => say(out, "not serving")?,
    }
    for service in &status.services {
        let digest = service.digest.as_deref().unwrap_or("-");
        say(
            out,
            &format!(
                "{}/{}  {}/{} running  {digest}  {}",
                service.cluster,
                service.service,
                service.running,
                service.desired,
                service.urls.join(" ")
            ),
        )?;
    }
    Ok(())
}

fn say(out: &mut impl std::io::Write, line: &str) -> Result<()> {
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Error::new(Exit::Fault, "the output cannot be written").because(&error))
}
