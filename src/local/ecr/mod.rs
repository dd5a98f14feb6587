//! ECR's control plane: repositories and images by API. The data plane is `registry`; both work on the same images.

mod images;
pub(crate) mod manifest;
mod repositories;
pub(crate) mod scan;
pub(crate) mod settings;

use serde_json::{Value, json};

use super::clock;
use super::place::Place;
use super::registry::auth;
use super::registry::elsewhere::Elsewhere;
use super::state::Repository;
use super::wire::context::Context;
use super::wire::fault::{Answered, Fault};
use super::wire::input::Input;

/// Answers one operation of `AmazonEC2ContainerRegistry_V20150921`.
///
/// # Errors
/// The exceptions of the service model, and `UnknownOperationException`.
pub(crate) fn call(operation: &str, context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    match operation {
        "GetAuthorizationToken" => Ok(authorization(context)),
        "CreateRepository" => repositories::create(context, input),
        "DescribeRepositories" => repositories::describe(context, input),
        "DeleteRepository" => repositories::delete(context, input),
        "PutImageTagMutability" => repositories::put_mutability(context, input),
        "GetAccountSetting" => settings::get(context, input),
        "PutAccountSetting" => settings::put(context, input),
        "TagResource" => repositories::tag(context, input),
        "UntagResource" => repositories::untag(context, input),
        "ListTagsForResource" => repositories::tags(context, input),
        "DescribeImages" => images::describe(context, input),
        "ListImages" => images::list(context, input),
        "BatchGetImage" => images::batch_get(context, input),
        "BatchDeleteImage" => images::batch_delete(context, input),
        "PutImage" => images::put(context, input),
        "BatchCheckLayerAvailability" => images::check_layers(context, input),
        "GetDownloadUrlForLayer" => images::download_url(context, input),
        "DescribeImageScanFindings" => scan::describe(context, input),
        "StartImageScan" => scan::start(context, input),
        "PutImageScanningConfiguration" => scan::put_configuration(context, input),
        "GetRegistryScanningConfiguration" => Ok(scan::registry(context)),
        "PutRegistryScanningConfiguration" => scan::put_registry(context, input),
        _ => Err(Fault::unknown_operation(operation)),
    }
}

fn authorization(context: &mut Context<'_>) -> Value {
    let issued = auth::issue(context.tokens, &context.place, context.now);
    json!({"authorizationData": [{
        "authorizationToken": context.elsewhere.map_or(issued.authorization, Elsewhere::authorization),
        "expiresAt": clock::seconds(issued.expires_at),
        "proxyEndpoint": format!("http://{}", context.host),
    }]})
}

pub(crate) fn repository_missing(name: &str, place: &Place) -> Fault {
    Fault::client(
        "RepositoryNotFoundException",
        format!("The repository with name '{name}' does not exist in the registry with id '{}'", place.account),
    )
}

/// The repository that a request names.
fn repository<'a>(context: &'a mut Context<'_>, input: &Value) -> Answered<&'a mut Repository> {
    let request = Input(input);
    let name = request.required("repositoryName")?;
    let place = context.place.clone();
    if let Some(other) = request.text("registryId").filter(|id| *id != place.account) {
        return Err(repository_missing(name, &Place::new(other, &place.region)));
    }
    context.holdings().repositories.get_mut(name).ok_or_else(|| repository_missing(name, &place))
}
