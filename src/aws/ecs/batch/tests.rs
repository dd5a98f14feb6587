//! The fewest calls, and everybody gets the answer to what he asked.

use super::{Question, calls};
use crate::aws::ecs::{describe_optional, describe_with_tags};
use crate::aws::fake::Fake;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::oneshot;

fn asked(names: &[(&str, &str)]) -> Vec<Question> {
    let question = |(cluster, service): &(&str, &str)| Question {
        cluster: (*cluster).to_owned(),
        service: (*service).to_owned(),
        tags: false,
        answer: oneshot::channel().0,
    };
    names.iter().map(question).collect()
}

#[test]
fn ten_names_of_one_cluster_go_in_one_call() {
    let names: Vec<String> = (0..200).map(|n| format!("s{n:03}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| ("dev", name.as_str())).collect();
    let made = calls(asked(&pairs));
    assert_eq!(made.len(), 20);
    assert!(made.iter().all(|call| call.services.len() == 10));
}

#[test]
fn clusters_are_kept_apart_and_a_name_is_asked_for_once() {
    let made = calls(asked(&[("dev", "a"), ("prod", "a"), ("dev", "a"), ("dev", "b")]));
    let shape: Vec<(&str, Vec<(&str, usize)>)> = made
        .iter()
        .map(|call| {
            let services = call.services.iter().map(|(name, waiting)| (name.as_str(), waiting.len()));
            (call.cluster.as_str(), services.collect())
        })
        .collect();
    assert_eq!(shape, [("dev", vec![("a", 2), ("b", 1)]), ("prod", vec![("a", 1)])]);
}

/// Knows every service but `gone`, and refuses to speak of `secret`.
fn described(operation: &str, input: &Value) -> Result<Value, &'static str> {
    assert_eq!(operation, "DescribeServices");
    let names: Vec<&str> = input["services"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(names.len() <= 10, "ECS refuses {} names", names.len());
    if names.contains(&"secret") {
        return Err("AccessDeniedException");
    }
    let (gone, known): (Vec<&str>, Vec<&str>) = names.iter().copied().partition(|name| *name == "gone");
    let tags = input["include"] == json!(["TAGS"]);
    if tags && names.contains(&"untold") {
        return Err("AccessDeniedException");
    }
    let known = known.iter().map(|name| {
        let tags = if tags { json!([{"key": "of", "value": name}]) } else { json!(null) };
        json!({"serviceName": name, "status": "ACTIVE", "serviceArn": name, "tags": tags})
    });
    let gone = gone.iter().map(|name| json!({"arn": name, "reason": "MISSING"}));
    Ok(json!({"services": known.collect::<Vec<_>>(), "failures": gone.collect::<Vec<_>>()}))
}

#[tokio::test]
async fn what_is_asked_for_at_the_same_time_shares_a_call() {
    let fake = Fake::start(described).await;
    let names: Vec<String> = (0..25).map(|n| format!("s{n}")).chain(["gone".to_owned()]).collect();
    let found = join_all(names.iter().map(|name| describe_optional(&fake.clients, "dev", name))).await;
    for (name, answer) in names.iter().zip(found) {
        let arn = answer.unwrap().map(|service| service.arn);
        assert_eq!(arn.as_ref(), (name != "gone").then_some(name));
    }
    assert_eq!(fake.calls("DescribeServices").len(), 3);
}

#[tokio::test]
async fn one_that_may_not_be_read_does_not_blind_the_others() {
    let fake = Fake::start(described).await;
    let names = ["a", "secret", "b"];
    let found = join_all(names.iter().map(|name| describe_optional(&fake.clients, "dev", name))).await;
    let read: Vec<Result<bool, String>> =
        found.into_iter().map(|answer| answer.map(|service| service.is_some()).map_err(|error| error.line())).collect();
    assert_eq!(read[0], Ok(true));
    assert!(read[1].as_ref().is_err_and(|line| line.contains("AccessDeniedException")), "{:?}", read[1]);
    assert_eq!(read[2], Ok(true));
}

#[tokio::test]
async fn tags_come_with_the_services_and_only_where_they_are_asked_for() {
    let fake = Fake::start(described).await;
    let names = ["a", "b"];
    let tagged = join_all(names.iter().map(|name| describe_with_tags(&fake.clients, "dev", name)));
    let (tagged, plain) = tokio::join!(tagged, describe_optional(&fake.clients, "dev", "a"));
    for (name, found) in names.iter().zip(tagged) {
        assert_eq!(found.unwrap().tags.unwrap()["of"], *name);
    }
    assert!(plain.unwrap().is_some());
    let asked = fake.calls("DescribeServices");
    let with_tags = asked.iter().filter(|input| input["include"] == json!(["TAGS"]));
    assert_eq!((asked.len(), with_tags.count()), (2, 1));
}

#[tokio::test]
async fn a_service_whose_tags_may_not_be_read_is_read_without_them() {
    let fake = Fake::start(described).await;
    let names = ["a", "untold", "b"];
    let found = join_all(names.iter().map(|name| describe_with_tags(&fake.clients, "dev", name))).await;
    let tags = found.into_iter().map(|found| found.unwrap().tags.map_err(|error| error.line()));
    let tags: Vec<_> = tags.map(|tags| tags.map(|tags| tags["of"].clone())).collect();
    assert_eq!((&tags[0], &tags[2]), (&Ok("a".to_owned()), &Ok("b".to_owned())));
    assert!(tags[1].as_ref().is_err_and(|line| line.contains("AccessDeniedException")), "{:?}", tags[1]);
}
