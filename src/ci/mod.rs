//! What a pipeline says about its run, in variables. Each provider has a file; all end in the same `Ci`.
//!
//! Anybody who can start a run can set these variables: they choose a target, they are no proof of anything.

pub(crate) mod advice;
mod bitbucket;
pub(crate) mod committed;
pub(crate) mod file;
mod github;
mod gitlab;
pub(crate) mod insights;
pub(crate) mod proof;
pub(crate) mod traces;

use crate::vars::Vars;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    Bitbucket,
    GitHub,
    GitLab,
}

impl Provider {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Bitbucket => "Bitbucket Pipelines",
            Self::GitHub => "GitHub Actions",
            Self::GitLab => "GitLab CI",
        }
    }
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One run of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ci {
    pub(crate) provider: Provider,
    /// The branch the run is for. Absent for a tag, and for a pull request, whose source branch belongs nowhere yet.
    pub(crate) branch: Option<String>,
    /// Full commit. In a pull request this may be a merge that exists in the run only.
    pub(crate) commit: Option<String>,
    pub(crate) pull_request: Option<PullRequest>,
    pub(crate) tag: Option<String>,
    /// Where a person can look at the run.
    pub(crate) run_url: Option<String>,
    /// Who started it, as the provider names people.
    pub(crate) actor: Option<String>,
}

/// The pull or merge request that a run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PullRequest {
    pub(crate) id: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) destination: Option<String>,
}

impl std::fmt::Display for PullRequest {
    /// `#12 (feature → develop)`, as far as it is known.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.id.as_deref().unwrap_or("?"))?;
        match (&self.source, &self.destination) {
            (Some(source), Some(destination)) => write!(f, " ({source} → {destination})"),
            (Some(source), None) => write!(f, " (from {source})"),
            (None, Some(destination)) => write!(f, " (into {destination})"),
            (None, None) => Ok(()),
        }
    }
}

/// The run that this process is part of, if a provider that is known says so.
pub(crate) fn detect(vars: &Vars) -> Option<Ci> {
    bitbucket::detect(vars).or_else(|| github::detect(vars)).or_else(|| gitlab::detect(vars))
}

/// All providers that the variables speak of. More than one is none that can be believed.
pub(crate) fn providers(vars: &Vars) -> Vec<Provider> {
    let all = [bitbucket::detect(vars), github::detect(vars), gitlab::detect(vars)];
    all.into_iter().flatten().map(|ci| ci.provider).collect()
}

/// Whether this is a pipeline, by its own variables or by what they left behind.
pub(crate) fn is_pipeline(ci: Option<&Ci>) -> bool {
    ci.is_some() || traces::trace(&crate::vars::above()).is_some()
}

fn owned(vars: &Vars, name: &str) -> Option<String> {
    vars.get(name).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{PullRequest, detect};
    use crate::vars::Vars;

    #[test]
    fn no_pipeline_is_no_pipeline() {
        assert_eq!(detect(&Vars::default()), None);
        // Set by many tools, and says nothing about a branch.
        assert_eq!(detect(&[("CI", "true"), ("BITBUCKET_BRANCH", "main")].into_iter().collect()), None);
    }

    #[test]
    fn a_pull_request_is_named_as_far_as_known() {
        let text = |id: Option<&str>, source: Option<&str>, destination: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            PullRequest { id: owned(id), source: owned(source), destination: owned(destination) }.to_string()
        };
        assert_eq!(text(Some("12"), Some("fix"), Some("main")), "#12 (fix → main)");
        assert_eq!(text(Some("12"), Some("fix"), None), "#12 (from fix)");
        assert_eq!(text(None, None, Some("main")), "#? (into main)");
        assert_eq!(text(Some("12"), None, None), "#12");
    }
}
