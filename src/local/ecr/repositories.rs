//! `CreateRepository`, `DescribeRepositories`, `DeleteRepository`, `PutImageTagMutability` and the tags of repositories.

use serde_json::{Value, json};

use super::{repository, repository_missing};
use crate::local::clock;
use crate::local::ecs::task_definition::tags_from;
use crate::local::place::{Place, short_name};
use crate::local::state::{Repository, Tags};
use crate::local::wire::context::Context;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

const MUTABILITIES: [&str; 4] = ["MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"];

pub(crate) fn create(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let name = request.required("repositoryName")?;
    if !is_name(name) {
        return Err(Fault::invalid_parameter(format!(
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: '{name}' is not a repository name"
        )));
    }
    let mut new = Repository::new(name, context.now);
    set_mutability(&mut new, request)?;
    new.scan_on_push =
        input.pointer("/imageScanningConfiguration/scanOnPush").and_then(Value::as_bool).unwrap_or(false);
    new.tags = tags_from(request.list("tags"));
    let host = context.host;
    let holdings = context.holdings();
    if holdings.repositories.contains_key(name) {
        return Err(Fault::client(
            "RepositoryAlreadyExistsException",
            format!(
                "The repository with name '{name}' already exists in the registry with id '{}'",
                holdings.place.account
            ),
        ));
    }
    let answer = shown(&new, &holdings.place, host);
    holdings.repositories.insert(name.to_owned(), new);
    Ok(json!({"repository": answer}))
}

pub(crate) fn describe(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let host = context.host;
    let holdings = context.holdings();
    let names = request.texts("repositoryNames");
    if names.len() > 100 {
        return Err(Fault::invalid_parameter(
            "Invalid parameter at 'repositoryNames' failed to satisfy constraint: 'Member must have length less than or \
             equal to 100'",
        ));
    }
    let mut found = Vec::new();
    if names.is_empty() {
        found.extend(holdings.repositories.values().map(|repository| shown(repository, &holdings.place, host)));
    }
    for name in names {
        let repository = holdings.repositories.get(name).ok_or_else(|| repository_missing(name, &holdings.place))?;
        found.push(shown(repository, &holdings.place, host));
    }
    let (page, next) = request.page(&found, 1000)?;
    Ok(json!({"repositories": page, "nextToken": next}))
}

pub(crate) fn delete(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let host = context.host;
    let place = context.place.clone();
    let force = Input(input).flag("force");
    let repository = repository(context, input)?;
    let name = repository.name.clone();
    if !repository.images.is_empty() && !force {
        return Err(Fault::client(
            "RepositoryNotEmptyException",
            format!(
                "The repository with name '{name}' in registry with id '{}' cannot be deleted because it still contains \
                 images",
                place.account
            ),
        ));
    }
    let answer = shown(repository, &place, host);
    context.holdings().repositories.remove(&name);
    Ok(json!({"repository": answer}))
}

pub(crate) fn put_mutability(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let place = context.place.clone();
    let repository = repository(context, input)?;
    set_mutability(repository, Input(input))?;
    Ok(json!({
        "registryId": place.account,
        "repositoryName": repository.name,
        "imageTagMutability": repository.mutability,
        "imageTagMutabilityExclusionFilters": filters(repository),
    }))
}

pub(crate) fn tag(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let added = tags_from(Input(input).list("tags"));
    tags_of(context, input)?.extend(added);
    Ok(json!({}))
}

pub(crate) fn untag(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let tags = tags_of(context, input)?;
    for key in Input(input).texts("tagKeys") {
        tags.remove(key);
    }
    Ok(json!({}))
}

pub(crate) fn tags(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let tags = tags_of(context, input)?;
    let shown: Vec<Value> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    Ok(json!({"tags": shown}))
}

fn tags_of<'a>(context: &'a mut Context<'_>, input: &Value) -> Answered<&'a mut Tags> {
    let arn = Input(input).required("resourceArn")?;
    let holdings = context.holdings();
    let prefix = holdings.place.arn("ecr", "repository/");
    let name = arn.strip_prefix(&prefix).ok_or_else(|| {
        Fault::invalid_parameter("Invalid parameter at 'resourceArn' failed to satisfy constraint: not a repository")
    })?;
    let missing = repository_missing(short_name(name), &holdings.place);
    holdings.repositories.get_mut(name).map(|repository| &mut repository.tags).ok_or(missing)
}

fn set_mutability(repository: &mut Repository, request: Input<'_>) -> Answered<()> {
    let Some(wanted) = request.text("imageTagMutability") else { return Ok(()) };
    if !MUTABILITIES.contains(&wanted) {
        return Err(Fault::invalid_parameter(format!(
            "Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value set: \
             [{}]'",
            MUTABILITIES.join(", ")
        )));
    }
    wanted.clone_into(&mut repository.mutability);
    repository.exclusions = request
        .list("imageTagMutabilityExclusionFilters")
        .iter()
        .filter_map(|filter| Input(filter).text("filter"))
        .map(str::to_owned)
        .collect();
    Ok(())
}

/// Lower-case components of letters, digits and separators, `/` between them.
fn is_name(name: &str) -> bool {
    (2..=256).contains(&name.len())
        && name.split('/').all(|component| {
            component.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
                && component.ends_with(|last: char| last.is_ascii_lowercase() || last.is_ascii_digit())
                && component.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        })
}

fn filters(repository: &Repository) -> Value {
    repository.exclusions.iter().map(|filter| json!({"filterType": "WILDCARD", "filter": filter})).collect()
}

fn shown(repository: &Repository, place: &Place, host: &str) -> Value {
    let mut shown = json!({
        "repositoryArn": place.arn("ecr", &format!("repository/{}", repository.name)),
        "registryId": place.account,
        "repositoryName": repository.name,
        "repositoryUri": format!("{host}/{}", repository.name),
        "createdAt": clock::seconds(repository.created_at),
        "imageTagMutability": repository.mutability,
        "imageScanningConfiguration": {"scanOnPush": repository.scan_on_push},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    });
    if !repository.exclusions.is_empty() {
        shown["imageTagMutabilityExclusionFilters"] = filters(repository);
    }
    shown
}

#[cfg(test)]
mod tests {
    #[test]
    fn repository_names() {
        for good in ["api", "team/api-dev", "a1"] {
            assert!(super::is_name(good), "{good}");
        }
        for bad in ["", "a", "Api", "api/", "/api", "../api", "a b", "-api"] {
            assert!(!super::is_name(bad), "{bad}");
        }
    }
}
