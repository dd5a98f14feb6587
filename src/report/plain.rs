//! The log of a run: one line per event that is worth one, no control characters, no repetition. Each begins with the
//! time of day in UTC, so that it can be laid beside CloudWatch.

use std::collections::HashMap;

use super::line::{Line, Tone};
use super::out::{Out, To};
use super::progress::{self, Run};
use super::{plan, story, summary};
use crate::event::{Event, Kind, RolloutCounts, Stage, StepState};

pub(super) struct Plain {
    out: Out,
    verbose: u8,
    plan_is_answer: bool,
    run: Run,
    /// The last counts told, by service.
    told: HashMap<String, RolloutCounts>,
    /// The last state told of each build step, by service and id.
    steps: HashMap<(String, String), StepState>,
}

impl Plain {
    pub(super) fn new(out: Out, verbose: u8, plan_is_answer: bool) -> Self {
        Self { out, verbose, plan_is_answer, run: Run::default(), told: HashMap::new(), steps: HashMap::new() }
    }

    pub(super) fn event(&mut self, event: &Event) {
        let service = progress::name_of(event).to_owned();
        if matches!(event.kind, Kind::Stage { .. } | Kind::ServiceFinished { .. })
            && let Some(text) = self.run.of(&service).and_then(|progress| story::ended(progress, event))
        {
            self.say(event, &service, Line::new().plain(text));
        }
        self.run.apply(event);
        match &event.kind {
            Kind::Started { .. } => {
                for line in story::started(&event.kind) {
                    self.say(event, "", line);
                }
            }
            Kind::Stage { stage } => {
                if let Some(text) = begins(*stage) {
                    self.say(event, &service, Line::new().plain(text));
                }
            }
            Kind::Planned { plan } if self.plan_is_answer => plan::print(&self.out, plan),
            Kind::Planned { plan } => {
                for line in plan::in_short(plan) {
                    self.say(event, "", line);
                }
            }
            Kind::BuildStep { id, name, state, seconds, error } => {
                if self.steps.insert((service.clone(), id.clone()), *state) != Some(*state) {
                    self.step(event, &service, id, name, *state, (*seconds, error.as_deref()));
                }
            }
            Kind::BuildLog { line, .. } if self.verbose > 0 => {
                self.say(event, &service, Line::new().dim("│ ").plain(line.clone()));
            }
            Kind::Rollout { counts, .. } => {
                if self.told.insert(service.clone(), counts.clone()).as_ref() != Some(counts) {
                    self.say(event, &service, Line::new().plain(format!("tasks: {}", story::counts(counts))));
                }
            }
            Kind::ServiceFinished { outcome } => {
                let tone = if outcome.verdict.is_good() { Tone::Good } else { Tone::Bad };
                self.say(event, &service, Line::new().toned(tone, outcome.verdict.as_str()));
            }
            Kind::Finished { exit_code, environment, services } => {
                summary::print(&self.out, &self.run, event.at, *exit_code, environment.as_deref(), services);
            }
            kind => {
                for line in story::told(kind) {
                    self.say(event, &service, line);
                }
            }
        }
    }

    fn step(
        &self,
        event: &Event,
        service: &str,
        id: &str,
        name: &str,
        state: StepState,
        (seconds, error): (Option<f64>, Option<&str>),
    ) {
        // What BuildKit does for itself is worth a line only where it fails.
        if !progress::is_of_dockerfile(name) && state != StepState::Failed && self.verbose == 0 {
            return;
        }
        let name = Line::new().plain(name);
        self.say(event, service, name.plain(story::step_ended(state, seconds, error)));
        if state == StepState::Failed
            && self.verbose == 0
            && let Some(step) = self.run.of(service).and_then(|progress| progress.steps.get(id))
        {
            for line in &step.tail {
                self.say(event, service, Line::new().dim("│ ").plain(line.clone()));
            }
        }
    }

    fn say(&self, event: &Event, service: &str, line: Line) {
        let mut start = Line::new().dim(event.at.strftime("%H:%M:%S ").to_string());
        if !service.is_empty() {
            start = start.strong(service).plain(": ");
        }
        self.out.line(To::Talk, &start.then(line));
    }
}

/// What is said when a stage begins; `None` where something else says it.
const fn begins(stage: Stage) -> Option<&'static str> {
    match stage {
        Stage::Preflight => Some("checking"),
        Stage::Build => Some("building"),
        Stage::Push => Some("pushing"),
        Stage::Prove => Some("proving which digest runs"),
        Stage::Inspect | Stage::Roll | Stage::Watch | Stage::Record => None,
    }
}
