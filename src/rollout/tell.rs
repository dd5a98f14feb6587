//! What a watch says while it goes on: counts when they change, ECS's own warnings, stages and what holds them up, each
//! of them once. Pure: answers go in, events come out.

use std::collections::BTreeSet;
use std::time::Duration;

use super::strategy::{how_to_continue, waiting_hook};
use crate::aws::ecs::{DeploymentRecord, RolloutState, Service};
use crate::event::{Kind, Level, RolloutCounts};

#[derive(Debug, Default)]
pub(super) struct Teller {
    counts: Option<(RolloutCounts, String)>,
    events: BTreeSet<String>,
    notes: BTreeSet<String>,
    /// ECS's warnings since my deployment began, in the order of their time.
    pub(super) trouble: Vec<String>,
}

impl Teller {
    pub(super) fn service(&mut self, service: &Service, mine: &str) -> Vec<Kind> {
        let mut said = Vec::new();
        let Some(mine) = service.deployment(mine) else { return said };
        let counts = RolloutCounts {
            running: mine.running,
            pending: mine.pending,
            desired: mine.desired,
            failed: mine.failed,
            old: service
                .deployments
                .iter()
                .filter(|other| other.id != mine.id)
                .fold(0, |sum, other| sum.saturating_add(other.running)),
        };
        let state = mine.rollout.map_or("UNKNOWN", RolloutState::as_str).to_owned();
        if self.counts.as_ref() != Some(&(counts.clone(), state.clone())) {
            self.counts = Some((counts.clone(), state.clone()));
            said.push(Kind::Rollout { deployment: mine.id.clone(), counts, state });
        }
        let began = mine.created_at;
        for event in service.events.iter().rev().filter(|event| event.at >= began && is_trouble(&event.text)) {
            if self.events.insert(event.id.clone()) {
                self.trouble.push(event.text.clone());
                said.push(Kind::ServiceEvent { text: event.text.clone() });
            }
        }
        said
    }

    /// The stage that a blue/green, linear or canary deployment is in, and who has to do something.
    pub(super) fn record(&mut self, record: &DeploymentRecord, timeout: Duration) -> Vec<Kind> {
        let mut said = Vec::new();
        if record.waits >= timeout {
            let minutes = record.waits.as_secs() / 60;
            let text = format!("this deployment bakes for {minutes} min at least, longer than --timeout");
            said.extend(self.once(text, Level::Warning, Some("give it a longer --timeout".to_owned())));
        }
        if let Some(stage) = &record.stage {
            said.extend(self.once(format!("the deployment is at {stage}"), Level::Note, None));
        }
        for hook in &record.hooks {
            if let Some(waits) = waiting_hook(hook) {
                let hint = how_to_continue(record, hook);
                said.extend(self.once(format!("the deployment {waits}"), Level::Warning, Some(hint)));
            }
        }
        said
    }

    pub(super) fn once(&mut self, text: String, level: Level, hint: Option<String>) -> Option<Kind> {
        self.notes.insert(text.clone()).then_some(Kind::Notice { level, text, hint })
    }
}

/// Of ECS's service events, those that tell of trouble.
fn is_trouble(text: &str) -> bool {
    ["fail", "unhealthy", "error", "throttle", "unable", "missing", "rolling back", "alarm"]
        .iter()
        .any(|word| text.contains(word))
}
