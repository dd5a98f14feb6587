//! One environment of the manifest with nothing left open: defaults, overrides, `${…}` and secrets are settled here.

use crate::config::builder::Builders;
use crate::config::fill::{self, Filling};
use crate::config::manifest::{ArtefactKind, ImageSource, Manifest};
use crate::config::secrets::Secrets;
use crate::config::settings::{AwsSettings, Settings};
use crate::config::specification::{Environment, Specification};
use crate::config::suggest;
use crate::error::{Error, Result};
use crate::exit::Exit;
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
    /// For a comparison of two versions of the file: each value is the name of its variable, and no value is read.
    Names,
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
            .map(|name| {
                let settings = Settings::of(name, &self.services[name], input.environment);
                (name, settings.with_environment(input.environment, written))
            })
            .collect();
        for (_, settings) in &settings {
            match input.secrets {
                SecretsMode::Names => secrets.stand_for(settings.secrets.value),
                SecretsMode::Required | SecretsMode::Optional => secrets.look_up(settings.secrets.value),
            }
        }
        if input.secrets == SecretsMode::Required {
            secrets.none_missing()?;
        }
        let (mut services, mut archives) = (Vec::new(), Vec::new());
        for (name, settings) in &settings {
            let filling = Filling { input, service: name, secrets: &secrets };
            let written = &self.services[*name];
            match written.kind.unwrap_or_default() {
                ArtefactKind::Container => services.push(filling.service(&self.root, settings)?),
                ArtefactKind::Zip => archives.push(filling.archive(&self.root, written, settings)?),
            }
        }
        Ok(Specification {
            project: self.project(),
            root: self.root.clone(),
            environment,
            names: settings.iter().map(|(name, _)| (*name).to_owned()).collect(),
            services,
            archives,
            builders: self.builder.iter().flat_map(Builders::all).map(|one| one.resolve(&self.root)).collect(),
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
            soak: fill::soak(name, written.soak.as_deref())?,
            promote: written.image == Some(ImageSource::Promote),
            approval: written.approval.is_some(),
            region: aws.region.map(str::to_owned),
            account: aws.account.map(str::to_owned),
            role: aws.role.map(str::to_owned),
            restore_latest: written.restore_latest.unwrap_or(true),
            // What is no window was a fault of the file already.
            freeze: written.freeze.iter().filter_map(|freeze| freeze.window().ok()).collect(),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use super::{ResolveInput, SecretsMode};
    use crate::config::load::from_text;
    use crate::config::manifest::Manifest;
    use crate::config::specification::{Platform, Service, Specification};
    use crate::error::Result;
    use crate::exit::Exit;
    use crate::secret::Secret;
    use crate::vars::Vars;

    fn manifest(text: &str) -> Manifest {
        let mut manifest = from_text(text).unwrap_or_else(|faults| panic!("{faults:?}"));
        manifest.root = PathBuf::from("/home/dev/shop");
        manifest
    }

    fn example() -> Manifest {
        manifest(include_str!("testdata/example.yaml"))
    }

    /// One service and two environments around these lines.
    fn with(lines: &str) -> Manifest {
        manifest(&format!(
            "version: 1\nenvironments:\n  dev: {{ branch: develop }}\n  prod: {{ branch: main, secret_prefix: '' }}\n\
             services:\n  api:\n    repository: api\n{lines}"
        ))
    }

    const COMPLETE: [(&str, &str); 3] = [
        ("DEV_DB_HOST", "db.dev"),
        ("DEV_OPENAI_API_KEY", "key-dev"),
        ("DEV_OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel"),
    ];

    fn input<'i>(environment: &'i str, vars: &'i Vars) -> ResolveInput<'i> {
        ResolveInput {
            environment,
            branch: Some("develop"),
            commit: Some("c0ffee"),
            services: &[],
            vars,
            secrets: SecretsMode::Required,
        }
    }

    fn resolve(manifest: &Manifest, environment: &str, vars: &[(&str, &str)]) -> Result<Specification> {
        manifest.resolve(&input(environment, &vars.iter().copied().collect()))
    }

    fn api(manifest: &Manifest, environment: &str, vars: &[(&str, &str)]) -> Service {
        resolve(manifest, environment, vars).unwrap().services.remove(0)
    }

    fn exposed(values: &BTreeMap<String, Secret>) -> Vec<(&str, &str)> {
        values.iter().map(|(name, value)| (name.as_str(), value.expose())).collect()
    }

    #[test]
    fn the_example_leaves_nothing_open() {
        let specification = resolve(&example(), "dev", &COMPLETE).unwrap();
        assert_eq!((specification.project.as_str(), &*specification.root), ("storefront", Path::new("/home/dev/shop")));
        let environment = &specification.environment;
        assert_eq!((environment.branch.as_str(), environment.approval), ("develop", false));
        assert_eq!(environment.region.as_deref(), Some("ap-south-1"));
        assert_eq!(environment.account.as_deref(), Some("123456789012"));
        assert_eq!((environment.role.as_deref(), environment.restore_latest), (None, true));
        let api = &specification.services[0];
        assert_eq!(api.context, Path::new("/home/dev/shop"));
        assert_eq!(api.dockerfile, Path::new("/home/dev/shop/Dockerfile"));
        assert_eq!((api.target.as_deref(), api.platform), (Some("runtime"), Platform::LinuxAmd64));
        assert_eq!((api.repository.as_str(), api.cluster.as_str()), ("api-dev", "dev"));
        assert_eq!((api.service.as_str(), api.container.as_deref()), ("api", Some("api")));
        assert_eq!(exposed(&api.build_args), [("DB_HOST", "db.dev"), ("LOG_LEVEL", "info")]);
        assert_eq!(exposed(&api.build_secrets), [("OPENAI_API_KEY", "key-dev")]);
        assert_eq!(api.readable_secrets, ["DB_HOST"]);
        assert_eq!(specification.secrets.len(), 3);
        assert!(!format!("{specification:?}").contains("db.dev"));
    }

    #[test]
    fn an_environment_overrides_key_by_key() {
        let vars = [("PROD_DB_HOST", "db"), ("PROD_OPENAI_API_KEY", "k"), ("PROD_OTEL_EXPORTER_OTLP_ENDPOINT", "o")];
        let specification = resolve(&example(), "prod", &vars).unwrap();
        let environment = &specification.environment;
        assert_eq!((environment.after.as_deref(), environment.approval), (Some("sandbox"), true));
        assert_eq!(environment.region.as_deref(), Some("eu-west-1"));
        assert_eq!(environment.role.as_deref(), Some("arn:aws:iam::210987654321:role/deploy"));
        assert_eq!((&*specification.services[0].repository, &*specification.services[0].cluster), ("api", "prod"));
    }

    #[test]
    fn maps_merge_and_lists_replace() {
        let manifest = with(
            "    secrets: [A, B]\n    build_secrets: [A]\n    build_args: { X: base, Y: base }\n    platform: linux/arm64\n    \
             environments:\n      prod:\n        secrets: [B]\n        build_secrets: []\n        build_args: { Y: own, Z: \"${B}\" }\n        \
             context: sub/./dir\n",
        );
        let dev = api(&manifest, "dev", &[("DEV_A", "a"), ("DEV_B", "b")]);
        assert_eq!(exposed(&dev.build_args), [("X", "base"), ("Y", "base")]);
        assert_eq!((dev.secrets.len(), dev.build_secrets.len()), (2, 1));
        let prod = api(&manifest, "prod", &[("B", "bare")]);
        assert_eq!(exposed(&prod.build_args), [("X", "base"), ("Y", "own"), ("Z", "bare")]);
        assert_eq!((prod.secrets, prod.build_secrets.len()), (vec!["B".to_owned()], 0));
        assert_eq!((prod.platform, &*prod.context), (Platform::LinuxArm64, Path::new("/home/dev/shop/sub/dir")));
        assert_eq!(prod.dockerfile, Path::new("/home/dev/shop/sub/dir/Dockerfile"));
    }

    #[test]
    fn all_missing_secrets_are_named_at_once_and_no_value_is() {
        let vars = [("DEV_DB_HOST", " "), ("DB_HOST", "hunter2"), ("PROD_OPENAI_API_KEY", "hunter2")];
        let error = resolve(&example(), "dev", &vars).unwrap_err();
        assert_eq!(error.exit(), Exit::Secret);
        assert_eq!(
            error.message(),
            "3 secrets are missing or empty in environment `dev`: DB_HOST → DEV_DB_HOST, OPENAI_API_KEY → \
             DEV_OPENAI_API_KEY, OTEL_EXPORTER_OTLP_ENDPOINT → DEV_OTEL_EXPORTER_OTLP_ENDPOINT"
        );
        assert!(error.hints()[0].contains("`DEV_DB_HOST`, `DEV_OPENAI_API_KEY` and"), "{:?}", error.hints());
        assert!(error.hints()[1].starts_with("`DB_HOST` without `DEV_` is set but not read"), "{:?}", error.hints());
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn values_are_optional_where_nobody_needs_them() {
        let manifest = example();
        let vars = [("DEV_OPENAI_API_KEY", "k")].into_iter().collect();
        let specification =
            manifest.resolve(&ResolveInput { secrets: SecretsMode::Optional, ..input("dev", &vars) }).unwrap();
        let api = &specification.services[0];
        assert_eq!(exposed(&api.build_args), [("LOG_LEVEL", "info")]);
        assert_eq!(exposed(&api.build_secrets), [("OPENAI_API_KEY", "k")]);
        assert_eq!((api.secrets.len(), api.readable_secrets.len()), (3, 1));
        assert_eq!(exposed(&specification.secrets), [("OPENAI_API_KEY", "k")]);
    }

    #[test]
    fn commit_and_branch_are_needed_only_where_they_are_used() {
        let using = with("    build_args: { COMMIT: \"${commit}\", AT: \"${env}/${service}/${branch}\" }\n");
        let vars = Vars::default();
        let known = using.resolve(&input("dev", &vars)).unwrap();
        assert_eq!(exposed(&known.services[0].build_args), [("AT", "dev/api/develop"), ("COMMIT", "c0ffee")]);
        let error = using.resolve(&ResolveInput { commit: None, ..input("dev", &vars) }).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert_eq!(error.message(), "deploy.yaml, services.api.build_args.COMMIT: `${commit}` is not known here");
        let not_using = with("");
        assert!(not_using.resolve(&ResolveInput { commit: None, branch: None, ..input("dev", &vars) }).is_ok());
    }

    #[test]
    fn services_are_chosen_by_name_in_the_order_of_the_file() {
        let manifest = with("  web: { repository: web, secrets: [ONLY_WEB] }\n  zip: { repository: zip }\n");
        let vars = Vars::default();
        let chosen = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let specification = manifest.resolve(&ResolveInput { services: &names, ..input("dev", &vars) })?;
            Ok::<_, crate::error::Error>(specification.services.into_iter().map(|s| s.name).collect::<Vec<_>>())
        };
        // The secret of a service that was not asked for is nobody's concern.
        assert_eq!(chosen(&["zip", "api", "zip"]).unwrap(), ["api", "zip"]);
        assert_eq!(chosen(&[]).unwrap_err().exit(), Exit::Secret);
        let error = chosen(&["wbe"]).unwrap_err();
        assert_eq!((error.exit(), error.hints()[0].as_str()), (Exit::Usage, "did you mean `web`?"));
    }

    #[test]
    fn what_only_now_turns_out_wrong_is_refused() {
        let vars = Vars::default();
        let manifest = with("    cluster: \"c-${branch}\"\n");
        let error = manifest.resolve(&ResolveInput { branch: Some("a/b"), ..input("dev", &vars) }).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.message().starts_with("deploy.yaml, services.api.cluster: `c-a/b` is no ECS name"), "{error}");
        let error = manifest.resolve(&input("dve", &vars)).unwrap_err();
        assert_eq!((error.exit(), error.hints()[0].as_str()), (Exit::Usage, "did you mean `dev`?"));
    }

    #[test]
    fn the_project_is_the_folder_unless_it_is_named() {
        assert_eq!(with("").project(), "shop");
        assert_eq!(example().project(), "storefront");
    }
}
