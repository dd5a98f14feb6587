//! `RegisterTaskDefinition`, `DescribeTaskDefinition`, `DeregisterTaskDefinition`, `ListTaskDefinitions`.

use serde_json::{Value, json};

use super::task_definition::{self, tags_shown};
use crate::local::clock;
use crate::local::state::TaskDefinition;
use crate::local::wire::context::Context;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

pub(crate) fn register(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let now = context.now;
    let definition = task_definition::register(context.holdings(), input, now)?;
    Ok(json!({"taskDefinition": definition.document, "tags": tags_shown(&definition.tags)}))
}

pub(crate) fn describe(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let definition = task_definition::find(context.holdings(), request.required("taskDefinition")?)?;
    let mut answer = json!({"taskDefinition": definition.document});
    if request.has("include", "TAGS") {
        answer["tags"] = tags_shown(&definition.tags);
    }
    Ok(answer)
}

pub(crate) fn deregister(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let now = context.now;
    let wanted = Input(input).required("taskDefinition")?;
    let holdings = context.holdings();
    let arn = task_definition::find(holdings, wanted)?.arn.clone();
    let definition = holdings
        .task_definitions
        .values_mut()
        .flatten()
        .find(|definition| definition.arn == arn)
        .ok_or_else(|| Fault::client("ClientException", "Unable to describe task definition."))?;
    definition.active = false;
    definition.document["status"] = json!("INACTIVE");
    definition.document["deregisteredAt"] = clock::seconds(now);
    Ok(json!({"taskDefinition": definition.document}))
}

pub(crate) fn list(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let prefix = request.text("familyPrefix");
    let active = request.text("status").unwrap_or("ACTIVE") == "ACTIVE";
    let mut arns: Vec<String> = context
        .holdings()
        .task_definitions
        .iter()
        .filter(|(family, _)| prefix.is_none_or(|prefix| prefix == family.as_str()))
        .flat_map(|(_, revisions)| revisions)
        .filter(|definition: &&TaskDefinition| definition.active == active)
        .map(|definition| definition.arn.clone())
        .collect();
    if request.text("sort") == Some("DESC") {
        arns.reverse();
    }
    let (page, next) = request.page(&arns, 100)?;
    Ok(json!({"taskDefinitionArns": page, "nextToken": next}))
}
