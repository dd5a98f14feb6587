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
    let zips = "version: 1\nenvironments: { dev: { branch: a } }\nservices: { docs: { kind: zip, bucket: apps } }\n";
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
        for (client, service) in [("ecs.", "ecs"), ("ecr.", "ecr"), ("sts.", "sts"), ("logs.", "logs"), ("s3().", "s3")]
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
    assert!(missing.is_empty() && needless.is_empty(), "not in the policy: {missing:?}; never called: {needless:?}");
    let all: Vec<_> = GROUPS.iter().flat_map(|group| group.actions).collect();
    assert_eq!(all.len(), in_policy.len(), "an action is in two statements");
}
