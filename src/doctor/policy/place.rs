//! The names of resources, as IAM writes them.

use super::actions::On;
use crate::config::cache::Cache;
use crate::config::specification::{Archive, Environment, Service};

/// Partition, region and account of an environment's ARNs; `*` for what deploy.yaml does not say.
pub(super) struct Place {
    partition: &'static str,
    region: String,
    account: String,
}

impl Place {
    pub(super) fn of(environment: &Environment) -> Self {
        let region = environment.region.clone().unwrap_or_else(|| "*".to_owned());
        let partition = match region.split('-').next() {
            Some("cn") => "aws-cn",
            _ if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        Self { partition, region, account: account(environment).unwrap_or_else(|| "*".to_owned()) }
    }

    pub(super) fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{resource}", self.partition, self.region, self.account)
    }

    pub(super) fn resources(&self, on: On, service: &Service) -> Vec<String> {
        let Service { cluster, service: name, repository, .. } = service;
        let in_registry = |repository: &String| self.arn("ecr", &format!("repository/{repository}"));
        let of_service = |kind: &str, end: &str| self.arn("ecs", &format!("{kind}/{cluster}/{name}{end}"));
        match on {
            On::Anything | On::Clusters => vec!["*".to_owned()],
            On::Repositories => vec![in_registry(repository)],
            On::Images => {
                let cache = if let Cache::Repository(cache) = &service.cache { Some(cache) } else { None };
                std::iter::once(repository).chain(cache).map(in_registry).collect()
            }
            On::Services => vec![of_service("service", "")],
            On::Records => vec![
                of_service("service", ""),
                of_service("service-deployment", "/*"),
                of_service("service-revision", "/*"),
            ],
            On::Tasks => vec![self.arn("ecs", &format!("task/{cluster}/*"))],
            On::Logs => vec![self.arn("logs", "log-group:*:log-stream:*")],
            On::TaskDefinitions => vec![self.arn("ecs", "task-definition/*:*")],
            On::TaskRoles => vec![format!("arn:{}:iam::{}:role/*", self.partition, self.account)],
            On::Buckets | On::Objects => Vec::new(),
        }
    }

    /// A bucket's name is the world's: neither region nor account is part of its ARN.
    pub(super) fn objects(&self, on: On, archive: &Archive) -> Vec<String> {
        let Archive { bucket, key, latest_key, .. } = archive;
        let arn = |resource: &str| format!("arn:{}:s3:::{resource}", self.partition);
        match on {
            On::Buckets => vec![arn(bucket)],
            On::Objects => {
                vec![arn(&format!("{bucket}/{}", key.of("*"))), arn(&format!("{bucket}/{latest_key}"))]
            }
            _ => Vec::new(),
        }
    }
}

/// The account that deploy.yaml names, or that of the role it assumes.
pub(super) fn account(environment: &Environment) -> Option<String> {
    let of_role = || environment.role.as_ref()?.split(':').nth(4).map(str::to_owned);
    environment.account.clone().or_else(of_role)
}
