//! Bitbucket Pipelines. `BITBUCKET_BRANCH` is the source branch in a pull-request run, and is not set for a tag.

use super::{Ci, Provider, PullRequest, owned};
use crate::vars::Vars;

pub(super) fn detect(vars: &Vars) -> Option<Ci> {
    let build = vars.get("BITBUCKET_BUILD_NUMBER")?;
    let pull_request =
        (vars.has("BITBUCKET_PR_ID") || vars.has("BITBUCKET_PR_DESTINATION_BRANCH")).then(|| PullRequest {
            id: owned(vars, "BITBUCKET_PR_ID"),
            source: owned(vars, "BITBUCKET_BRANCH"),
            destination: owned(vars, "BITBUCKET_PR_DESTINATION_BRANCH"),
        });
    let tag = owned(vars, "BITBUCKET_TAG");
    let branch = owned(vars, "BITBUCKET_BRANCH").filter(|_| pull_request.is_none() && tag.is_none());
    Some(Ci {
        provider: Provider::Bitbucket,
        branch,
        commit: owned(vars, "BITBUCKET_COMMIT"),
        pull_request,
        tag,
        run_url: vars
            .get("BITBUCKET_REPO_FULL_NAME")
            .map(|repository| format!("https://bitbucket.org/{repository}/pipelines/results/{build}")),
        actor: owned(vars, "BITBUCKET_STEP_TRIGGERER_UUID"),
    })
}

#[cfg(test)]
mod tests {
    use super::detect;
    use crate::ci::{Ci, Provider, PullRequest};
    use crate::vars::Vars;

    fn run(more: &[(&str, &str)]) -> Ci {
        let base = [
            ("BITBUCKET_BUILD_NUMBER", "7"),
            ("BITBUCKET_COMMIT", "c0ffee"),
            ("BITBUCKET_REPO_FULL_NAME", "team/shop"),
            ("BITBUCKET_STEP_TRIGGERER_UUID", "{u}"),
        ];
        let vars: Vars = base.iter().chain(more).copied().collect();
        detect(&vars).unwrap()
    }

    #[test]
    fn a_branch() {
        assert_eq!(
            run(&[("BITBUCKET_BRANCH", "develop")]),
            Ci {
                provider: Provider::Bitbucket,
                branch: Some("develop".to_owned()),
                commit: Some("c0ffee".to_owned()),
                pull_request: None,
                tag: None,
                run_url: Some("https://bitbucket.org/team/shop/pipelines/results/7".to_owned()),
                actor: Some("{u}".to_owned()),
            }
        );
    }

    #[test]
    fn the_source_of_a_pull_request_is_no_branch_to_deploy() {
        let run = run(&[
            ("BITBUCKET_BRANCH", "main"),
            ("BITBUCKET_PR_ID", "12"),
            ("BITBUCKET_PR_DESTINATION_BRANCH", "develop"),
        ]);
        assert_eq!(run.branch, None);
        let expected = PullRequest {
            id: Some("12".to_owned()),
            source: Some("main".to_owned()),
            destination: Some("develop".to_owned()),
        };
        assert_eq!(run.pull_request, Some(expected));
    }

    #[test]
    fn a_tag_and_a_bare_commit_have_no_branch() {
        let tag = run(&[("BITBUCKET_TAG", "v1")]);
        assert_eq!((tag.branch, tag.tag.as_deref()), (None, Some("v1")));
        let commit = run(&[("BITBUCKET_BRANCH", "")]);
        assert_eq!((commit.branch, commit.tag, commit.pull_request), (None, None, None));
    }
}
