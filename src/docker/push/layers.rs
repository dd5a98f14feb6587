//! What is told of each layer's way to the registry: every change of its state, and of its bytes four times a second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::event::{Kind, LayerState};

const PACE: Duration = Duration::from_millis(250);

#[derive(Default)]
pub(super) struct Layers(HashMap<String, (LayerState, Instant)>);

impl Layers {
    pub(super) fn accept(&mut self, id: &str, status: &str, current: u64, total: u64, now: Instant) -> Option<Kind> {
        let state = state_of(status)?;
        if id.is_empty() {
            return None;
        }
        let told = self.0.get(id);
        let is_news = told.is_none_or(|&(before, at)| before != state || now.duration_since(at) >= PACE);
        if !is_news {
            return None;
        }
        self.0.insert(id.to_owned(), (state, now));
        // The engine counts what it reads, which ends a little above the layer's size.
        let current = if total > 0 { current.min(total) } else { current };
        Some(Kind::PushLayer { id: id.to_owned(), state, current, total })
    }
}

/// The words of dockerd with either image store; `None` for lines that are not about a layer's state.
fn state_of(status: &str) -> Option<LayerState> {
    Some(match status {
        "Preparing" | "Waiting" => LayerState::Waiting,
        "Pushing" => LayerState::Pushing,
        "Pushed" => LayerState::Pushed,
        "Layer already exists" | "Already exists" => LayerState::Exists,
        _ if status.starts_with("Mounted from") => LayerState::Mounted,
        // The engine tries again by itself.
        _ if status.starts_with("Retrying in") => LayerState::Waiting,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Layers;
    use crate::event::Kind;

    #[test]
    fn changes_are_told_at_once_and_bytes_at_a_pace() {
        let start = Instant::now();
        let mut layers = Layers::default();
        let mut told = Vec::new();
        for (at, id, status, current) in [
            (0, "a", "Preparing", 0),
            (1, "a", "Waiting", 0),
            (2, "a", "Pushing", 10),
            (100, "a", "Pushing", 20),
            (300, "a", "Pushing", 150),
            (301, "b", "Layer already exists", 0),
            (302, "a", "Pushed", 0),
            (303, "", "The push refers to repository [x]", 0),
            (304, "c", "Mounted from y", 0),
        ] {
            let accepted = layers.accept(id, status, current, 100, start + Duration::from_millis(at));
            if let Some(Kind::PushLayer { id, state, current, .. }) = accepted {
                told.push(format!("{id} {state:?} {current}"));
            }
        }
        assert_eq!(told, ["a Waiting 0", "a Pushing 10", "a Pushing 100", "b Exists 0", "a Pushed 0", "c Mounted 0"]);
    }
}
