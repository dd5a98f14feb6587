//! The watch over the wire: the questions it asks of an AWS on loopback, and what it makes of the answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{End, Watched, watch};
use crate::aws::fake::Fake;
use crate::event::{Events, Kind, Message};
use crate::rollout::decision::Ending;

const DIGEST: &str = "sha256:aa";

fn watched(service: &str) -> Watched {
    Watched {
        cluster: "dev".to_owned(),
        service: service.to_owned(),
        container: "api".to_owned(),
        deployment: "ecs-svc/7".to_owned(),
        previous: None,
        digests: vec![DIGEST.to_owned()],
        timeout: Duration::from_mins(5),
        fail_fast: true,
    }
}

async fn watching(fake: &Fake) -> (End, Vec<Kind>) {
    let (events, mut said) = Events::channel();
    let end = watch(&fake.clients, &watched("api"), &events, &CancellationToken::new()).await;
    drop(events);
    let mut kinds = Vec::new();
    while let Some(message) = said.recv().await {
        if let Message::Event(event) = message {
            let kind = event.kind;
            kinds.push(kind);
        }
    }
    (end, kinds)
}

fn service(name: &str, state: &str, running: u32) -> Value {
    json!({
        "serviceName": name, "serviceArn": name, "status": "ACTIVE", "desiredCount": 1, "runningCount": running,
        "taskDefinition": "td:1",
        "deployments": [{
            "id": "ecs-svc/7", "status": "PRIMARY", "rolloutState": state, "desiredCount": 1, "runningCount": running,
            "createdAt": 1_700_000_000,
        }],
    })
}

fn tasks(input: &Value, of: impl Fn(&str) -> Value) -> Value {
    let tasks = input["tasks"].as_array().unwrap().iter().filter_map(Value::as_str).map(|arn| {
        let mut task = of(arn);
        task["taskArn"] = json!(arn);
        task["startedBy"] = json!("ecs-svc/7");
        task["taskDefinitionArn"] = json!("td:1");
        task
    });
    json!({"tasks": tasks.collect::<Vec<_>>()})
}

/// Two tasks have crashed; the log group is in another region and knows one line.
fn crashing(operation: &str, input: &Value) -> Value {
    match operation {
        "DescribeServices" => json!({"services": [service("api", "IN_PROGRESS", 0)]}),
        "ListTasks" => {
            assert_eq!(input["desiredStatus"], "STOPPED");
            json!({"taskArns": ["arn:task/dev/t1", "arn:task/dev/t2"]})
        }
        "DescribeTasks" => tasks(input, |_| {
            json!({
                "lastStatus": "STOPPED", "stopCode": "EssentialContainerExited",
                "stoppedReason": "Essential container in task exited",
                "containers": [{"name": "api", "exitCode": 1}],
            })
        }),
        "DescribeTaskDefinition" => json!({"taskDefinition": {"containerDefinitions": [{
            "name": "api", "image": "r/api:latest",
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": "/ecs/api", "awslogs-stream-prefix": "ecs", "awslogs-region": "eu-west-1",
            }},
        }]}}),
        "GetLogEvents" => {
            assert_eq!(input["logStreamName"], "ecs/api/t2");
            json!({"events": [{"message": "exec /app: exec format error", "timestamp": 1}]})
        }
        other => panic!("{other} was not to be asked"),
    }
}

#[tokio::test]
async fn a_crash_loop_is_told_with_the_log_of_its_last_task() {
    let fake = Fake::start(|operation, input| Ok(crashing(operation, input))).await;
    let (end, said) = watching(&fake).await;
    let End::Failed { ending: Ending::CrashLoop { failures: 2 }, diagnosis } = end else { panic!("{end:?}") };
    let json = serde_json::to_value(&diagnosis).unwrap();
    assert_eq!(json["groups"][0]["count"], 2);
    assert_eq!(json["groups"][0]["cause"], "wrong-platform");
    assert_eq!(json["log"]["lines"], json!(["exec /app: exec format error"]));
    assert!(json["hint"].as_str().is_some_and(|hint| hint.contains("another architecture")), "{json}");
    assert_eq!(said.iter().filter(|kind| matches!(kind, Kind::TaskStopped { .. })).count(), 2);
    let Some(Kind::Diagnosis(told)) = said.last() else { panic!("{said:?}") };
    assert_eq!(*told, diagnosis);
}

#[tokio::test]
async fn what_may_not_be_read_is_said_and_the_rest_is_told() {
    let fake = Fake::start(|operation, input| match operation {
        "GetLogEvents" => Err("AccessDeniedException"),
        _ => Ok(crashing(operation, input)),
    })
    .await;
    let (end, _) = watching(&fake).await;
    let End::Failed { diagnosis, .. } = end else { panic!("{end:?}") };
    let log = diagnosis.log.unwrap();
    assert!(log.lines.is_empty());
    assert!(log.note.is_some_and(|note| note.contains("ecs/api/t2") && note.contains("AccessDeniedException")));
    assert_eq!(diagnosis.groups[0].exit_code, Some(1));
}

#[tokio::test]
async fn credentials_that_expire_end_the_watch_and_throttling_does_not() {
    let asked = Arc::new(AtomicUsize::new(0));
    let fake = Fake::start(move |operation, _| match (operation, asked.fetch_add(1, Ordering::Relaxed)) {
        ("DescribeServices", 0..2) => Err("ThrottlingException"),
        ("DescribeServices", 2..4) => Ok(json!({"services": [service("api", "IN_PROGRESS", 1)]})),
        ("DescribeServices", _) => Err("ExpiredTokenException"),
        (other, _) => panic!("{other} was not to be asked"),
    })
    .await;
    let (end, said) = watching(&fake).await;
    let End::Blind { error } = end else { panic!("{end:?}") };
    assert!(error.line().contains("ExpiredTokenException"), "{error}");
    assert!(said.iter().any(|kind| matches!(kind, Kind::Rollout { .. })), "it went on after the throttling");
}

/// ECS's published bucket: a burst, and so many calls a second.
struct Granted {
    tokens: f64,
    burst: f64,
    per_second: f64,
    at: Instant,
}

impl Granted {
    fn take(&mut self) -> bool {
        let now = Instant::now();
        self.tokens = (self.tokens + now.duration_since(self.at).as_secs_f64() * self.per_second).min(self.burst);
        self.at = now;
        self.tokens -= 1.0;
        self.tokens >= 0.0
    }
}

#[tokio::test]
#[ignore = "watches two hundred rollouts for half a minute"]
async fn two_hundred_rollouts_stay_within_the_rates_of_the_account() {
    let began = Instant::now();
    let bucket = |burst, per_second| Mutex::new(Granted { tokens: burst, burst, per_second, at: began });
    let (reads, clusters) = (Arc::new(bucket(100.0, 20.0)), Arc::new(bucket(100.0, 20.0)));
    let throttled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&throttled);
    let fake = Fake::start(move |operation, input| {
        let granted = match operation {
            "DescribeServices" => reads.lock().unwrap().take(),
            _ => clusters.lock().unwrap().take(),
        };
        if !granted {
            counter.fetch_add(1, Ordering::Relaxed);
            return Err("ThrottlingException");
        }
        let done = began.elapsed() > Duration::from_secs(30);
        let (state, running) = if done { ("COMPLETED", 1) } else { ("IN_PROGRESS", 0) };
        let names = input["services"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(match operation {
            "DescribeServices" => {
                json!({"services": names.map(|name| service(name, state, running)).collect::<Vec<_>>()})
            }
            "ListTasks" if input["desiredStatus"] == "STOPPED" => json!({"taskArns": []}),
            "ListTasks" => json!({"taskArns": [format!("arn:task/dev/{}", input["serviceName"].as_str().unwrap())]}),
            _ => tasks(
                input,
                |_| json!({"lastStatus": "RUNNING", "containers": [{"name": "api", "imageDigest": DIGEST}]}),
            ),
        })
    })
    .await;
    let (events, _said) = Events::channel();
    let cancel = CancellationToken::new();
    let watches: Vec<Watched> = (0..200).map(|n| watched(&format!("s{n}"))).collect();
    let ends = join_all(watches.iter().map(|watched| watch(&fake.clients, watched, &events, &cancel))).await;
    assert!(ends.iter().all(|end| matches!(end, End::Proven { .. })));
    assert_eq!(throttled.load(Ordering::Relaxed), 0, "calls were throttled");
    let calls = fake.calls("DescribeServices");
    let names: usize = calls.iter().map(|call| call["services"].as_array().map_or(0, Vec::len)).sum();
    assert!(names > 5 * calls.len(), "{names} names in {} calls: they hardly share", calls.len());
}
