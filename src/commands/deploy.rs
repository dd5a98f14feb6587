//! `shipit deploy`: resolve → observe → plan → gates → act.

use std::cell::RefCell;

use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::local::Session;
use super::review::Reports;
use super::{Context, Noted, approve, reported};
use crate::approval::Approved;
use crate::aws::{Clients, Settings};
use crate::builders::Builders;
use crate::changes::Filter;
use crate::ci::file::Verb;
use crate::ci::{self, committed};
use crate::cli::DeployArgs;
use crate::config::specification::Specification;
use crate::deploy::{self, Deploy, Options};
use crate::error::{Error, Result};
use crate::event::{Events, Kind, Stage};
use crate::exit::Exit;
use crate::freeze;
use crate::git::Repository;
use crate::interrupt::unless_cancelled;
use crate::leak;
use crate::plan::{Finding, Plan, Request};
use crate::preflight::{self, Preflight};
use crate::preview;
use crate::queue::Queue;
use crate::receipt::{Before, ImageNote};
use crate::registry::Proxies;
use crate::report::{Review, What};
use crate::resolve::{Resolved, Wanted, resolve};
use crate::revision::short;
use crate::verdict::{Outcome, Verdict};

pub(super) async fn run(args: DeployArgs, context: &Context) -> Result<Exit> {
    let reports = Reports::of(&args.report.to, &args.target.config, context)?;
    let mut review = None;
    let ended = reported(context, "deploy", args.dry_run, args.receipt.as_deref(), async |events, cancel, noted| {
        let run = Run { args: &args, context, events, cancel, noted };
        let ended = run.to_the_end().await;
        let what = if args.dry_run { What::Plan } else { What::Deploy };
        let outcomes = ended.as_ref().map(|(_, outcomes)| outcomes.as_slice());
        let Noted { receipt, plan, .. } = &*noted.borrow();
        review = Some(Review::of_deploy(what, receipt, plan.as_ref(), outcomes));
        ended
    })
    .await;
    reports.publish(review, &ended).await;
    ended
}

struct Run<'a> {
    args: &'a DeployArgs,
    context: &'a Context,
    events: &'a Events,
    cancel: &'a CancellationToken,
    noted: &'a RefCell<Noted>,
}

impl Run<'_> {
    /// The environment and the verdicts.
    async fn to_the_end(&self) -> Result<(String, Vec<Outcome>)> {
        let wanted = Wanted {
            config: self.args.target.config.config.clone(),
            environment: self.args.target.env.clone(),
            branch: self.args.target.branch.clone(),
            any_branch: self.args.any_branch,
            services: self.args.services.clone(),
        };
        let resolved = self.unless_cancelled(resolve(wanted, &self.context.vars)).await?;
        self.context.console.hide(&resolved.specification.secrets);
        self.started(&resolved);
        self.note(&resolved);
        let stand_in = match self.args.local {
            true => Some(self.unless_cancelled(Session::open(&resolved.manifest, self.context, self.events)).await?),
            false => None,
        };
        let settings = stand_in.as_ref().map_or_else(|| Settings::of(&self.context.vars), Session::settings);
        self.noted.borrow_mut().receipt.counted = settings.calls.clone();
        let outcomes = self.go(&resolved, &settings).await;
        if let Some(stand_in) = stand_in {
            stand_in.close(self.cancel).await?;
        }
        Ok((resolved.specification.environment.name, outcomes?))
    }

    async fn go(&self, resolved: &Resolved, settings: &Settings) -> Result<Vec<Outcome>> {
        let specification = &resolved.specification;
        let clients = Clients::connect(&specification.environment, settings).await?;
        for name in &specification.names {
            self.events.of(name).stage(Stage::Preflight);
        }
        let environment_before = preflight::before(resolved, &self.context.vars)?;
        if let Some(before) = &environment_before {
            self.hide(before);
        }
        let engines = OnceCell::new();
        let preflight = self.preflight(resolved, environment_before.as_ref(), &clients, settings);
        let plan_now = async || {
            let connect = async || engines.get_or_init(|| self.builders(specification)).await;
            self.unless_cancelled(preflight.plan(self.findings(resolved).await, connect)).await
        };
        let (mut plan, mut before) = plan_now().await?;
        self.events.emit(Kind::Planned { plan: Box::new(plan.clone()) });
        self.note_plan(&plan);
        let planned = deploy::planned(&plan);
        if self.args.dry_run || planned.iter().all(|outcome| outcome.verdict != Verdict::Planned) {
            return Ok(planned);
        }
        let approved = loop {
            let approved = match self.approved(&plan, resolved).await {
                Ok(approved) => approved,
                Err(refused) if refused.exit() == Exit::Gate => return Ok(deploy::refused(&plan, &refused)),
                Err(error) => return Err(error),
            };
            if !approved.as_ref().is_some_and(|approved| approved.took_time) {
                break approved;
            }
            // A person may have thought about it for an hour: the answer is to what was shown, and to nothing else.
            self.same_commit(resolved).await?;
            let (now, there_now) = plan_now().await?;
            let Some(changed) = preview::changed(&plan, &now) else { break approved };
            (plan, before) = (now, there_now);
            self.events.warn(changed, None);
            self.events.emit(Kind::Planned { plan: Box::new(plan.clone()) });
            self.note_plan(&plan);
            let planned = deploy::planned(&plan);
            if planned.iter().all(|outcome| outcome.verdict != Verdict::Planned) {
                return Ok(planned);
            }
        };
        self.noted.borrow_mut().receipt.approved(approved.as_ref());
        let options = Options {
            timeout: self.args.timeout,
            fail_fast: self.args.fail_fast,
            no_wait: self.args.no_wait,
            jobs: usize::from(self.args.jobs),
            proxies: Proxies::of(&self.context.vars),
            approved_by: approved.map(|approved| approved.by),
        };
        let (events, cancel) = (self.events, self.cancel);
        let leaks = leak::Gate::default();
        // An approval is for what was shown, and not for what comes to run while this one is built.
        let queue = match self.args.queue && !plan.approval {
            true => Some(Queue {
                judge: preflight.judge_of_changes().await?,
                allow_older: self.args.allow_older,
                patience: self.args.timeout,
            }),
            false => None,
        };
        let deploy = Deploy {
            clients: &clients,
            builders: engines.get().and_then(|builders| builders.as_ref().ok()),
            before: before.as_ref(),
            specification,
            plan: &plan,
            options: &options,
            events,
            cancel,
            leaks: &leaks,
            queue: queue.as_ref(),
        };
        Ok(deploy.run().await)
    }

    fn preflight<'p>(
        &'p self,
        resolved: &'p Resolved,
        before: Option<&'p Specification>,
        clients: &'p Clients,
        settings: &'p Settings,
    ) -> Preflight<'p> {
        let args = self.args;
        Preflight {
            resolved,
            before,
            clients,
            settings,
            config: &args.target.config.config,
            filter: Filter {
                all: args.all,
                rebuild: args.rebuild,
                named: &args.services,
                base: args.base.as_deref(),
                release_hold: args.release_hold,
            },
            request: Request {
                revision: resolved.revision.clone(),
                branch: resolved.branch.clone(),
                allow_dirty: args.allow_dirty,
                release_hold: args.release_hold,
                allow_older: args.allow_older,
                dry_run: args.dry_run,
            },
            timeout: args.timeout,
            queue: args.queue && !args.dry_run,
            vars: &self.context.vars,
            events: self.events,
        }
    }

    /// What is in the way whatever runs there: the branch, a changed deploy.yaml, a freeze.
    async fn findings(&self, resolved: &Resolved) -> Vec<Finding> {
        let mut findings = resolved.findings.clone();
        if !self.args.dry_run && !self.args.local && ci::is_pipeline(resolved.ci.as_ref()) {
            let same =
                committed::same_manifest(&self.args.target.config.config, &resolved.manifest, resolved.ci.as_ref())
                    .await;
            findings.extend(same.err().as_ref().map(Finding::from));
        }
        let environment = &resolved.specification.environment;
        if let Some(frozen) = freeze::finding(&environment.name, &environment.freeze, Timestamp::now()) {
            match &self.args.override_freeze {
                None => findings.push(frozen),
                // It was said with the plan before.
                Some(_) if self.noted.borrow().receipt.freeze_override.is_some() => {}
                Some(reason) => {
                    self.events.warn(format!("{}, and deployed all the same: {reason}", frozen.text), None);
                    self.noted.borrow_mut().receipt.freeze_override = Some(reason.clone());
                }
            }
        }
        findings
    }

    /// The engines that can build. What is deployed to this machine is built here, too.
    async fn builders(&self, specification: &Specification) -> Result<Builders> {
        if !specification.builders.is_empty() && !self.args.local {
            return Builders::connect(&specification.builders, &self.context.vars, self.events).await;
        }
        if !specification.builders.is_empty() {
            self.events.note("with --local, `builder` of deploy.yaml plays no part: the engine of this machine builds");
        }
        let engine = self.context.engine().await?;
        engine.require_buildkit()?;
        Ok(Builders::only(engine))
    }

    fn started(&self, resolved: &Resolved) {
        let specification = &resolved.specification;
        self.events.emit(Kind::Started {
            command: if self.args.dry_run { "deploy --dry-run" } else { "deploy" },
            project: specification.project.clone(),
            environment: specification.environment.name.clone(),
            branch: resolved.branch.clone(),
            revision: Some(resolved.revision.full()),
            subject: resolved.revision.subject.clone(),
            services: specification.names.clone(),
            local: self.args.local,
        });
    }

    fn note(&self, resolved: &Resolved) {
        let Resolved { specification, revision, .. } = resolved;
        let mut noted = self.noted.borrow_mut();
        noted.secrets.clone_from(&specification.secrets);
        let receipt = &mut noted.receipt;
        receipt.project = Some(specification.project.clone());
        receipt.environment = Some(specification.environment.name.clone());
        receipt.branch.clone_from(&resolved.branch);
        receipt.revision = Some(revision.full());
        receipt.subject.clone_from(&revision.subject);
        receipt.author.clone_from(&revision.author);
        receipt.in_ci(resolved.ci.as_ref());
    }

    fn note_plan(&self, plan: &Plan) {
        let mut noted = self.noted.borrow_mut();
        noted.plan = Some(plan.clone());
        let receipt = &mut noted.receipt;
        receipt.account.clone_from(&plan.account);
        receipt.region = Some(plan.region.clone());
        receipt.identity.clone_from(&plan.identity);
        let before = plan.entries().map(|entry| Before {
            service: entry.name.to_owned(),
            revision: entry.running_revision.map(str::to_owned),
            digest: entry.running_digest.map(str::to_owned),
        });
        receipt.before = before.collect();
        receipt.images = plan
            .services
            .iter()
            .map(|service| ImageNote {
                service: service.service.clone(),
                how: service.source.word(),
                content_key: service.source.content_key().map(ToString::to_string),
            })
            .collect();
    }

    /// The secrets of that environment besides those of this one.
    fn hide(&self, before: &Specification) {
        let mut noted = self.noted.borrow_mut();
        let theirs = before.secrets.iter();
        let theirs = theirs.map(|(name, value)| (format!("{}.{name}", before.environment.name), value.clone()));
        noted.secrets.extend(theirs);
        self.context.console.hide(&noted.secrets);
    }

    /// What is built is the checkout: it has to be the commit that was shown.
    async fn same_commit(&self, resolved: &Resolved) -> Result<()> {
        let Some(repository) = Repository::discover(&resolved.manifest.root).await? else { return Ok(()) };
        let head = repository.head().await?.revision;
        let dirty = !repository.uncommitted(&[]).await?.is_empty();
        if head == resolved.revision.commit && dirty == resolved.revision.dirty {
            return Ok(());
        }
        Err(Error::new(
            Exit::Gate,
            format!("another commit or other files were shown than are here now: {}", short(&head)),
        )
        .hint("nothing was built or changed; run it again"))
    }

    async fn approved(&self, plan: &Plan, resolved: &Resolved) -> Result<Option<Approved>> {
        let asked = approve::Asked {
            manifest: &resolved.manifest,
            environment: &plan.environment,
            verb: Verb::Deploy,
            flag: self.args.approve,
            ci: resolved.ci.as_ref(),
            identity: plan.identity.as_deref(),
        };
        let shown = async || preview::lines(&resolved.manifest.root, plan).await;
        self.unless_cancelled(approve::approved(&asked, shown, self.context, self.events)).await
    }

    /// Reads may be given up at any moment.
    async fn unless_cancelled<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        unless_cancelled(self.cancel, "interrupted before anything was changed", step).await
    }
}
