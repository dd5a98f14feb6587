//! As few calls as there can be, and the answer is the same whichever way it was read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{list, pages};
use crate::aws::fake::{Answer, Fake};

/// A cluster: the tasks of each group, in the order in which ECS lists them.
#[derive(Clone)]
struct Cluster {
    groups: Vec<(String, usize)>,
    /// A policy that lets tasks be listed by service, and not of the whole cluster.
    by_service_only: bool,
    /// Tasks of this group may not be described.
    secret: Option<&'static str>,
}

impl Cluster {
    fn of(groups: &[(&str, usize)]) -> Self {
        let groups = groups.iter().map(|(group, tasks)| ((*group).to_owned(), *tasks)).collect();
        Self { groups, by_service_only: false, secret: None }
    }

    fn arns(&self, service: Option<&str>) -> Vec<String> {
        let wanted = service.map(|service| format!("service:{service}"));
        let groups = self.groups.iter().filter(|(group, _)| wanted.as_ref().is_none_or(|wanted| wanted == group));
        groups.flat_map(|(group, tasks)| (0..*tasks).map(move |nth| format!("arn:task/dev/{group}-{nth}"))).collect()
    }

    fn answer(&self, operation: &str, input: &Value) -> Answer {
        match operation {
            "ListTasks" => {
                let service = input["serviceName"].as_str();
                if self.by_service_only && service.is_none() {
                    return Err("AccessDeniedException");
                }
                let arns = self.arns(service);
                let from: usize = input["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
                let to = arns.len().min(from + 100);
                Ok(json!({"taskArns": arns[from..to], "nextToken": (to < arns.len()).then(|| to.to_string())}))
            }
            "DescribeTasks" => {
                let wanted: Vec<&str> = input["tasks"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                assert!((1..=100).contains(&wanted.len()), "ECS refuses {} tasks", wanted.len());
                if self.secret.is_some_and(|secret| wanted.iter().any(|arn| arn.contains(secret))) {
                    return Err("AccessDeniedException");
                }
                let group = |arn: &str| arn.rsplit('/').next().unwrap().rsplit_once('-').unwrap().0.to_owned();
                let tasks = wanted.iter().map(|arn| json!({"taskArn": arn, "group": group(arn)}));
                Ok(json!({"tasks": tasks.collect::<Vec<_>>(), "failures": []}))
            }
            other => panic!("{other}"),
        }
    }
}

/// How many tasks each service is said to have, or the error; and the calls of `ListTasks` and `DescribeTasks`.
async fn read(cluster: Cluster, services: &[&str]) -> (BTreeMap<String, Result<usize, String>>, [usize; 2]) {
    let running = services.iter().map(|service| cluster.arns(Some(service)).len()).sum();
    let fake = Fake::start(move |operation, input| cluster.answer(operation, input)).await;
    let names: BTreeSet<&str> = services.iter().copied().collect();
    let read = list(&fake.clients, "dev", &names, running).await;
    let told = read
        .into_iter()
        .map(|(service, tasks)| (service.to_owned(), tasks.map(|tasks| tasks.len()).map_err(|error| error.line())));
    (told.collect(), [fake.calls("ListTasks").len(), fake.calls("DescribeTasks").len()])
}

const SIX: [(&str, usize); 6] =
    [("service:a", 2), ("service:b", 1), ("service:c", 0), ("service:d", 2), ("service:e", 3), ("service:f", 2)];
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn told(tasks: [usize; 6]) -> BTreeMap<String, Result<usize, String>> {
    NAMES.iter().zip(tasks).map(|(name, tasks)| ((*name).to_owned(), Ok(tasks))).collect()
}

#[test]
fn a_cluster_is_read_only_where_that_is_half_the_price() {
    for (services, running, expected) in
        [(1, 0, 0), (1, 2, 0), (2, 4, 0), (3, 3, 1), (6, 12, 1), (200, 400, 51), (2, 500, 0), (20, 2000, 0)]
    {
        assert_eq!(pages(services, running), expected, "{services} services with {running} tasks");
    }
}

#[tokio::test]
async fn six_services_of_a_small_cluster_cost_two_calls() {
    let mut groups = SIX.to_vec();
    // None of ours: one is a one-off task, one a service whose name begins alike.
    groups.extend([("family:migrate", 4), ("service:abc", 7)]);
    assert_eq!(read(Cluster::of(&groups), &NAMES).await, (told([2, 1, 0, 2, 3, 2]), [1, 1]));
}

#[tokio::test]
async fn thousands_of_tasks_of_others_are_not_read() {
    let mut groups = vec![("service:foreign", 5000)];
    groups.extend(SIX);
    let (read, [lists, descriptions]) = read(Cluster::of(&groups), &NAMES).await;
    assert_eq!(read, told([2, 1, 0, 2, 3, 2]));
    assert_eq!((lists, descriptions), (1 + 6, 1), "one page that told how many there are");
}

#[tokio::test]
async fn a_policy_that_knows_only_its_services_is_enough() {
    let cluster = Cluster { by_service_only: true, ..Cluster::of(&SIX) };
    assert_eq!(read(cluster, &NAMES).await, (told([2, 1, 0, 2, 3, 2]), [1 + 6, 1]));
}

#[tokio::test]
async fn tasks_that_may_not_be_read_are_missing_of_that_service_only() {
    let cluster = Cluster { secret: Some("service:b"), ..Cluster::of(&SIX) };
    let (mut read, _) = read(cluster, &NAMES).await;
    let refused = read.insert("b".to_owned(), Ok(1)).unwrap().unwrap_err();
    assert!(refused.contains("ecs:DescribeTasks") && refused.contains("AccessDeniedException"), "{refused}");
    assert_eq!(read, told([2, 1, 0, 2, 3, 2]));
}

#[tokio::test]
async fn one_service_is_asked_for_by_itself() {
    assert_eq!(read(Cluster::of(&SIX), &["e"]).await.1, [1, 1]);
}
