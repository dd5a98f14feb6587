//! A service as one environment sees it: what is written for the environment wins, and every value still knows where in
//! the file it was written. No defaults yet.

use crate::config::cache::Cache;
use crate::config::manifest::{BeforeDeploy, Environment, Manifest, Override, Scan, Service};
use crate::config::specification::Platform;
use crate::config::tree::{Path, Step, steps};

/// A value and the way to it in the file.
#[derive(Clone, Debug)]
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) path: Path,
}

pub(super) struct Settings<'m> {
    pub(super) context: Option<Setting<&'m str>>,
    pub(super) dockerfile: Option<Setting<&'m str>>,
    pub(super) target: Option<Setting<&'m str>>,
    pub(super) platform: Option<Platform>,
    pub(super) secrets: Setting<&'m [String]>,
    /// In the order of the file, what only the environment has at the end.
    pub(super) build_args: Vec<(&'m str, Setting<&'m str>)>,
    pub(super) build_secrets: Setting<&'m [String]>,
    /// Absent of a zip only.
    pub(super) repository: Option<Setting<&'m str>>,
    pub(super) cluster: Option<Setting<&'m str>>,
    pub(super) service: Option<Setting<&'m str>>,
    pub(super) container: Option<Setting<&'m str>>,
    pub(super) before_deploy: Option<Setting<&'m BeforeDeploy>>,
    pub(super) cache: Option<Setting<&'m Cache>>,
    pub(super) rebuild_after: Option<Setting<&'m str>>,
    pub(super) rebuild_token: Option<Setting<&'m str>>,
    pub(super) scan: Option<Setting<&'m Scan>>,
    pub(super) depends_on: &'m [String],
    /// These two are the same in every environment.
    pub(super) paths: Option<&'m [String]>,
    pub(super) ignore: &'m [String],
}

impl<'m> Settings<'m> {
    pub(super) fn of(name: &str, service: &'m Service, environment: &str) -> Self {
        let own = service.environments.get(environment);
        let base = || steps!["services", name];
        let there = || steps!["services", name, "environments", environment];
        let text = |key: &str, default: &'m Option<String>, pick: fn(&'m Override) -> &'m Option<String>| {
            if let Some(value) = own.and_then(|own| pick(own).as_deref()) {
                return Some(Setting { value, path: join(&there(), key) });
            }
            default.as_deref().map(|value| Setting { value, path: join(&base(), key) })
        };
        let list = |key: &str, default: &'m [String], own: Option<&'m [String]>| match own {
            Some(value) => Setting { value, path: join(&there(), key) },
            None => Setting { value: default, path: join(&base(), key) },
        };
        let own_before = own.and_then(|own| own.before_deploy.as_ref()).map(|value| (value, there().to_vec()));
        let before_deploy = own_before
            .or_else(|| service.before_deploy.as_ref().map(|value| (value, base().to_vec())))
            .map(|(value, at)| Setting { value, path: join(&at, "before_deploy") });
        let own_cache = own.and_then(|own| own.cache.as_ref()).map(|value| (value, there().to_vec()));
        let cache = own_cache
            .or_else(|| service.cache.as_ref().map(|value| (value, base().to_vec())))
            .map(|(value, at)| Setting { value, path: join(&at, "cache") });
        Self {
            context: text("context", &service.context, |own| &own.context),
            dockerfile: text("dockerfile", &service.dockerfile, |own| &own.dockerfile),
            target: text("target", &service.target, |own| &own.target),
            platform: own.and_then(|own| own.platform).or(service.platform),
            secrets: list("secrets", &service.secrets, own.and_then(|own| own.secrets.as_deref())),
            build_args: build_args(service, own, &join(&base(), "build_args"), &join(&there(), "build_args")),
            build_secrets: list(
                "build_secrets",
                &service.build_secrets,
                own.and_then(|own| own.build_secrets.as_deref()),
            ),
            repository: text("repository", &service.repository, |own| &own.repository),
            cluster: text("cluster", &service.cluster, |own| &own.cluster),
            service: text("service", &service.service, |own| &own.service),
            container: text("container", &service.container, |own| &own.container),
            before_deploy,
            cache,
            rebuild_after: text("rebuild_after", &service.rebuild_after, |own| &own.rebuild_after),
            rebuild_token: text("rebuild_token", &service.rebuild_token, |own| &own.rebuild_token),
            scan: own
                .and_then(|own| own.scan.as_ref())
                .map(|value| Setting { value, path: join(&there(), "scan") })
                .or_else(|| service.scan.as_ref().map(|value| Setting { value, path: join(&base(), "scan") })),
            depends_on: &service.depends_on,
            paths: service.paths.as_deref(),
            ignore: &service.ignore,
        }
    }

    /// What the environment says for all its services, where this one says nothing.
    pub(super) fn with_environment(mut self, name: &str, environment: &'m Environment) -> Self {
        let there = || {
            environment
                .scan
                .as_ref()
                .map(|value| Setting { value, path: steps!["environments", name, "scan"].to_vec() })
        };
        self.scan = self.scan.or_else(there);
        self
    }

    /// Every value outside `build_args` in which `${…}` is read.
    pub(super) fn plain(&self) -> impl Iterator<Item = &Setting<&'m str>> {
        let names = [&self.repository, &self.cluster, &self.service, &self.container];
        names.into_iter().chain([&self.context, &self.dockerfile, &self.target]).flatten()
    }
}

fn build_args<'m>(
    service: &'m Service,
    own: Option<&'m Override>,
    base: &[Step],
    there: &[Step],
) -> Vec<(&'m str, Setting<&'m str>)> {
    let mut merged: Vec<(&str, Setting<&str>)> = Vec::new();
    for (name, value) in &service.build_args {
        if own.is_none_or(|own| !own.build_args.contains_key(name)) {
            merged.push((name, Setting { value, path: join(base, name) }));
        }
    }
    for (name, value) in own.into_iter().flat_map(|own| &own.build_args) {
        merged.push((name, Setting { value, path: join(there, name) }));
    }
    merged
}

fn join(path: &[Step], key: &str) -> Path {
    let mut path = path.to_vec();
    path.push(key.into());
    path
}

/// What AWS is for one environment: its own keys over those at the top.
pub(super) struct AwsSettings<'m> {
    pub(super) region: Option<&'m str>,
    pub(super) account: Option<&'m str>,
    pub(super) role: Option<&'m str>,
}

impl<'m> AwsSettings<'m> {
    pub(super) fn of(manifest: &'m Manifest, environment: &str) -> Self {
        let own = manifest.environments.get(environment).and_then(|environment| environment.aws.as_ref());
        let top = manifest.aws.as_ref();
        Self {
            region: own.and_then(|aws| aws.region.as_deref()).or(top.and_then(|aws| aws.region.as_deref())),
            account: own.and_then(|aws| aws.account.as_deref()).or(top.and_then(|aws| aws.account.as_deref())),
            role: own.and_then(|aws| aws.role.as_deref()),
        }
    }
}
