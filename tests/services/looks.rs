//! What a look at many services costs: one batch of reads for all that have not changed, and calls of its own only for one
//! that has.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{SIX, named, project, six_deployed, verdicts};
use crate::support::StandIn;

/// The calls to AWS that `run` makes; the registry's own are not among them.
fn made(aws: &StandIn, run: impl FnOnce()) -> Vec<Value> {
    let before = aws.journal().len();
    run();
    let is_call = |call: &Value| !call["operation"].as_str().is_some_and(|operation| operation.contains(" /"));
    aws.journal().into_iter().skip(before).filter(is_call).collect()
}

fn counted(calls: &[Value]) -> BTreeMap<&str, usize> {
    let mut counted = BTreeMap::new();
    for call in calls {
        *counted.entry(call["operation"].as_str().expect("an operation")).or_default() += 1;
    }
    counted
}

fn of<'c>(calls: &'c [Value], operation: &str) -> Vec<&'c Value> {
    calls.iter().filter(|call| call["operation"] == operation).map(|call| &call["input"]).collect()
}

/// The shared batch: ten services a call with their tags, and the tasks of the cluster.
const LOOK: [(&str, usize); 3] = [("ecs:DescribeServices", 1), ("ecs:DescribeTasks", 1), ("ecs:ListTasks", 1)];

#[test]
fn where_nothing_has_changed_one_batch_of_reads_is_all() {
    let (project, aws) = six_deployed(&[]);
    let project = project.file("README.md", "more\n").committed();
    let look = BTreeMap::from(LOOK);
    let deploy = made(&aws, || drop(project.shipit(&["deploy"]).exits(0).says("nothing to deploy in dev")));
    let mut expected = look.clone();
    expected.insert("sts:GetCallerIdentity", 1);
    assert_eq!(counted(&deploy), expected);
    let changed = made(&aws, || drop(project.shipit(&["changed", "--env", "dev"]).exits(0)));
    assert_eq!(counted(&changed), look);
    assert_eq!(of(&changed, "ecs:DescribeServices")[0]["include"][0], "TAGS");
}

#[test]
fn one_of_six_that_changed_is_all_that_is_looked_at_closer() {
    let (project, aws) = six_deployed(&[]);
    let project = project.file("c/app", "c two\n").committed();
    let calls = made(&aws, || {
        let ended = verdicts(&project.shipit(&["deploy", "--output", "json"]).exits(0).finished());
        for name in SIX {
            assert_eq!(named(&ended, name), if name == "c" { "deployed" } else { "unchanged" }, "{name}");
        }
    });
    let counted = counted(&calls);
    assert_eq!((counted["ecs:DescribeTaskDefinition"], counted["ecr:DescribeRepositories"]), (1, 1), "{counted:?}");
    assert!(!counted.contains_key("ecs:ListTagsForResource"), "{counted:?}");
    // What is asked of all of them is asked once; everything else is about the one.
    let six = of(&calls, "ecs:DescribeServices")[0];
    assert_eq!(six["services"].as_array().map(Vec::len), Some(6), "{six}");
    let list = of(&calls, "ecs:ListTasks")[0];
    assert_eq!(list["serviceName"], Value::Null, "{list}");
    for call in calls.iter().filter(|call| call["input"] != *six) {
        let input = call["input"].to_string();
        for other in SIX.iter().filter(|name| **name != "c") {
            let alone = format!("\"{other}\"");
            assert!(!input.contains(&format!("{other}-dev")) && !input.contains(&alone), "{call}");
        }
    }
}

#[test]
fn the_tasks_of_others_are_nobodys_here() {
    let (project, aws) = six_deployed(&[]);
    // Somebody else's service in the same cluster, with more tasks than a page holds.
    let call = |operation: &str, input: Value| {
        aws.aws("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), &input);
    };
    let definition =
        serde_json::json!({"family": "crowd", "containerDefinitions": [{"name": "crowd", "image": "crowd:1"}]});
    call("RegisterTaskDefinition", definition);
    let crowd = serde_json::json!({
        "cluster": "dev", "serviceName": "crowd", "taskDefinition": "crowd", "desiredCount": 150,
    });
    call("CreateService", crowd);
    let calls = made(&aws, || drop(project.shipit(&["deploy"]).exits(0).says("nothing to deploy in dev")));
    let counted = counted(&calls);
    assert_eq!((counted["ecs:ListTasks"], counted["ecs:DescribeTasks"]), (1 + 6, 1), "{counted:?}");
}

#[test]
fn what_may_not_be_read_or_is_not_there_is_told_of_each_service() {
    let (project, aws) = six_deployed(&[]);
    let project = project.file("c/app", "c two\n").committed();
    // What an unchanged service does not need is in the way of the changed one only.
    for action in ["ecs:DescribeTaskDefinition", "ecr:DescribeRepositories", "ecr:DescribeImages"] {
        aws.follow(&format!(r#"{{"deny": ["{action}"]}}"#));
        let ran = project.shipit(&["deploy", "--output", "json"]).exits(7).says(action);
        let ended = verdicts(&ran.finished());
        assert_eq!((named(&ended, "c"), named(&ended, "a")), ("refused", "unchanged"), "{action}");
    }
    // Without this nobody knows anything.
    for action in ["ecs:DescribeServices", "ecs:ListTagsForResource", "ecs:ListTasks", "ecs:DescribeTasks"] {
        aws.follow(&format!(r#"{{"deny": ["{action}"]}}"#));
        let ran = project.shipit(&["deploy", "--output", "json"]).exits(7).says(action);
        let ended = verdicts(&ran.finished());
        assert!(ended.iter().all(|(_, verdict)| verdict == "refused"), "{action}: {ended:?}");
    }
    aws.follow("{}");
    let gone = serde_json::json!({"repositoryName": "b-dev", "force": true});
    aws.aws("ecr", "AmazonEC2ContainerRegistry_V20150921.DeleteRepository", &gone);
    let ran = project.shipit(&["deploy", "b", "c", "d", "--dry-run", "--output", "json"]).exits(7);
    let ended = verdicts(&ran.says("repository `b-dev` does not exist").finished());
    assert_eq!(ended, [("b", "refused"), ("c", "planned"), ("d", "planned")].map(|(a, b)| (a.into(), b.into())));
}

#[test]
fn a_service_that_is_missing_is_told_and_hides_no_other() {
    let project = project(&SIX, &[]);
    let aws = StandIn::scripted(&project, r#"{"services": {"dev/b": {"status": "MISSING"}}}"#);
    let project = project.with_aws(&aws).with_engine();
    let ran = project.shipit(&["deploy", "--dry-run", "--output", "json"]).exits(7);
    let ended = verdicts(&ran.says("service `b` does not exist in cluster `dev`").finished());
    for name in SIX {
        assert_eq!(named(&ended, name), if name == "b" { "refused" } else { "planned" });
    }
    assert_eq!(aws.calls("DescribeServices").len(), 1);
    project.shipit(&["status", "--env", "dev"]).exits(7).says("service `b` does not exist");
}

#[test]
fn status_and_wait_share_one_look() {
    let (project, aws) = six_deployed(&[]);
    let status = made(&aws, || drop(project.shipit(&["status", "--env", "dev"]).exits(0)));
    let counted = counted(&status);
    for (operation, count) in LOOK {
        assert_eq!(counted[operation], count, "{counted:?}");
    }
    assert_eq!(counted["ecr:DescribeRepositories"], 1, "{counted:?}");
    let wait = made(&aws, || drop(project.shipit(&["wait", "--env", "dev"]).exits(0)));
    let with_tags = of(&wait, "ecs:DescribeServices").into_iter().filter(|input| input["include"][0] == "TAGS");
    assert_eq!(with_tags.count(), 1);
    assert_eq!(of(&wait, "ecr:DescribeRepositories").len(), 1);
}
