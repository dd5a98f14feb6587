//! A service of `kind: zip`: its settings, what has to be true of them, and how they are filled in. That the keys of one
//! kind are not written for the other is checked here, too.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use crate::config::check::Check;
use crate::config::fill::{Filling, clean, template, unknown};
use crate::config::grammar;
use crate::config::interpolate::Template;
use crate::config::manifest::{ArtefactKind, Manifest, Service};
use crate::config::settings::{Setting, Settings};
use crate::config::specification::{Archive, VersionedKey};
use crate::config::tree::{Step, steps};
use crate::docker::Filter;
use crate::error::{Error, Result};
use crate::exit::Exit;

const DEFAULT_KEY: &str = "${service}/${commit}.zip";
const DEFAULT_LATEST_KEY: &str = "${service}/latest.zip";

/// Every other key belongs to one of the two kinds.
const OF_BOTH: [&str; 7] = ["kind", "context", "secrets", "paths", "ignore", "depends_on", "environments"];
const OF_ZIPS: [&str; 4] = ["bucket", "key", "latest_key", "exclude"];

/// Stands for the commit while a key is taken apart at it. No key may have a control character.
const HOLE: &str = "\u{1}";

/// What a zip has besides context and secrets, as one environment sees it.
struct ZipSettings<'m> {
    bucket: Option<Setting<&'m str>>,
    key: Option<Setting<&'m str>>,
    latest_key: Option<Setting<&'m str>>,
    exclude: Setting<&'m [String]>,
}

impl<'m> ZipSettings<'m> {
    fn of(name: &str, service: &'m Service, environment: &str) -> Self {
        let own = service.environments.get(environment);
        let path = |there: bool, key: &str| match there {
            true => steps!["services", name, "environments", environment, key].to_vec(),
            false => steps!["services", name, key].to_vec(),
        };
        let text = |key: &str, own: Option<&'m str>, base: Option<&'m str>| {
            own.or(base).map(|value| Setting { value, path: path(own.is_some(), key) })
        };
        let exclude = own.and_then(|own| own.exclude.as_deref());
        Self {
            bucket: text("bucket", own.and_then(|own| own.bucket.as_deref()), service.bucket.as_deref()),
            key: text("key", own.and_then(|own| own.key.as_deref()), service.key.as_deref()),
            latest_key: text(
                "latest_key",
                own.and_then(|own| own.latest_key.as_deref()),
                service.latest_key.as_deref(),
            ),
            exclude: Setting { value: exclude.unwrap_or(&service.exclude), path: path(exclude.is_some(), "exclude") },
        }
    }

    fn texts(&self) -> impl Iterator<Item = &Setting<&'m str>> {
        [&self.bucket, &self.key, &self.latest_key].into_iter().flatten()
    }
}

impl Check<'_> {
    /// Refuses what is written for the other kind, and says what this kind has to have.
    pub(super) fn kind(&mut self, name: &str, service: &Service) {
        let tree = self.tree;
        let base = steps!["services", name];
        if tree.is_faulty(&steps!["services", name, "kind"]) || tree.is_faulty(&base) {
            return;
        }
        let kind = service.kind.unwrap_or_default();
        let mut levels = vec![base.to_vec()];
        levels
            .extend(service.environments.keys().map(|other| steps!["services", name, "environments", other].to_vec()));
        for level in levels {
            for key in tree.names(&level) {
                let (message, help) = match kind {
                    _ if OF_BOTH.contains(&key) => continue,
                    ArtefactKind::Zip if !OF_ZIPS.contains(&key) => (
                        format!("`{key}` is for containers, and `{name}` is of `kind: zip`"),
                        format!("take it out; a zip takes {}", OF_ZIPS.map(|key| format!("`{key}`")).join(", ")),
                    ),
                    ArtefactKind::Container if OF_ZIPS.contains(&key) => (
                        format!("`{key}` is for zips, and `{name}` is a container"),
                        "write `kind: zip` if it is one, or take it out".to_owned(),
                    ),
                    _ => continue,
                };
                let mut path = level.clone();
                path.push(Step::from(key));
                self.key_fault(&path, message, Some(help));
            }
        }
        let (needed, help) = match kind {
            ArtefactKind::Zip => ("bucket", "name the S3 bucket, as in `bucket: \"apps-${env}\"`"),
            ArtefactKind::Container => ("repository", "name the ECR repository, as in `repository: \"api-${env}\"`"),
        };
        if !tree.names(&base).contains(&needed) {
            self.key_fault(&base, format!("`{needed}` is missing here"), Some(help.to_owned()));
        }
    }

    /// A zip as one environment sees it.
    pub(super) fn zip(&mut self, name: &str, environment: &str, service: &Service, settings: &Settings<'_>) {
        self.secrets(settings);
        let zip = ZipSettings::of(name, service, environment);
        for setting in settings.context.iter().chain(zip.texts()) {
            if setting.value.trim().is_empty() {
                self.fault(&setting.path, None, "this value is empty".to_owned(), Some("leave the key out".to_owned()));
            } else {
                self.template(setting, settings, false);
            }
        }
        for (setting, rule) in [
            (&zip.bucket, grammar::bucket as fn(&str) -> _),
            (&zip.key, grammar::object_key),
            (&zip.latest_key, grammar::object_key),
        ] {
            let Some(setting) = setting else { continue };
            if let Some(value) = filled(setting.value, name, environment)
                && let Err(wrong) = rule(&value.replace(HOLE, "0"))
            {
                self.fault(&setting.path, None, format!("`{}` {wrong}", value.replace(HOLE, "${commit}")), None);
            }
        }
        let commits = |setting: &Setting<&str>| {
            Template::parse(setting.value)
                .ok()
                .map(|template| template.names().filter(|name| *name == "commit").count())
        };
        if let Some(key) = &zip.key
            && commits(key).is_some_and(|commits| commits != 1)
        {
            let message = "`key` has to have `${commit}` once: each commit's zip is kept under a key of its own";
            let help = format!("as in `{DEFAULT_KEY}`; the zip that is live is `latest_key`");
            self.fault(&key.path, None, message.to_owned(), Some(help));
        }
        if let Some(key) = &zip.latest_key
            && commits(key).is_some_and(|commits| commits > 0)
        {
            let message = "`latest_key` has to be the same for every commit, so there is no `${commit}` in it";
            self.fault(&key.path, Some("${commit}"), message.to_owned(), Some(format!("as in `{DEFAULT_LATEST_KEY}`")));
        }
        for (index, pattern) in zip.exclude.value.iter().enumerate() {
            let mut path = zip.exclude.path.clone();
            path.push(Step::from(index));
            if pattern.trim().is_empty() {
                self.fault(&path, None, "this pattern is empty".to_owned(), None);
            } else if pattern.contains("${") {
                self.fault(&path, Some("${"), "`${…}` is not read in patterns".to_owned(), None);
            } else if let Err(bad) = Filter::new::<&str>(&[], &[pattern]) {
                self.fault(&path, None, bad.to_string(), None);
            }
        }
    }

    /// Two zips that are live under one key of one bucket would each take the other away, and of two that are kept under
    /// one, a rollback would bring back the wrong one. Bucket names are the world's, so account and region make no
    /// difference.
    pub(super) fn places_of_zips(&mut self, manifest: &Manifest) {
        let mut live: HashMap<String, String> = HashMap::new();
        let mut kept: HashMap<String, &str> = HashMap::new();
        for (name, service) in manifest.services.iter().filter(|(_, service)| service.kind == Some(ArtefactKind::Zip)) {
            for environment in manifest.environments.keys() {
                let zip = ZipSettings::of(name, service, environment);
                let Some(bucket) = &zip.bucket else { continue };
                let place = |key: &Option<Setting<&str>>, default: &str| {
                    let key = filled(key.as_ref().map_or(default, |setting| setting.value), name, environment)?;
                    Some(format!("s3://{}/{key}", filled(bucket.value, name, environment)?))
                };
                let who = format!("`{name}` in `{environment}`");
                if let Some(place) = place(&zip.latest_key, DEFAULT_LATEST_KEY)
                    && let Some(other) = live.insert(place.clone(), who.clone())
                {
                    let message = format!("{other} and {who} would both be live at {place}");
                    let help =
                        "write `${env}` in `bucket` or in `latest_key`, or say under `environments` what differs";
                    self.fault(&bucket.path, None, message, Some(help.to_owned()));
                    break;
                }
                // One service may keep the same commit once for several environments.
                if let Some(place) = place(&zip.key, DEFAULT_KEY)
                    && let Some(other) = kept.insert(place.clone(), name).filter(|other| other != name)
                {
                    let place = place.replace(HOLE, "${commit}");
                    let message = format!("`{other}` and `{name}` would both keep their zips at {place}");
                    self.fault(&bucket.path, None, message, Some("write `${service}` in `key`".to_owned()));
                    break;
                }
            }
        }
    }
}

/// As far as it is known before anything runs; the commit's place is kept. `None` while the branch decides.
fn filled(text: &str, service: &str, environment: &str) -> Option<String> {
    let known = |name: &str| match name {
        "env" => Some(Cow::from(environment)),
        "service" => Some(Cow::from(service)),
        "commit" => Some(Cow::from(HOLE)),
        _ => None,
    };
    Template::parse(text).ok()?.fill(known).ok()
}

impl Filling<'_> {
    /// `root` is the folder of deploy.yaml.
    pub(super) fn archive(&self, root: &Path, service: &Service, settings: &Settings<'_>) -> Result<Archive> {
        let zip = ZipSettings::of(self.service, service, self.input.environment);
        let path = || steps!["services", self.service].to_vec();
        let bucket = zip.bucket.ok_or_else(|| {
            Error::new(Exit::Usage, format!("deploy.yaml, services.{}: `bucket` is missing", self.service))
        })?;
        let key = zip.key.unwrap_or_else(|| Setting { value: DEFAULT_KEY, path: path() });
        let latest_key = zip.latest_key.unwrap_or_else(|| Setting { value: DEFAULT_LATEST_KEY, path: path() });
        Ok(Archive {
            name: self.service.to_owned(),
            context: clean(&root.join(self.plain_or(settings.context.as_ref(), ".")?)),
            exclude: zip.exclude.value.to_vec(),
            secrets: settings.secrets.value.to_vec(),
            bucket: self.named(&bucket, grammar::bucket)?,
            key: self.versioned(&key)?,
            latest_key: self.named(&latest_key, grammar::object_key)?,
            paths: settings.paths.map(<[String]>::to_vec),
            ignore: settings.ignore.to_vec(),
            depends_on: settings.depends_on.to_vec(),
        })
    }

    fn versioned(&self, setting: &Setting<&str>) -> Result<VersionedKey> {
        let hole = |name: &str| if name == "commit" { Some(Cow::from(HOLE)) } else { self.built_in(name) };
        let filled = template(setting)?.fill(hole).map_err(|name| unknown(setting, name))?;
        match filled.split_once(HOLE) {
            Some((prefix, suffix)) => Ok(VersionedKey { prefix: prefix.to_owned(), suffix: suffix.to_owned() }),
            None => Err(unknown(setting, "commit")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::diagnostic;
    use crate::config::load::from_text;

    fn refused(services: &str) -> String {
        let text = format!(
            "version: 1\nenvironments: {{ dev: {{ branch: develop }}, prod: {{ branch: main }} }}\nservices:\n{services}"
        );
        match from_text(&text) {
            Ok(_) => String::new(),
            Err(faults) => diagnostic::render("deploy.yaml", &text, faults),
        }
    }

    #[test]
    fn a_zip_and_a_container_do_not_take_each_others_keys() {
        let table = [
            ("  docs: { kind: zip, bucket: 'docs-${env}' }\n", ""),
            ("  docs: { kind: zip, bucket: docs, latest_key: '${env}/latest.zip', exclude: ['*.md', '!a.md'] }\n", ""),
            ("  docs: { kind: zip }\n", "`bucket` is missing here"),
            ("  api: { kind: container }\n", "`repository` is missing here"),
            ("  api: {}\n", "`repository` is missing here"),
            ("  docs: { kind: zip, bucket: 'b-${env}', repository: docs }\n", "`repository` is for containers"),
            ("  docs: { kind: zip, bucket: 'b-${env}', build_args: { A: b } }\n", "`build_args` is for containers"),
            (
                "  docs: { kind: zip, bucket: 'b-${env}', environments: { dev: { cluster: x } } }\n",
                "`cluster` is for containers",
            ),
            ("  api: { repository: api, bucket: b-1 }\n", "`bucket` is for zips, and `api` is a container"),
            ("  docs: { kind: zipp, bucket: b-1 }\n", "`zipp` cannot stand here"),
            ("  docs: { kind: zip, bucket: 'B_${env}' }\n", "`B_dev` is no S3 bucket"),
            ("  docs: { kind: zip, bucket: 'b-${env}', key: app.zip }\n", "`key` has to have `${commit}` once"),
            ("  docs: { kind: zip, bucket: 'b-${env}', latest_key: '${commit}.zip' }\n", "no `${commit}` in it"),
            ("  docs: { kind: zip, bucket: 'b-${env}', key: '/x/${commit}' }\n", "begins with `/`"),
            ("  docs: { kind: zip, bucket: 'b-${env}', exclude: ['[a'] }\n", "`[a` is not a pattern"),
            ("  docs: { kind: zip, bucket: 'b-${env}', exclude: [''] }\n", "this pattern is empty"),
            (
                "  docs: { kind: zip, bucket: apps }\n",
                "`docs` in `dev` and `docs` in `prod` would both be live at s3://apps/docs/latest.zip",
            ),
            (
                "  a: { kind: zip, bucket: 'b-${env}', latest_key: x }\n  b: { kind: zip, bucket: 'b-${env}', latest_key: x }\n",
                "`a` in `dev` and `b` in `dev` would both be live at s3://b-dev/x",
            ),
            (
                "  a: { kind: zip, bucket: 'b-${env}', key: 'x/${commit}' }\n  b: { kind: zip, bucket: 'b-${env}', key: 'x/${commit}' }\n",
                "`a` and `b` would both keep their zips at s3://b-dev/x/${commit}",
            ),
        ];
        for (services, expected) in table {
            let said = refused(services);
            assert!(said.contains(expected) && expected.is_empty() == said.is_empty(), "{services}: {said}");
            assert!(
                expected.is_empty() || said.matches("error: ").count() == 1,
                "{services}: one fault, one error: {said}"
            );
        }
    }
}
