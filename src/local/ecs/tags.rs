//! `ListTagsForResource`, `TagResource`, `UntagResource` for clusters, services and task definitions.

use serde_json::{Value, json};

use super::task_definition::{tags_from, tags_shown};
use crate::local::state::Tags;
use crate::local::wire::context::Context;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

/// As in AWS.
const MOST_TAGS: usize = 50;

pub(crate) fn list(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    Ok(json!({"tags": tags_shown(tags_of(context, Input(input).required("resourceArn")?)?)}))
}

pub(crate) fn add(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let tags = tags_of(context, request.required("resourceArn")?)?;
    let mut all = tags.clone();
    all.extend(tags_from(request.list("tags")));
    if all.len() > MOST_TAGS {
        return Err(Fault::invalid_parameter("Too many tags: a resource can have 50."));
    }
    if all.iter().any(|(key, value)| key.chars().count() > 128 || value.chars().count() > 256) {
        return Err(Fault::invalid_parameter("A tag's key can have 128 characters, its value 256."));
    }
    *tags = all;
    Ok(json!({}))
}

pub(crate) fn remove(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let tags = tags_of(context, request.required("resourceArn")?)?;
    for key in request.texts("tagKeys") {
        tags.remove(key);
    }
    Ok(json!({}))
}

fn tags_of<'a>(context: &'a mut Context<'_>, arn: &str) -> Answered<&'a mut Tags> {
    let holdings = context.holdings();
    let rest = arn
        .strip_prefix(&holdings.place.arn("ecs", ""))
        .ok_or_else(|| Fault::invalid_parameter("The specified resource ARN is not valid."))?;
    let mut parts = rest.split('/');
    let found = match (parts.next(), parts.next(), parts.next()) {
        (Some("cluster"), Some(cluster), None) => holdings.clusters.get_mut(cluster).map(|cluster| &mut cluster.tags),
        (Some("service"), Some(cluster), Some(service)) => holdings
            .clusters
            .get_mut(cluster)
            .and_then(|cluster| cluster.services.get_mut(service))
            .map(|service| &mut service.tags),
        (Some("task-definition"), Some(_), None) => holdings
            .task_definitions
            .values_mut()
            .flatten()
            .find(|definition| definition.arn == arn)
            .map(|definition| &mut definition.tags),
        _ => None,
    };
    found.ok_or_else(|| Fault::client("ResourceNotFoundException", "The specified resource wasn't found."))
}
