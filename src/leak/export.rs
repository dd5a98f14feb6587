//! The engine's export of an image, brought to the search: the network on one side, a thread that reads on the other,
//! and a few pieces between them.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
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
    let look = move |reader| layers::search(reader, &needles, |name| skip.contains(name));
    let (searched, ended) = pour(&mut export, look).await;
    let broken = |error: &(dyn std::error::Error + 'static)| {
        Error::new(Exit::Build, "the image could not be looked through for secrets")
            .because(error)
            .hint("the engine's export of the image broke off: look into its log and its disk space, and run it again")
    };
    match (searched, ended) {
        (_, Some(error)) | (Err(error), None) => Err(broken(&error)),
        (Ok(searched), None) => Ok(Some(searched)),
    }
}

/// Brings bytes as they come to whoever reads them in a thread that may wait. What broke them off is given back as it is;
/// the reader sees their end then.
pub(super) async fn pour<T: Send + 'static, E>(
    mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
    look: impl FnOnce(Pieces) -> io::Result<T> + Send + 'static,
) -> (io::Result<T>, Option<E>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let look = tokio::task::spawn_blocking(move || look(Pieces { receiver, piece: Bytes::new() }));
    let mut broken = None;
    while let Some(piece) = pieces.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                broken = Some(error);
                break;
            }
        };
        // Nobody takes it any more: the reader has ended, well or badly, and says so itself.
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    (look.await.unwrap_or_else(|ended| Err(io::Error::other(ended))), broken)
}

/// What comes through the channel, to be read by a thread that may wait.
pub(super) struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let read = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}
