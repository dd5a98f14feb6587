//! `shipit run`: a command in a task of its own. Its log is the answer, on stdout, and its exit code is ours.

use tokio_util::sync::CancellationToken;

use super::local::Session;
use super::{Context, approve};
use crate::aws::identity::identity;
use crate::aws::{Clients, Settings, credentials};
use crate::ci::file::Verb;
use crate::ci::{self, committed};
use crate::cli::RunArgs;
use crate::config::specification::Specification;
use crate::error::{Error, Result};
use crate::event::{Events, Kind};
use crate::exit::Exit;
use crate::gates;
use crate::interrupt::{Interrupts, unless_cancelled};
use crate::observe;
use crate::one_off::{Ended, Ending, OneOff};
use crate::report::Format;
use crate::standing::Standing;

pub(super) async fn run(args: RunArgs, context: &Context) -> Result<Exit> {
    let cancel = CancellationToken::new();
    let interrupts = Interrupts::listen()?;
    let reporter = context.console.report(false);
    let ended = tokio::select! {
        ended = to_the_end(&args, context, reporter.events(), &cancel) => ended,
        () = interrupts.second(cancel.clone()) => Err(Error::new(Exit::Interrupted, "interrupted twice: left at once")
            .hint("the task may go on: look at it in the ECS console")),
    };
    let exit_code = match &ended {
        Ok(exit) => *exit,
        Err(error) => error.exit(),
    };
    let environment = Some(args.env);
    reporter
        .finish(Kind::Finished {
            exit_code,
            environment,
            services: Vec::new(),
            error: ended.as_ref().err().map(Error::line),
        })
        .await;
    ended
}

async fn to_the_end(args: &RunArgs, context: &Context, events: &Events, cancel: &CancellationToken) -> Result<Exit> {
    let standing = Standing::load(&args.config.config, &context.vars).await?;
    let services = [args.service.clone()];
    let specification = standing.specification(&args.env, &services, &context.vars)?;
    context.console.hide(&specification.secrets);
    let stand_in = match args.local {
        true => Some(Session::open(&standing.manifest, context, events).await?),
        false => None,
    };
    let settings = stand_in.as_ref().map_or_else(|| Settings::of(&context.vars), Session::settings);
    let ended = task(args, &standing, &specification, &settings, context, events, cancel).await;
    if let Some(stand_in) = stand_in {
        stand_in.close(cancel).await?;
    }
    exit(ended?)
}

async fn task(
    args: &RunArgs,
    standing: &Standing,
    specification: &Specification,
    settings: &Settings,
    context: &Context,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Ended> {
    if let Some(zip) = specification.archives.first() {
        return Err(Error::new(
            Exit::Usage,
            format!("`{}` is a zip: it has no container that could run a command", zip.name),
        )
        .hint("name a service that is a container"));
    }
    if !args.local && ci::is_pipeline(standing.ci.as_ref()) {
        committed::same_manifest(&args.config.config, &standing.manifest, standing.ci.as_ref()).await?;
    }
    let clients = Clients::connect(&specification.environment, settings).await?;
    let identity = identity(&clients).await?;
    if let Some(finding) = gates::account(&specification.environment, &identity) {
        return Err(finding.to_error());
    }
    for warning in credentials::warnings(&clients, args.timeout).await {
        events.warn(warning, None);
    }
    let asked = approve::Asked {
        manifest: &standing.manifest,
        environment: &args.env,
        verb: Verb::Run,
        flag: args.approve,
        ci: standing.ci.as_ref(),
        identity: Some(&identity.arn),
    };
    let shown = async || vec![format!("{}: {}", args.service, args.command.join(" "))];
    unless_cancelled(cancel, "interrupted before the task began", approve::approved(&asked, shown, context, events))
        .await?;
    let Some(service) = specification.services.first() else {
        return Err(Error::new(Exit::Fault, "the service is not in the specification"));
    };
    let container = if let Some(container) = &args.container {
        container.clone()
    } else {
        let seen = observe::observe_service(&clients, service).await;
        gates::container(service, &seen).ok_or_else(|| {
            Error::new(Exit::Aws, format!("no container of service `{}` is known", service.service))
                .hint("name one: `shipit run --container NAME`, or look what is in the way: shipit deploy --dry-run")
        })?
    };
    let one_off = OneOff {
        clients: &clients,
        cluster: &service.cluster,
        service: &service.service,
        container: &container,
        command: &args.command,
        timeout: args.timeout,
        digests: &[],
        events,
        cancel,
    };
    one_off.alone().await?;
    let answer = |task: &str, line: String| match context.console.format() {
        Format::Json => events.emit(Kind::TaskLog { task: task.to_owned(), line }),
        // A reader that has gone away does not stop the task.
        Format::Text => drop(context.console.data(&line)),
    };
    one_off.run(answer).await
}

/// The container's exit code, or why there is none.
fn exit(ended: Ended) -> Result<Exit> {
    let Ended { task, ending, .. } = ended;
    match ending {
        Ending::Exited(0) => Ok(Exit::Success),
        // A process cannot end with more than a byte holds; that it failed must not get lost.
        Ending::Exited(code) => Ok(Exit::Task(u8::try_from(code).ok().filter(|code| *code != 0).unwrap_or(255))),
        Ending::Stopped(words) => Err(Error::new(Exit::Rollout, format!("task {task} was stopped"))
            .cause(words)
            .hint("see to the reason that ECS gives, and run it again")),
        Ending::TimedOut => Err(Error::new(Exit::TimedOut, format!("task {task} was stopped: its time was over"))
            .hint("give it more with `--timeout`")),
        Ending::OtherImage(digest) => Err(Error::new(Exit::NotProven, format!("task {task} ran {digest}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::exit;
    use crate::one_off::{Ended, Ending};

    #[test]
    fn the_containers_code_is_passed_on_and_never_turns_into_success() {
        for (code, expected) in [(0, 0), (1, 1), (137, 137), (256, 255), (-1, 255)] {
            let ended = Ended { task: "t".to_owned(), ending: Ending::Exited(code), log: Vec::new() };
            assert_eq!(exit(ended).map(crate::exit::Exit::code).ok(), Some(expected), "{code}");
        }
    }
}
