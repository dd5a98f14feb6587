//! One environment of the manifest with nothing left open: defaults, overrides, `${…}` and secrets are settled here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::interpolate::Template;
use crate::config::manifest::Manifest;
use crate::config::secrets::Secrets;
use crate::config::settings::{AwsSettings, Setting, Settings};
use crate::config::specification::{Environment, Platform, Service, Specification};
use crate::config::tree::describe_path;
use crate::config::{grammar, suggest};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::secret::Secret;
use crate::vars::Vars;

/// What the manifest does not say.
pub(crate) struct ResolveInput<'i> {
    pub(crate) environment: &'i str,
    /// The branch that is deployed; `None` where it is not known.
    pub(crate) branch: Option<&'i str>,
    /// The full commit; `None` where it is not known.
    pub(crate) commit: Option<&'i str>,
    /// Keys under `services`; empty means all.
    pub(crate) services: &'i [String],
    pub(crate) vars: &'i Vars,
    pub(crate) secrets: SecretsMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretsMode {
    /// A missing secret is an error that names all of them.
    Required,
    /// For commands that need no values: a missing secret, and a build argument that needs it, are left out.
    Optional,
}

impl Manifest {
    /// Errors: `Exit::Usage` for an environment or service that is not there, and for a value that only now turns out
    /// wrong; `Exit::Secret` for missing secrets.
    pub(crate) fn resolve(&self, input: &ResolveInput<'_>) -> Result<Specification> {
        let environment = self.resolved_environment(input.environment)?;
        let chosen = self.chosen(input.services)?;
        let written = &self.environments[input.environment];
        let mut secrets = Secrets::new(input.environment, written.secret_prefix.as_deref(), input.vars);
        let settings: Vec<(&str, Settings<'_>)> = chosen
            .into_iter()
            .map(|name| (name, Settings::of(name, &self.services[name], input.environment)))
            .collect();
        for (_, settings) in &settings {
            secrets.look_up(settings.secrets.value);
        }
        if input.secrets == SecretsMode::Required {
            secrets.none_missing()?;
        }
        let services = settings
            .iter()
            .map(|(name, settings)| Filling { input, service: name, secrets: &secrets }.service(&self.root, settings))
            .collect::<Result<_>>()?;
        Ok(Specification {
            project: self.project(),
            root: self.root.clone(),
            environment,
            services,
            secrets: secrets.into_values(),
        })
    }

    /// `name`, or the folder's name.
    pub(crate) fn project(&self) -> String {
        let folder = || self.root.file_name().map(|name| name.to_string_lossy().into_owned());
        self.name.clone().or_else(folder).unwrap_or_else(|| "project".to_owned())
    }

    /// `Exit::Usage` with a did-you-mean.
    pub(crate) fn unknown_environment(&self, name: &str) -> Error {
        let known: Vec<&str> = self.environments.keys().map(String::as_str).collect();
        Error::new(Exit::Usage, format!("there is no environment `{name}` in deploy.yaml"))
            .hint(suggest::help(name, &known))
    }

    fn resolved_environment(&self, name: &str) -> Result<Environment> {
        let written = self.environments.get(name).ok_or_else(|| self.unknown_environment(name))?;
        let aws = AwsSettings::of(self, name);
        Ok(Environment {
            name: name.to_owned(),
            branch: written.branch.clone(),
            after: written.after.clone(),
            approval: written.approval.is_some(),
            region: aws.region.map(str::to_owned),
            account: aws.account.map(str::to_owned),
            role: aws.role.map(str::to_owned),
            restore_latest: written.restore_latest.unwrap_or(true),
        })
    }

    /// The services asked for, in the order of the file, each once.
    fn chosen(&self, asked: &[String]) -> Result<Vec<&str>> {
        for name in asked {
            if !self.services.contains_key(name) {
                let known: Vec<&str> = self.services.keys().map(String::as_str).collect();
                return Err(Error::new(Exit::Usage, format!("there is no service `{name}` in deploy.yaml"))
                    .hint(suggest::help(name, &known)));
            }
        }
        let wanted = |name: &&str| asked.is_empty() || asked.iter().any(|asked| asked == name);
        Ok(self.services.keys().map(String::as_str).filter(wanted).collect())
    }
}

/// Fills in the `${…}` of one service.
struct Filling<'f> {
    input: &'f ResolveInput<'f>,
    service: &'f str,
    secrets: &'f Secrets<'f>,
}

impl Filling<'_> {
    fn service(&self, root: &Path, settings: &Settings<'_>) -> Result<Service> {
        let context = clean(&root.join(self.plain_or(settings.context.as_ref(), ".")?));
        let dockerfile = clean(&context.join(self.plain_or(settings.dockerfile.as_ref(), "Dockerfile")?));
        let repository = self.named(&settings.repository, grammar::repository)?;
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
        let (build_args, readable_secrets) = self.build_args(settings)?;
        Ok(Service {
            name: self.service.to_owned(),
            context,
            dockerfile,
            target: settings.target.as_ref().map(|setting| self.plain(setting)).transpose()?,
            platform: settings.platform.unwrap_or(Platform::LinuxAmd64),
            build_args,
            build_secrets: settings
                .build_secrets
                .value
                .iter()
                .filter_map(|name| Some((name.clone(), self.secrets.get(name)?.clone())))
                .collect(),
            secrets: settings.secrets.value.to_vec(),
            readable_secrets,
            repository,
            cluster,
            service,
            container,
        })
    }

    /// The arguments, and the secrets that they make readable. An argument whose secret has no value is left out, which
    /// happens under `SecretsMode::Optional` only.
    fn build_args(&self, settings: &Settings<'_>) -> Result<(BTreeMap<String, Secret>, Vec<String>)> {
        let mut filled = BTreeMap::new();
        let mut used = Vec::new();
        for (name, setting) in &settings.build_args {
            let template = template(setting)?;
            let secrets: Vec<&str> =
                template.names().filter(|name| settings.secrets.value.iter().any(|secret| secret == name)).collect();
            used.extend(secrets.iter().copied());
            if secrets.iter().any(|secret| self.secrets.get(secret).is_none()) {
                continue;
            }
            let value = |name: &str| {
                self.built_in(name).or_else(|| self.secrets.get(name).map(|secret| Cow::from(secret.expose())))
            };
            let value = template.fill(value).map_err(|name| unknown(setting, name))?;
            filled.insert((*name).to_owned(), Secret::new(value));
        }
        let readable = settings.secrets.value.iter().filter(|name| used.contains(&name.as_str()));
        Ok((filled, readable.cloned().collect()))
    }

    fn built_in(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "env" => Some(self.input.environment.into()),
            "service" => Some(self.service.into()),
            "branch" => self.input.branch.map(Cow::from),
            "commit" => self.input.commit.map(Cow::from),
            _ => None,
        }
    }

    fn plain(&self, setting: &Setting<&str>) -> Result<String> {
        template(setting)?.fill(|name| self.built_in(name)).map_err(|name| unknown(setting, name))
    }

    fn plain_or(&self, setting: Option<&Setting<&str>>, default: &str) -> Result<String> {
        setting.map_or_else(|| Ok(default.to_owned()), |setting| self.plain(setting))
    }

    /// The file was checked, but not with this branch and this commit.
    fn named(&self, setting: &Setting<&str>, rule: fn(&str) -> Result<(), &'static str>) -> Result<String> {
        let value = self.plain(setting)?;
        match rule(&value) {
            Ok(()) => Ok(value),
            Err(wrong) => Err(wrong_value(setting, &format!("`{value}` {wrong}"))),
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

fn template<'s>(setting: &Setting<&'s str>) -> Result<Template<'s>> {
    Template::parse(setting.value).map_err(|malformed| wrong_value(setting, malformed.message))
}

fn wrong_value(setting: &Setting<&str>, what: &str) -> Error {
    Error::new(Exit::Usage, format!("deploy.yaml, {}: {what}", describe_path(&setting.path)))
}

fn unknown(setting: &Setting<&str>, name: &str) -> Error {
    let error = wrong_value(setting, &format!("`${{{name}}}` is not known here"));
    match name {
        "commit" => error.hint("run shipit in a git checkout with at least one commit, or in a pipeline"),
        "branch" => error.hint("say which branch it is with `--branch`"),
        _ => error,
    }
}

/// Without `.` steps. `..` stays: behind a symbolic link it means something else than its text does.
fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}
