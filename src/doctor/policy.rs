//! The IAM policy that a deploy.yaml needs, and no more: every action that shipit calls, on the resources that it is
//! called for. JSON has no comments, so each statement says by its `Sid` what it is for.
//!
//! Resources follow the service authorization reference: `ecr:GetAuthorizationToken`, `ecs:DescribeTaskDefinition` and
//! `ecs:ListTasks` know none, the last of them is held to its cluster by a condition.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::specification::{Environment, Service, Specification};
use crate::error::{Error, Result};
use crate::exit::Exit;

/// What the policy is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// A plan, `status`, `history` and `doctor`: nothing is changed.
    pub(crate) read_only: bool,
    /// `shipit run`, also where no service has a `before_deploy`.
    pub(crate) run: bool,
    /// `shipit init --from-ecs`.
    pub(crate) init: bool,
}

/// Which resources a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Anything,
    Repositories,
    Services,
    /// The services with the records of their deployments and revisions.
    Records,
    Tasks,
    /// Anything, in these clusters.
    Clusters,
    Logs,
    TaskDefinitions,
    TaskRoles,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    Deploy,
    Run,
    Init,
}

struct Group {
    sid: &'static str,
    when: When,
    on: On,
    actions: &'static [&'static str],
}

/// Every statement there can be. A call that is added to `aws` has to be added here; a test holds the two together.
const GROUPS: &[Group] = &[
    Group { sid: "Login", when: When::Always, on: On::Anything, actions: &["ecr:GetAuthorizationToken"] },
    Group {
        sid: "Images",
        when: When::Always,
        on: On::Repositories,
        actions: &["ecr:DescribeRepositories", "ecr:DescribeImages", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    },
    Group {
        sid: "Push",
        when: When::Deploy,
        on: On::Repositories,
        actions: &[
            "ecr:BatchCheckLayerAvailability",
            "ecr:InitiateLayerUpload",
            "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload",
            "ecr:PutImage",
        ],
    },
    Group {
        sid: "Scans",
        when: When::Deploy,
        on: On::Repositories,
        actions: &["ecr:DescribeImageScanFindings", "ecr:StartImageScan"],
    },
    Group {
        sid: "RegistrySettings",
        when: When::Deploy,
        on: On::Anything,
        actions: &["ecr:GetRegistryScanningConfiguration", "ecr:GetAccountSetting"],
    },
    Group {
        sid: "Services",
        when: When::Always,
        on: On::Services,
        actions: &["ecs:DescribeServices", "ecs:ListTagsForResource", "ecs:ListServiceDeployments"],
    },
    Group { sid: "Roll", when: When::Deploy, on: On::Services, actions: &["ecs:UpdateService"] },
    Group { sid: "Record", when: When::Deploy, on: On::Services, actions: &["ecs:TagResource", "ecs:UntagResource"] },
    Group {
        sid: "Past",
        when: When::Always,
        on: On::Records,
        actions: &["ecs:DescribeServiceDeployments", "ecs:DescribeServiceRevisions"],
    },
    Group { sid: "StopRollout", when: When::Deploy, on: On::Records, actions: &["ecs:StopServiceDeployment"] },
    Group { sid: "Tasks", when: When::Always, on: On::Tasks, actions: &["ecs:DescribeTasks"] },
    Group { sid: "ListTasks", when: When::Always, on: On::Clusters, actions: &["ecs:ListTasks"] },
    Group { sid: "TaskDefinition", when: When::Always, on: On::Anything, actions: &["ecs:DescribeTaskDefinition"] },
    Group { sid: "Logs", when: When::Always, on: On::Logs, actions: &["logs:GetLogEvents"] },
    Group { sid: "RunTask", when: When::Run, on: On::TaskDefinitions, actions: &["ecs:RunTask"] },
    Group { sid: "StopTask", when: When::Run, on: On::Tasks, actions: &["ecs:StopTask"] },
    Group { sid: "TaskRoles", when: When::Run, on: On::TaskRoles, actions: &["iam:PassRole"] },
    Group { sid: "ListServices", when: When::Init, on: On::Clusters, actions: &["ecs:ListServices"] },
];

/// A policy, and what is to be known about it.
pub(crate) struct Policy {
    /// Pretty JSON, with a newline at the end.
    pub(crate) document: String,
    pub(crate) notes: Vec<String>,
}

/// In the order in which policies are usually written.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: Value,
    resource: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Value>,
}

/// One policy for these environments, which have to be in one account.
///
/// # Errors
/// They are in several accounts ([`Exit::Usage`]).
pub(crate) fn policy(specifications: &[Specification], wanted: Wanted) -> Result<Policy> {
    let accounts: BTreeSet<String> = specifications.iter().filter_map(|one| account(&one.environment)).collect();
    if accounts.len() > 1 {
        let all: Vec<&str> = accounts.iter().map(String::as_str).collect();
        let names: Vec<&str> = specifications.iter().map(|one| one.environment.name.as_str()).collect();
        return Err(Error::new(
            Exit::Usage,
            format!(
                "{} are in several accounts ({}), and each needs a policy of its own",
                names.join(", "),
                all.join(", ")
            ),
        )
        .hint("name one with `--env`"));
    }
    let tasks = specifications.iter().flat_map(|one| &one.services).any(|service| service.before_deploy.is_some());
    let takes = |group: &&Group| match group.when {
        When::Always => true,
        When::Deploy => !wanted.read_only,
        When::Run => !wanted.read_only && (wanted.run || tasks),
        When::Init => wanted.init,
    };
    let groups: Vec<&Group> = GROUPS.iter().filter(takes).collect();
    let statement = groups.iter().map(|group| statement(group, specifications)).collect();
    let document = serde_json::to_string_pretty(&Document { version: "2012-10-17", statement })
        .map_err(|error| Error::new(Exit::Fault, "the policy cannot be written as JSON").because(&error))?;
    Ok(Policy { document: document + "\n", notes: notes(specifications, &groups) })
}

fn statement(group: &Group, specifications: &[Specification]) -> Statement {
    let mut resources: BTreeSet<String> = BTreeSet::new();
    let mut clusters: BTreeSet<String> = BTreeSet::new();
    for specification in specifications {
        let place = Place::of(&specification.environment);
        for service in &specification.services {
            resources.extend(place.resources(group.on, service));
            clusters.insert(place.arn("ecs", &format!("cluster/{}", service.cluster)));
        }
    }
    Statement {
        sid: group.sid,
        effect: "Allow",
        action: single(group.actions.iter().map(|action| (*action).to_owned()).collect()),
        resource: single(resources.into_iter().collect()),
        condition: match group.on {
            On::Clusters | On::TaskDefinitions => {
                Some(json!({"ArnEquals": {"ecs:cluster": single(clusters.into_iter().collect())}}))
            }
            On::TaskRoles => Some(json!({"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}})),
            _ => None,
        },
    }
}

/// IAM takes one text in place of a list of one.
fn single(mut texts: Vec<String>) -> Value {
    if texts.len() == 1 { Value::String(texts.remove(0)) } else { texts.into() }
}

/// Partition, region and account of an environment's ARNs; `*` for what deploy.yaml does not say.
struct Place {
    partition: &'static str,
    region: String,
    account: String,
}

impl Place {
    fn of(environment: &Environment) -> Self {
        let region = environment.region.clone().unwrap_or_else(|| "*".to_owned());
        let partition = match region.split('-').next() {
            Some("cn") => "aws-cn",
            _ if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        Self { partition, region, account: account(environment).unwrap_or_else(|| "*".to_owned()) }
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{resource}", self.partition, self.region, self.account)
    }

    fn resources(&self, on: On, service: &Service) -> Vec<String> {
        let Service { cluster, service: name, repository, .. } = service;
        let of_service = |kind: &str, end: &str| self.arn("ecs", &format!("{kind}/{cluster}/{name}{end}"));
        match on {
            On::Anything | On::Clusters => vec!["*".to_owned()],
            On::Repositories => vec![self.arn("ecr", &format!("repository/{repository}"))],
            On::Services => vec![of_service("service", "")],
            On::Records => vec![
                of_service("service", ""),
                of_service("service-deployment", "/*"),
                of_service("service-revision", "/*"),
            ],
            On::Tasks => vec![self.arn("ecs", &format!("task/{cluster}/*"))],
            On::Logs => vec![self.arn("logs", "log-group:*:log-stream:*")],
            On::TaskDefinitions => vec![self.arn("ecs", "task-definition/*:*")],
            On::TaskRoles => vec![format!("arn:{}:iam::{}:role/*", self.partition, self.account)],
        }
    }
}

/// The account that deploy.yaml names, or that of the role it assumes.
fn account(environment: &Environment) -> Option<String> {
    let of_role = || environment.role.as_ref()?.split(':').nth(4).map(str::to_owned);
    environment.account.clone().or_else(of_role)
}

fn notes(specifications: &[Specification], groups: &[&Group]) -> Vec<String> {
    let mut notes = Vec::new();
    let environments = || specifications.iter().map(|one| &one.environment);
    if environments().any(|environment| account(environment).is_none()) {
        notes.push("deploy.yaml names no account, so the policy says `*` for it".to_owned());
    }
    if environments().any(|environment| environment.region.is_none()) {
        notes.push("deploy.yaml names no region, so the policy says `*` for it".to_owned());
    }
    let has = |on: On| groups.iter().any(|group| group.on == on);
    if has(On::Logs) {
        notes.push("`Logs`: put the log groups of the task definitions in the place of `*`".to_owned());
    }
    if has(On::TaskRoles) {
        notes.push(
            "`TaskRoles`: put the task role and the execution role of the task definitions in the place of `*`"
                .to_owned(),
        );
    }
    for role in environments().filter_map(|environment| environment.role.as_ref()).collect::<BTreeSet<_>>() {
        notes.push(format!("it belongs to {role}; whoever starts shipit needs sts:AssumeRole on that role alone"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::{GROUPS, Policy, Wanted, policy};
    use crate::config::specification::Specification;
    use crate::config::{self, ResolveInput, SecretsMode};
    use crate::vars::Vars;

    fn specifications(text: &str) -> Vec<Specification> {
        let manifest = config::load_text(text, Path::new("/p")).unwrap();
        let resolve = |name: &String| {
            let vars = Vars::default();
            let input = ResolveInput {
                environment: name,
                branch: None,
                commit: None,
                services: &[],
                vars: &vars,
                secrets: SecretsMode::Optional,
            };
            manifest.resolve(&input).unwrap()
        };
        manifest.environments.keys().map(resolve).collect()
    }

    const TWO: &str = "version: 1\naws: { region: eu-west-1, account: \"123456789012\" }\nenvironments:\n  dev: { branch: a }\n  \
                       prod: { branch: b }\nservices:\n  api: { repository: \"api-${env}\" }\n";

    fn of(text: &str, wanted: Wanted) -> Policy {
        policy(&specifications(text), wanted).unwrap()
    }

    fn statement(policy: &Policy, sid: &str) -> Option<serde_json::Value> {
        let document: serde_json::Value = serde_json::from_str(&policy.document).unwrap();
        document["Statement"].as_array()?.iter().find(|statement| statement["Sid"] == sid).cloned()
    }

    #[test]
    fn resources_are_named_where_the_action_knows_them() {
        let policy = of(TWO, Wanted::default());
        let resource = |sid| statement(&policy, sid).unwrap()["Resource"].clone();
        assert_eq!(resource("Login"), "*");
        assert_eq!(
            resource("Push"),
            serde_json::json!([
                "arn:aws:ecr:eu-west-1:123456789012:repository/api-dev",
                "arn:aws:ecr:eu-west-1:123456789012:repository/api-prod"
            ])
        );
        assert_eq!(resource("Roll")[1], "arn:aws:ecs:eu-west-1:123456789012:service/prod/api");
        let list = statement(&policy, "ListTasks").unwrap();
        assert_eq!(list["Condition"]["ArnEquals"]["ecs:cluster"][0], "arn:aws:ecs:eu-west-1:123456789012:cluster/dev");
        assert!(statement(&policy, "TaskRoles").is_none() && statement(&policy, "ListServices").is_none());
    }

    #[test]
    fn what_is_optional_comes_only_when_it_is_needed() {
        let read_only = of(TWO, Wanted { read_only: true, run: true, ..Wanted::default() });
        for sid in ["Push", "Roll", "Record", "StopRollout", "RunTask", "TaskRoles"] {
            assert!(statement(&read_only, sid).is_none(), "{sid}");
        }
        let migrating = TWO.replace("\"api-${env}\" }", "\"api-${env}\", before_deploy: { command: [x] } }");
        let roles = of(&migrating, Wanted::default());
        let roles = statement(&roles, "TaskRoles").unwrap();
        assert_eq!(roles["Resource"], "arn:aws:iam::123456789012:role/*");
        assert_eq!(roles["Condition"]["StringEquals"]["iam:PassedToService"], "ecs-tasks.amazonaws.com");
        assert!(statement(&of(TWO, Wanted { init: true, ..Wanted::default() }), "ListServices").is_some());
    }

    #[test]
    fn what_deploy_yaml_does_not_say_is_said() {
        let open = of(
            "version: 1\nenvironments: { dev: { branch: a } }\nservices: { api: { repository: api } }\n",
            Wanted::default(),
        );
        assert_eq!(statement(&open, "Roll").unwrap()["Resource"], "arn:aws:ecs:*:*:service/dev/api");
        assert_eq!(open.notes.iter().filter(|note| note.contains("says `*`")).count(), 2);
        let china = of(&TWO.replace("eu-west-1", "cn-north-1"), Wanted::default());
        assert!(statement(&china, "Roll").unwrap()["Resource"][0].as_str().unwrap().starts_with("arn:aws-cn:"));
        let apart = TWO.replace("prod: { branch: b }", "prod: { branch: b, aws: { account: \"210987654321\" } }");
        let error = policy(&specifications(&apart), Wanted::default()).err().unwrap();
        assert!(error.message().contains("several accounts") && error.hints()[0].contains("--env"), "{error}");
    }

    /// The names of actions in the code that calls AWS, and nowhere else.
    fn called(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                called(&path, found);
            } else if !path.ends_with("error.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let own = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                found.extend(own.split("aws(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
            }
        }
    }

    /// Calls of the registry's own protocol, what a call includes (the tags of `DescribeServices`), and services that act
    /// for us: ECR and ECS check these actions.
    const NOT_CALLED_BY_NAME: [&str; 6] = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:InitiateLayerUpload",
        "ecr:UploadLayerPart",
        "ecr:CompleteLayerUpload",
        "iam:PassRole",
        "ecs:ListTagsForResource",
    ];

    #[test]
    fn every_call_in_the_code_is_in_the_policy_and_no_other() {
        let mut in_code = BTreeSet::new();
        called(&PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/aws")), &mut in_code);
        // It needs no permission.
        assert!(in_code.remove("sts:GetCallerIdentity"), "{in_code:?}");
        in_code.extend(NOT_CALLED_BY_NAME.map(str::to_owned));
        let in_policy: BTreeSet<String> =
            GROUPS.iter().flat_map(|group| group.actions).map(|action| (*action).to_owned()).collect();
        let missing: Vec<_> = in_code.difference(&in_policy).collect();
        let needless: Vec<_> = in_policy.difference(&in_code).collect();
        assert!(
            missing.is_empty() && needless.is_empty(),
            "not in the policy: {missing:?}; never called: {needless:?}"
        );
        let all: Vec<_> = GROUPS.iter().flat_map(|group| group.actions).collect();
        assert_eq!(all.len(), in_policy.len(), "an action is in two statements");
    }
}
