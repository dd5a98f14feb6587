//! `shipit rollback`: observe → plan → gates → act, like a deploy without a build.

use std::cell::RefCell;

use tokio_util::sync::CancellationToken;

use super::local::Session;
use super::{Context, Noted, approve, reported};
use crate::approval::Approved;
use crate::aws::{Clients, Settings, credentials};
use crate::ci::file::Verb;
use crate::ci::{self, committed};
use crate::cli::RollbackArgs;
use crate::config::specification::Specification;
use crate::error::{Error, Result};
use crate::event::{Events, Kind};
use crate::exit::Exit;
use crate::interrupt::unless_cancelled;
use crate::preview;
use crate::receipt::Before;
use crate::rollback::{Act, Plan, To, observe, plan, planned};
use crate::standing::Standing;
use crate::verdict::{Outcome, Verdict};

pub(super) async fn run(args: RollbackArgs, context: &Context) -> Result<Exit> {
    reported(context, "rollback", args.dry_run, args.receipt.as_deref(), async |events, cancel, noted| {
        let run = Run { args: &args, context, events, cancel, noted };
        Ok((args.env.clone(), run.to_the_end().await?))
    })
    .await
}

struct Run<'a> {
    args: &'a RollbackArgs,
    context: &'a Context,
    events: &'a Events,
    cancel: &'a CancellationToken,
    noted: &'a RefCell<Noted>,
}

impl Run<'_> {
    async fn to_the_end(&self) -> Result<Vec<Outcome>> {
        let standing = Standing::load(&self.args.config.config, &self.context.vars).await?;
        let specification = standing.specification(&self.args.env, &self.args.services, &self.context.vars)?;
        self.context.console.hide(&specification.secrets);
        self.started(&specification);
        self.note(&standing, &specification);
        let stand_in = match self.args.local {
            true => Some(self.unless_cancelled(Session::open(&standing.manifest, self.context, self.events)).await?),
            false => None,
        };
        let settings = stand_in.as_ref().map_or_else(|| Settings::of(&self.context.vars), Session::settings);
        self.noted.borrow_mut().receipt.counted = settings.calls.clone();
        let outcomes = self.go(&standing, &specification, &settings).await;
        if let Some(stand_in) = stand_in {
            stand_in.close(self.cancel).await?;
        }
        outcomes
    }

    async fn go(
        &self,
        standing: &Standing,
        specification: &Specification,
        settings: &Settings,
    ) -> Result<Vec<Outcome>> {
        if !self.args.local && !self.args.dry_run && ci::is_pipeline(standing.ci.as_ref()) {
            committed::same_manifest(&self.args.config.config, &standing.manifest, standing.ci.as_ref()).await?;
        }
        let clients = Clients::connect(&specification.environment, settings).await?;
        let mut plan = self.plan(specification, &clients).await?;
        let approved = loop {
            self.events.emit(Kind::RollbackPlanned { plan: Box::new(plan.clone()) });
            self.note_plan(&plan);
            let outcomes = planned(&plan);
            if self.args.dry_run || outcomes.iter().all(|outcome| outcome.verdict != Verdict::Planned) {
                return Ok(outcomes);
            }
            let approved = match self.approved(&plan, standing).await {
                Ok(approved) => approved,
                Err(refused) if refused.exit() == Exit::Gate => return Ok(refused_all(&plan, &refused)),
                Err(error) => return Err(error),
            };
            if !approved.as_ref().is_some_and(|approved| approved.took_time) {
                break approved;
            }
            // As with a deploy: the answer is to what was shown, and to nothing else.
            let now = self.plan(specification, &clients).await?;
            let Some(changed) = preview::changed_back(&plan, &now) else { break approved };
            self.events.warn(changed, None);
            plan = now;
        };
        self.noted.borrow_mut().receipt.approved(approved.as_ref());
        let act = Act {
            clients: &clients,
            plan: &plan,
            timeout: self.args.patience.timeout,
            fail_fast: self.args.patience.fail_fast,
            approved_by: approved.as_ref().map(|approved| approved.by.as_str()),
            restore_latest: specification.environment.restore_latest,
            events: self.events,
            cancel: self.cancel,
        };
        Ok(act.run().await)
    }

    async fn plan(&self, specification: &Specification, clients: &Clients) -> Result<Plan> {
        let to = self.args.to.clone().map_or(To::Previous, To::Named);
        let observed = self.unless_cancelled(async { Ok(observe(clients, specification, &to).await) }).await?;
        let mut plan = plan(specification, &observed);
        if plan.identity.is_some() {
            plan.warnings.extend(credentials::warnings(clients, self.args.patience.timeout).await);
        }
        Ok(plan)
    }

    async fn approved(&self, plan: &Plan, standing: &Standing) -> Result<Option<Approved>> {
        let asked = approve::Asked {
            manifest: &standing.manifest,
            environment: &plan.environment,
            verb: Verb::Rollback,
            flag: self.args.approve,
            ci: standing.ci.as_ref(),
            identity: plan.identity.as_deref(),
        };
        // The plan is printed just before.
        let shown = async || Vec::new();
        self.unless_cancelled(approve::approved(&asked, shown, self.context, self.events)).await
    }

    fn started(&self, specification: &Specification) {
        self.events.emit(Kind::Started {
            command: if self.args.dry_run { "rollback --dry-run" } else { "rollback" },
            project: specification.project.clone(),
            environment: specification.environment.name.clone(),
            branch: None,
            revision: None,
            subject: None,
            services: specification.names.clone(),
            local: self.args.local,
        });
    }

    fn note(&self, standing: &Standing, specification: &Specification) {
        let mut noted = self.noted.borrow_mut();
        noted.secrets.clone_from(&specification.secrets);
        noted.receipt.project = Some(specification.project.clone());
        noted.receipt.environment = Some(specification.environment.name.clone());
        noted.receipt.in_ci(standing.ci.as_ref());
    }

    fn note_plan(&self, plan: &Plan) {
        let receipt = &mut self.noted.borrow_mut().receipt;
        receipt.account.clone_from(&plan.account);
        receipt.region = Some(plan.region.clone());
        receipt.identity.clone_from(&plan.identity);
        receipt.before = plan
            .services
            .iter()
            .map(|step| (&step.service, &step.from))
            .chain(plan.archives.iter().map(|step| (&step.service, &step.from)))
            .map(|(service, from)| Before {
                service: service.clone(),
                revision: from.revision.clone(),
                digest: from.digest.clone(),
            })
            .collect();
    }

    /// Reads may be given up at any moment.
    async fn unless_cancelled<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        unless_cancelled(self.cancel, "interrupted before anything was changed", step).await
    }
}

fn refused_all(plan: &Plan, error: &Error) -> Vec<Outcome> {
    plan.names.iter().map(|name| Outcome::failed(name, Verdict::Refused, error)).collect()
}
