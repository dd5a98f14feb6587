//! The command line as it is written. These types stop at `commands`: the rooms below never see them.

pub(crate) mod local;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit::Exit;

/// Takes a git branch to its ECS environment, and proves that what it pushed is what runs.
#[derive(Debug, Parser)]
#[command(name = "shipit", version, propagate_version = true, after_long_help = exit_codes(), max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Say more: every line of the build, and every step of it
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// How to say it: text for people, json for one object a line
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    #[default]
    Text,
    Json,
}

impl From<Output> for crate::report::Format {
    fn from(output: Output) -> Self {
        match output {
            Output::Text => Self::Text,
            Output::Json => Self::Json,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build, push, roll and prove
    Deploy(DeployArgs),
    /// Look for faults in deploy.yaml, the Dockerfiles and the secrets, offline
    Check(CheckArgs),
    /// Say which services changed since what runs there, and why
    Changed(ChangedArgs),
    /// Show what runs where, since when and from which commit
    Status(StatusArgs),
    /// Take up the watch of a rollout in flight, and prove it
    Wait(WaitArgs),
    /// Bring the previous revision back, or the one that is named, and hold what it takes away
    Rollback(RollbackArgs),
    /// Run a command in a task of its own, on a service's image and settings; its exit code is ours
    Run(RunArgs),
    /// Show what was deployed there, and how it ended
    History(HistoryArgs),
    /// Write deploy.yaml and the CI file, from what the project says about itself
    Init(InitArgs),
    /// Say what works, what does not and what to do about it: engine, credentials, repositories, services, permissions
    Doctor(DoctorArgs),
    /// The stand-in for AWS on this machine
    Local(local::LocalArgs),
    /// Print the JSON Schema of deploy.yaml, for editors
    Schema,
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Where deploy.yaml is, and which environment is meant.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The environment; without it the branch decides
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: Option<String>,

    /// The branch; without it the CI's variables decide, then git
    #[arg(short, long, value_name = "NAME")]
    pub(crate) branch: Option<String>,

    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    /// The deploy.yaml to read
    #[arg(long, value_name = "PATH", default_value = crate::config::FILE_NAME)]
    pub(crate) config: PathBuf,
}

/// Where a run is reported besides the terminal.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Report what was found, and how it ended, to reviewers: markdown (alone on stdout), markdown=PATH, bitbucket (Code
    /// Insights), github (annotations and the step's summary), or auto, by the CI; may be given more than once
    #[arg(long = "report", value_name = "WHERE", value_parser = report_to)]
    pub(crate) to: Vec<ReportTo>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReportTo {
    /// To a file, or to stdout.
    Markdown(Option<PathBuf>),
    Bitbucket,
    GitHub,
    Auto,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub(crate) struct DeployArgs {
    /// The services to deploy, whatever changed; without any, those that changed since what runs there
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,

    #[command(flatten)]
    pub(crate) target: Target,

    /// Deploy every service, whatever changed
    #[arg(long)]
    pub(crate) all: bool,

    /// Compare with this commit, not with what runs there
    #[arg(long, value_name = "REV", conflicts_with = "all")]
    pub(crate) base: Option<String>,

    /// Deploy a commit although a newer one runs there
    #[arg(long)]
    pub(crate) allow_older: bool,
    /// Wait for a rollout that is in flight there, in place of being refused
    #[arg(long)]
    pub(crate) queue: bool,

    /// Print the plan that would be carried out, and change nothing anywhere
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Deploy a branch that does not belong to the environment
    #[arg(long)]
    pub(crate) any_branch: bool,

    /// Deploy uncommitted changes to a guarded environment
    #[arg(long)]
    pub(crate) allow_dirty: bool,

    /// A person has started this manual step of the CI; the pipeline's file has to say that it is one
    #[arg(long)]
    pub(crate) approve: bool,

    /// Deploy although the environment is frozen; the reason is written into the receipt
    #[arg(long, value_name = "REASON", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) override_freeze: Option<String>,

    /// Deploy a commit although a rollback took it away
    #[arg(long)]
    pub(crate) release_hold: bool,

    /// Build without any cache, although the repository has an image of the same inputs
    #[arg(long)]
    pub(crate) rebuild: bool,

    /// Write down in this file who deployed what, and how it ended (JSON)
    #[arg(long, value_name = "PATH")]
    pub(crate) receipt: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) report: Report,

    /// End when ECS has accepted the rollout, without waiting and without proof
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// How long to wait for a rollout
    #[arg(long, value_name = "TIME", default_value = "20m", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// End at a crash loop; `false` waits until ECS gives up or the time is over
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) fail_fast: bool,

    /// How many images an engine builds at a time, where deploy.yaml does not say
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) jobs: u8,

    /// Deploy to the stand-in for AWS on this machine: needs no account
    #[arg(long)]
    pub(crate) local: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ChangedArgs {
    /// The services to look at; without any, all of them
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,

    #[command(flatten)]
    pub(crate) target: Target,

    /// Compare with where this branch or commit was left, and ask AWS for nothing: for a pull request, origin/main
    #[arg(long, value_name = "REV")]
    pub(crate) base: Option<String>,

    /// Name every file, and the pattern that it fits
    #[arg(long)]
    pub(crate) explain: bool,

    /// In which form: for people, or for the next step of a pipeline
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) format: ChangedFormat,

    /// Look at the stand-in for AWS on this machine
    #[arg(long)]
    pub(crate) local: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChangedFormat {
    /// A table
    #[default]
    Text,
    /// The changed services, one a line
    Lines,
    /// The changed services as one JSON list
    Json,
    /// CHANGED=true and CHANGED_API=true or false, for $BITBUCKET_PIPELINES_VARIABLES_PATH
    Bitbucket,
    /// changed=true, services=[…] as JSON and changed_api=true or false, for $GITHUB_OUTPUT
    Github,
    /// {"include":[{"service":"api"}]}, a matrix
    GithubMatrix,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The services to show; without any, all of them
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,

    /// The environment to show; without it, all of them
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: Option<String>,

    /// Look again every five seconds, until Ctrl-C
    #[arg(short, long)]
    pub(crate) watch: bool,

    /// Look at the stand-in for AWS on this machine
    #[arg(long)]
    pub(crate) local: bool,

    #[command(flatten)]
    pub(crate) config: Config,
}

/// How long to watch a rollout.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Patience {
    /// How long to wait for a rollout
    #[arg(long, value_name = "TIME", default_value = "20m", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// End at a crash loop; `false` waits until ECS gives up or the time is over
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) fail_fast: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// The services to wait for; without any, all of them
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,

    /// The environment
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: String,

    #[command(flatten)]
    pub(crate) patience: Patience,

    /// Look at the stand-in for AWS on this machine
    #[arg(long)]
    pub(crate) local: bool,

    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The services to roll back; without any, all of them
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,

    /// The environment; a rollback never takes it from the branch
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: String,

    /// The revision to go back to: a commit (7 digits at least), an image tag or a digest; without it, what ran before
    #[arg(long, value_name = "REV")]
    pub(crate) to: Option<String>,

    /// Print what would be rolled back to what, and change nothing anywhere
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// A person has started this manual step of the CI; the pipeline's file has to say that it is one
    #[arg(long)]
    pub(crate) approve: bool,

    #[command(flatten)]
    pub(crate) patience: Patience,

    /// Write down in this file who rolled what back, and how it ended (JSON)
    #[arg(long, value_name = "PATH")]
    pub(crate) receipt: Option<PathBuf>,

    /// Work on the stand-in for AWS on this machine
    #[arg(long)]
    pub(crate) local: bool,

    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The service whose task definition, network and image are taken
    #[arg(value_name = "SERVICE")]
    pub(crate) service: String,

    /// The program and its arguments, in place of the container's command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,

    /// The environment; it is never taken from the branch
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: String,

    /// The container of the task definition; without it, the service's
    #[arg(long, value_name = "NAME")]
    pub(crate) container: Option<String>,

    /// A person has started this manual step of the CI; the pipeline's file has to say that it is one
    #[arg(long)]
    pub(crate) approve: bool,

    /// How long it may take; then it is stopped
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// Run it on the stand-in for AWS on this machine
    #[arg(long)]
    pub(crate) local: bool,

    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// The services to show; without any, all of them
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,

    /// The environment
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: String,

    /// How many entries to show, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,

    /// Look at the stand-in for AWS on this machine
    #[arg(long)]
    pub(crate) local: bool,

    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Check the secrets and overrides of this environment too
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: Option<String>,

    #[command(flatten)]
    pub(crate) report: Report,

    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Write the file of this CI; without it, the one that the project has already
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) ci: Option<CiName>,

    /// Take cluster, services, containers and repositories from this ECS cluster
    #[arg(long, value_name = "CLUSTER")]
    pub(crate) from_ecs: Option<String>,

    /// The environment that the cluster is, where its name does not say
    #[arg(short, long, value_name = "NAME", requires = "from_ecs")]
    pub(crate) env: Option<String>,

    /// Print what would be written, and write nothing
    #[arg(long, visible_alias = "print")]
    pub(crate) dry_run: bool,

    /// Overwrite deploy.yaml, and the CI file that --ci names
    #[arg(long)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CiName {
    Bitbucket,
    Github,
    Gitlab,
}

impl From<CiName> for crate::ci::Provider {
    fn from(name: CiName) -> Self {
        match name {
            CiName::Bitbucket => Self::Bitbucket,
            CiName::Github => Self::GitHub,
            CiName::Gitlab => Self::GitLab,
        }
    }
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub(crate) struct DoctorArgs {
    /// The environment to look at; without it, all of them
    #[arg(short, long, value_name = "NAME")]
    pub(crate) env: Option<String>,

    /// Print the IAM policy that this deploy.yaml needs, and look at nothing
    #[arg(long)]
    pub(crate) iam_policy: bool,

    /// The policy of who only looks: a dry run, status, history, doctor
    #[arg(long, requires = "iam_policy")]
    pub(crate) read_only: bool,

    /// The policy of who also uses `shipit run`; `before_deploy` brings it along
    #[arg(long, requires = "iam_policy")]
    pub(crate) with_run: bool,

    /// The policy of who also uses `shipit init --from-ecs`
    #[arg(long, requires = "iam_policy")]
    pub(crate) with_init: bool,

    #[command(flatten)]
    pub(crate) config: Config,
}

fn report_to(text: &str) -> Result<ReportTo, String> {
    match text.split_once('=') {
        None if text == "markdown" => Ok(ReportTo::Markdown(None)),
        None if text == "bitbucket" => Ok(ReportTo::Bitbucket),
        None if text == "github" => Ok(ReportTo::GitHub),
        None if text == "auto" => Ok(ReportTo::Auto),
        Some(("markdown", path)) if !path.is_empty() => Ok(ReportTo::Markdown(Some(path.into()))),
        _ => Err("give markdown, markdown=PATH, bitbucket, github or auto".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) => Err("it must be longer than nothing".to_owned()),
        Err(_) => Err("give a number with a unit, such as 90s, 20m or 1h30m".to_owned()),
    }
}

fn exit_codes() -> String {
    let codes = Exit::ALL.iter().map(|(exit, meaning)| format!("  {:>3}  {meaning}\n", exit.code()));
    format!("Exit codes:\n{}", codes.collect::<String>())
}
