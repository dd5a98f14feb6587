//! The IAM policy that a deploy.yaml needs, and no more: every action that shipit calls, on the resources that it is
//! called for. JSON has no comments, so each statement says by its `Sid` what it is for.
//!
//! Resources follow the service authorization reference: `ecr:GetAuthorizationToken`, `ecs:DescribeTaskDefinition` and
//! `ecs:ListTasks` know none, the last of them is held to its cluster by a condition. Of an environment that has to run a
//! commit first, what its gate reads is in the policy as long as the same credentials read it.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::cache::Cache;
use crate::config::specification::{Archive, Environment, Service, Specification};
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
    /// Everything that containers need and that knows no resource.
    Anything,
    Repositories,
    /// The same, and those that `cache` names.
    Images,
    Services,
    /// The services with the records of their deployments and revisions.
    Records,
    Tasks,
    /// Anything, in these clusters.
    Clusters,
    Logs,
    TaskDefinitions,
    TaskRoles,
    Buckets,
    /// The zips in them.
    Objects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// The same, and the environment that has to run a commit first is read so, too.
    AlsoBefore,
    Deploy,
    /// What a scan found is told after a deploy; where it is a gate, the plan looks as well.
    Scan,
    /// A scan is a gate.
    Gate,
    /// The same, of a deploy alone.
    GatedDeploy,
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
    Group { sid: "Login", when: When::AlsoBefore, on: On::Anything, actions: &["ecr:GetAuthorizationToken"] },
    Group {
        sid: "Repositories",
        when: When::Always,
        on: On::Images,
        actions: &["ecr:DescribeRepositories", "ecr:DescribeImages"],
    },
    Group {
        sid: "Images",
        when: When::AlsoBefore,
        on: On::Images,
        actions: &["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    },
    Group {
        sid: "Push",
        when: When::Deploy,
        on: On::Images,
        actions: &[
            "ecr:BatchCheckLayerAvailability",
            "ecr:InitiateLayerUpload",
            "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload",
            "ecr:PutImage",
        ],
    },
    Group { sid: "Scans", when: When::Scan, on: On::Repositories, actions: &["ecr:DescribeImageScanFindings"] },
    Group { sid: "StartScan", when: When::GatedDeploy, on: On::Repositories, actions: &["ecr:StartImageScan"] },
    Group { sid: "ScanRules", when: When::Gate, on: On::Anything, actions: &["ecr:GetRegistryScanningConfiguration"] },
    Group { sid: "SharedLayers", when: When::Deploy, on: On::Anything, actions: &["ecr:GetAccountSetting"] },
    Group {
        sid: "Services",
        when: When::AlsoBefore,
        on: On::Services,
        actions: &["ecs:DescribeServices", "ecs:ListTagsForResource"],
    },
    Group { sid: "Rollouts", when: When::Always, on: On::Services, actions: &["ecs:ListServiceDeployments"] },
    Group { sid: "Roll", when: When::Deploy, on: On::Services, actions: &["ecs:UpdateService"] },
    Group { sid: "Record", when: When::Deploy, on: On::Services, actions: &["ecs:TagResource", "ecs:UntagResource"] },
    Group {
        sid: "Past",
        when: When::Always,
        on: On::Records,
        actions: &["ecs:DescribeServiceDeployments", "ecs:DescribeServiceRevisions"],
    },
    Group { sid: "StopRollout", when: When::Deploy, on: On::Records, actions: &["ecs:StopServiceDeployment"] },
    Group { sid: "Tasks", when: When::AlsoBefore, on: On::Tasks, actions: &["ecs:DescribeTasks"] },
    Group { sid: "ListTasks", when: When::AlsoBefore, on: On::Clusters, actions: &["ecs:ListTasks"] },
    Group { sid: "TaskDefinition", when: When::Always, on: On::Anything, actions: &["ecs:DescribeTaskDefinition"] },
    Group { sid: "Logs", when: When::Always, on: On::Logs, actions: &["logs:GetLogEvents"] },
    Group { sid: "RunTask", when: When::Run, on: On::TaskDefinitions, actions: &["ecs:RunTask"] },
    Group { sid: "StopTask", when: When::Run, on: On::Tasks, actions: &["ecs:StopTask"] },
    Group { sid: "TaskRoles", when: When::Run, on: On::TaskRoles, actions: &["iam:PassRole"] },
    Group { sid: "ListServices", when: When::Init, on: On::Clusters, actions: &["ecs:ListServices"] },
    Group { sid: "Buckets", when: When::AlsoBefore, on: On::Buckets, actions: &["s3:ListBucket"] },
    Group { sid: "Zips", when: When::AlsoBefore, on: On::Objects, actions: &["s3:GetObject"] },
    Group {
        sid: "PutZips",
        when: When::Deploy,
        on: On::Objects,
        actions: &["s3:PutObject", "s3:AbortMultipartUpload"],
    },
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

/// One policy for these environments, which have to be in one account. `before` are those that have to run a commit first.
///
/// # Errors
/// They are in several accounts ([`Exit::Usage`]).
pub(crate) fn policy(specifications: &[Specification], before: &[Specification], wanted: Wanted) -> Result<Policy> {
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
    let any = |has: fn(&Service) -> bool| specifications.iter().flat_map(|one| &one.services).any(has);
    let tasks = any(|service| service.before_deploy.is_some());
    let gate = any(|service| service.scan.as_ref().is_some_and(|scan| scan.fail_on.is_some()));
    let takes = |group: &&Group| match group.when {
        When::Always | When::AlsoBefore => true,
        When::Deploy => !wanted.read_only,
        When::Scan => gate || !wanted.read_only,
        When::Gate => gate,
        When::GatedDeploy => gate && !wanted.read_only,
        When::Run => !wanted.read_only && (wanted.run || tasks),
        When::Init => wanted.init,
    };
    let read = before.iter().filter(|before| specifications.iter().any(|one| reads(&one.environment, before)));
    let read: Vec<&Specification> = read.collect();
    let of = |group: &&'static Group| {
        let before = if group.when == When::AlsoBefore { read.as_slice() } else { &[] };
        let about: Vec<&Specification> = specifications.iter().chain(before.iter().copied()).collect();
        statement(group, &about).map(|statement| (*group, statement))
    };
    let (groups, statement): (Vec<&Group>, Vec<Statement>) =
        GROUPS.iter().filter(takes).filter_map(|group| of(&group)).unzip();
    let document = serde_json::to_string_pretty(&Document { version: "2012-10-17", statement })
        .map_err(|error| Error::new(Exit::Fault, "the policy cannot be written as JSON").because(&error))?;
    Ok(Policy { document: document + "\n", notes: notes(specifications, before, &groups) })
}

/// Whether an environment looks at the one before it with its own credentials.
fn reads(environment: &Environment, before: &Specification) -> bool {
    let same_account = |ours: String| account(&before.environment).is_none_or(|theirs| ours == theirs);
    environment.after.as_ref() == Some(&before.environment.name)
        && environment.role == before.environment.role
        && account(environment).is_none_or(same_account)
}

/// `None`: there is nothing that it would be about.
fn statement(group: &Group, specifications: &[&Specification]) -> Option<Statement> {
    let mut resources: BTreeSet<String> = BTreeSet::new();
    let mut clusters: BTreeSet<String> = BTreeSet::new();
    for specification in specifications {
        let place = Place::of(&specification.environment);
        for service in &specification.services {
            resources.extend(place.resources(group.on, service));
            clusters.insert(place.arn("ecs", &format!("cluster/{}", service.cluster)));
        }
        resources.extend(specification.archives.iter().flat_map(|archive| place.objects(group.on, archive)));
    }
    (!resources.is_empty()).then(|| Statement {
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
    })
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
        let in_registry = |repository: &String| self.arn("ecr", &format!("repository/{repository}"));
        let of_service = |kind: &str, end: &str| self.arn("ecs", &format!("{kind}/{cluster}/{name}{end}"));
        match on {
            On::Anything | On::Clusters => vec!["*".to_owned()],
            On::Repositories => vec![in_registry(repository)],
            On::Images => {
                let cache = if let Cache::Repository(cache) = &service.cache { Some(cache) } else { None };
                std::iter::once(repository).chain(cache).map(in_registry).collect()
            }
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
            On::Buckets | On::Objects => Vec::new(),
        }
    }

    /// A bucket's name is the world's: neither region nor account is part of its ARN.
    fn objects(&self, on: On, archive: &Archive) -> Vec<String> {
        let Archive { bucket, key, latest_key, .. } = archive;
        let arn = |resource: &str| format!("arn:{}:s3:::{resource}", self.partition);
        match on {
            On::Buckets => vec![arn(bucket)],
            On::Objects => {
                vec![arn(&format!("{bucket}/{}", key.of("*"))), arn(&format!("{bucket}/{latest_key}"))]
            }
            _ => Vec::new(),
        }
    }
}

/// The account that deploy.yaml names, or that of the role it assumes.
fn account(environment: &Environment) -> Option<String> {
    let of_role = || environment.role.as_ref()?.split(':').nth(4).map(str::to_owned);
    environment.account.clone().or_else(of_role)
}

fn notes(specifications: &[Specification], before: &[Specification], groups: &[&Group]) -> Vec<String> {
    let mut notes = Vec::new();
    let environments = || specifications.iter().map(|one| &one.environment);
    let containers = specifications.iter().any(|one| !one.services.is_empty());
    if containers && environments().any(|environment| account(environment).is_none()) {
        notes.push("deploy.yaml names no account, so the policy says `*` for it".to_owned());
    }
    if containers && environments().any(|environment| environment.region.is_none()) {
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
    if has(On::Objects) {
        notes.push(
            "`Zips`, `PutZips`: a bucket that is encrypted with a KMS key of yours needs kms:Decrypt and \
             kms:GenerateDataKey on that key as well"
                .to_owned(),
        );
    }
    for role in environments().filter_map(|environment| environment.role.as_ref()).collect::<BTreeSet<_>>() {
        notes.push(format!(
            "it belongs to {role}; whoever starts shipit needs sts:AssumeRole on that role alone, and its trust policy has \
             to name them, or, for sts:AssumeRoleWithWebIdentity, the pipeline's identity provider with a condition on \
             `aud` and `sub`"
        ));
    }
    for environment in environments() {
        let theirs = before.iter().find(|before| environment.after.as_ref() == Some(&before.environment.name));
        if let Some(theirs) = theirs.filter(|theirs| !reads(environment, theirs)) {
            let from = &theirs.environment.name;
            let with = theirs.environment.role.as_ref().map_or_else(
                || "the credentials around shipit".to_owned(),
                |role| format!("{role}, on which whoever starts shipit needs sts:AssumeRole as well"),
            );
            notes.push(format!(
                "{} looks at what {from} runs with {with}; `--env {from} --read-only` prints what that needs",
                environment.name
            ));
        }
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
        policy(&specifications(text), &[], wanted).unwrap()
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
    fn zips_need_their_bucket_and_nothing_that_is_of_containers() {
        let zips =
            "version: 1\nenvironments: { dev: { branch: a } }\nservices: { docs: { kind: zip, bucket: apps } }\n";
        let policy = of(zips, Wanted::default());
        let resource = |sid| statement(&policy, sid).unwrap()["Resource"].clone();
        assert_eq!(resource("Buckets"), "arn:aws:s3:::apps");
        let objects = serde_json::json!(["arn:aws:s3:::apps/docs/*.zip", "arn:aws:s3:::apps/docs/latest.zip"]);
        assert_eq!((resource("Zips"), resource("PutZips")), (objects.clone(), objects));
        let document: serde_json::Value = serde_json::from_str(&policy.document).unwrap();
        assert_eq!(document["Statement"].as_array().unwrap().len(), 3, "{document:#}");
        assert!(policy.notes.iter().any(|note| note.contains("kms:GenerateDataKey")), "{:?}", policy.notes);
        assert!(statement(&of(zips, Wanted { read_only: true, ..Wanted::default() }), "PutZips").is_none());
    }

    #[test]
    fn a_repository_for_the_cache_is_pushed_to_as_well() {
        let cached = TWO.replace("\"api-${env}\" }", "\"api-${env}\", cache: { repository: layers } }");
        let policy = of(&cached, Wanted::default());
        let resource = |sid| statement(&policy, sid).unwrap()["Resource"].as_array().unwrap().len();
        assert_eq!((resource("Push"), resource("Images"), resource("Scans")), (3, 3, 2));
    }

    #[test]
    fn a_scan_that_is_a_gate_is_looked_at_by_the_plan_too() {
        let gated = TWO.replace("\"api-${env}\" }", "\"api-${env}\", scan: { fail_on: high } }");
        let sids = |text: &str, read_only| {
            let policy = of(text, Wanted { read_only, ..Wanted::default() });
            ["Scans", "StartScan", "ScanRules"].map(|sid| statement(&policy, sid).is_some())
        };
        assert_eq!(sids(TWO, true), [false, false, false]);
        assert_eq!(sids(TWO, false), [true, false, false]);
        assert_eq!(sids(&gated, true), [true, false, true]);
        assert_eq!(sids(&gated, false), [true, true, true]);
    }

    #[test]
    fn what_the_gate_on_the_environment_before_reads_is_in_it() {
        let text = TWO.replace("prod: { branch: b }", "prod: { branch: b, after: dev, image: promote }");
        let both = specifications(&text);
        let of = |text: &str| {
            let mut all = specifications(text);
            let dev = all.remove(0);
            policy(&all, &[dev], Wanted::default()).unwrap()
        };
        let alone = of(&text);
        let resource = |sid| statement(&alone, sid).unwrap()["Resource"].clone();
        assert_eq!(resource("Images")[0], "arn:aws:ecr:eu-west-1:123456789012:repository/api-dev");
        assert_eq!(resource("Push"), "arn:aws:ecr:eu-west-1:123456789012:repository/api-prod");
        assert_eq!(resource("Roll"), "arn:aws:ecs:eu-west-1:123456789012:service/prod/api");
        assert_eq!(resource("Services")[0], "arn:aws:ecs:eu-west-1:123456789012:service/dev/api");
        assert_eq!(policy(&both, &[], Wanted::default()).unwrap().notes, alone.notes);
        // With a role of its own, that role's policy has to say it.
        let role = "aws: { role: \"arn:aws:iam::123456789012:role/dev\" }";
        let other = of(&text.replace("dev: { branch: a }", &format!("dev: {{ branch: a, {role} }}")));
        let images = statement(&other, "Images").unwrap()["Resource"].clone();
        assert_eq!(images, "arn:aws:ecr:eu-west-1:123456789012:repository/api-prod");
        assert!(other.notes.iter().any(|note| note.contains("role/dev") && note.contains("--env dev --read-only")));
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
        let error = policy(&specifications(&apart), &[], Wanted::default()).err().unwrap();
        assert!(error.message().contains("several accounts") && error.hints()[0].contains("--env"), "{error}");
    }

    /// The calls of the SDK in the code, each as the action that IAM knows: `clients.ecs.describe_services()`.
    fn called(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                called(&path, found);
                continue;
            }
            let text: String = std::fs::read_to_string(&path).unwrap().split_whitespace().collect();
            for (client, service) in
                [("ecs.", "ecs"), ("ecr.", "ecr"), ("sts.", "sts"), ("logs.", "logs"), ("s3().", "s3")]
            {
                for rest in text.split(client).skip(1) {
                    let Some((name, _)) = rest.split_once("()") else { continue };
                    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && name.contains('_') {
                        found.insert(format!("{service}:{}", permission(&operation(name))));
                    }
                }
            }
        }
    }

    /// `describe_services` is the operation `DescribeServices`.
    fn operation(method: &str) -> String {
        let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        method.split('_').map(word).collect()
    }

    /// S3's permissions have other names than its operations.
    fn permission(operation: &str) -> &str {
        match operation {
            "HeadBucket" | "ListObjectsV2" => "ListBucket",
            "HeadObject" => "GetObject",
            // It reads what it copies, too.
            "CopyObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => "PutObject",
            other => other,
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
        // The one needs no permission, the other is what the role's trust policy allows.
        for own in ["sts:GetCallerIdentity", "sts:AssumeRoleWithWebIdentity"] {
            assert!(in_code.remove(own), "{in_code:?}");
        }
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
