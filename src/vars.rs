//! The environment of the process, read once. Everything else asks this snapshot, so that a test or a reader can see
//! which variables matter. (The AWS SDK reads its own variables by itself.)

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Clone, Default)]
pub(crate) struct Vars(BTreeMap<String, String>);

impl Vars {
    /// Variables whose name or value is not UTF-8 are left out: no setting of shipit can be one.
    pub(crate) fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// The value, unless it is unset, empty or blank: those three mean the same everywhere in shipit.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The user's home, from `HOME`.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }
}

/// What any program needs to find its files, its locale and its way out. The names that end in `_` are beginnings.
const OF_EVERY_PROGRAM: [&str; 11] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LANG", "LC_", "TZ", "TERM", "XDG_"];

/// Whoever has one of these is the pipeline's step to AWS: they are neither shown nor passed on.
pub(crate) const TOKENS: [&str; 3] = ["BITBUCKET_STEP_OIDC_TOKEN", "SHIPIT_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"];

/// The environment for a program that shipit starts: what every program needs and what this one is known to read, by
/// name, or by beginning where it ends in `_`. The rest stays here, because the secrets of the environments are in it,
/// and whoever runs as the same user can read another process's environment.
pub(crate) fn for_program(also: &[&str]) -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| is_for(name, also))).collect()
}

/// What programs that talk to a network read of proxies.
pub(crate) const PROXIES: [&str; 8] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"];

/// The program that a name means by `PATH`; the name itself where there is none.
pub(crate) fn program(name: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let is_program = |path: &PathBuf| {
        path.is_absolute()
            && path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let path = std::env::vars_os().find(|(name, _)| name == "PATH").map(|(_, value)| value).unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(is_program).unwrap_or_else(|| name.into())
}

fn is_for(name: &str, also: &[&str]) -> bool {
    OF_EVERY_PROGRAM.iter().chain(also).any(|wanted| match wanted.strip_suffix('_') {
        Some(_) => name.starts_with(wanted),
        None => name == *wanted,
    })
}

/// By which a pipeline says that it is one, and which run, for which commit.
pub(crate) const OF_PIPELINES: [&str; 21] = [
    "BITBUCKET_BUILD_NUMBER",
    "BITBUCKET_BRANCH",
    "BITBUCKET_COMMIT",
    "BITBUCKET_DEPLOYMENT_ENVIRONMENT",
    "BITBUCKET_PR_ID",
    "BITBUCKET_TAG",
    "GITHUB_ACTIONS",
    "GITHUB_EVENT_NAME",
    "GITHUB_HEAD_REF",
    "GITHUB_JOB",
    "GITHUB_REF",
    "GITHUB_SHA",
    "GITHUB_WORKFLOW_REF",
    "GITLAB_CI",
    "CI_COMMIT_BRANCH",
    "CI_COMMIT_SHA",
    "CI_COMMIT_TAG",
    "CI_CONFIG_PATH",
    "CI_JOB_NAME",
    "CI_MERGE_REQUEST_IID",
    "BITBUCKET_STEP_TRIGGERER_UUID",
];

/// By which other pipelines say that they are one, each by a name of its own.
pub(crate) const OF_OTHER_PIPELINES: [&str; 8] =
    ["JENKINS_URL", "TF_BUILD", "CODEBUILD_BUILD_ID", "TEAMCITY_VERSION", "CIRCLECI", "BUILDKITE", "DRONE", "TRAVIS"];

/// The variables that the processes above this one were started with, the nearest first, and those of the container's
/// first process: as far as the system lets them be read, which is Linux and the same user. For the question whether
/// this is a pipeline and which run of it, and for nothing else; the names that tell are all that is kept.
pub(crate) fn above() -> Vec<Vars> {
    let mut process = std::process::id();
    let mut found = Vec::new();
    for _ in 0..64 {
        let Some(parent) = parent(process) else { break };
        process = parent;
        let Ok(bytes) = std::fs::read(format!("/proc/{process}/environ")) else { continue };
        let pairs = bytes.split(|byte| *byte == 0).filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='));
        let telling: Vars =
            pairs.filter(|(name, _)| OF_PIPELINES.contains(name) || OF_OTHER_PIPELINES.contains(name)).collect();
        found.push(telling);
    }
    found
}

/// The process that started this one; the last has none.
fn parent(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name stands in parentheses, and may hold some itself.
    let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
    (parent != 0).then_some(parent)
}

impl std::fmt::Debug for Vars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vars({} variables)", self.0.len())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Vars {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::is_for;

    #[test]
    fn a_program_gets_what_it_reads_and_no_secrets() {
        let cases = [
            ("PATH", true),
            ("LC_ALL", true),
            ("GIT_CONFIG_COUNT", true),
            ("GIT_DIR", false),
            ("PATHS", false),
            ("DEV_DB_HOST", false),
            ("AWS_SECRET_ACCESS_KEY", false),
            ("BITBUCKET_STEP_OIDC_TOKEN", false),
            ("SHIPIT_ID_TOKEN", false),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", false),
        ];
        for (name, wanted) in cases {
            assert_eq!(is_for(name, &["GIT_CONFIG_"]), wanted, "{name}");
        }
    }
}
