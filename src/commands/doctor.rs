//! `shipit doctor`: what works and what does not, or the IAM policy.

use super::Context;
use crate::cli::DoctorArgs;
use crate::doctor::policy::{Wanted, policy};
use crate::doctor::{self, Question};
use crate::error::Result;
use crate::exit::Exit;
use crate::report::print_doctor;
use crate::standing::Standing;

pub(super) async fn run(args: DoctorArgs, context: &Context) -> Result<Exit> {
    if args.iam_policy {
        return print_policy(&args, context).await;
    }
    let question = Question { config: &args.config.config, environment: args.env.as_deref(), vars: &context.vars };
    let engine = async || context.engine().await.map(|engine| engine.facts().clone());
    let checks = doctor::examine(&question, engine).await?;
    print_doctor(context.console.out(), context.console.format(), &checks);
    Ok(checks.iter().fold(Exit::Success, |worst, check| worst.worst(check.exit_code)))
}

async fn print_policy(args: &DoctorArgs, context: &Context) -> Result<Exit> {
    let standing = Standing::load(&args.config.config, &context.vars).await?;
    let names = args.env.clone().map_or_else(|| standing.environments(), |name| vec![name]);
    let specifications =
        names.iter().map(|name| standing.specification(name, &[], &context.vars)).collect::<Result<Vec<_>>>()?;
    let before = specifications.iter().filter_map(|one| one.environment.after.as_deref());
    let before = before.filter(|name| !names.iter().any(|known| known == name));
    let before = before.map(|name| standing.specification(name, &[], &context.vars)).collect::<Result<Vec<_>>>()?;
    let wanted = Wanted { read_only: args.read_only, run: args.with_run, init: args.with_init };
    let policy = policy(&specifications, &before, wanted)?;
    context.console.data(&policy.document)?;
    for note in &policy.notes {
        context.console.note(note);
    }
    Ok(Exit::Success)
}
