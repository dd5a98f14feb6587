//! The arguments of `shipit local`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Config;
use crate::local::DEFAULT_PORT;

#[derive(Debug, Args)]
pub(crate) struct LocalArgs {
    #[command(subcommand)]
    pub(crate) command: LocalCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LocalCommand {
    /// Serve STS, ECR, ECS and logs on a loopback port until interrupted
    Serve(ServeArgs),
    /// Show what the stand-in keeps and what runs
    Status(StateArgs),
    /// Remove the stand-in's containers and everything it keeps
    Reset(StateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// The folder that keeps everything between runs; without it, one for each project
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) state: StateArgs,

    /// The loopback port; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = DEFAULT_PORT)]
    pub(crate) port: u16,

    /// Let tasks follow this JSON file in place of containers
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,

    /// Let this registry keep the images: http://127.0.0.1:PORT, with the login in SHIPIT_REGISTRY_USERNAME and
    /// SHIPIT_REGISTRY_PASSWORD
    #[arg(long, value_name = "URL")]
    pub(crate) registry: Option<String>,
}
