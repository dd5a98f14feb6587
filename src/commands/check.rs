//! `shipit check`: deploy.yaml, Dockerfiles, ignore files, the pipeline's file, and with `--env` the secrets of an
//! environment. Offline.

use serde_json::json;

use super::review::Reports;
use super::{Context, written};
use crate::check::{check, pipelines, shared};
use crate::cli::CheckArgs;
use crate::config::{self, ResolveInput, SecretsMode};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::report::{Format, Review};

/// A commit that stands for any: what is checked does not depend on it.
const ANY_COMMIT: &str = "0000000000000000000000000000000000000000";

pub(super) async fn run(args: &CheckArgs, context: &Context) -> Result<Exit> {
    let reports = Reports::of(&args.report.to, &args.config, context)?;
    let mut found = Found::default();
    let ended = look(args, context, &mut found).await;
    found.errors.extend(ended.as_ref().err().cloned());
    let review = Review::of_check(args.env.as_deref(), &found.errors, &found.warnings);
    reports.publish(Some(review), &ended).await;
    ended
}

/// What is told at the end.
#[derive(Default)]
struct Found {
    errors: Vec<Error>,
    warnings: Vec<Error>,
}

async fn look(args: &CheckArgs, context: &Context, found: &mut Found) -> Result<Exit> {
    let manifest = config::load(&args.config.config)?;
    let environments: Vec<&str> = match &args.env {
        Some(name) => vec![name],
        None => manifest.environments.keys().map(String::as_str).collect(),
    };
    let mut findings: Vec<Error> = Vec::new();
    let mut specifications = Vec::new();
    let mut services = 0;
    for environment in &environments {
        let secrets = if args.env.is_some() { SecretsMode::Required } else { SecretsMode::Optional };
        let input = |secrets| ResolveInput {
            environment,
            branch: None,
            commit: Some(ANY_COMMIT),
            services: &[],
            vars: &context.vars,
            secrets,
        };
        let specification = match manifest.resolve(&input(secrets)) {
            Err(error) if error.exit() == Exit::Secret => {
                findings.push(error);
                manifest.resolve(&input(SecretsMode::Optional))?
            }
            resolved => resolved?,
        };
        if args.env.is_some() {
            context.console.hide(&specification.secrets);
        }
        services = specification.names.len();
        for (service, error) in check(&specification) {
            let error = error.of(&service);
            // The same fault in every environment is one fault.
            if !findings.iter().any(|known| known.line() == error.line()) {
                findings.push(error);
            }
        }
        specifications.push(specification);
    }
    findings.extend(shared(&specifications));
    let pipelines = pipelines(&manifest, written::read).await?;
    findings.extend(pipelines.errors);
    for warning in &pipelines.warnings {
        told(context, "warning", warning);
    }
    for finding in &findings {
        told(context, "error", finding);
    }
    let exit = findings.iter().fold(Exit::Success, |worst, finding| worst.worst(finding.exit()));
    if context.console.format() == Format::Json {
        let services: Vec<&str> = manifest.services.keys().map(String::as_str).collect();
        let end = json!({"event": "checked", "exit_code": exit, "environments": environments, "services": services});
        context.console.json(&end);
    } else if findings.is_empty() {
        let environments = environments.join(", ");
        let noun = if services == 1 { "service" } else { "services" };
        context.console.data(&format!("nothing is wrong: {services} {noun} in {environments}"))?;
    }
    *found = Found { errors: findings, warnings: pipelines.warnings };
    Ok(exit)
}

/// One finding: an object on stdout for programs, words on stderr for people.
fn told(context: &Context, level: &str, finding: &Error) {
    if context.console.format() == Format::Json {
        let line = json!({
            "event": "finding", "level": level, "text": finding.line(), "hint": finding.hints().first(),
            "exit_code": finding.exit(),
        });
        return context.console.json(&line);
    }
    match level {
        "warning" => context.console.warning(finding),
        _ => context.console.error(finding),
    }
}
