//! Task definitions: what `RegisterTaskDefinition` keeps, and the part of it that the scheduler and the runtime need.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::local::clock::{self, Millis};
use crate::local::place::Place;
use crate::local::state::{Holdings, Tags, TaskDefinition};
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

/// One container of a task definition, as far as something is done with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContainerDefinition {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) essential: bool,
    pub(crate) command: Vec<String>,
    pub(crate) entry_point: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// Container ports to publish; none named: those that the image exposes.
    pub(crate) ports: Vec<u16>,
    /// Hard limit in MiB.
    pub(crate) memory: Option<i64>,
    /// Seconds between SIGTERM and SIGKILL.
    pub(crate) stop_timeout: u32,
    pub(crate) init: bool,
    pub(crate) health_check: Option<HealthCheck>,
}

/// Seconds, as ECS has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    pub(crate) command: Vec<String>,
    pub(crate) interval: u32,
    pub(crate) timeout: u32,
    pub(crate) retries: u32,
    pub(crate) start_period: u32,
}

/// ECS's own default between SIGTERM and SIGKILL, in seconds.
const STOP_TIMEOUT: u32 = 30;

impl TaskDefinition {
    pub(crate) fn containers(&self) -> Vec<ContainerDefinition> {
        let task_memory = self.document.get("memory").and_then(Value::as_str).and_then(|memory| memory.parse().ok());
        Input(&self.document)
            .list("containerDefinitions")
            .iter()
            .map(|container| container_definition(Input(container), task_memory))
            .collect()
    }

    /// `linux/ARCH` of its `runtimePlatform`; x86 when it has none, as in ECS.
    pub(crate) fn platform(&self) -> &'static str {
        match self.document.pointer("/runtimePlatform/cpuArchitecture").and_then(Value::as_str) {
            Some("ARM64") => "linux/arm64",
            _ => "linux/amd64",
        }
    }
}

fn container_definition(container: Input<'_>, task_memory: Option<i64>) -> ContainerDefinition {
    let owned = |member| container.texts(member).into_iter().map(str::to_owned).collect();
    let init = container.member("linuxParameters").is_some_and(|linux| Input(linux).flag("initProcessEnabled"));
    ContainerDefinition {
        name: container.text("name").unwrap_or_default().to_owned(),
        image: container.text("image").unwrap_or_default().to_owned(),
        essential: container.member("essential").and_then(Value::as_bool).unwrap_or(true),
        command: owned("command"),
        entry_point: owned("entryPoint"),
        environment: container
            .list("environment")
            .iter()
            .map(Input)
            .filter_map(|pair| Some((pair.text("name")?.to_owned(), pair.text("value")?.to_owned())))
            .collect(),
        ports: container
            .list("portMappings")
            .iter()
            .filter_map(|mapping| Input(mapping).number("containerPort").and_then(|port| u16::try_from(port).ok()))
            .collect(),
        memory: container.number("memory").or(task_memory),
        stop_timeout: seconds(container, "stopTimeout", STOP_TIMEOUT),
        init,
        health_check: container.member("healthCheck").map(Input).map(|check| HealthCheck {
            command: check.texts("command").into_iter().map(str::to_owned).collect(),
            interval: seconds(check, "interval", 30),
            timeout: seconds(check, "timeout", 5),
            retries: seconds(check, "retries", 3),
            start_period: seconds(check, "startPeriod", 0),
        }),
    }
}

fn seconds(input: Input<'_>, member: &str, default: u32) -> u32 {
    input.number(member).and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
}

/// Keeps a new revision of a family and returns it.
///
/// # Errors
/// `ClientException` when the family, a container's name or its image is missing.
pub(crate) fn register(holdings: &mut Holdings, input: &Value, now: Millis) -> Answered<TaskDefinition> {
    let request = Input(input);
    let family = request.required("family")?;
    let containers = request.list("containerDefinitions");
    if containers.is_empty() {
        return Err(Fault::client("ClientException", "Container list cannot be empty."));
    }
    for container in containers.iter().map(Input) {
        if container.text("name").is_none_or(str::is_empty) || container.text("image").is_none_or(str::is_empty) {
            return Err(Fault::client(
                "ClientException",
                "Container.name and Container.image should not be null or empty.",
            ));
        }
    }
    let Holdings { place, task_definitions, .. } = holdings;
    let revisions = task_definitions.entry(family.to_owned()).or_default();
    let number = revisions.len() + 1;
    let arn = place.arn("ecs", &format!("task-definition/{family}:{number}"));
    let mut document: Map<String, Value> = input.as_object().cloned().unwrap_or_default();
    document.remove("tags");
    for container in document.get_mut("containerDefinitions").and_then(Value::as_array_mut).into_iter().flatten() {
        complete_container(container);
    }
    let compatibilities = match document.get("requiresCompatibilities") {
        Some(Value::Array(required)) if !required.is_empty() => Value::Array(required.clone()),
        _ => json!(["EC2", "FARGATE"]),
    };
    document.extend([
        ("taskDefinitionArn".to_owned(), json!(arn)),
        ("revision".to_owned(), json!(number)),
        ("status".to_owned(), json!("ACTIVE")),
        ("registeredAt".to_owned(), clock::seconds(now)),
        ("requiresAttributes".to_owned(), json!([{"name": "com.amazonaws.ecs.capability.ecr-auth"}])),
        ("compatibilities".to_owned(), compatibilities),
    ]);
    for list in ["volumes", "placementConstraints"] {
        document.entry(list).or_insert_with(|| json!([]));
    }
    let tags = tags_from(request.list("tags"));
    let definition = TaskDefinition { arn, active: true, document: Value::Object(document), tags };
    revisions.push(definition.clone());
    Ok(definition)
}

/// The lists and flags that ECS always answers with.
fn complete_container(container: &mut Value) {
    let Some(members) = container.as_object_mut() else { return };
    for list in ["portMappings", "environment", "mountPoints", "volumesFrom"] {
        members.entry(list).or_insert_with(|| json!([]));
    }
    members.entry("essential").or_insert(json!(true));
    members.entry("cpu").or_insert(json!(0));
}

/// Finds a task definition by family, `family:revision` or ARN; a family alone is its newest active revision.
///
/// # Errors
/// `ClientException`, as ECS answers for one that does not exist.
pub(crate) fn find<'a>(holdings: &'a Holdings, wanted: &str) -> Answered<&'a TaskDefinition> {
    find_in(&holdings.task_definitions, &holdings.place, wanted)
}

pub(crate) fn find_in<'a>(
    definitions: &'a BTreeMap<String, Vec<TaskDefinition>>,
    place: &Place,
    wanted: &str,
) -> Answered<&'a TaskDefinition> {
    let missing = || Fault::client("ClientException", "Unable to describe task definition.");
    let name = match wanted.strip_prefix("arn:") {
        Some(_) => wanted.strip_prefix(&place.arn("ecs", "task-definition/")).ok_or_else(missing)?,
        None => wanted,
    };
    let found = match name.rsplit_once(':') {
        Some((family, revision)) => {
            let index = revision.parse::<usize>().ok().and_then(|revision| revision.checked_sub(1));
            index.and_then(|index| definitions.get(family)?.get(index))
        }
        None => definitions.get(name).and_then(|revisions| revisions.iter().rfind(|revision| revision.active)),
    };
    found.ok_or_else(missing)
}

/// Tags of a request, `[{key, value}]`.
pub(crate) fn tags_from(tags: &[Value]) -> Tags {
    tags.iter()
        .map(Input)
        .filter_map(|tag| {
            let key = tag.text("key").or(tag.text("Key"))?;
            Some((key.to_owned(), tag.text("value").or(tag.text("Value")).unwrap_or_default().to_owned()))
        })
        .collect()
}

pub(crate) fn tags_shown(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{find, register};
    use crate::local::place::Place;
    use crate::local::state::State;

    #[test]
    fn what_is_registered_comes_back_whole() {
        let mut state = State::new();
        let holdings = state.at(&Place::new("123456789012", "eu-west-1"));
        let input = json!({
            "family": "api", "memory": "512",
            "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
            "containerDefinitions": [{
                "name": "api", "image": "x:latest", "versionConsistency": "disabled", "stopTimeout": 5,
                "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g"}},
                "portMappings": [{"containerPort": 8080}],
            }],
        });
        register(holdings, &input, 1500).unwrap();
        register(holdings, &input, 2500).unwrap();
        let definition = find(holdings, "api").unwrap();
        assert_eq!(definition.arn, "arn:aws:ecs:eu-west-1:123456789012:task-definition/api:2");
        assert_eq!(definition.document["containerDefinitions"][0]["versionConsistency"], "disabled");
        assert_eq!(definition.document["registeredAt"], 2.5);
        assert_eq!(definition.platform(), "linux/arm64");
        let container = &definition.containers()[0];
        assert_eq!((container.memory, container.stop_timeout, container.ports.as_slice()), (Some(512), 5, &[8080][..]));
        for wanted in ["api:1", "arn:aws:ecs:eu-west-1:123456789012:task-definition/api:1"] {
            assert!(find(holdings, wanted).unwrap().arn.ends_with("api:1"));
        }
        for wanted in ["api:0", "api:3", "web", "arn:aws:ecs:us-east-1:123456789012:task-definition/api:1"] {
            assert_eq!(find(holdings, wanted).unwrap_err().code, "ClientException", "{wanted}");
        }
    }
}
