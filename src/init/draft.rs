//! What deploy.yaml is going to say, before it is text.

use super::spread::Spread;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(super) region: Option<String>,
    pub(super) account: Option<String>,
    /// Where the account is today, for the comment in place of it.
    pub(super) account_hint: Option<String>,
    /// In the order of promotion.
    pub(super) environments: Vec<EnvironmentDraft>,
    /// Whether the variables of the secrets have no prefix.
    pub(super) bare: bool,
    pub(super) services: Vec<ServiceDraft>,
    /// The role that the pipeline takes today; it goes to every environment of deploy.yaml.
    pub(super) role: Option<String>,
}

impl Draft {
    pub(super) fn names(&self) -> Vec<String> {
        self.environments.iter().map(|environment| environment.name.clone()).collect()
    }

    /// The environments of a branch, in the order of promotion.
    pub(super) fn of_branch(&self, branch: &str) -> Vec<&EnvironmentDraft> {
        self.environments.iter().filter(|environment| environment.branch == branch).collect()
    }

    /// Every branch, once.
    pub(super) fn branches(&self) -> Vec<&str> {
        let mut branches: Vec<&str> = Vec::new();
        for environment in &self.environments {
            if !branches.contains(&environment.branch.as_str()) {
                branches.push(&environment.branch);
            }
        }
        branches
    }

    /// The variables that hold secrets in that environment, as the pipeline has to pass them.
    pub(super) fn variables(&self, environment: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for secret in self.services.iter().flat_map(|service| &service.secrets) {
            let prefix = if self.bare { String::new() } else { crate::config::default_prefix(environment) };
            let name = crate::config::variable(&prefix, secret);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EnvironmentDraft {
    pub(super) name: String,
    pub(super) branch: String,
    pub(super) after: Option<String>,
    pub(super) approval: bool,
    /// What the pipeline of today calls it, where that is another name: variables and rules hang on it.
    pub(super) deployment: Option<String>,
}

impl EnvironmentDraft {
    pub(super) fn deployment(&self) -> &str {
        self.deployment.as_deref().unwrap_or(&self.name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceDraft {
    pub(super) name: String,
    /// From the project's folder; `.` is the default.
    pub(super) context: String,
    /// From the context; `Dockerfile` is the default.
    pub(super) dockerfile: String,
    pub(super) target: Option<String>,
    /// Only where it is not the default.
    pub(super) platform: Option<String>,
    pub(super) secrets: Vec<String>,
    pub(super) build_args: Vec<(String, String)>,
    pub(super) build_secrets: Vec<String>,
    pub(super) paths: Vec<String>,
    pub(super) repository: Spread,
    /// Whether nothing says what the repository is called.
    pub(super) repository_guessed: bool,
    pub(super) cluster: Option<Spread>,
    pub(super) service: Option<Spread>,
    pub(super) container: Option<String>,
}
