//! Branch to environment: where a run goes, and whether that branch may go there. Pure: what CI and git say comes in.
//!
//! `choose` answers "which environment", `gate` answers "may this branch"; they are apart so that a dry run can report
//! the gate as a finding and go on.

use crate::ci::{Ci, Provider, PullRequest};
use crate::config::{Manifest, suggest};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::git;
use crate::revision::short;

/// What the command line says about the target.
#[derive(Clone, Debug, Default)]
pub(crate) struct TargetRequest {
    /// `--env`
    pub(crate) env: Option<String>,
    /// `--branch`
    pub(crate) branch: Option<String>,
    /// `--any-branch`
    pub(crate) any_branch: bool,
}

/// Where the run goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) environment: String,
    /// The branch that is deployed, where it is known.
    pub(crate) branch: Option<String>,
    pub(crate) source: BranchSource,
    /// The branch that belongs to the environment.
    expected: String,
    any_branch: bool,
}

/// Who says which branch it is, or why nobody does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BranchSource {
    /// `--branch`
    Flag,
    Ci(Provider),
    Git,
    /// A pull-request run: its code belongs to no environment yet, whatever its branch is called.
    PullRequest(PullRequest),
    /// A run for a tag.
    Tag(String),
    /// HEAD is detached, at this commit.
    Detached(String),
    /// Neither a pipeline nor a repository.
    Nowhere,
}

/// The environment for this run. `Exit::Usage` where the command line has to say more, `Exit::Gate` where the branch is
/// known and leads nowhere.
pub(crate) fn choose(
    manifest: &Manifest,
    request: &TargetRequest,
    ci: Option<&Ci>,
    git: Option<&git::Head>,
) -> Result<Target> {
    let (branch, source) = branch(request, ci, git);
    let environment = match &request.env {
        Some(name) if manifest.environments.contains_key(name) => name.clone(),
        Some(name) => return Err(manifest.unknown_environment(name)),
        None => match &branch {
            Some(branch) => by_branch(manifest, branch, &source)?,
            None => return Err(no_branch(manifest, &source)),
        },
    };
    let expected = manifest.environments[&environment].branch.clone();
    Ok(Target { environment, branch, source, expected, any_branch: request.any_branch })
}

/// The branch gate: `Exit::Gate` unless the branch is the environment's own, or `--any-branch` was given.
pub(crate) fn gate(target: &Target) -> Result<()> {
    if target.any_branch {
        return Ok(());
    }
    let Target { environment, expected, .. } = target;
    let refuse = |what: String| Error::new(Exit::Gate, what);
    let name_it = format!("say which branch this is with `--branch {expected}`, or use `--any-branch` if you mean it");
    Err(match (&target.source, &target.branch) {
        (BranchSource::PullRequest(pull_request), _) => refuse(format!(
            "this run is for pull request {pull_request}, and only `{expected}` goes to `{environment}`"
        ))
        .hint("merge it, or use `--dry-run` to see what a deploy would do; `--any-branch` deploys it all the same"),
        (_, Some(branch)) if branch == expected => return Ok(()),
        (_, Some(branch)) => refuse(format!("branch `{branch}` does not go to `{environment}`: `{expected}` does"))
            .hint(format!("switch to `{expected}`, or use `--any-branch` if you mean it")),
        (BranchSource::Tag(tag), None) => {
            refuse(format!("this run is for the tag `{tag}`, and only `{expected}` goes to `{environment}`"))
                .hint(name_it)
        }
        (BranchSource::Detached(commit), None) => {
            let commit = short(commit);
            refuse(format!("HEAD is detached at {commit}, and only `{expected}` goes to `{environment}`")).hint(name_it)
        }
        (_, None) => {
            refuse(format!("the branch is not known, and only `{expected}` goes to `{environment}`")).hint(name_it)
        }
    })
}

/// `--branch`, else CI, else git. A pull-request run stays one even when `--branch` is given: a pipeline that always
/// passes its branch must not deploy what nobody merged.
fn branch(request: &TargetRequest, ci: Option<&Ci>, git: Option<&git::Head>) -> (Option<String>, BranchSource) {
    if let Some(pull_request) = ci.and_then(|ci| ci.pull_request.as_ref()) {
        return (request.branch.clone(), BranchSource::PullRequest(pull_request.clone()));
    }
    if let Some(branch) = &request.branch {
        return (Some(branch.clone()), BranchSource::Flag);
    }
    if let Some(ci) = ci {
        if let Some(branch) = &ci.branch {
            return (Some(branch.clone()), BranchSource::Ci(ci.provider));
        }
        if let Some(tag) = &ci.tag {
            return (None, BranchSource::Tag(tag.clone()));
        }
    }
    match git {
        Some(head) => match &head.branch {
            Some(branch) => (Some(branch.clone()), BranchSource::Git),
            None => (None, BranchSource::Detached(head.revision.clone())),
        },
        None => (None, BranchSource::Nowhere),
    }
}

fn by_branch(manifest: &Manifest, branch: &str, source: &BranchSource) -> Result<String> {
    if let BranchSource::PullRequest(_) = source {
        return Err(no_branch(manifest, source));
    }
    let here: Vec<(&String, bool)> = manifest
        .environments
        .iter()
        .filter(|(_, environment)| environment.branch == branch)
        .map(|(name, environment)| (name, environment.after.is_none()))
        .collect();
    let names: Vec<&String> = here.iter().map(|(name, _)| *name).collect();
    let by_branch_alone: Vec<&String> = here.iter().filter(|(_, first)| *first).map(|(name, _)| *name).collect();
    match (by_branch_alone.as_slice(), names.as_slice()) {
        ([only], _) => Ok((*only).clone()),
        ([], []) => Err(unmapped(manifest, branch, source)),
        ([], _) => Err(Error::new(
            Exit::Usage,
            format!("branch `{branch}` alone leads nowhere: {} comes after another environment", suggest::list(&names)),
        )
        .hint(format!("name it: `--env {}`", names[0]))),
        (several, _) => Err(Error::new(
            Exit::Usage,
            format!("branch `{branch}` leads to {}, and none of them comes first", suggest::list(several)),
        )
        .hint(format!("name one: `--env {}`; or give all but one an `after` in deploy.yaml", several[0]))),
    }
}

fn unmapped(manifest: &Manifest, branch: &str, source: &BranchSource) -> Error {
    let branches = manifest.environments.values().map(|environment| environment.branch.as_str());
    let typed = *source == BranchSource::Flag;
    let exit = if typed { Exit::Usage } else { Exit::Gate };
    let error = Error::new(exit, format!("no environment takes the branch `{branch}`"))
        .hint(format!("deploy.yaml says: {}", mapping(manifest)));
    match suggest::nearest(branch, branches).filter(|_| typed) {
        Some(candidate) => error.hint(format!("did you mean `--branch {candidate}`?")),
        None => error.hint("name an environment with `--env`, and see what would happen with `--dry-run`"),
    }
}

/// Nobody said which branch, or it does not count.
fn no_branch(manifest: &Manifest, source: &BranchSource) -> Error {
    let example = manifest.environments.keys().next().map_or("dev", String::as_str);
    let (exit, what) = match source {
        BranchSource::PullRequest(pull_request) => {
            let what = format!("this run is for pull request {pull_request}: its branch belongs to no environment yet");
            return Error::new(Exit::Gate, what)
                .hint(format!("see what a deploy would do with `--env {example} --dry-run`"));
        }
        BranchSource::Tag(tag) => {
            (Exit::Usage, format!("this run is for the tag `{tag}`, and no branch belongs to it"))
        }
        BranchSource::Detached(commit) => (
            Exit::Usage,
            format!("cannot tell the environment: HEAD is detached at {}, which is no branch", short(commit)),
        ),
        BranchSource::Flag | BranchSource::Ci(_) | BranchSource::Git | BranchSource::Nowhere => (
            Exit::Usage,
            "cannot tell the environment: there is no branch, neither from a pipeline nor from git".to_owned(),
        ),
    };
    Error::new(exit, what)
        .hint(format!("name the environment with `--env {example}`, or the branch with `--branch`"))
        .hint(format!("deploy.yaml says: {}", mapping(manifest)))
}

/// `develop → dev, main → sandbox, main → prod`.
fn mapping(manifest: &Manifest) -> String {
    let pairs: Vec<String> = manifest
        .environments
        .iter()
        .map(|(name, environment)| match &environment.after {
            None => format!("{} → {name}", environment.branch),
            Some(_) => format!("{} → {name} (by `--env {name}` only)", environment.branch),
        })
        .collect();
    pairs.join(", ")
}

#[cfg(test)]
mod tests {
    use super::{BranchSource, Target, TargetRequest, choose, gate};
    use crate::ci::{Ci, Provider, PullRequest};
    use crate::config::{Manifest, load};
    use crate::error::Error;
    use crate::exit::Exit;
    use crate::git::Head;

    fn manifest(environments: &str) -> Manifest {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deploy.yaml");
        std::fs::write(
            &path,
            format!("version: 1\nenvironments:\n{environments}services: {{ api: {{ repository: api }} }}\n"),
        )
        .unwrap();
        load(&path).unwrap()
    }

    fn usual() -> Manifest {
        manifest(
            "  dev: { branch: develop }\n  sandbox: { branch: main }\n  prod: { branch: main, after: sandbox }\n  eu: { \
             branch: release }\n  us: { branch: release }\n  late: { branch: late, after: dev }\n",
        )
    }

    fn asked(env: &str, branch: &str) -> TargetRequest {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        TargetRequest { env: given(env), branch: given(branch), any_branch: false }
    }

    fn on(branch: &str) -> Head {
        Head { branch: Some(branch.to_owned()), ..detached() }
    }

    fn detached() -> Head {
        Head { revision: "0123456789abcdef".to_owned(), branch: None, subject: String::new(), author: String::new() }
    }

    fn run(branch: &str) -> Ci {
        Ci { branch: Some(branch.to_owned()), ..bare_run() }
    }

    fn bare_run() -> Ci {
        Ci {
            provider: Provider::Bitbucket,
            branch: None,
            commit: None,
            pull_request: None,
            tag: None,
            run_url: None,
            actor: None,
        }
    }

    fn pull_request(source: &str) -> Ci {
        let pull_request = PullRequest {
            id: Some("12".to_owned()),
            source: Some(source.to_owned()),
            destination: Some("develop".to_owned()),
        };
        Ci { pull_request: Some(pull_request), ..bare_run() }
    }

    fn tag() -> Ci {
        Ci { tag: Some("v1".to_owned()), ..bare_run() }
    }

    fn chosen(request: &TargetRequest, ci: Option<&Ci>, git: Option<&Head>) -> Target {
        choose(&usual(), request, ci, git).unwrap()
    }

    fn refused(request: &TargetRequest, ci: Option<&Ci>, git: Option<&Head>) -> Error {
        choose(&usual(), request, ci, git).unwrap_err()
    }

    #[test]
    fn the_branch_leads_to_its_environment() {
        let nothing = asked("", "");
        for (request, ci, git, environment, source) in [
            (&nothing, None, Some(on("develop")), "dev", BranchSource::Git),
            (&nothing, Some(run("develop")), Some(on("main")), "dev", BranchSource::Ci(Provider::Bitbucket)),
            (&nothing, Some(run("develop")), Some(detached()), "dev", BranchSource::Ci(Provider::Bitbucket)),
            (&nothing, Some(bare_run()), Some(on("develop")), "dev", BranchSource::Git),
            (&asked("", "develop"), Some(run("main")), Some(on("main")), "dev", BranchSource::Flag),
            // Two environments share `main`: the branch alone leads to the one without `after`.
            (&nothing, Some(run("main")), None, "sandbox", BranchSource::Ci(Provider::Bitbucket)),
            (&asked("prod", ""), Some(run("main")), None, "prod", BranchSource::Ci(Provider::Bitbucket)),
        ] {
            let target = chosen(request, ci.as_ref(), git.as_ref());
            assert_eq!((target.environment.as_str(), &target.source), (environment, &source));
            assert!(gate(&target).is_ok(), "{target:?}");
        }
    }

    #[test]
    fn what_cannot_be_chosen_is_answered_clearly() {
        let nothing = asked("", "");
        for (request, ci, git, exit, message, hint) in [
            (&nothing, None, None, Exit::Usage, "neither from a pipeline nor from git", "`--env dev`"),
            (&nothing, None, Some(detached()), Exit::Usage, "HEAD is detached at 0123456789ab,", "`--env dev`"),
            (&nothing, Some(tag()), Some(on("main")), Exit::Usage, "for the tag `v1`", "`--env dev`"),
            (
                &nothing,
                None,
                Some(on("feature")),
                Exit::Gate,
                "no environment takes the branch `feature`",
                "develop → dev",
            ),
            (
                &nothing,
                Some(run("feature")),
                None,
                Exit::Gate,
                "takes the branch `feature`",
                "main → prod (by `--env prod` only)",
            ),
            (&asked("", "develp"), None, None, Exit::Usage, "takes the branch `develp`", "`--branch develop`?"),
            (&nothing, None, Some(on("release")), Exit::Usage, "leads to `eu` and `us`", "`--env eu`"),
            (&nothing, None, Some(on("late")), Exit::Usage, "branch `late` alone leads nowhere", "`--env late`"),
            (
                &nothing,
                Some(pull_request("develop")),
                Some(on("develop")),
                Exit::Gate,
                "#12 (develop → develop)",
                "--dry-run",
            ),
            (
                &asked("", "develop"),
                Some(pull_request("develop")),
                None,
                Exit::Gate,
                "#12 (develop → develop)",
                "--dry-run",
            ),
            (&asked("dve", ""), None, Some(on("develop")), Exit::Usage, "no environment `dve`", "did you mean `dev`?"),
        ] {
            let error = refused(request, ci.as_ref(), git.as_ref());
            assert_eq!(error.exit(), exit, "{error}");
            assert!(error.message().contains(message), "{error}");
            assert!(error.hints().join("\n").contains(hint), "{hint}: {:?}", error.hints());
        }
    }

    #[test]
    fn the_gate_lets_only_the_own_branch_pass() {
        for (request, ci, git, message) in [
            (asked("dev", ""), None, Some(on("feature")), "branch `feature` does not go to `dev`: `develop` does"),
            (asked("dev", "main"), None, Some(on("develop")), "branch `main` does not go to `dev`"),
            (asked("prod", ""), Some(run("develop")), Some(on("main")), "branch `develop` does not go to `prod`"),
            (asked("dev", ""), None, Some(detached()), "HEAD is detached at 0123456789ab, and only `develop` goes"),
            (asked("dev", ""), None, None, "the branch is not known, and only `develop` goes to `dev`"),
            (asked("prod", ""), Some(tag()), Some(on("main")), "for the tag `v1`, and only `main` goes to `prod`"),
            (asked("dev", ""), Some(pull_request("develop")), Some(on("develop")), "pull request #12"),
            (asked("dev", "develop"), Some(pull_request("develop")), None, "pull request #12"),
        ] {
            let mut target = chosen(&request, ci.as_ref(), git.as_ref());
            let error = gate(&target).unwrap_err();
            assert_eq!(error.exit(), Exit::Gate, "{error}");
            assert!(error.message().contains(message), "{error}");
            assert!(error.hints()[0].contains("--any-branch"), "{:?}", error.hints());
            target.any_branch = true;
            assert!(gate(&target).is_ok(), "{target:?}");
        }
    }
}
