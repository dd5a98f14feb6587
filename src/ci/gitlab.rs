//! GitLab CI. `CI_COMMIT_BRANCH` is set in branch pipelines only; merge requests and tags have variables of their own.

use super::{Ci, Provider, PullRequest, owned};
use crate::vars::Vars;

pub(super) fn detect(vars: &Vars) -> Option<Ci> {
    vars.get("GITLAB_CI")?;
    let pull_request =
        merge_request(vars, "CI_MERGE_REQUEST").or_else(|| merge_request(vars, "CI_EXTERNAL_PULL_REQUEST"));
    let tag = owned(vars, "CI_COMMIT_TAG");
    Some(Ci {
        provider: Provider::GitLab,
        branch: owned(vars, "CI_COMMIT_BRANCH").filter(|_| pull_request.is_none() && tag.is_none()),
        commit: owned(vars, "CI_COMMIT_SHA"),
        pull_request,
        tag,
        run_url: owned(vars, "CI_JOB_URL").or_else(|| owned(vars, "CI_PIPELINE_URL")),
        actor: owned(vars, "GITLAB_USER_LOGIN"),
    })
}

fn merge_request(vars: &Vars, prefix: &str) -> Option<PullRequest> {
    let id = owned(vars, &format!("{prefix}_IID"))?;
    Some(PullRequest {
        id: Some(id),
        source: owned(vars, &format!("{prefix}_SOURCE_BRANCH_NAME")),
        destination: owned(vars, &format!("{prefix}_TARGET_BRANCH_NAME")),
    })
}

#[cfg(test)]
mod tests {
    use super::detect;
    use crate::ci::Ci;
    use crate::vars::Vars;

    fn run(more: &[(&str, &str)]) -> Ci {
        let base = [("GITLAB_CI", "true"), ("CI_COMMIT_SHA", "c0ffee"), ("CI_JOB_URL", "https://gitlab.com/j/1")];
        let vars: Vars = base.iter().chain(more).copied().collect();
        detect(&vars).unwrap()
    }

    #[test]
    fn a_branch() {
        let run = run(&[("CI_COMMIT_BRANCH", "develop"), ("GITLAB_USER_LOGIN", "ada")]);
        assert_eq!(run.branch.as_deref(), Some("develop"));
        assert_eq!(run.run_url.as_deref(), Some("https://gitlab.com/j/1"));
        assert_eq!((run.pull_request, run.tag, run.actor.as_deref()), (None, None, Some("ada")));
    }

    #[test]
    fn merge_requests_and_pull_requests_from_outside_have_no_branch_to_deploy() {
        for prefix in ["CI_MERGE_REQUEST", "CI_EXTERNAL_PULL_REQUEST"] {
            let run = run(&[
                (&format!("{prefix}_IID"), "3"),
                (&format!("{prefix}_SOURCE_BRANCH_NAME"), "main"),
                (&format!("{prefix}_TARGET_BRANCH_NAME"), "develop"),
                ("CI_COMMIT_BRANCH", "main"),
            ]);
            assert_eq!(run.branch, None, "{prefix}");
            assert_eq!(run.pull_request.unwrap().to_string(), "#3 (main → develop)");
        }
    }

    #[test]
    fn a_tag_has_no_branch() {
        let run = run(&[("CI_COMMIT_TAG", "v1")]);
        assert_eq!((run.branch, run.tag.as_deref()), (None, Some("v1")));
    }
}
