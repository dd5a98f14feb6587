//! The log of a run: one line per event that is worth one, no control characters, no repetition. Each begins with the
//! time of day in UTC, so that it can be laid beside CloudWatch.

use std::collections::HashMap;

use super::line::{Line, Tone};
use super::out::{Out, To};
use super::progress::{self, Run};
use super::stopped::Stopped;
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
    /// By service.
    stopped: HashMap<String, Stopped>,
}

impl Plain {
    pub(super) fn new(out: Out, verbose: u8, plan_is_answer: bool) -> Self {
        Self {
            out,
            verbose,
            plan_is_answer,
            run: Run::default(),
            told: HashMap::new(),
            steps: HashMap::new(),
            stopped: HashMap::new(),
        }
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
                for line in plan::in_short(plan, self.verbose) {
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
            Kind::TaskStopped { reason, exit_code, .. }
                if !self.stopped.entry(service.clone()).or_default().count(reason, *exit_code) => {}
            Kind::ServiceFinished { outcome } => {
                for text in self.stopped.entry(service.clone()).or_default().others() {
                    self.say(event, &service, Line::new().toned(Tone::Warning, text));
                }
                let tone = if outcome.verdict.is_good() { Tone::Good } else { Tone::Bad };
                self.say(event, &service, Line::new().toned(tone, outcome.verdict.as_str()));
            }
            Kind::Finished { exit_code, environment, services, .. } => {
                summary::print(&self.out, &self.run, event.at, *exit_code, environment.as_deref(), services);
            }
            // The push is summed up when it ends.
            Kind::TagPushed { .. } | Kind::ImageSearched { .. } | Kind::BuildPlaced { one_of_several: false, .. }
                if self.verbose == 0 => {}
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
        Stage::Scan => Some("waiting for the scan of the image"),
        Stage::BeforeDeploy => Some("running the task before the rollout"),
        Stage::Prove => Some("proving which digest runs"),
        Stage::Inspect | Stage::Roll | Stage::Watch | Stage::Record => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{SharedRedactor, script};

    fn told(events: &[Event], verbose: u8) -> Vec<String> {
        let (out, memory) = Out::to_memory(SharedRedactor::default(), None);
        let mut plain = Plain::new(out, verbose, false);
        for event in events {
            plain.event(event);
        }
        let lines = memory.lock().unwrap();
        lines.iter().filter(|(to, _)| *to == To::Talk).map(|(_, line)| line.clone()).collect()
    }

    #[test]
    fn a_good_run_reads_as_a_log() {
        assert_eq!(
            told(&script::good_run(), 0),
            [
                "19:30:00 deploy storefront to dev on this machine: api",
                "19:30:00 from develop  1a2b3c4d5e6f  Greet the visitor by name",
                "19:30:00 api: checking",
                "19:30:00 api: building",
                "19:30:01 api: [1/4] FROM docker.io/library/rust:1: cached",
                "19:30:01 api: [2/4] COPY . .",
                "19:30:01 api: [2/4] COPY . .: done in 0.3 s",
                "19:30:01 api: [3/4] RUN cargo build",
                "19:30:03 api: [3/4] RUN cargo build: done in 0.7 s",
                "19:30:03 api: [4/4] COPY page /srv/",
                "19:30:03 api: [4/4] COPY page /srv/: done in 0.1 s",
                "19:30:03 api: built in 3.1 s: 4 steps, 1 cached",
                "19:30:03 api: pushing",
                "19:30:06 api: pushed git-1a2b3c4d5e6f and latest in 2.6 s: 2 new of 3 layers, 12.3 MB",
                "19:30:06 api: rollout ecs-svc/1234567890123456789 has started",
                "19:30:06 api: tasks: 0 of 2 run, 2 starting, 2 old still running",
                "19:30:07 api: ECS: (service api) has started 2 tasks: (task 0a1b) (task 2c3d).",
                "19:30:09 api: tasks: 1 of 2 run, 1 starting, 2 old still running",
                "19:30:09 api: tasks: 2 of 2 run, 1 old still running",
                "19:30:10 api: tasks: 2 of 2 run",
                "19:30:11 api: rolled out in 5.0 s: 2 of 2 tasks run",
                "19:30:11 api: proving which digest runs",
                "19:30:12 api: proven: sha256:0123456789ab is what runs",
                "19:30:12 api: warning: the tags of the service could not be written",
                "19:30:12 api: hint: give the role `ecs:TagResource`",
                "19:30:12 api: deployed",
                "",
            ]
        );
    }

    #[test]
    fn a_crash_loop_is_told_as_it_happens() {
        let lines = told(&script::crash_loop(), 0);
        let of_api: Vec<&str> = lines.iter().filter_map(|line| line.get(9..)?.strip_prefix("api: ")).collect();
        assert_eq!(
            of_api,
            [
                "pushing",
                "pushed latest in 1.1 s",
                "rollout ecs-svc/1234567890123456789 has started",
                "tasks: 0 of 2 run, 1 starting, 2 old still running",
                "task 0a1b2c3d stopped: Essential container in task exited (exit code 1)",
                "task 4e5f6a7b stopped: Essential container in task exited (exit code 1)",
                "task 8c9d0e1f stopped: Essential container in task exited (exit code 1)",
                "rollout-failed",
            ]
        );
    }

    #[test]
    fn a_long_crash_loop_does_not_fill_the_log() {
        let lines = told(&script::long_crash_loop(), 0);
        let stopped: Vec<&str> = lines.iter().filter(|line| line.contains("task")).map(|line| &line[9..]).collect();
        let wanted = [
            "api: task 00000000 stopped: Essential container in task exited (exit code 1)",
            "api: task 00000001 stopped: Essential container in task exited (exit code 1)",
            "api: task 00000002 stopped: Essential container in task exited (exit code 1)",
            "api: and 9 more like it: Essential container in task exited (exit code 1)",
        ];
        assert_eq!(stopped, wanted);
    }

    #[test]
    fn the_end_of_a_failed_step_is_in_the_log_once() {
        for verbose in [0, 1] {
            let lines = told(&script::failed_build(), verbose);
            let last =
                lines.iter().filter(|line| line.contains("│ error: could not compile") && line.contains("api: "));
            assert_eq!(last.count(), 1, "verbose={verbose}: {lines:#?}");
        }
    }

    #[test]
    fn no_line_has_a_control_character() {
        for events in [script::good_run(), script::failed_build(), script::crash_loop()] {
            for line in told(&events, 2) {
                assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
}
