//! The CI file that belongs to a draft: one line of shipit a step, production behind a person's hand, and a check in the
//! pull request.

mod bitbucket;
mod github;
mod gitlab;

use super::draft::{Draft, EnvironmentDraft};
use crate::ci::Provider;
use crate::ci::file::PLACEHOLDER;

/// The image that was released together with this program; a build of one's own has none.
const RELEASED: Option<&str> = option_env!("SHIPIT_IMAGE");

/// The image of the steps, with what is left to decide about it.
fn image(released: Option<&str>) -> String {
    match released {
        Some(image) => format!("{image}        # shipit, a shell and git; any image that has them will do"),
        None => format!("{PLACEHOLDER}        # decide: an image with shipit, a shell and git in it"),
    }
}

/// Where that provider looks for its file.
pub(super) const fn path(provider: Provider) -> &'static str {
    match provider {
        Provider::Bitbucket => "bitbucket-pipelines.yml",
        Provider::GitHub => ".github/workflows/shipit.yml",
        Provider::GitLab => ".gitlab-ci.yml",
    }
}

pub(super) fn render(provider: Provider, draft: &Draft) -> String {
    match provider {
        Provider::Bitbucket => bitbucket::render(draft),
        Provider::GitHub => github::render(draft),
        Provider::GitLab => gitlab::render(draft),
    }
}

/// What a person has to do with the provider before the file works.
pub(super) fn to_do(provider: Provider, draft: &Draft) -> Vec<String> {
    let names = draft.environments.iter().map(EnvironmentDraft::deployment).collect::<Vec<_>>().join(", ");
    let guarded: Vec<&str> =
        draft.environments.iter().filter(|one| one.approval).map(EnvironmentDraft::deployment).collect();
    let mut all = Vec::new();
    if RELEASED.is_none() {
        all.push(format!(
            "push an image with this program, a shell and git in it to your registry, and name it in the place of {PLACEHOLDER}"
        ));
    }
    match provider {
        Provider::Bitbucket => all.push(format!("Repository settings, Deployments: have the environments {names}")),
        Provider::GitHub => all.push(format!(
            "Settings, Environments: have {names}, with required reviewers on {}: a job of it then waits for them",
            guarded.join(", ")
        )),
        Provider::GitLab => all.push("the runner has to allow the docker:dind service (privileged)".to_owned()),
    }
    let secrets = draft.environments.iter().map(|environment| draft.variables(&environment.name).len()).sum::<usize>();
    if secrets > 0 {
        all.push(
            "the secrets stay the pipeline's variables, under the names that `shipit check --env NAME` asks for"
                .to_owned(),
        );
    }
    if draft.role.is_none() {
        all.push(
            "give the pipeline a role by OIDC, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY as secured variables"
                .to_owned(),
        );
    }
    all
}

/// The command of an environment's step. The branch alone leads to the first of its environments.
fn command(draft: &Draft, environment: &EnvironmentDraft) -> String {
    let first = draft.of_branch(&environment.branch).first().is_some_and(|first| first.name == environment.name);
    let name =
        if first && environment.after.is_none() { String::new() } else { format!(" --env {}", environment.name) };
    let approve = if environment.approval { " --approve" } else { "" };
    format!("shipit deploy{name}{approve}")
}

#[cfg(test)]
mod tests {
    use serde_yaml::Value;

    use super::{command, image, render};
    use crate::ci::Provider;
    use crate::init::draft::{Draft, EnvironmentDraft};

    fn draft(role: Option<&str>) -> Draft {
        let environment = |name: &str, branch: &str, after: Option<&str>, approval| EnvironmentDraft {
            name: name.to_owned(),
            branch: branch.to_owned(),
            after: after.map(str::to_owned),
            approval,
            deployment: (name == "eu").then(|| "europe".to_owned()),
        };
        Draft {
            region: Some("eu-west-1".to_owned()),
            environments: vec![
                environment("dev", "develop", None, false),
                environment("sandbox", "main", None, false),
                environment("prod", "main", Some("sandbox"), true),
                environment("eu", "release/1", None, true),
            ],
            role: role.map(str::to_owned),
            ..Draft::default()
        }
    }

    #[test]
    fn a_command_says_no_more_than_it_has_to() {
        let draft = draft(None);
        let commands: Vec<String> = draft.environments.iter().map(|one| command(&draft, one)).collect();
        assert_eq!(
            commands,
            ["shipit deploy", "shipit deploy", "shipit deploy --env prod --approve", "shipit deploy --approve"]
        );
    }

    #[test]
    fn the_image_is_the_released_one_or_left_to_decide() {
        assert!(image(Some("ghcr.io/team/shipit:v1")).starts_with("ghcr.io/team/shipit:v1 "));
        assert!(image(None).contains("# decide: "));
    }

    #[test]
    fn an_environment_keeps_the_name_that_the_provider_knows_it_by() {
        for (provider, line) in [
            (Provider::Bitbucket, "          name: eu\n          deployment: europe\n"),
            (Provider::GitHub, "    environment: europe "),
            (Provider::GitLab, "  environment: { name: europe }\n"),
        ] {
            let text = render(provider, &draft(None));
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn every_file_is_yaml_and_prod_waits_for_a_person() {
        for role in [None, Some("arn:aws:iam::123456789012:role/deploy")] {
            for provider in [Provider::Bitbucket, Provider::GitHub, Provider::GitLab] {
                let text = render(provider, &draft(role));
                let yaml: Value = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
                let token = ["oidc: true", "id-token: write", "SHIPIT_ID_TOKEN"].iter().any(|one| text.contains(one));
                assert_eq!(token, role.is_some(), "{text}");
                // The token goes from memory to STS.
                assert!(!text.contains("WEB_IDENTITY") && !text.contains("configure-aws"), "{text}");
                let waits = match provider {
                    Provider::Bitbucket => {
                        let steps = &yaml["pipelines"]["branches"]["main"];
                        // Bitbucket takes no manual step as the first one.
                        let other = &yaml["pipelines"]["branches"]["release/1"];
                        assert!(
                            other[0]["step"]["trigger"].is_null() && other[1]["step"]["trigger"] == "manual",
                            "{text}"
                        );
                        steps[0]["step"]["trigger"].is_null() && steps[1]["step"]["trigger"] == "manual"
                    }
                    Provider::GitHub => {
                        assert_eq!(yaml["jobs"]["prod"]["needs"], "sandbox", "{text}");
                        yaml["jobs"]["prod"]["environment"] == "prod"
                    }
                    Provider::GitLab => yaml["prod"]["rules"][0]["when"] == "manual",
                };
                assert!(waits, "{text}");
            }
        }
    }
}
