//! CloudWatch Logs: the streams that the `awslogs` driver of the tasks would have written, read from the containers.

use std::sync::Arc;

use serde_json::{Value, json};

use super::clock::Millis;
use super::place::Place;
use super::runtime::{Line, read_log};
use super::shared::Shared;
use super::state::Holdings;
use super::wire::fault::{Answered, Fault};
use super::wire::input::Input;

/// A log stream: one container of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stream {
    group: String,
    name: String,
    task: String,
    container: String,
    created_at: Millis,
}

/// Answers one operation of `Logs_20140328`.
///
/// # Errors
/// `ResourceNotFoundException` for a group or stream that nothing writes to.
pub(crate) async fn call(shared: &Arc<Shared>, operation: &str, place: &Place, input: &Value) -> Answered<Value> {
    let streams = shared.read(|state| state.holdings.get(&place.key()).map(streams).unwrap_or_default());
    match operation {
        "GetLogEvents" => get_events(shared, &streams, Input(input)).await,
        "FilterLogEvents" => filter_events(shared, &streams, Input(input)).await,
        "DescribeLogGroups" => Ok(describe_groups(&streams, place, Input(input))),
        "DescribeLogStreams" => describe_streams(&streams, place, Input(input)),
        _ => Err(Fault::unknown_operation(operation)),
    }
}

/// Every stream that the tasks of a place write to, the oldest task first.
fn streams(holdings: &Holdings) -> Vec<Stream> {
    let mut streams = Vec::new();
    for cluster in holdings.clusters.values() {
        let of_services = cluster.services.values().flat_map(|service| &service.tasks);
        let tasks = of_services.chain(cluster.one_offs.iter().map(|one_off| &one_off.task));
        for task in tasks.filter(|task| task.started_at.is_some() || task.stopped_at.is_some()) {
            let Ok(definition) = super::ecs::task_definition::find(holdings, &task.definition) else { continue };
            for container in Input(&definition.document).list("containerDefinitions").iter().map(Input) {
                let Some(options) = container
                    .member("logConfiguration")
                    .filter(|logs| Input(logs).text("logDriver") == Some("awslogs"))
                    .and_then(|logs| logs.get("options"))
                    .map(Input)
                else {
                    continue;
                };
                let (Some(name), Some(group)) = (container.text("name"), options.text("awslogs-group")) else {
                    continue;
                };
                let prefix = options.text("awslogs-stream-prefix").unwrap_or(name);
                streams.push(Stream {
                    group: group.to_owned(),
                    name: format!("{prefix}/{name}/{}", task.id),
                    task: task.id.clone(),
                    container: name.to_owned(),
                    created_at: task.created_at,
                });
            }
        }
    }
    streams
}

fn group_of<'a>(streams: &'a [Stream], input: Input<'_>) -> Answered<Vec<&'a Stream>> {
    let group = input.text("logGroupName").or(input.text("logGroupIdentifier")).unwrap_or_default();
    let found: Vec<&Stream> = streams.iter().filter(|stream| stream.group == group).collect();
    if found.is_empty() {
        return Err(Fault::client("ResourceNotFoundException", "The specified log group does not exist."));
    }
    Ok(found)
}

async fn get_events(shared: &Shared, streams: &[Stream], input: Input<'_>) -> Answered<Value> {
    let name = input.required("logStreamName")?;
    let missing = || Fault::client("ResourceNotFoundException", "The specified log stream does not exist.");
    let stream = group_of(streams, input)?.into_iter().find(|stream| stream.name == name).ok_or_else(missing)?;
    let lines = within(read_log(shared, &stream.task, &stream.container).await, input);
    // A container that never wrote has no stream.
    if lines.is_empty() && input.text("nextToken").is_none() {
        return Err(missing());
    }
    let limit = limit(input);
    let (start, end) = window(lines.len(), limit, input.flag("startFromHead"), input.text("nextToken"));
    let events: Vec<Value> = lines[start..end]
        .iter()
        .map(|(at, text)| json!({"timestamp": at, "message": text, "ingestionTime": at}))
        .collect();
    Ok(json!({
        "events": events,
        "nextForwardToken": format!("f/{end}"),
        "nextBackwardToken": format!("b/{start}"),
    }))
}

/// Which lines a page has: the last ones, the first ones, or those beside the page that a token is from.
fn window(count: usize, limit: usize, from_head: bool, token: Option<&str>) -> (usize, usize) {
    let position = |token: &str| token[2..].parse::<usize>().ok().map(|at| at.min(count));
    match token {
        Some(token) if token.starts_with("f/") => {
            let start = position(token).unwrap_or(count);
            (start, count.min(start + limit))
        }
        Some(token) if token.starts_with("b/") => {
            let end = position(token).unwrap_or(0);
            (end.saturating_sub(limit), end)
        }
        _ if from_head => (0, count.min(limit)),
        _ => (count.saturating_sub(limit), count),
    }
}

fn limit(input: Input<'_>) -> usize {
    input.number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(10_000).clamp(1, 10_000)
}

fn within(lines: Vec<Line>, input: Input<'_>) -> Vec<Line> {
    let (from, to) = (input.number("startTime"), input.number("endTime"));
    let fits = |at: Millis| from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to);
    lines.into_iter().filter(|(at, _)| fits(*at)).collect()
}

async fn filter_events(shared: &Shared, streams: &[Stream], input: Input<'_>) -> Answered<Value> {
    let names = input.texts("logStreamNames");
    let prefix = input.text("logStreamNamePrefix").unwrap_or_default();
    // A pattern in quotes is a phrase; anything richer than words is more than a stand-in needs.
    let words = input.text("filterPattern").unwrap_or_default().trim_matches('"').to_owned();
    let mut found = Vec::new();
    for stream in group_of(streams, input)? {
        if stream.name.starts_with(prefix) && (names.is_empty() || names.contains(&stream.name.as_str())) {
            for (at, text) in within(read_log(shared, &stream.task, &stream.container).await, input) {
                if text.contains(&words) {
                    found.push((at, stream.name.clone(), text));
                }
            }
        }
    }
    found.sort_by_key(|(at, ..)| *at);
    let start = input.text("nextToken").and_then(|token| token.parse().ok()).unwrap_or(0).min(found.len());
    let end = found.len().min(start + limit(input));
    let events: Vec<Value> = found[start..end]
        .iter()
        .enumerate()
        .map(|(number, (at, stream, text))| {
            json!({
                "logStreamName": stream, "timestamp": at, "message": text, "ingestionTime": at,
                "eventId": format!("{at}{:06}", start + number),
            })
        })
        .collect();
    let next = (end < found.len()).then(|| end.to_string());
    Ok(json!({"events": events, "searchedLogStreams": [], "nextToken": next}))
}

fn describe_groups(streams: &[Stream], place: &Place, input: Input<'_>) -> Value {
    let prefix = input.text("logGroupNamePrefix").unwrap_or_default();
    let mut names: Vec<&str> = streams.iter().map(|stream| stream.group.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let groups: Vec<Value> = names
        .into_iter()
        .filter(|name| name.starts_with(prefix))
        .map(|name| {
            let arn = place.arn("logs", &format!("log-group:{name}"));
            json!({
                "logGroupName": name, "arn": format!("{arn}:*"), "logGroupArn": arn, "storedBytes": 0,
                "creationTime": streams.iter().find(|stream| stream.group == name).map(|stream| stream.created_at),
            })
        })
        .collect();
    json!({"logGroups": groups})
}

fn describe_streams(streams: &[Stream], place: &Place, input: Input<'_>) -> Answered<Value> {
    let prefix = input.text("logStreamNamePrefix").unwrap_or_default();
    let shown: Vec<Value> = group_of(streams, input)?
        .into_iter()
        .filter(|stream| stream.name.starts_with(prefix))
        .map(|stream| {
            json!({
                "logStreamName": stream.name, "creationTime": stream.created_at, "storedBytes": 0,
                "arn": place.arn("logs", &format!("log-group:{}:log-stream:{}", stream.group, stream.name)),
            })
        })
        .collect();
    Ok(json!({"logStreams": shown}))
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn pages_of_a_log() {
        assert_eq!(window(10, 3, false, None), (7, 10), "the last lines");
        assert_eq!(window(10, 3, true, None), (0, 3), "the first lines");
        assert_eq!(window(10, 3, false, Some("b/7")), (4, 7));
        assert_eq!(window(10, 3, false, Some("b/0")), (0, 0));
        assert_eq!(window(10, 3, true, Some("f/9")), (9, 10));
        assert_eq!(window(10, 3, true, Some("f/99")), (10, 10));
        assert_eq!(window(10, 3, true, Some("f/x")), (10, 10));
    }
}
