//! The IAM policy that a deploy.yaml needs, and no more: every action that shipit calls, on the resources that it is
//! called for. JSON has no comments, so each statement says by its `Sid` what it is for.
//!
//! Resources follow the service authorization reference: `ecr:GetAuthorizationToken`, `ecs:DescribeTaskDefinition` and
//! `ecs:ListTasks` know none, the last of them is held to its cluster by a condition. Of an environment that has to run a
//! commit first, what its gate reads is in the policy as long as the same credentials read it.

mod actions;
mod place;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use self::actions::{GROUPS, Group, On, When};
use self::place::{Place, account};
use crate::config::specification::{Environment, Service, Specification};
use crate::error::{Error, Result};
use crate::exit::Exit;

/// What the policy is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// A plan, `status`, `history` and `doctor`: nothing is changed.
    pub(crate) read_only: bool,
    /// `shipit run`, also where no service has a `before_deploy`.
    pub(crate) run: bool,
    /// `shipit init --from-ecs`.
    pub(crate) init: bool,
}

/// A policy, and what is to be known about it.
pub(crate) struct Policy {
    /// Pretty JSON, with a newline at the end.
    pub(crate) document: String,
    pub(crate) notes: Vec<String>,
}

/// In the order in which policies are usually written.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: Value,
    resource: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Value>,
}

/// One policy for these environments, which have to be in one account. `before` are those that have to run a commit first.
///
/// # Errors
/// They are in several accounts ([`Exit::Usage`]).
pub(crate) fn policy(specifications: &[Specification], before: &[Specification], wanted: Wanted) -> Result<Policy> {
    let accounts: BTreeSet<String> = specifications.iter().filter_map(|one| account(&one.environment)).collect();
    if accounts.len() > 1 {
        let all: Vec<&str> = accounts.iter().map(String::as_str).collect();
        let names: Vec<&str> = specifications.iter().map(|one| one.environment.name.as_str()).collect();
        return Err(Error::new(
            Exit::Usage,
            format!(
                "{} are in several accounts ({}), and each needs a policy of its own",
                names.join(", "),
                all.join(", ")
            ),
        )
        .hint("name one with `--env`"));
    }
    let any = |has: fn(&Service) -> bool| specifications.iter().flat_map(|one| &one.services).any(has);
    let tasks = any(|service| service.before_deploy.is_some());
    let gate = any(|service| service.scan.as_ref().is_some_and(|scan| scan.fail_on.is_some()));
    let takes = |group: &&Group| match group.when {
        When::Always | When::AlsoBefore => true,
        When::Deploy => !wanted.read_only,
        When::Scan => gate || !wanted.read_only,
        When::Gate => gate,
        When::GatedDeploy => gate && !wanted.read_only,
        When::Run => !wanted.read_only && (wanted.run || tasks),
        When::Init => wanted.init,
    };
    let read = before.iter().filter(|before| specifications.iter().any(|one| reads(&one.environment, before)));
    let read: Vec<&Specification> = read.collect();
    let of = |group: &&'static Group| {
        let before = if group.when == When::AlsoBefore { read.as_slice() } else { &[] };
        let about: Vec<&Specification> = specifications.iter().chain(before.iter().copied()).collect();
        statement(group, &about).map(|statement| (*group, statement))
    };
    let (groups, statement): (Vec<&Group>, Vec<Statement>) =
        GROUPS.iter().filter(takes).filter_map(|group| of(&group)).unzip();
    let document = serde_json::to_string_pretty(&Document { version: "2012-10-17", statement })
        .map_err(|error| Error::new(Exit::Fault, "the policy cannot be written as JSON").because(&error))?;
    Ok(Policy { document: document + "\n", notes: notes(specifications, before, &groups) })
}

/// Whether an environment looks at the one before it with its own credentials.
fn reads(environment: &Environment, before: &Specification) -> bool {
    let same_account = |ours: String| account(&before.environment).is_none_or(|theirs| ours == theirs);
    environment.after.as_ref() == Some(&before.environment.name)
        && environment.role == before.environment.role
        && account(environment).is_none_or(same_account)
}

/// `None`: there is nothing that it would be about.
fn statement(group: &Group, specifications: &[&Specification]) -> Option<Statement> {
    let mut resources: BTreeSet<String> = BTreeSet::new();
    let mut clusters: BTreeSet<String> = BTreeSet::new();
    for specification in specifications {
        let place = Place::of(&specification.environment);
        for service in &specification.services {
            resources.extend(place.resources(group.on, service));
            clusters.insert(place.arn("ecs", &format!("cluster/{}", service.cluster)));
        }
        resources.extend(specification.archives.iter().flat_map(|archive| place.objects(group.on, archive)));
    }
    (!resources.is_empty()).then(|| Statement {
        sid: group.sid,
        effect: "Allow",
        action: single(group.actions.iter().map(|action| (*action).to_owned()).collect()),
        resource: single(resources.into_iter().collect()),
        condition: match group.on {
            On::Clusters | On::TaskDefinitions => {
                Some(json!({"ArnEquals": {"ecs:cluster": single(clusters.into_iter().collect())}}))
            }
            On::TaskRoles => Some(json!({"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}})),
            _ => None,
        },
    })
}

/// IAM takes one text in place of a list of one.
fn single(mut texts: Vec<String>) -> Value {
    if texts.len() == 1 { Value::String(texts.remove(0)) } else { texts.into() }
}

fn notes(specifications: &[Specification], before: &[Specification], groups: &[&Group]) -> Vec<String> {
    let mut notes = Vec::new();
    let environments = || specifications.iter().map(|one| &one.environment);
    let containers = specifications.iter().any(|one| !one.services.is_empty());
    if containers && environments().any(|environment| account(environment).is_none()) {
        notes.push("deploy.yaml names no account, so the policy says `*` for it".to_owned());
    }
    if containers && environments().any(|environment| environment.region.is_none()) {
        notes.push("deploy.yaml names no region, so the policy says `*` for it".to_owned());
    }
    let has = |on: On| groups.iter().any(|group| group.on == on);
    if has(On::Logs) {
        notes.push("`Logs`: put the log groups of the task definitions in the place of `*`".to_owned());
    }
    if has(On::TaskRoles) {
        notes.push(
            "`TaskRoles`: put the task role and the execution role of the task definitions in the place of `*`"
                .to_owned(),
        );
    }
    if has(On::Objects) {
        notes.push(
            "`Zips`, `PutZips`: a bucket that is encrypted with a KMS key of yours needs kms:Decrypt and \
             kms:GenerateDataKey on that key as well"
                .to_owned(),
        );
    }
    for role in environments().filter_map(|environment| environment.role.as_ref()).collect::<BTreeSet<_>>() {
        notes.push(format!(
            "it belongs to {role}; whoever starts shipit needs sts:AssumeRole on that role alone, and its trust policy has \
             to name them, or, for sts:AssumeRoleWithWebIdentity, the pipeline's identity provider with a condition on \
             `aud` and `sub`"
        ));
    }
    for environment in environments() {
        let theirs = before.iter().find(|before| environment.after.as_ref() == Some(&before.environment.name));
        if let Some(theirs) = theirs.filter(|theirs| !reads(environment, theirs)) {
            let from = &theirs.environment.name;
            let with = theirs.environment.role.as_ref().map_or_else(
                || "the credentials around shipit".to_owned(),
                |role| format!("{role}, on which whoever starts shipit needs sts:AssumeRole as well"),
            );
            notes.push(format!(
                "{} looks at what {from} runs with {with}; `--env {from} --read-only` prints what that needs",
                environment.name
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests;
