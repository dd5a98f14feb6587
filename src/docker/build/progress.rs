//! What BuildKit reports of its steps (vertexes), to events: a step whenever its state changes, and every whole line
//! that it wrote. The last lines of each step are kept for the error.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex};

use super::log::{LineBuffer, plain};
use crate::event::{Events, Kind, StepState};

/// How many of a step's last lines an error shows.
const LAST_LINES: usize = 20;

/// How BuildKit calls the step that reads a cache.
const CACHE_IMPORT: &str = "importing cache manifest from ";

#[derive(Default)]
pub(super) struct Progress {
    steps: HashMap<String, Step>,
    /// The first step that failed by itself.
    failed: Option<String>,
}

#[derive(Default)]
struct Step {
    name: String,
    state: Option<StepState>,
    error: String,
    /// Standard output and standard error are joined line by line, each in its own buffer.
    buffers: [LineBuffer; 2],
    last: VecDeque<String>,
}

/// The step that made a build fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FailedStep {
    /// `[stage 2/3] RUN make`.
    pub(super) name: String,
    pub(super) error: String,
    pub(super) last_lines: Vec<String>,
}

impl Progress {
    pub(super) fn apply(&mut self, status: StatusResponse, events: &Events) {
        // Lines first: a step's last words should not come after its end.
        for log in status.logs {
            let step = self.steps.entry(log.vertex.clone()).or_default();
            let buffer = &mut step.buffers[usize::from(log.stream == 2)];
            for line in buffer.feed(&log.msg) {
                step.say(&log.vertex, line, events);
            }
        }
        for vertex in status.vertexes {
            let step = self.steps.entry(vertex.digest.clone()).or_default();
            step.name = plain(&vertex.name);
            let Some(state) = state_of(&vertex) else { continue };
            if step.state == Some(state) {
                continue;
            }
            if state != StepState::Started {
                step.drain(&vertex.digest, events);
            }
            step.state = Some(state);
            if state == StepState::Failed {
                step.error = plain(&vertex.error);
            }
            // A cache that cannot be read is no failure: BuildKit goes on without it.
            let state = match (state, step.name.strip_prefix(CACHE_IMPORT)) {
                (StepState::Failed, Some(image)) => {
                    let why = &step.error;
                    events
                        .note(format!("no layers can be taken from {image} ({why}): what this engine lacks is built"));
                    StepState::Canceled
                }
                (state, _) => state,
            };
            if state == StepState::Failed {
                self.failed.get_or_insert_with(|| vertex.digest.clone());
            }
            events.emit(Kind::BuildStep {
                name: step.name.clone(),
                state,
                seconds: seconds(&vertex),
                error: Some(step.error.clone()).filter(|error| !error.is_empty()),
                id: vertex.digest,
            });
        }
    }

    /// Gives out the lines that never ended, when the build has.
    pub(super) fn flush(&mut self, events: &Events) {
        for (id, step) in &mut self.steps {
            step.drain(id, events);
        }
    }

    /// The images after `FROM`, each once: of a step `[1/4] FROM docker.io/library/rust:1@sha256:…`.
    pub(super) fn bases(&self) -> Vec<String> {
        let bases = self.steps.values().filter_map(|step| {
            let (_, image) = step.name.split_once("] FROM ")?;
            image.split_whitespace().next().map(str::to_owned)
        });
        bases.collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(super) fn failed_step(&self) -> Option<FailedStep> {
        let step = self.steps.get(self.failed.as_ref()?)?;
        Some(FailedStep {
            name: step.name.clone(),
            error: step.error.clone(),
            last_lines: step.last.iter().cloned().collect(),
        })
    }
}

impl Step {
    fn say(&mut self, id: &str, line: String, events: &Events) {
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
        events.emit(Kind::BuildLog { id: id.to_owned(), line });
    }

    fn drain(&mut self, id: &str, events: &Events) {
        for index in 0..self.buffers.len() {
            if let Some(line) = self.buffers[index].take() {
                self.say(id, line, events);
            }
        }
    }
}

/// `None` for a step that is only known so far.
fn state_of(vertex: &Vertex) -> Option<StepState> {
    if vertex.error.ends_with("context canceled") {
        return Some(StepState::Canceled);
    }
    if !vertex.error.is_empty() {
        return Some(StepState::Failed);
    }
    match (vertex.cached, vertex.completed.is_some(), vertex.started.is_some()) {
        (true, ..) => Some(StepState::Cached),
        (_, true, _) => Some(StepState::Done),
        (_, _, true) => Some(StepState::Started),
        _ => None,
    }
}

fn seconds(vertex: &Vertex) -> Option<f64> {
    let (Timestamp { seconds: start, nanos: start_nanos }, Timestamp { seconds: end, nanos: end_nanos }) =
        (vertex.started?, vertex.completed?);
    let whole = i32::try_from(end.saturating_sub(start)).unwrap_or(i32::MAX);
    Some((f64::from(whole) + f64::from(end_nanos - start_nanos) / 1e9).max(0.0))
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::google::protobuf::Timestamp;
    use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex, VertexLog};

    use super::Progress;
    use crate::event::{Events, Kind, StepState};

    fn vertex(digest: &str, started: i64, completed: i64, error: &str) -> Vertex {
        let at = |seconds| (seconds > 0).then_some(Timestamp { seconds, nanos: 500_000_000 });
        Vertex {
            digest: digest.into(),
            name: format!("[{digest}] RUN x"),
            started: at(started),
            completed: at(completed),
            error: error.into(),
            ..Vertex::default()
        }
    }

    fn log(digest: &str, text: &str) -> VertexLog {
        VertexLog { vertex: digest.into(), msg: text.into(), stream: 1, ..VertexLog::default() }
    }

    #[test]
    fn a_state_is_told_once_and_the_failing_step_keeps_its_last_lines() {
        let (events, mut received) = Events::channel();
        let mut progress = Progress::default();
        let mut apply = |vertexes: Vec<Vertex>, logs| {
            progress.apply(StatusResponse { vertexes, logs, ..StatusResponse::default() }, &events);
        };
        apply(vec![vertex("a", 0, 0, "")], vec![]);
        apply(vec![vertex("a", 1, 0, "")], vec![log("a", "one\ntw")]);
        apply(vec![vertex("a", 1, 0, "")], vec![]);
        let many = (0..30).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n") + "\n";
        apply(vec![], vec![log("a", "o\n"), log("a", &many), log("a", "no end")]);
        apply(vec![vertex("b", 1, 3, "context canceled"), vertex("a", 1, 4, "exit code: 1")], vec![]);
        let mut told = Vec::new();
        while let Ok(message) = received.try_recv() {
            told.push(match message.into_kind() {
                Kind::BuildStep { id, state, seconds, .. } => format!("{id} {state:?} {seconds:?}"),
                Kind::BuildLog { line, .. } => line,
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(told[..3], ["one", "a Started None", "two"]);
        assert_eq!(told[32..], ["line 29", "b Canceled Some(2.0)", "no end", "a Failed Some(3.0)"]);
        let failed = progress.failed_step().unwrap();
        assert_eq!((failed.name.as_str(), failed.error.as_str()), ("[a] RUN x", "exit code: 1"));
        assert_eq!((failed.last_lines.len(), failed.last_lines[19].as_str()), (20, "no end"));
    }

    #[test]
    fn a_cache_that_cannot_be_read_is_not_what_failed() {
        let (events, mut received) = Events::channel();
        let mut progress = Progress::default();
        let import =
            Vertex { name: "importing cache manifest from r/api@sha256:1".into(), ..vertex("i", 1, 2, "not found") };
        let vertexes = vec![import, vertex("a", 1, 4, "exit code: 1")];
        progress.apply(StatusResponse { vertexes, ..StatusResponse::default() }, &events);
        assert_eq!(progress.failed_step().unwrap().name, "[a] RUN x");
        let Kind::Notice { text, .. } = received.try_recv().unwrap().into_kind() else { panic!("no word") };
        assert!(text.starts_with("no layers can be taken from r/api@sha256:1 (not found)"), "{text}");
        let Kind::BuildStep { state, error, .. } = received.try_recv().unwrap().into_kind() else { panic!("no step") };
        assert_eq!((state, error.as_deref()), (StepState::Canceled, Some("not found")));
    }
}
