//! deploy.yaml for the commands that look at what runs, or move it: the environment is named, no branch has to fit, and
//! no secret has to be set, because nothing is built.

use std::path::Path;

use crate::ci::{self, Ci};
use crate::config::specification::Specification;
use crate::config::{self, Manifest, ResolveInput, SecretsMode};
use crate::error::Result;
use crate::git::Repository;
use crate::vars::Vars;

/// Where no commit is known: `${commit}` can only be in what is built, and nothing is.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

pub(crate) struct Standing {
    pub(crate) manifest: Manifest,
    pub(crate) ci: Option<Ci>,
    commit: String,
}

impl Standing {
    /// # Errors
    /// deploy.yaml is wrong or not there ([`crate::exit::Exit::Usage`]).
    pub(crate) async fn load(config: &Path, vars: &Vars) -> Result<Self> {
        let manifest = config::load(config)?;
        let ci = ci::detect(vars);
        // Whatever keeps git from answering, what runs can be told without it.
        let head = match Repository::discover(&manifest.root).await {
            Ok(Some(repository)) => repository.head().await.ok(),
            _ => None,
        };
        let commit = head.map(|head| head.revision).or_else(|| ci.as_ref()?.commit.clone());
        Ok(Self { manifest, ci, commit: commit.unwrap_or_else(|| NO_COMMIT.to_owned()) })
    }

    /// The names of all environments, in the order of the file.
    pub(crate) fn environments(&self) -> Vec<String> {
        self.manifest.environments.keys().cloned().collect()
    }

    /// # Errors
    /// There is no such environment or service ([`crate::exit::Exit::Usage`]).
    pub(crate) fn specification(&self, environment: &str, services: &[String], vars: &Vars) -> Result<Specification> {
        self.manifest.resolve(&ResolveInput {
            environment,
            branch: self.manifest.environments.get(environment).map(|environment| environment.branch.as_str()),
            commit: Some(&self.commit),
            services,
            vars,
            secrets: SecretsMode::Optional,
        })
    }
}
