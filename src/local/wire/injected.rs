//! The faults of the script, on the wire: which call is hit, and by what.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::fault::Fault;
use super::rates::Rates;
use crate::local::script::Script;

#[derive(Debug, Default)]
pub(crate) struct Injected {
    script: Script,
    /// Calls seen so far, for each fault of the script.
    seen: Vec<u32>,
    rates: Rates,
    /// Service ARN to its description from before the last `UpdateService`.
    before_update: HashMap<String, Value>,
}

/// What happens to one call.
#[derive(Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a way of its own in which a call goes wrong")]
pub(crate) struct Hit {
    pub(crate) delay: Duration,
    /// Close the connection without a word.
    pub(crate) drop: bool,
    pub(crate) fault: Option<Fault>,
    /// `drop` and `fault` befall the answer, and not the call: that one takes effect.
    pub(crate) after_effect: bool,
    /// Answer as if the last change had not come through yet.
    pub(crate) stale: bool,
    /// Deliver something else than what was asked for.
    pub(crate) altered: bool,
    /// Deliver the beginning only.
    pub(crate) cut: bool,
}

impl Injected {
    pub(crate) fn script(&self) -> &Script {
        &self.script
    }

    /// A new script; its faults count from now.
    pub(crate) fn replace(&mut self, script: Script) {
        self.seen = vec![0; script.faults.len()];
        self.script = script;
    }

    /// The refusal of an action that the script does not allow.
    pub(crate) fn denies(&self, action: &str, who: &str) -> Option<Fault> {
        self.script.deny.iter().any(|denied| denied == action).then(|| denied(action, who))
    }

    /// `action` is as IAM names it, `ecs:UpdateService`; `who` is the caller's ARN; `repository` that of a request to the
    /// registry, or the bucket of one to S3.
    pub(crate) fn hit(&mut self, action: &str, who: &str, repository: Option<&str>) -> Hit {
        if let Some(fault) = self.denies(action, who) {
            return Hit { fault: Some(fault), ..Hit::default() };
        }
        let operation = action.rsplit(':').next().unwrap_or(action);
        if self.script.rates
            && action.starts_with("ecs:")
            && let Err(fault) = self.rates.count(operation, Instant::now())
        {
            return Hit { fault: Some(fault), ..Hit::default() };
        }
        for (fault, seen) in self.script.faults.iter().zip(&mut self.seen) {
            if fault.operation != operation || fault.repository.as_deref().is_some_and(|one| Some(one) != repository) {
                continue;
            }
            *seen += 1;
            let first = fault.after + 1;
            if *seen < first || fault.times.is_some_and(|times| *seen >= first + times) {
                continue;
            }
            let answer = fault.error.as_ref().map(|code| Fault {
                status: fault.status.unwrap_or(400),
                code: code.clone().into(),
                message: fault.message.clone().unwrap_or_default(),
            });
            let answer = answer.or_else(|| {
                fault.status.map(|status| Fault::with_status(status, "InternalServerError", "injected by the script"))
            });
            return Hit {
                delay: Duration::from_millis(fault.delay_ms),
                drop: fault.drop,
                fault: answer,
                after_effect: fault.after_effect,
                stale: fault.stale,
                altered: fault.altered,
                cut: fault.cut,
            };
        }
        Hit::default()
    }

    pub(crate) fn remember(&mut self, service: &Value) {
        if let Some(arn) = service.get("serviceArn").and_then(Value::as_str) {
            self.before_update.insert(arn.to_owned(), service.clone());
        }
    }

    /// Puts the descriptions from before the last `UpdateService` in place of those in the answer.
    pub(crate) fn make_stale(&self, answer: &mut Value) {
        for service in answer.get_mut("services").and_then(Value::as_array_mut).into_iter().flatten() {
            let arn = service.get("serviceArn").and_then(Value::as_str).unwrap_or_default();
            if let Some(before) = self.before_update.get(arn) {
                *service = before.clone();
            }
        }
    }
}

fn denied(action: &str, who: &str) -> Fault {
    Fault::client(
        "AccessDeniedException",
        format!(
            "User: {who} is not authorized to perform: {action} on resource: * because no identity-based policy allows the \
             {action} action"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::Injected;
    use crate::local::script;

    #[test]
    fn a_fault_hits_the_calls_it_names_and_then_no_more() {
        let mut injected = Injected::default();
        injected.replace(
            script::parse(
                br#"{"deny": ["ecs:TagResource"], "faults": [
                    {"operation": "DescribeServices", "after": 1, "times": 2, "error": "ThrottlingException"},
                    {"operation": "PutImage", "drop": true}
                ]}"#,
            )
            .unwrap(),
        );
        let mut code = |action| injected.hit(action, "me", None).fault.map(|fault| fault.code.into_owned());
        let hits: Vec<bool> = (0..5).map(|_| code("ecs:DescribeServices").is_some()).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert_eq!(code("ecs:TagResource").as_deref(), Some("AccessDeniedException"));
        assert_eq!(code("ecs:ListTasks"), None);
        assert!((0..9).all(|_| injected.hit("ecr:PutImage", "me", None).drop), "without `times`, for ever");
    }

    #[test]
    fn a_fault_of_one_repository_is_nobody_elses() {
        let mut injected = Injected::default();
        let script = br#"{"faults": [{"operation": "PutImage", "repository": "a/b", "status": 500}]}"#;
        injected.replace(script::parse(script).unwrap());
        let mut hits = |repository| injected.hit("ecr:PutImage", "me", repository).fault.is_some();
        assert!(hits(Some("a/b")));
        assert!(!hits(Some("b")) && !hits(None));
    }
}
