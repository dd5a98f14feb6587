//! The engine's export of an image, brought to the search: the network on one side, a thread that reads on the other,
//! and a few pieces between them.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::layers::{self, Searched};
use super::needles::Needles;
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::exit::Exit;

/// Pieces that may wait to be looked through.
const WAITING: usize = 16;

/// Looks through the image's layers but for those in `skip`. `None` where the engine does not give images out, which is
/// said.
pub(super) async fn search(
    engine: &Engine,
    image: &str,
    needles: Arc<Needles>,
    skip: HashSet<String>,
    events: &Events,
) -> Result<Option<Searched>> {
    let mut export = match engine.export_if_allowed(image).await? {
        Ok(export) => export,
        Err(why) => {
            events.warn(
                format!("the files of the image were not looked through for secrets: the engine refuses ({why})"),
                Some(
                    "config and history were; take an engine that lets an image out to have the files checked"
                        .to_owned(),
                ),
            );
            return Ok(None);
        }
    };
    let (sender, receiver) = mpsc::channel(WAITING);
    let reader = Pieces { receiver, piece: Bytes::new() };
    let search = tokio::task::spawn_blocking(move || layers::search(reader, &needles, |name| skip.contains(name)));
    while let Some(piece) = export.next().await {
        // Nobody takes it any more: the search has ended, well or badly, and says so itself.
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    let broken = |error: &(dyn std::error::Error + 'static)| {
        Error::new(Exit::Build, "the image could not be looked through for secrets")
            .because(error)
            .hint("the engine's export of the image broke off: look into its log and its disk space, and run it again")
    };
    let searched = search.await.map_err(|error| broken(&error))?;
    searched.map(Some).map_err(|error| broken(&error))
}

/// What comes through the channel, to be read by a thread that may wait.
struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let read = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}
