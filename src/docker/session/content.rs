//! The contents of the files that the engine asked for, by the number of their stat. Read in pieces and sent with
//! backpressure: memory does not grow with the size of a file or of the context.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};

use super::filesync::{Outgoing, packet_of, unreadable};
use super::transfer::Transfer;
use crate::docker::context::has_content;
use crate::error::Error;
use crate::exit::Exit;

/// Bytes of one DATA packet.
const PIECE: u64 = 64 * 1024;

/// The paths that were announced, in the order of their stats; `None` for what has no content or was asked for already.
#[derive(Default)]
pub(super) struct Announced(Mutex<Vec<Option<File>>>);

/// Path beneath the root, and size in bytes as it was announced.
type File = (Box<str>, u64);

impl Announced {
    pub(super) fn add(&self, stat: &Stat) {
        let file =
            has_content(stat.mode).then(|| (stat.path.as_str().into(), u64::try_from(stat.size).unwrap_or_default()));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }

    fn take(&self, id: u32) -> Option<File> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(usize::try_from(id).ok()?)?.take()
    }
}

/// Sends every file whose number comes out of `requested`, until no more can come or the engine has hung up.
pub(super) fn send_contents(
    root: &Path,
    announced: &Announced,
    requested: &Mutex<Receiver<u32>>,
    outgoing: &Outgoing,
    transfer: Option<&Transfer>,
) -> Result<(), Error> {
    loop {
        let next = requested.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(id) = next else { return Ok(()) };
        let (path, size) = announced.take(id).ok_or_else(|| {
            Error::new(Exit::Build, format!("the engine asked for entry {id} of the context, which holds no such file"))
        })?;
        if !send_file(&root.join(&*path), id, size, outgoing, transfer)? {
            return Ok(());
        }
    }
}

/// `false` when the engine has hung up.
fn send_file(path: &Path, id: u32, size: u64, outgoing: &Outgoing, transfer: Option<&Transfer>) -> Result<bool, Error> {
    // An image with an empty file in place of one that just vanished would be wrong without a word, so this is an
    // error, unlike in other builders. A file that grows is sent up to the size that was announced.
    let mut rest = fs::File::open(path).map_err(|error| unreadable(path, &error))?.take(size);
    loop {
        let mut data = Vec::with_capacity(usize::try_from(PIECE.min(rest.limit())).unwrap_or_default());
        rest.by_ref().take(PIECE).read_to_end(&mut data).map_err(|error| unreadable(path, &error))?;
        let (count, is_last) = (data.len(), data.is_empty());
        let packet = Packet { id, data, ..packet_of(PacketType::PacketData) };
        if outgoing.blocking_send(Ok(packet)).is_err() {
            return Ok(false);
        }
        if let Some(transfer) = transfer {
            transfer.sent(u64::from(is_last), count);
        }
        if is_last {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc as queue};

    use bollard_buildkit_proto::fsutil::types::Stat;
    use tokio::sync::mpsc;

    use super::{Announced, send_contents};

    /// Announces `name` with a size, asks for it, and gives what came: the pieces' sizes, or the error.
    fn ask_for(root: &std::path::Path, name: &str, size: i64) -> Result<Vec<usize>, String> {
        let announced = Announced::default();
        announced.add(&Stat { path: name.into(), size, ..Stat::default() });
        let (requests, requested) = queue::channel();
        requests.send(0).unwrap();
        drop(requests);
        let (outgoing, mut packets) = mpsc::channel(100);
        send_contents(root, &announced, &Mutex::new(requested), &outgoing, None).map_err(|error| error.line())?;
        drop(outgoing);
        Ok(std::iter::from_fn(|| packets.blocking_recv()).map(|packet| packet.unwrap().data.len()).collect())
    }

    #[test]
    fn a_file_comes_in_pieces_and_ends_with_an_empty_one() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("f"), vec![1; 150_000]).unwrap();
        assert_eq!(ask_for(root.path(), "f", 150_000).unwrap(), [65536, 65536, 18928, 0]);
        // It grew since it was announced.
        assert_eq!(ask_for(root.path(), "f", 10).unwrap(), [10, 0]);
        // It shrank.
        assert_eq!(ask_for(root.path(), "f", 200_000).unwrap(), [65536, 65536, 18928, 0]);
        std::fs::write(root.path().join("empty"), "").unwrap();
        assert_eq!(ask_for(root.path(), "empty", 0).unwrap(), [0]);
    }

    #[test]
    fn a_file_that_vanished_is_an_error_and_no_empty_file() {
        let root = tempfile::tempdir().unwrap();
        let error = ask_for(root.path(), "gone", 5).unwrap_err();
        assert!(error.contains("cannot read") && error.contains("gone"), "{error}");
    }

    #[test]
    fn what_has_no_content_cannot_be_asked_for() {
        let announced = Announced::default();
        announced.add(&Stat { path: "d".into(), mode: 1 << 31, ..Stat::default() });
        assert!(announced.take(0).is_none() && announced.take(1).is_none());
    }
}
