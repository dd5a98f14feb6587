//! Reading repositories, many in one call.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_ecr::error::ProvideErrorMetadata;
use aws_sdk_ecr::types::{self, ImageScanningConfiguration, ImageTagMutability};
use futures_util::future::join_all;

use super::{Mutability, Repository};
use crate::aws::Clients;
use crate::aws::error::aws;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// `DescribeRepositories` takes this many names at most.
const LIMIT: usize = 100;

/// Each of these repositories, in their order; an error for one that is not there, or may not be read ([`Exit::Aws`]).
pub(crate) async fn repositories(clients: &Clients, names: &[&str]) -> Vec<Result<Repository>> {
    let distinct: Vec<&str> = names.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let reads = join_all(distinct.chunks(LIMIT).map(|some| together(clients, some))).await;
    let read: HashMap<&str, Result<Repository>> = reads.into_iter().flatten().collect();
    let lost = |name: &str| Error::new(Exit::Fault, format!("nobody has asked for repository `{name}`"));
    names.iter().map(|name| read.get(name).cloned().unwrap_or_else(|| Err(lost(name)))).collect()
}

/// One that is not there, or may not be read, makes ECR refuse the whole call: then each is asked for by itself.
async fn together<'n>(clients: &Clients, names: &[&'n str]) -> Vec<(&'n str, Result<Repository>)> {
    match describe(clients, names).await {
        Err(error) if names.len() > 1 && !error.is_transient() => {
            join_all(names.iter().map(async |name| (*name, one(describe(clients, &[*name]).await, name)))).await
        }
        answer => names.iter().map(|name| (*name, one(answer.clone(), name))).collect(),
    }
}

fn one(answer: Result<HashMap<String, Repository>>, name: &str) -> Result<Repository> {
    let absent =
        || Error::new(Exit::Aws, format!("repository `{name}` is not in the answer of ecr:DescribeRepositories"));
    answer?.remove(name).ok_or_else(absent)
}

async fn describe(clients: &Clients, names: &[&str]) -> Result<HashMap<String, Repository>> {
    let wanted = names.iter().map(|name| (*name).to_owned()).collect();
    let answer = clients.ecr.describe_repositories().set_repository_names(Some(wanted)).send().await;
    let answer = answer.map_err(|error| {
        if error.code() == Some("RepositoryNotFoundException") {
            Error::new(Exit::Aws, format!("repository `{}` does not exist in {}", names.join("`, `"), clients.region))
                .cause(error.message().unwrap_or_default())
                .hint("create it in this account and region, or correct `repository` in deploy.yaml")
        } else {
            aws("ecr:DescribeRepositories", &error)
        }
    })?;
    let named = |found: &types::Repository| Some((found.repository_name()?.to_owned(), repository(found)));
    Ok(answer.repositories().iter().filter_map(named).collect())
}

fn repository(found: &types::Repository) -> Repository {
    let except: Vec<String> =
        found.image_tag_mutability_exclusion_filters().iter().map(|filter| filter.filter().to_owned()).collect();
    let immutable = matches!(
        found.image_tag_mutability(),
        Some(ImageTagMutability::Immutable | ImageTagMutability::ImmutableWithExclusion)
    );
    Repository {
        name: found.repository_name().unwrap_or_default().to_owned(),
        uri: found.repository_uri().unwrap_or_default().to_owned(),
        scan_on_push: found.image_scanning_configuration().is_some_and(ImageScanningConfiguration::scan_on_push),
        mutability: if immutable { Mutability::Immutable { except } } else { Mutability::Mutable { except } },
    }
}

#[cfg(test)]
mod tests {
    use super::repositories;
    use crate::aws::fake::{Answer, Fake};
    use serde_json::{Value, json};

    /// Knows every repository but `gone`, and refuses to speak of `secret`.
    fn described(operation: &str, input: &Value) -> Answer {
        assert_eq!(operation, "DescribeRepositories");
        let names: Vec<&str> = input["repositoryNames"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(names.len() <= 100, "ECR refuses {} names", names.len());
        for (name, exception) in [("gone", "RepositoryNotFoundException"), ("secret", "AccessDeniedException")] {
            if names.contains(&name) {
                return Err(exception);
            }
        }
        // In an order of ECR's own.
        let found =
            names.iter().rev().map(|name| json!({"repositoryName": name, "repositoryUri": format!("r/{name}")}));
        Ok(json!({"repositories": found.collect::<Vec<_>>()}))
    }

    #[tokio::test]
    async fn a_hundred_names_go_in_one_call_and_each_once() {
        let fake = Fake::start(described).await;
        let names: Vec<String> = (0..150).map(|n| format!("api-{n}")).collect();
        let asked: Vec<&str> = names.iter().chain(&names).map(String::as_str).collect();
        let found = repositories(&fake.clients, &asked).await;
        let uris: Vec<String> = found.into_iter().map(|found| found.unwrap().uri).collect();
        let expected: Vec<String> = asked.iter().map(|name| format!("r/{name}")).collect();
        assert_eq!(uris, expected);
        assert_eq!(fake.calls("DescribeRepositories").len(), 2);
    }

    #[tokio::test]
    async fn one_that_is_not_there_or_may_not_be_read_does_not_hide_the_others() {
        for (bad, told) in [("gone", "repository `gone` does not exist"), ("secret", "AccessDeniedException")] {
            let fake = Fake::start(described).await;
            let found = repositories(&fake.clients, &["a", bad, "b"]).await;
            let read: Vec<Result<String, String>> =
                found.into_iter().map(|found| found.map(|found| found.name).map_err(|error| error.line())).collect();
            assert_eq!((&read[0], &read[2]), (&Ok("a".to_owned()), &Ok("b".to_owned())));
            assert!(read[1].as_ref().is_err_and(|line| line.contains(told)), "{:?}", read[1]);
            assert_eq!(fake.calls("DescribeRepositories").len(), 4);
        }
    }
}
