//! AWS JSON 1.1: `X-Amz-Target` names service and operation, the body is the input, the answer is JSON either way.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use serde_json::{Value, json};

use super::caller::Caller;
use super::context::Context;
use super::fault::{Answered, Fault};
use super::input::Input;
use super::journal::{Call, summary};
use super::{Dropped, router};
use crate::local::shared::{Shared, lock};
use crate::local::{clock, ecr, ecs, ids, logs, runtime};

pub(crate) async fn answer(shared: &Arc<Shared>, request: Request<Body>) -> Result<Response<Body>, Dropped> {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some((service, operation)) = service_and_operation(target) else {
        return Ok(Fault::unknown_operation(target).into_json());
    };
    let action = format!("{service}:{operation}");
    let operation = operation.to_owned();
    let (parts, body) = request.into_parts();
    let caller = lock(&shared.keys).caller(&parts.headers, clock::now());
    let who = caller.as_ref().map(|caller| caller.arn.clone()).unwrap_or_default();
    let hit = lock(&shared.injected).hit(&action, &who, None);
    tokio::time::sleep(hit.delay).await;
    if hit.drop && !hit.after_effect {
        record(shared, &action, 0, Value::Null);
        return Err(Dropped);
    }
    let input = match router::body(body).await {
        Ok(bytes) if bytes.is_empty() => Ok(json!({})),
        Ok(bytes) => serde_json::from_slice::<Value>(&bytes)
            .map_err(|error| Fault::client("SerializationException", format!("the body is not JSON: {error}"))),
        Err(fault) => Err(fault),
    };
    let noted = input.as_ref().map(summary).unwrap_or_default();
    let (before, after) = if hit.after_effect { (None, hit.fault) } else { (hit.fault, None) };
    // Tags that come with a service are asked for as if they were asked for alone: whoever has to do without that
    // permission in AWS finds out here.
    let before = before.or_else(|| {
        let tags = action == "ecs:DescribeServices" && Input(input.as_ref().ok()?).has("include", "TAGS");
        tags.then(|| lock(&shared.injected).denies("ecs:ListTagsForResource", &who)).flatten()
    });
    let answered = match (caller, before, input) {
        (Err(fault), ..) | (_, Some(fault), _) | (_, _, Err(fault)) => Err(fault),
        (Ok(caller), None, Ok(input)) => dispatch(shared, service, &operation, caller, &input).await,
    };
    if hit.drop {
        record(shared, &action, 0, noted);
        return Err(Dropped);
    }
    let answered = answered.and_then(|answer| after.map_or(Ok(answer), Err));
    let answered = answered.map(|mut answer| {
        if hit.stale {
            lock(&shared.injected).make_stale(&mut answer);
        }
        strip_nulls(&mut answer);
        answer
    });
    record(shared, &action, answered.as_ref().err().map_or(200, |fault| fault.status), noted);
    Ok(match answered {
        Ok(answer) => router::ok(
            &[("content-type", "application/x-amz-json-1.1"), ("x-amzn-requestid", &ids::uuid())],
            answer.to_string(),
        ),
        Err(fault) => fault.into_json(),
    })
}

fn record(shared: &Shared, operation: &str, status: u16, input: Value) {
    lock(&shared.journal).record(Call { at: clock::now(), operation: operation.to_owned(), status, input });
}

/// The service as IAM names it, and the operation.
fn service_and_operation(target: &str) -> Option<(&'static str, &str)> {
    let (prefix, operation) = target.split_once('.')?;
    let service = match prefix {
        "AmazonEC2ContainerServiceV20141113" => "ecs",
        "AmazonEC2ContainerRegistry_V20150921" => "ecr",
        "Logs_20140328" => "logs",
        _ => return None,
    };
    Some((service, operation))
}

async fn dispatch(
    shared: &Arc<Shared>,
    service: &str,
    operation: &str,
    caller: Caller,
    input: &Value,
) -> Answered<Value> {
    if service == "logs" {
        return logs::call(shared, operation, &caller.place, input).await;
    }
    if let Some(elsewhere) = &shared.elsewhere {
        elsewhere.before(shared, &caller.place, (service, operation), input).await?;
    }
    let (scans, speed) = {
        let injected = lock(&shared.injected);
        (injected.script().scans.clone(), injected.script().speed.unwrap_or(1).max(1).into())
    };
    let (answered, orders) = shared.write(|state| {
        let mut context = Context {
            state,
            place: caller.place,
            now: clock::now(),
            host: &shared.host,
            elsewhere: shared.elsewhere.as_ref(),
            tokens: &shared.tokens,
            scans,
            speed,
            orders: Vec::new(),
        };
        if service == "ecr" {
            return (ecr::call(operation, &mut context, input), context.orders);
        }
        if operation == "UpdateService" {
            remember_before(shared, &mut context, input);
        }
        (ecs::call(operation, &mut context, input), context.orders)
    });
    for order in orders {
        runtime::carry_out(shared, order);
    }
    answered
}

/// Keeps what `DescribeServices` says before an update, for a script that wants stale answers.
fn remember_before(shared: &Shared, context: &mut Context<'_>, input: &Value) {
    let question = json!({"cluster": input.get("cluster"), "services": [input.get("service")]});
    let before = ecs::call("DescribeServices", context, &question).unwrap_or_default();
    for service in before.get("services").and_then(Value::as_array).into_iter().flatten() {
        lock(&shared.injected).remember(service);
    }
}

/// AWS leaves a member out where it has no value.
fn strip_nulls(answer: &mut Value) {
    if let Some(members) = answer.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
}

#[cfg(test)]
mod tests {
    use super::service_and_operation;

    #[test]
    fn targets_lead_to_services() {
        let found = service_and_operation("AmazonEC2ContainerServiceV20141113.UpdateService");
        assert_eq!(found, Some(("ecs", "UpdateService")));
        assert_eq!(service_and_operation("DynamoDB_20120810.GetItem"), None);
        assert_eq!(service_and_operation(""), None);
    }
}
