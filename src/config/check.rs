//! What the types cannot say: names that have to exist, values that have to have a shape, keys that must not contradict
//! each other. Works on the manifest, and asks the tree where a value stands.

mod builders;
mod promotion;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::changes::Pattern;
use crate::config::cache::Cache;
use crate::config::diagnostic::Diagnostic;
use crate::config::interpolate::Template;
use crate::config::manifest::{ArtefactKind, BeforeDeploy, Environment, Manifest, Scan, Service};
use crate::config::settings::{AwsSettings, Setting, Settings};
use crate::config::tree::{Node, Path, Step, steps};
use crate::config::{dependencies, grammar, locate, names, scan, suggest};

/// Every service is looked at once for every environment; this bounds the time that takes.
const MAX_ENVIRONMENTS: usize = 100;

/// Different names in one value; more are not looked at.
const MAX_NAMES: usize = 50;

/// Every fault of meaning, up to `limit`.
pub(super) fn check(manifest: &Manifest, tree: &Node, text: &str, limit: usize) -> Vec<Diagnostic> {
    let mut check = Check { tree, text, limit, found: Vec::new() };
    check.top(manifest);
    if manifest.environments.len() > MAX_ENVIRONMENTS {
        let message = format!("there are more than {MAX_ENVIRONMENTS} environments");
        check.key_fault(&steps!["environments"], message, None);
        return check.found;
    }
    check.environments(manifest);
    for (name, service) in &manifest.services {
        check.service(manifest, name, service);
    }
    check.places_of_zips(manifest);
    check.found
}

pub(super) struct Check<'t> {
    pub(super) tree: &'t Node,
    text: &'t str,
    limit: usize,
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    /// Notes a fault of the value at `path`, unless that value is known to be faulty already.
    pub(super) fn fault(&mut self, path: &[Step], part: Option<&str>, message: String, help: Option<String>) {
        if self.is_full() {
            return;
        }
        let span = match part {
            Some(part) => locate::within(self.tree, self.text, path, part),
            None => locate::value(self.tree, self.text, path),
        };
        self.note(path, span, message, help);
    }

    /// The same for the key.
    pub(super) fn key_fault(&mut self, path: &[Step], message: String, help: Option<String>) {
        let span = locate::key(self.tree, self.text, path);
        self.note(path, span, message, help);
    }

    /// A value is looked at once for every environment; one fault at a place is enough.
    fn note(&mut self, path: &[Step], span: Range<usize>, message: String, help: Option<String>) {
        if self.is_full() || self.tree.is_faulty(path) || self.found.iter().any(|fault| fault.is_at(&span)) {
            return;
        }
        let fault = Diagnostic::new(span, message);
        self.found.push(match help {
            Some(help) => fault.help(help),
            None => fault,
        });
    }

    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= self.limit
    }

    pub(super) fn grammar(&mut self, path: &[Step], value: &str, rule: fn(&str) -> Result<(), &'static str>) {
        if let Err(wrong) = rule(value) {
            self.fault(path, None, format!("`{value}` {wrong}"), None);
        }
    }

    fn top(&mut self, manifest: &Manifest) {
        if manifest.version != 1 {
            let message = format!("version {} of deploy.yaml is not known to this shipit", manifest.version);
            self.fault(&steps!["version"], None, message, Some("write `version: 1`, or get a newer shipit".to_owned()));
        }
        if manifest.name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            self.fault(&steps!["name"], None, "the project's name is empty".to_owned(), None);
        }
        if manifest.environments.is_empty() {
            let help = "write one, as in `dev: { branch: develop }`".to_owned();
            self.key_fault(&steps!["environments"], "there is no environment".to_owned(), Some(help));
        }
        if manifest.services.is_empty() {
            let help = "write one, as in `api: { repository: \"api-${env}\" }`".to_owned();
            self.key_fault(&steps!["services"], "there is no service".to_owned(), Some(help));
        }
        self.builders(manifest);
        if let Some(aws) = &manifest.aws {
            self.region_and_account(&steps!["aws"], aws.region.as_deref(), aws.account.as_deref());
        }
    }

    fn region_and_account(&mut self, at: &[Step], region: Option<&str>, account: Option<&str>) {
        if let Some(region) = region {
            self.grammar(&join(at, "region"), region, grammar::region);
        }
        if let Some(account) = account {
            self.grammar(&join(at, "account"), account, grammar::account);
        }
    }

    fn environments(&mut self, manifest: &Manifest) {
        let mut prefixes: HashMap<String, &str> = HashMap::new();
        for (name, environment) in &manifest.environments {
            let at = steps!["environments", name];
            if let Err(wrong) = grammar::name(name) {
                self.key_fault(&at, format!("`{name}` {wrong}"), None);
            }
            self.grammar(&join(&at, "branch"), &environment.branch, grammar::branch);
            self.environment_aws(manifest, name, environment);
            if let Some(scan) = &environment.scan {
                self.scan(&join(&at, "scan"), scan);
            }
            self.after(manifest, name, environment);
            self.promotion(name, environment);
            self.freeze(name, environment);
            if let Some(prefix) = &environment.secret_prefix {
                self.grammar(&join(&at, "secret_prefix"), prefix, grammar::secret_prefix);
            } else if let Some(other) = prefixes.insert(names::default_prefix(name), name) {
                let prefix = names::default_prefix(name);
                self.key_fault(
                    &at,
                    format!("`{name}` would read the secrets of `{other}`: the variables of both begin with {prefix}"),
                    Some("rename one of them, or give it a `secret_prefix` of its own".to_owned()),
                );
            }
        }
    }

    fn environment_aws(&mut self, manifest: &Manifest, name: &str, environment: &Environment) {
        let Some(aws) = &environment.aws else { return };
        let at = steps!["environments", name, "aws"];
        self.region_and_account(&at, aws.region.as_deref(), aws.account.as_deref());
        let Some(role) = &aws.role else { return };
        match grammar::role(role) {
            Err(wrong) => self.fault(&join(&at, "role"), None, format!("`{role}` {wrong}"), None),
            Ok(id) => {
                let account = AwsSettings::of(manifest, name).account;
                if let Some(account) = account.filter(|account| *account != id && grammar::account(account).is_ok()) {
                    let message = format!("this role is in account {id}, but `{name}` has account {account}");
                    self.fault(&join(&at, "role"), Some(id), message, None);
                }
            }
        }
    }

    fn freeze(&mut self, name: &str, environment: &Environment) {
        for (index, freeze) in environment.freeze.iter().enumerate() {
            if let Err((key, wrong)) = freeze.window() {
                self.fault(&steps!["environments", name, "freeze", index, key], None, wrong, None);
            }
            if freeze.days.as_ref().is_some_and(Vec::is_empty) {
                let help = "name some, or leave the key out".to_owned();
                let path = steps!["environments", name, "freeze", index, "days"];
                self.key_fault(&path, "there is no day in this list".to_owned(), Some(help));
            }
        }
    }

    fn after(&mut self, manifest: &Manifest, name: &str, environment: &Environment) {
        let Some(after) = &environment.after else { return };
        let at = steps!["environments", name, "after"];
        if after == name {
            self.fault(&at, None, format!("`{name}` cannot come after itself"), None);
        } else if manifest.environments.contains_key(after) {
            if let Some(circle) = circle(manifest, name) {
                self.fault(&at, None, format!("these come after each other in a circle: {circle}"), None);
            }
        } else {
            let known: Vec<&str> =
                manifest.environments.keys().map(String::as_str).filter(|other| *other != name).collect();
            self.fault(&at, None, format!("there is no environment `{after}`"), Some(suggest::help(after, &known)));
        }
    }

    fn service(&mut self, manifest: &Manifest, name: &str, service: &Service) {
        let at = steps!["services", name];
        if let Err(wrong) = grammar::name(name) {
            self.key_fault(&at, format!("`{name}` {wrong}"), None);
        }
        let known = self.tree.names(&steps!["environments"]);
        for environment in service.environments.keys() {
            if !known.contains(&environment.as_str()) {
                let message = format!("there is no environment `{environment}`");
                let path = steps!["services", name, "environments", environment];
                self.key_fault(&path, message, Some(suggest::help(environment, &known)));
            }
        }
        if let Some(paths) = &service.paths {
            self.patterns(&join(&at, "paths"), paths);
            if paths.is_empty() {
                let help = "leave the key out for the build context".to_owned();
                self.key_fault(&join(&at, "paths"), "an empty list would match no file at all".to_owned(), Some(help));
            }
        }
        self.patterns(&join(&at, "ignore"), &service.ignore);
        self.depends_on(manifest, name, service);
        self.kind(name, service);
        for environment in manifest.environments.keys() {
            if self.is_full() {
                break;
            }
            let settings = Settings::of(name, service, environment);
            match service.kind.unwrap_or_default() {
                ArtefactKind::Container => self.settings(name, environment, &settings),
                ArtefactKind::Zip => self.zip(name, environment, service, &settings),
            }
        }
    }

    fn depends_on(&mut self, manifest: &Manifest, name: &str, service: &Service) {
        let mut seen: HashSet<&str> = HashSet::new();
        for (index, other) in service.depends_on.iter().enumerate() {
            let path = steps!["services", name, "depends_on", index];
            if other == name {
                self.fault(&path, None, format!("`{name}` cannot depend on itself"), None);
            } else if !seen.insert(other) {
                self.fault(&path, None, format!("`{other}` is there twice"), None);
            } else if !manifest.services.contains_key(other) {
                let known: Vec<&str> =
                    manifest.services.keys().map(String::as_str).filter(|known| *known != name).collect();
                self.fault(&path, None, format!("there is no service `{other}`"), Some(suggest::help(other, &known)));
            } else if let Some(circle) = dependencies::circle(manifest, name, other) {
                self.fault(&path, None, format!("these depend on each other in a circle: {circle}"), None);
            }
        }
    }

    fn patterns(&mut self, at: &[Step], patterns: &[String]) {
        for (index, pattern) in patterns.iter().enumerate() {
            let path = join(at, index);
            if pattern.trim().is_empty() {
                self.fault(&path, None, "this pattern is empty".to_owned(), None);
            } else if pattern.contains("${") {
                self.fault(&path, Some("${"), "`${…}` is not read in patterns".to_owned(), None);
            } else if let Err(wrong) = Pattern::new(pattern) {
                self.fault(&path, None, format!("`{pattern}` {wrong}"), None);
            }
        }
    }

    /// One service as one environment sees it.
    fn settings(&mut self, service: &str, environment: &str, settings: &Settings<'_>) {
        self.secrets(settings);
        if let Some(setting) = &settings.before_deploy {
            self.before_deploy(setting);
        }
        if let Some(setting) = &settings.rebuild_after {
            self.grammar(&setting.path, setting.value, |text| grammar::duration(text).map(|_| ()));
        }
        if let Some(Setting { value: Cache::Repository(name), path }) = &settings.cache {
            let setting = Setting { value: name.as_str(), path: join(path, "repository") };
            self.template(&setting, settings, false);
            let known = |name: &str| match name {
                "env" => Some(Cow::from(environment)),
                "service" => Some(Cow::from(service)),
                _ => None,
            };
            let filled = Template::parse(name).ok().and_then(|template| template.fill(known).ok());
            if let Some(Err(wrong)) = filled.as_deref().map(grammar::repository) {
                self.fault(&setting.path, None, format!("`{}` {wrong}", filled.unwrap_or_default()), None);
            }
        }
        if let Some(setting) = &settings.scan {
            self.scan(&setting.path, setting.value);
        }
        for setting in settings.plain() {
            if setting.value.trim().is_empty() {
                self.fault(&setting.path, None, "this value is empty".to_owned(), Some("leave the key out".to_owned()));
            } else {
                self.template(setting, settings, false);
            }
        }
        for (name, setting) in &settings.build_args {
            if let Err(wrong) = grammar::build_arg(name) {
                self.key_fault(&setting.path, format!("`{name}` {wrong}"), None);
            }
            self.template(setting, settings, true);
        }
        let names = [&settings.cluster, &settings.service, &settings.container].into_iter().flatten();
        let repository = settings.repository.iter().map(|setting| (setting, grammar::repository as fn(&str) -> _));
        for (setting, rule) in repository.chain(names.map(|setting| (setting, grammar::ecs_name as fn(&str) -> _))) {
            let known = |name: &str| match name {
                "env" => Some(Cow::from(environment)),
                "service" => Some(Cow::from(service)),
                // Known only when it runs; `resolve` looks at the result then.
                _ => None,
            };
            let filled = Template::parse(setting.value).ok().and_then(|template| template.fill(known).ok());
            if let Some(Err(wrong)) = filled.as_deref().map(rule) {
                let value = filled.unwrap_or_default();
                self.fault(&setting.path, None, format!("`{value}` {wrong}"), None);
            }
        }
    }

    fn scan(&mut self, at: &[Step], value: &Scan) {
        for wrong in scan::faults(value) {
            let path = match wrong.item {
                Some(index) => join(&join(&join(at, "ignore"), index), wrong.key),
                None => join(at, wrong.key),
            };
            self.fault(&path, None, wrong.message, wrong.help.map(str::to_owned));
        }
    }

    fn before_deploy(&mut self, setting: &Setting<&BeforeDeploy>) {
        let BeforeDeploy { command, container, timeout } = setting.value;
        if command.first().is_none_or(|program| program.trim().is_empty()) {
            let help = "write the program and its arguments, as in `command: [./migrate, up]`".to_owned();
            let path = join(&setting.path, "command");
            self.fault(&path, None, "there is no program to run".to_owned(), Some(help));
        }
        if let Some(container) = container {
            self.grammar(&join(&setting.path, "container"), container, grammar::ecs_name);
        }
        if let Some(timeout) = timeout {
            self.grammar(&join(&setting.path, "timeout"), timeout, |text| grammar::duration(text).map(|_| ()));
        }
    }

    pub(super) fn secrets(&mut self, settings: &Settings<'_>) {
        let mut variables: HashMap<String, &str> = HashMap::new();
        for (index, secret) in settings.secrets.value.iter().enumerate() {
            let path = join(&settings.secrets.path, index);
            self.grammar(&path, secret, grammar::secret);
            match variables.insert(names::variable("", secret), secret) {
                Some(other) if other == secret => self.fault(&path, None, format!("`{secret}` is there twice"), None),
                Some(other) => {
                    self.fault(&path, None, format!("`{secret}` and `{other}` would be the same variable"), None);
                }
                None => {}
            }
        }
        let known: HashSet<&str> = settings.secrets.value.iter().map(String::as_str).collect();
        let mut seen: HashSet<&str> = HashSet::new();
        for (index, secret) in settings.build_secrets.value.iter().enumerate() {
            let path = join(&settings.build_secrets.path, index);
            if !seen.insert(secret) {
                self.fault(&path, None, format!("`{secret}` is there twice"), None);
            } else if !known.contains(secret.as_str()) && !self.tree.is_faulty(&settings.secrets.path) {
                let message = format!("`{secret}` is not one of this service's `secrets`");
                self.fault(&path, None, message, Some(unknown_secret_help(secret, known.iter().copied())));
            }
        }
    }

    pub(super) fn template(&mut self, setting: &Setting<&str>, settings: &Settings<'_>, secrets_allowed: bool) {
        const BUILT_IN: [&str; 4] = ["env", "service", "branch", "commit"];
        let template = match Template::parse(setting.value) {
            Ok(template) => template,
            Err(malformed) => {
                let help = "write `$${` for a literal `${`".to_owned();
                return self.fault(&setting.path, Some(malformed.part), malformed.message.to_owned(), Some(help));
            }
        };
        let secrets: HashSet<&str> = settings.secrets.value.iter().map(String::as_str).collect();
        let mut seen: HashSet<&str> = BUILT_IN.into_iter().collect();
        for name in template.names().filter(|name| seen.insert(name)).take(MAX_NAMES) {
            let part = format!("${{{name}}}");
            if !secrets.contains(name) {
                if !self.tree.is_faulty(&settings.secrets.path) {
                    let known = BUILT_IN.iter().chain(&secrets).copied();
                    let message = format!("`{part}`: `{name}` is neither built in nor one of this service's `secrets`");
                    self.fault(&setting.path, Some(&part), message, Some(unknown_secret_help(name, known)));
                }
            } else if !secrets_allowed {
                let message = format!("`{part}` is a secret, and this value is shown to everybody");
                let help = "secrets may be used in `build_args` and `build_secrets` only".to_owned();
                self.fault(&setting.path, Some(&part), message, Some(help));
            }
        }
    }
}

fn unknown_secret_help<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    match suggest::nearest(name, known) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("if it is a secret, add `{name}` to `secrets`"),
    }
}

/// `a → b → a`, if following `after` from `start` leads back to it.
fn circle(manifest: &Manifest, start: &str) -> Option<String> {
    let mut way = vec![start];
    while way.len() <= manifest.environments.len() {
        let next = manifest.environments.get(*way.last()?)?.after.as_deref()?;
        way.push(next);
        if next == start {
            return Some(way.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" → "));
        }
    }
    None
}

fn join(path: &[Step], step: impl Into<Step>) -> Path {
    let mut path = path.to_vec();
    path.push(step.into());
    path
}
