//! One service of the specification: its settings with every `${…}` filled in, and the defaults for what is not written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::cache::Cache;
use crate::config::grammar;
use crate::config::interpolate::Template;
use crate::config::manifest;
use crate::config::resolve::ResolveInput;
use crate::config::scan;
use crate::config::secrets::Secrets;
use crate::config::settings::{Setting, Settings};
use crate::config::specification::{BeforeDeploy, Platform, Service};
use crate::config::tree::describe_path;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::secret::Secret;

/// As it would be written.
const BEFORE_DEPLOY_TIMEOUT: &str = "10m";

/// Fills in the `${…}` of one service.
pub(super) struct Filling<'f> {
    pub(super) input: &'f ResolveInput<'f>,
    pub(super) service: &'f str,
    pub(super) secrets: &'f Secrets<'f>,
}

/// As in the specification.
struct Arguments {
    build_args: BTreeMap<String, Secret>,
    unknown_args: Vec<String>,
    readable_secrets: Vec<String>,
}

impl Filling<'_> {
    /// `root` is the folder of deploy.yaml.
    pub(super) fn service(&self, root: &Path, settings: &Settings<'_>) -> Result<Service> {
        let context = clean(&root.join(self.plain_or(settings.context.as_ref(), ".")?));
        let dockerfile = clean(&context.join(self.plain_or(settings.dockerfile.as_ref(), "Dockerfile")?));
        let repository = settings.repository.as_ref().ok_or_else(|| {
            Error::new(Exit::Usage, format!("deploy.yaml, services.{}: `repository` is missing", self.service))
        })?;
        let repository = self.named(repository, grammar::repository)?;
        let cluster = match &settings.cluster {
            Some(setting) => self.named(setting, grammar::ecs_name)?,
            None => self.default_name(self.input.environment, "cluster")?,
        };
        let service = match &settings.service {
            Some(setting) => self.named(setting, grammar::ecs_name)?,
            None => self.default_name(self.service, "service")?,
        };
        let container =
            settings.container.as_ref().map(|setting| self.named(setting, grammar::ecs_name)).transpose()?;
        let Arguments { build_args, unknown_args, readable_secrets } = self.build_args(settings)?;
        Ok(Service {
            name: self.service.to_owned(),
            context,
            dockerfile,
            target: settings.target.as_ref().map(|setting| self.plain(setting)).transpose()?,
            platform: settings.platform.unwrap_or(Platform::LinuxAmd64),
            build_args,
            unknown_args,
            build_secrets: settings
                .build_secrets
                .value
                .iter()
                .filter_map(|name| Some((name.clone(), self.secrets.get(name)?.clone())))
                .collect(),
            secrets: settings.secrets.value.to_vec(),
            readable_secrets,
            paths: settings.paths.map(<[String]>::to_vec),
            ignore: settings.ignore.to_vec(),
            commit_args: settings
                .build_args
                .iter()
                .filter(|(_, setting)| template(setting).is_ok_and(|text| text.names().any(|name| name == "commit")))
                .map(|(name, _)| (*name).to_owned())
                .collect(),
            repository,
            cluster,
            service,
            container,
            before_deploy: settings.before_deploy.as_ref().map(before_deploy).transpose()?,
            cache: self.cache(settings.cache.as_ref())?,
            rebuild_after: settings.rebuild_after.as_ref().map(duration).transpose()?,
            rebuild_token: settings.rebuild_token.as_ref().map(|setting| setting.value.to_owned()),
            scan: settings.scan.as_ref().map(|setting| scan::policy(setting.value)),
            depends_on: settings.depends_on.to_vec(),
        })
    }

    /// The arguments, those that are left out, and the secrets that they make readable. An argument whose secret has no
    /// value is left out, which happens under `SecretsMode::Optional` only.
    fn build_args(&self, settings: &Settings<'_>) -> Result<Arguments> {
        let (mut filled, mut unknown_args) = (BTreeMap::new(), Vec::new());
        let mut used = Vec::new();
        for (name, setting) in &settings.build_args {
            let template = template(setting)?;
            let secrets: Vec<&str> =
                template.names().filter(|name| settings.secrets.value.iter().any(|secret| secret == name)).collect();
            used.extend(secrets.iter().copied());
            if secrets.iter().any(|secret| self.secrets.get(secret).is_none()) {
                unknown_args.push((*name).to_owned());
                continue;
            }
            let value = |name: &str| {
                self.built_in(name).or_else(|| self.secrets.get(name).map(|secret| Cow::from(secret.expose())))
            };
            let value = template.fill(value).map_err(|name| unknown(setting, name))?;
            filled.insert((*name).to_owned(), Secret::new(value));
        }
        let readable = settings.secrets.value.iter().filter(|name| used.contains(&name.as_str()));
        Ok(Arguments { build_args: filled, unknown_args, readable_secrets: readable.cloned().collect() })
    }

    pub(super) fn built_in(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "env" => Some(self.input.environment.into()),
            "service" => Some(self.service.into()),
            "branch" => self.input.branch.map(Cow::from),
            "commit" => self.input.commit.map(Cow::from),
            _ => None,
        }
    }

    pub(super) fn plain(&self, setting: &Setting<&str>) -> Result<String> {
        template(setting)?.fill(|name| self.built_in(name)).map_err(|name| unknown(setting, name))
    }

    pub(super) fn plain_or(&self, setting: Option<&Setting<&str>>, default: &str) -> Result<String> {
        setting.map_or_else(|| Ok(default.to_owned()), |setting| self.plain(setting))
    }

    /// The file was checked, but not with this branch and this commit.
    pub(super) fn named(&self, setting: &Setting<&str>, rule: fn(&str) -> Result<(), &'static str>) -> Result<String> {
        let value = self.plain(setting)?;
        match rule(&value) {
            Ok(()) => Ok(value),
            Err(wrong) => Err(wrong_value(setting, &format!("`{value}` {wrong}"))),
        }
    }

    fn cache(&self, setting: Option<&Setting<&Cache>>) -> Result<Cache> {
        match setting {
            Some(Setting { value: Cache::Repository(name), path }) => {
                let path = [path.as_slice(), &["repository".into()]].concat();
                self.named(&Setting { value: name.as_str(), path }, grammar::repository).map(Cache::Repository)
            }
            Some(setting) => Ok(setting.value.clone()),
            None => Ok(Cache::default()),
        }
    }

    /// A key may have a dot, an ECS name may not.
    fn default_name(&self, key: &str, what: &str) -> Result<String> {
        grammar::ecs_name(key).map(|()| key.to_owned()).map_err(|wrong| {
            Error::new(Exit::Usage, format!("service `{}`: the default `{what}`, `{key}`, {wrong}", self.service))
                .hint(format!("write `{what}` in deploy.yaml"))
        })
    }
}

/// The file was checked, so a fault here is one of a file that was not.
pub(super) fn soak(environment: &str, written: Option<&str>) -> Result<Duration> {
    let Some(written) = written else { return Ok(Duration::ZERO) };
    grammar::duration(written).map_err(|wrong| {
        Error::new(Exit::Usage, format!("deploy.yaml, environments.{environment}.soak: `{written}` {wrong}"))
    })
}

fn before_deploy(setting: &Setting<&manifest::BeforeDeploy>) -> Result<BeforeDeploy> {
    let written = setting.value.timeout.as_deref().unwrap_or(BEFORE_DEPLOY_TIMEOUT);
    let timeout = grammar::duration(written).map_err(|wrong| {
        let path = describe_path(&setting.path);
        Error::new(Exit::Usage, format!("deploy.yaml, {path}.timeout: `{written}` {wrong}"))
    })?;
    Ok(BeforeDeploy { command: setting.value.command.clone(), container: setting.value.container.clone(), timeout })
}

fn duration(setting: &Setting<&str>) -> Result<std::time::Duration> {
    grammar::duration(setting.value).map_err(|wrong| wrong_value(setting, &format!("`{}` {wrong}", setting.value)))
}

pub(super) fn template<'s>(setting: &Setting<&'s str>) -> Result<Template<'s>> {
    Template::parse(setting.value).map_err(|malformed| wrong_value(setting, malformed.message))
}

pub(super) fn wrong_value(setting: &Setting<&str>, what: &str) -> Error {
    Error::new(Exit::Usage, format!("deploy.yaml, {}: {what}", describe_path(&setting.path)))
}

pub(super) fn unknown(setting: &Setting<&str>, name: &str) -> Error {
    let error = wrong_value(setting, &format!("`${{{name}}}` is not known here"));
    match name {
        "commit" => error.hint("run shipit in a git checkout with at least one commit, or in a pipeline"),
        "branch" => error.hint("say which branch it is with `--branch`"),
        _ => error,
    }
}

/// Without `.` steps. `..` stays: behind a symbolic link it means something else than its text does.
pub(super) fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}
