//! GitHub Actions. In a pull-request run `GITHUB_REF` is a merge that exists in the run only; under
//! `pull_request_target` it is even the destination branch, while the event comes from somebody else's source branch.

use super::{Ci, Provider, PullRequest, owned};
use crate::vars::Vars;

pub(super) fn detect(vars: &Vars) -> Option<Ci> {
    if vars.get("GITHUB_ACTIONS") != Some("true") {
        return None;
    }
    let event = vars.get("GITHUB_EVENT_NAME").unwrap_or_default();
    let reference = vars.get("GITHUB_REF").unwrap_or_default();
    let pull_request = (event.starts_with("pull_request") || vars.has("GITHUB_HEAD_REF")).then(|| PullRequest {
        id: reference.strip_prefix("refs/pull/").and_then(|rest| rest.split('/').next()).map(str::to_owned),
        source: owned(vars, "GITHUB_HEAD_REF"),
        destination: owned(vars, "GITHUB_BASE_REF"),
    });
    let branch = reference.strip_prefix("refs/heads/").filter(|_| pull_request.is_none());
    Some(Ci {
        provider: Provider::GitHub,
        branch: branch.map(str::to_owned),
        commit: owned(vars, "GITHUB_SHA"),
        pull_request,
        tag: reference.strip_prefix("refs/tags/").map(str::to_owned),
        run_url: run_url(vars),
        actor: owned(vars, "GITHUB_TRIGGERING_ACTOR").or_else(|| owned(vars, "GITHUB_ACTOR")),
    })
}

fn run_url(vars: &Vars) -> Option<String> {
    let server = vars.get("GITHUB_SERVER_URL").unwrap_or("https://github.com");
    let repository = vars.get("GITHUB_REPOSITORY")?;
    let run = vars.get("GITHUB_RUN_ID")?;
    Some(format!("{server}/{repository}/actions/runs/{run}"))
}

#[cfg(test)]
mod tests {
    use super::detect;
    use crate::ci::Ci;
    use crate::vars::Vars;

    fn run(more: &[(&str, &str)]) -> Ci {
        let base = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SHA", "c0ffee"),
            ("GITHUB_REPOSITORY", "team/shop"),
            ("GITHUB_RUN_ID", "9"),
            ("GITHUB_ACTOR", "ada"),
        ];
        let vars: Vars = base.iter().chain(more).copied().collect();
        detect(&vars).unwrap()
    }

    #[test]
    fn a_branch_with_a_slash() {
        let run =
            run(&[("GITHUB_EVENT_NAME", "push"), ("GITHUB_REF", "refs/heads/release/1"), ("GITHUB_HEAD_REF", "")]);
        assert_eq!(run.branch.as_deref(), Some("release/1"));
        assert_eq!((run.commit.as_deref(), run.actor.as_deref()), (Some("c0ffee"), Some("ada")));
        assert_eq!(run.run_url.as_deref(), Some("https://github.com/team/shop/actions/runs/9"));
        assert_eq!((run.pull_request, run.tag), (None, None));
    }

    #[test]
    fn no_pull_request_has_a_branch_to_deploy() {
        for (event, reference, id) in
            [("pull_request", "refs/pull/12/merge", Some("12")), ("pull_request_target", "refs/heads/main", None)]
        {
            let run = run(&[
                ("GITHUB_EVENT_NAME", event),
                ("GITHUB_REF", reference),
                ("GITHUB_HEAD_REF", "fix"),
                ("GITHUB_BASE_REF", "main"),
            ]);
            assert_eq!(run.branch, None, "{event}");
            let pull_request = run.pull_request.unwrap();
            assert_eq!(pull_request.id.as_deref(), id, "{event}");
            assert_eq!(pull_request.source.as_deref(), Some("fix"), "{event}");
        }
    }

    #[test]
    fn a_tag_has_no_branch() {
        let run = run(&[("GITHUB_EVENT_NAME", "push"), ("GITHUB_REF", "refs/tags/v1")]);
        assert_eq!((run.branch, run.tag.as_deref()), (None, Some("v1")));
    }
}
