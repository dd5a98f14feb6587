//! What was deployed where, and when: what ECR knows of pushes joined with what ECS knows of deployments, and
//! the zips that S3 keeps. Pure but for
//! `read`, which asks. What may not be read is left out, and said.

mod read;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::aws::ecr::Image;
use crate::aws::ecs::ServiceDeployment;

pub(crate) use read::{read, sources};

/// One deployment, or a push that no known deployment took up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    pub(crate) environment: String,
    pub(crate) service: String,
    /// When it began, or was pushed.
    pub(crate) when: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    /// ECS's word for how it ended (`SUCCESSFUL`, `ROLLBACK_SUCCESSFUL`, …), or `PUSHED`.
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    /// The commit, full where it is known in full.
    pub(crate) revision: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) author: Option<String>,
    pub(crate) digest: Option<String>,
    /// It is what runs now.
    pub(crate) runs: bool,
    /// Known of what runs now only.
    pub(crate) deployed_by: Option<String>,
    pub(crate) approved_by: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Newest first.
    pub(crate) entries: Vec<Entry>,
    /// What could not be read, in words.
    pub(crate) notes: Vec<String>,
}

/// What is known of one service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    pub(crate) images: Vec<Image>,
    /// Newest first.
    pub(crate) deployments: Vec<ServiceDeployment>,
    /// By service revision ARN.
    pub(crate) digests: BTreeMap<String, String>,
    /// The digest that runs.
    pub(crate) running: Option<String>,
    /// The digest of shipit's record, and who is said to have deployed and approved it.
    pub(crate) recorded: Option<String>,
    pub(crate) deployed_by: Option<String>,
    pub(crate) approved_by: Option<String>,
}

impl Sources {
    /// The digest that a deployment was to bring.
    pub(crate) fn digest_of(&self, deployment: &ServiceDeployment) -> Option<&str> {
        self.digests.get(deployment.revision.as_ref()?).map(String::as_str)
    }

    /// The commit that the image with that digest is tagged with: 12 hex digits.
    pub(crate) fn commit_of(&self, digest: &str) -> Option<&str> {
        self.images.iter().find(|image| image.digest == digest)?.commits().next()
    }
}

/// Joins both views of one service, newest first.
pub(crate) fn join(environment: &str, service: &str, sources: &Sources) -> Vec<Entry> {
    let entry = |when, state: &str, digest: Option<&str>| Entry {
        environment: environment.to_owned(),
        service: service.to_owned(),
        when,
        finished_at: None,
        state: state.to_owned(),
        reason: None,
        revision: digest.and_then(|digest| sources.commit_of(digest)).map(str::to_owned),
        subject: None,
        author: None,
        digest: digest.map(str::to_owned),
        runs: false,
        deployed_by: None,
        approved_by: None,
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut deployed = BTreeSet::new();
    for deployment in &sources.deployments {
        let digest = sources.digest_of(deployment);
        deployed.extend(digest);
        entries.push(Entry {
            finished_at: deployment.finished_at,
            reason: deployment.reason.clone(),
            ..entry(deployment.created_at, &deployment.status, digest)
        });
    }
    let pushed = sources.images.iter().filter(|image| image.commits().next().is_some());
    for image in pushed.filter(|image| !deployed.contains(image.digest.as_str())) {
        entries.push(entry(image.pushed_at, "PUSHED", Some(&image.digest)));
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.when));
    mark_what_runs(&mut entries, sources);
    entries
}

/// The newest entry of the running digest that can have brought it.
fn mark_what_runs(entries: &mut [Entry], sources: &Sources) {
    let Some(running) = &sources.running else { return };
    let brought = |entry: &&mut Entry| {
        entry.digest.as_ref() == Some(running)
            && matches!(entry.state.as_str(), "SUCCESSFUL" | "IN_PROGRESS" | "PUSHED")
    };
    if let Some(entry) = entries.iter_mut().find(brought) {
        entry.runs = true;
        if sources.recorded.as_ref() == Some(running) {
            entry.deployed_by.clone_from(&sources.deployed_by);
            entry.approved_by.clone_from(&sources.approved_by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Sources, join};
    use crate::aws::ecr::Image;
    use crate::aws::ecs::ServiceDeployment;
    use jiff::Timestamp;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    fn image(digest: &str, tags: &[&str], pushed: i64) -> Image {
        Image {
            digest: digest.to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            pushed_at: at(pushed),
        }
    }

    fn deployment(status: &str, revision: &str, created: i64) -> ServiceDeployment {
        ServiceDeployment {
            arn: format!("deployment/{created}"),
            status: status.to_owned(),
            reason: None,
            created_at: at(created),
            finished_at: None,
            revision: Some(revision.to_owned()),
        }
    }

    #[test]
    fn pushes_and_deployments_become_one_story() {
        let sources = Sources {
            images: vec![
                image("sha256:c", &["git-cccccccccccc"], 300),
                image("sha256:b", &["git-bbbbbbbbbbbb"], 200),
                image("sha256:a", &["git-aaaaaaaaaaaa", "latest"], 100),
                image("sha256:x", &["cache"], 90),
            ],
            deployments: vec![
                deployment("SUCCESSFUL", "rev-a", 220),
                deployment("ROLLBACK_SUCCESSFUL", "rev-b", 210),
                deployment("SUCCESSFUL", "rev-a", 110),
                deployment("SUCCESSFUL", "rev-old", 10),
            ],
            digests: [("rev-a", "sha256:a"), ("rev-b", "sha256:b")].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
            running: Some("sha256:a".to_owned()),
            recorded: Some("sha256:a".to_owned()),
            deployed_by: Some("arn:aws:iam::1:user/ann".to_owned()),
            approved_by: None,
        };
        let told: Vec<(String, Option<String>, bool)> =
            join("dev", "api", &sources).into_iter().map(|entry| (entry.state, entry.revision, entry.runs)).collect();
        let expected = [
            ("PUSHED", Some("cccccccccccc"), false),
            ("SUCCESSFUL", Some("aaaaaaaaaaaa"), true),
            ("ROLLBACK_SUCCESSFUL", Some("bbbbbbbbbbbb"), false),
            ("SUCCESSFUL", Some("aaaaaaaaaaaa"), false),
            ("SUCCESSFUL", None, false),
        ];
        let expected = expected.map(|(state, revision, runs)| (state.to_owned(), revision.map(str::to_owned), runs));
        assert_eq!(told, expected);
        let who = join("dev", "api", &sources);
        assert_eq!(who[1].deployed_by.as_deref(), Some("arn:aws:iam::1:user/ann"));
        assert_eq!(who[3].deployed_by, None, "who deployed it the first time is not known");
    }

    #[test]
    fn without_the_deployments_the_pushes_are_left() {
        let sources = Sources {
            images: vec![image("sha256:a", &["git-aaaaaaaaaaaa"], 100)],
            running: Some("sha256:a".to_owned()),
            ..Sources::default()
        };
        let told = join("dev", "api", &sources);
        assert_eq!(told.len(), 1);
        assert!(told[0].runs && told[0].state == "PUSHED");
    }
}
