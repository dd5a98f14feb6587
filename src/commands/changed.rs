//! `shipit changed`: which services differ from what runs, or from where a branch was left, and why. Reads only.

use std::path::Path;

use futures_util::future::{join, join_all};
use jiff::Timestamp;

use super::Context;
use super::local::Session;
use crate::archive::Label;
use crate::aws::s3;
use crate::aws::{Clients, Settings};
use crate::changes::{Asked, Base, Judge, Origin, by_object, dead_patterns, is_told_by_record, running};
use crate::ci;
use crate::cli::{ChangedArgs, ChangedFormat};
use crate::config::specification::Specification;
use crate::config::{self, ResolveInput, SecretsMode};
use crate::error::{Error, Result};
use crate::event::{Events, Kind, Message};
use crate::exit::Exit;
use crate::git::Repository;
use crate::observe::{look_closer, what_runs};
use crate::report::{Form, Format, print_changed};
use crate::target::{self, TargetRequest};

pub(super) async fn run(args: ChangedArgs, context: &Context) -> Result<Exit> {
    let config = &args.target.config.config;
    let manifest = config::load(config)?;
    let ci = ci::detect(&context.vars);
    let repository = Repository::discover(&manifest.root).await?.ok_or_else(|| no_repository(&manifest.root))?;
    // What a pipeline has checked out is the commit; what its earlier steps have left there is no change.
    let (head, uncommitted) = match &ci {
        Some(_) => (repository.head().await?, Vec::new()),
        None => tokio::try_join!(repository.head(), repository.uncommitted_files())?,
    };
    let request = TargetRequest { env: args.target.env.clone(), branch: args.target.branch.clone(), any_branch: true };
    let target = target::choose(&manifest, &request, ci.as_ref(), Some(&head))?;
    let specification = manifest.resolve(&ResolveInput {
        environment: &target.environment,
        branch: target.branch.as_deref(),
        commit: Some(&head.revision),
        services: &args.services,
        vars: &context.vars,
        secrets: SecretsMode::Optional,
    })?;
    context.console.hide(&specification.secrets);
    let (events, mut said) = Events::channel();
    let judge = Judge {
        repository: &repository,
        config,
        manifest: &manifest,
        environment: &target.environment,
        branch: target.branch.as_deref(),
        head: &head.revision,
        uncommitted,
        every_file: args.explain,
        vars: &context.vars,
        events: &events,
    };
    let bases = match &args.base {
        Some(name) => {
            let revision = judge.parted_from(name).await?;
            let base = Base::Known { revision, origin: Origin::CommandLine };
            vec![base; specification.services.len() + specification.archives.len()]
        }
        None => bases(&args, &specification, &manifest, context, &events).await?,
    };
    let names = specification.services.iter().map(|service| service.name.as_str());
    let names: Vec<&str> = names.chain(specification.archives.iter().map(|archive| archive.name.as_str())).collect();
    let asked: Vec<Asked<'_>> = names.iter().zip(bases).map(|(name, base)| Asked { name, base }).collect();
    let changes = judge.changes(&asked).await?;
    while let Ok(Message::Event(event)) = said.try_recv() {
        if let Kind::Notice { text, .. } = event.kind {
            context.console.note(&text);
        }
    }
    if args.explain {
        for note in dead_patterns(&repository, &head.revision, &specification).await? {
            context.console.note(&note);
        }
    }
    let mut answers: Vec<_> = names.into_iter().map(str::to_owned).zip(changes).collect();
    answers.sort_by_key(|(name, _)| specification.names.iter().position(|one| one == name));
    let form = form(&args, context.console.format());
    print_changed(context.console.out(), form, &target.environment, &answers, Timestamp::now());
    Ok(Exit::Success)
}

/// What each service runs. The first read that is refused ends it: it says nothing of what changed.
async fn bases(
    args: &ChangedArgs,
    specification: &Specification,
    manifest: &config::Manifest,
    context: &Context,
    events: &Events,
) -> Result<Vec<Base>> {
    let stand_in = match args.local {
        true => Some(Session::open(manifest, context, events).await?),
        false => None,
    };
    let settings = stand_in.as_ref().map_or_else(|| Settings::of(&context.vars), Session::settings);
    let read = read(specification, &settings).await;
    if let Some(stand_in) = stand_in {
        stand_in.close(&tokio_util::sync::CancellationToken::new()).await?;
    }
    read
}

async fn read(specification: &Specification, settings: &Settings) -> Result<Vec<Base>> {
    let clients = Clients::connect(&specification.environment, settings).await?;
    let services = async {
        let services = &specification.services;
        let mut seen = what_runs(&clients, services).await;
        look_closer(&clients, services, &mut seen, None, |service, seen| !is_told_by_record(service, seen)).await;
        let bases = services.iter().zip(&seen).map(async |(service, seen)| {
            running(&clients, service, seen).await.base.map_err(|error| error.of(&service.name))
        });
        join_all(bases).await
    };
    let archives = specification.archives.iter().map(|archive| async {
        let latest = s3::head(&clients, &archive.bucket, &archive.latest_key).await;
        let label = latest.map(|latest| latest.as_ref().map(Label::of).unwrap_or_default());
        label.map(|label| by_object(&label)).map_err(|error| error.of(&archive.name))
    });
    let (services, archives) = join(services, join_all(archives)).await;
    services.into_iter().chain(archives).collect()
}

fn form(args: &ChangedArgs, output: Format) -> Form {
    match (args.format, output) {
        (ChangedFormat::Text, Format::Json) => Form::Events,
        (ChangedFormat::Text, Format::Text) if args.explain => Form::Explained,
        (ChangedFormat::Text, Format::Text) => Form::Table,
        (ChangedFormat::Lines, _) => Form::Lines,
        (ChangedFormat::Json, _) => Form::List,
        (ChangedFormat::Bitbucket, _) => Form::Bitbucket,
        (ChangedFormat::Github, _) => Form::Github,
        (ChangedFormat::GithubMatrix, _) => Form::GithubMatrix,
    }
}

fn no_repository(root: &Path) -> Error {
    Error::new(Exit::Usage, format!("{} is in no git repository, so nobody can tell what changed", root.display()))
        .hint("run it in a clone; in Bitbucket, leave `clone: enabled: false` out of the step")
}
