//! What is known of a run so far: a fold of its events, without a clock and without printing. The terminal, the log and
//! the summary read the same state, so they never tell different stories.

use std::collections::VecDeque;

use indexmap::IndexMap;
use jiff::Timestamp;

use super::words;
use crate::event::{Event, Kind, LayerState, RolloutCounts, Stage, StepState};

/// How many of a step's last lines are kept in case it fails.
const TAIL: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) began: Option<Timestamp>,
    /// By service; the run as a whole is under the empty name.
    services: IndexMap<String, Progress>,
}

impl Run {
    /// Takes one event in, and gives the progress of the service it concerns.
    pub(super) fn apply(&mut self, event: &Event) -> &Progress {
        self.began.get_or_insert(event.at);
        let name = name_of(event);
        if !self.services.contains_key(name) {
            self.services.insert(name.to_owned(), Progress::default());
        }
        if matches!(event.kind, Kind::Planned { .. }) {
            self.services.values_mut().for_each(|progress| progress.planned = true);
        }
        let progress = &mut self.services[name];
        progress.apply(event);
        progress
    }

    pub(super) fn of(&self, service: &str) -> Option<&Progress> {
        self.services.get(service)
    }

    /// Seconds since the first event.
    pub(super) fn seconds(&self, now: Timestamp) -> f64 {
        self.began.map_or(0.0, |began| seconds_between(began, now))
    }
}

/// The service of an event; empty for the run as a whole.
pub(super) fn name_of(event: &Event) -> &str {
    match &event.kind {
        Kind::ServiceFinished { outcome } => &outcome.service,
        _ => event.service.as_deref().unwrap_or_default(),
    }
}

fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// One service on its way.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) stage: Option<(Stage, Timestamp)>,
    /// All that is in the way is known by now.
    pub(super) planned: bool,
    pub(super) steps: IndexMap<String, Step>,
    /// Files and bytes of the build context.
    pub(super) context: (u64, u64),
    pub(super) layers: IndexMap<String, Layer>,
    /// Reference and digest, in the order of pushing.
    pub(super) tags: Vec<(String, String)>,
    pub(super) counts: Option<RolloutCounts>,
    /// The newest service event of ECS.
    pub(super) service_event: Option<String>,
    /// The state of ECR's scan, in a word.
    pub(super) scan: Option<String>,
    build_seconds: Option<f64>,
    /// How many tags there were when the push began: a gate may part the push of one tag from that of the next.
    tags_before: usize,
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) state: StepState,
    /// The last lines that it wrote.
    pub(super) tail: VecDeque<String>,
}

impl Step {
    /// A step of the Dockerfile, and not one that BuildKit does for itself (`[internal] …`, `[auth] …`, `exporting …`).
    pub(super) fn is_of_dockerfile(&self) -> bool {
        is_of_dockerfile(&self.name)
    }
}

pub(super) fn is_of_dockerfile(name: &str) -> bool {
    name.starts_with('[') && !name.starts_with("[internal]") && !name.starts_with("[auth]")
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    pub(super) state: LayerState,
    pub(super) current: u64,
    pub(super) total: u64,
}

impl Layer {
    const fn is_settled(self) -> bool {
        matches!(self.state, LayerState::Pushed | LayerState::Exists | LayerState::Mounted)
    }
}

/// A push in numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PushTotals {
    pub(super) layers: u64,
    /// Layers whose fate is settled: pushed, or in the registry already.
    pub(super) settled: u64,
    /// Layers that the registry did not have.
    pub(super) new: u64,
    pub(super) current: u64,
    pub(super) total: u64,
}

impl Progress {
    fn apply(&mut self, event: &Event) {
        match &event.kind {
            Kind::Stage { stage } => {
                self.stage = Some((*stage, event.at));
                self.tags_before = self.tags.len();
            }
            Kind::Scanning { state } => self.scan = Some(state.clone()),
            Kind::BuildStep { id, name, state, .. } => {
                let step = self.step(id);
                step.name.clone_from(name);
                step.state = *state;
            }
            // The first lines may come before the news that their step has started.
            Kind::BuildLog { id, line } => {
                let tail = &mut self.step(id).tail;
                if tail.len() == TAIL {
                    tail.pop_front();
                }
                tail.push_back(line.clone());
            }
            Kind::ContextSent { files, bytes } => self.context = (*files, *bytes),
            Kind::BuildFinished { seconds, .. } => self.build_seconds = Some(*seconds),
            Kind::PushLayer { id, state, current, total } => {
                let layer = self.layers.entry(id.clone()).or_insert(Layer { state: *state, current: 0, total: 0 });
                // Every tag is a push of its own, in which the engine finds again what the one before has sent.
                if !layer.is_settled() {
                    layer.state = *state;
                    layer.total = layer.total.max(*total);
                    layer.current = if *state == LayerState::Pushed { layer.total } else { *current };
                }
            }
            Kind::TagPushed { reference, digest } => self.tags.push((reference.clone(), digest.clone())),
            Kind::Rollout { counts, .. } => self.counts = Some(counts.clone()),
            Kind::ServiceEvent { text } => self.service_event = Some(text.clone()),
            _ => {}
        }
    }

    fn step(&mut self, id: &str) -> &mut Step {
        self.steps.entry(id.to_owned()).or_insert_with(|| Step {
            name: String::new(),
            state: StepState::Started,
            tail: VecDeque::new(),
        })
    }

    /// What a stage that went well came to; `None` for one that is not worth a line of its own.
    pub(super) fn milestone(&self, stage: Stage, now: Timestamp) -> Option<String> {
        let took = match (stage, self.stage, self.build_seconds) {
            (Stage::Build, _, Some(seconds)) => seconds,
            (_, Some((current, since)), _) if current == stage => seconds_between(since, now),
            _ => 0.0,
        };
        let took = words::seconds(took);
        match stage {
            Stage::Preflight | Stage::Inspect | Stage::Roll | Stage::Record => None,
            Stage::Build => {
                let steps: Vec<&Step> = self.steps.values().filter(|step| step.is_of_dockerfile()).collect();
                let cached = steps.iter().filter(|step| step.state == StepState::Cached).count();
                Some(format!("built in {took}: {}, {cached} cached", words::count(steps.len() as u64, "step")))
            }
            Stage::Push => {
                let tags: Vec<&str> =
                    self.tags.iter().skip(self.tags_before).map(|(reference, _)| words::tag_of(reference)).collect();
                let totals = self.push_totals();
                let sent = match (totals.layers, totals.total) {
                    (0, _) => String::new(),
                    (layers, 0) => format!(": {} new of {}", totals.new, words::count(layers, "layer")),
                    (layers, total) => {
                        format!(": {} new of {}, {}", totals.new, words::count(layers, "layer"), words::bytes(total))
                    }
                };
                Some(format!("pushed {} in {took}{sent}", words::list(&tags)))
            }
            Stage::Scan => Some(format!("the scan lets it pass, after {took}")),
            Stage::BeforeDeploy => Some(format!("the task before the rollout ended well in {took}")),
            Stage::Watch => Some(match &self.counts {
                Some(counts) => {
                    format!("rolled out in {took}: {} of {} run", counts.running, words::count(counts.desired, "task"))
                }
                None => format!("rolled out in {took}"),
            }),
            Stage::Prove => Some(match self.tags.last() {
                Some((_, digest)) => format!("proven: {} is what runs", words::short_digest(digest)),
                None => "proven: what was pushed is what runs".to_owned(),
            }),
        }
    }

    /// The Dockerfile step at work, or any other when none is.
    pub(super) fn running_step(&self) -> Option<&Step> {
        let mut running = self.steps.values().rev().filter(|step| step.state == StepState::Started);
        let newest = running.clone().next();
        running.find(|step| step.is_of_dockerfile()).or(newest)
    }

    pub(super) fn failed_step(&self) -> Option<&Step> {
        self.steps.values().find(|step| step.state == StepState::Failed)
    }

    pub(super) fn push_totals(&self) -> PushTotals {
        let mut totals = PushTotals::default();
        for layer in self.layers.values() {
            totals.layers += 1;
            match layer.state {
                LayerState::Exists | LayerState::Mounted => totals.settled += 1,
                LayerState::Pushed => {
                    totals.settled += 1;
                    totals.new += 1;
                    totals.current += layer.total;
                    totals.total += layer.total;
                }
                LayerState::Pushing => {
                    totals.new += 1;
                    totals.current += layer.current.min(layer.total);
                    totals.total += layer.total;
                }
                LayerState::Waiting => {}
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::script;

    #[test]
    fn a_good_run_comes_to_four_milestones() {
        let mut run = Run::default();
        let mut said = Vec::new();
        for event in script::good_run() {
            let before = run.of(name_of(&event)).and_then(|progress| {
                let (stage, _) = progress.stage?;
                matches!(event.kind, Kind::Stage { .. } | Kind::ServiceFinished { .. })
                    .then(|| progress.milestone(stage, event.at))?
            });
            said.extend(before);
            run.apply(&event);
        }
        assert_eq!(
            said,
            [
                "built in 3.1 s: 4 steps, 1 cached",
                "pushed git-1a2b3c4d5e6f and latest in 2.6 s: 2 new of 3 layers, 12.3 MB",
                "rolled out in 5.0 s: 2 of 2 tasks run",
                "proven: sha256:0123456789ab is what runs",
            ]
        );
    }

    #[test]
    fn a_line_that_comes_before_its_step_is_kept() {
        let mut run = Run::default();
        let id = "1".to_owned();
        let log = Kind::BuildLog { id: id.clone(), line: "no such file".to_owned() };
        run.apply(&script::at(0.0, Some("api"), log));
        let state = StepState::Failed;
        let step = Kind::BuildStep { id, name: "[2/2] RUN make".to_owned(), state, seconds: None, error: None };
        run.apply(&script::at(0.1, Some("api"), step));
        let step = run.of("api").and_then(Progress::failed_step).unwrap();
        assert_eq!((step.name.as_str(), &step.tail), ("[2/2] RUN make", &VecDeque::from(["no such file".to_owned()])));
    }

    #[test]
    fn only_the_last_lines_of_a_step_are_kept() {
        let mut run = Run::default();
        for event in script::failed_build() {
            run.apply(&event);
        }
        let step = run.of("api").and_then(Progress::failed_step).unwrap();
        assert_eq!(step.tail.len(), TAIL);
        assert_eq!(step.tail.back().unwrap(), "error: could not compile `api` (bin \"api\") due to 1 previous error");
    }
}
