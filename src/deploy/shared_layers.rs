//! Layers that several images of a run share are sent once: while one push has them under way the others wait, and then
//! the registry mounts them from the repository that has them. Only for registries that do: elsewhere waiting would win
//! nothing, and every push sends its own.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, OnceCell};

use crate::aws::{Clients, ecr};

#[derive(Default)]
pub(super) struct SharedLayers {
    mounts: OnceCell<bool>,
    layers: Mutex<Layers>,
    /// Rings whenever a push has ended.
    ended: Notify,
}

/// By diff id.
#[derive(Default)]
struct Layers {
    under_way: BTreeSet<String>,
    /// Some repository has them, put there by this run.
    there: BTreeSet<String>,
}

/// The right to push these layers; held until the push has ended.
pub(super) struct Turn<'a> {
    shared: &'a SharedLayers,
    layers: Vec<String>,
    arrived: bool,
}

impl SharedLayers {
    /// Waits until nobody else is sending one of these layers. `None` where the registry mounts nothing.
    pub(super) async fn turn(&self, clients: &Clients, layers: &[String]) -> Option<Turn<'_>> {
        if !*self.mounts.get_or_init(|| ecr::mounts_blobs(clients)).await {
            return None;
        }
        Some(self.wait(layers).await)
    }

    async fn wait(&self, layers: &[String]) -> Turn<'_> {
        loop {
            let ended = self.ended.notified();
            if let Some(turn) = self.claim(layers) {
                return turn;
            }
            ended.await;
        }
    }

    fn claim(&self, layers: &[String]) -> Option<Turn<'_>> {
        let mut known = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let mine: Vec<String> = layers.iter().filter(|layer| !known.there.contains(*layer)).cloned().collect();
        if mine.iter().any(|layer| known.under_way.contains(layer)) {
            return None;
        }
        known.under_way.extend(mine.iter().cloned());
        Some(Turn { shared: self, layers: mine, arrived: false })
    }
}

impl Turn<'_> {
    /// The registry has them now.
    pub(super) fn arrived(mut self) {
        self.arrived = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut known = self.shared.layers.lock().unwrap_or_else(PoisonError::into_inner);
        for layer in std::mem::take(&mut self.layers) {
            known.under_way.remove(&layer);
            if self.arrived {
                known.there.insert(layer);
            }
        }
        drop(known);
        self.shared.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::SharedLayers;

    fn layers(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_shared_layer_is_sent_by_one_and_found_by_the_others() {
        let shared = SharedLayers::default();
        let first = shared.wait(&layers(&["base", "a"])).await;
        assert!(shared.claim(&layers(&["base", "b"])).is_none());
        assert!(shared.claim(&layers(&["other"])).is_some());
        first.arrived();
        let second = shared.wait(&layers(&["base", "b"])).await;
        assert_eq!(second.layers, ["b"]);
        assert!(shared.claim(&layers(&["base", "c"])).is_some(), "what is there holds up nobody");
    }

    #[tokio::test]
    async fn a_push_that_failed_leaves_its_layers_to_the_next() {
        let shared = SharedLayers::default();
        let failed = shared.claim(&layers(&["base"])).expect("its turn");
        let base = layers(&["base"]);
        let (turn, ()) = tokio::join!(shared.wait(&base), async { drop(failed) });
        assert_eq!(turn.layers, ["base"]);
    }
}
