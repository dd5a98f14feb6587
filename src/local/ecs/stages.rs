//! Blue/green, linear and canary: a deployment that goes through stages while the old tasks stay, and that a hook can
//! hold up until a person says how it goes on.
//!
//! Pure turns on a service. How long a stage takes is the script's matter, and `runtime::staged` walks through it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::deployments;
use super::model::{Ending, Rollout, Service, ServiceDeployment};
use crate::local::clock::{self, Millis};
use crate::local::wire::context::Context;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

/// The stage in which the old tasks go.
pub(crate) const LAST: &str = "CLEAN_UP";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Strategy {
    #[default]
    Rolling,
    BlueGreen,
    Linear,
    Canary,
}

impl Strategy {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Rolling => "ROLLING",
            Self::BlueGreen => "BLUE_GREEN",
            Self::Linear => "LINEAR",
            Self::Canary => "CANARY",
        }
    }

    /// `None` for a word that ECS does not know.
    pub(crate) fn named(word: &str) -> Option<Self> {
        [Self::Rolling, Self::BlueGreen, Self::Linear, Self::Canary].into_iter().find(|known| known.as_str() == word)
    }
}

/// A PAUSE hook that the deployment waits at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pause {
    pub(crate) hook: String,
    pub(crate) expires_at: Millis,
    /// What happens then.
    pub(crate) otherwise: Action,
    /// What somebody answered.
    #[serde(default)]
    pub(crate) answer: Option<Action>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    Continue,
    Rollback,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "CONTINUE",
            Self::Rollback => "ROLLBACK",
        }
    }
}

impl Pause {
    pub(crate) fn shown(&self) -> Value {
        json!({
            "hookId": self.hook, "targetType": "PAUSE", "status": "AWAITING_ACTION",
            "expiresAt": clock::seconds(self.expires_at), "timeoutAction": self.otherwise.as_str(),
        })
    }

    /// How it goes on, once that is settled.
    pub(crate) fn decision(&self, now: Millis) -> Option<Action> {
        self.answer.or((now >= self.expires_at).then_some(self.otherwise))
    }
}

/// The record of a deployment that is still under way.
pub(crate) fn under_way<'a>(service: &'a mut Service, deployment: &str) -> Option<&'a mut ServiceDeployment> {
    service.record_of(deployment).filter(|record| record.ending == Ending::InProgress)
}

/// Whether all its tasks are there and healthy.
pub(crate) fn is_scaled_up(service: &Service, deployment: &str) -> bool {
    let ready = service.tasks_of(deployment).filter(|task| task.wanted && task.exists() && task.ready).count();
    ready >= service.desired as usize
}

/// Until its stages are over the old tasks stay, and the deployment is not complete. Where there are no tasks there is
/// nothing to wait for.
pub(crate) fn hold(service: &Service) -> bool {
    let Some(primary) = service.primary().filter(|_| service.configuration.strategy != Strategy::Rolling) else {
        return false;
    };
    let record = service.history.iter().rfind(|record| record.deployment == primary.id);
    service.desired > 0
        && record.is_some_and(|record| record.ending == Ending::InProgress && record.stage.as_deref() != Some(LAST))
}

/// Gives it up at its stage, and goes back.
pub(crate) fn fail(service: &mut Service, deployment: &str, why: &str, now: Millis) {
    give_up(service, deployment, why, now);
    if !deployments::roll_back(service, deployment, why, now) {
        end(service, deployment, why, now);
    }
}

/// Stops it where it stands, with nothing in its place.
pub(crate) fn halt(service: &mut Service, deployment: &str, why: &str, now: Millis) {
    give_up(service, deployment, why, now);
    end(service, deployment, why, now);
}

fn give_up(service: &mut Service, deployment: &str, why: &str, now: Millis) {
    if let Some(deployment) = service.deployment_mut(deployment) {
        deployment.rollout = Rollout::Failed;
        deployment.reason = format!("ECS deployment {} failed: {why}", deployment.id);
        deployment.updated_at = now;
    }
    if let Some(record) = service.record_of(deployment) {
        record.pause = None;
    }
}

fn end(service: &mut Service, deployment: &str, why: &str, now: Millis) {
    if let Some(record) = service.record_of(deployment) {
        record.ending = Ending::Stopped;
        record.reason = Some(why.to_owned());
        record.finished_at = Some(now);
        record.updated_at = now;
    }
}

/// `ContinueServiceDeployment`: a person's answer to a PAUSE hook.
pub(crate) fn answer(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let arn = request.required("serviceDeploymentArn")?;
    let hook = request.required("hookId")?;
    let action = match request.text("action") {
        Some("CONTINUE") => Action::Continue,
        Some("ROLLBACK") => Action::Rollback,
        _ => return Err(Fault::invalid_parameter("action must be CONTINUE or ROLLBACK.")),
    };
    let services = context.holdings().clusters.values_mut().flat_map(|cluster| cluster.services.values_mut());
    let record = services
        .flat_map(|service| &mut service.history)
        .find(|record| record.arn == arn)
        .ok_or_else(|| Fault::client("ServiceDeploymentNotFoundException", "Service deployment not found."))?;
    let pause = record
        .pause
        .as_mut()
        .filter(|pause| pause.hook == hook)
        .ok_or_else(|| Fault::invalid_parameter("The service deployment does not wait at this hook."))?;
    pause.answer = Some(action);
    Ok(json!({"serviceDeploymentArn": arn}))
}

#[cfg(test)]
mod tests {
    use super::{Action, Pause, Strategy};

    #[test]
    fn a_pause_ends_with_an_answer_or_with_its_time() {
        let mut pause = Pause { hook: "look".to_owned(), expires_at: 100, otherwise: Action::Rollback, answer: None };
        assert_eq!(pause.decision(99), None);
        assert_eq!(pause.decision(100), Some(Action::Rollback));
        pause.answer = Some(Action::Continue);
        assert_eq!(pause.decision(200), Some(Action::Continue), "who answered in time is heard");
        assert_eq!(pause.shown()["timeoutAction"], "ROLLBACK");
    }

    #[test]
    fn strategies_have_ecs_names() {
        for strategy in [Strategy::Rolling, Strategy::BlueGreen, Strategy::Linear, Strategy::Canary] {
            assert_eq!(Strategy::named(strategy.as_str()), Some(strategy));
        }
        assert_eq!(Strategy::named("BLUE"), None);
    }
}
