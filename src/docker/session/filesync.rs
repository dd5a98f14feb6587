//! FileSync.DiffCopy: the engine names a directory and patterns, is told the stat of every wanted path, and asks for the
//! contents that it lacks. An unchanged context costs its stats and nothing else.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, mpsc as queue};

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::content::{Announced, send_contents};
use super::fault::Fault;
use super::metadata::Wanted;
use super::transfer::Transfer;
use crate::docker::context::{Filter, WalkError, follow, walk};
use crate::error::Error;
use crate::exit::Exit;

/// Packets between the readers and the connection: with packets of 64 KiB, 1 MiB waits at most.
const IN_FLIGHT: usize = 16;
/// Threads that read files for one call.
const READERS: usize = 2;

/// The two directories that a build may ask for.
#[derive(Clone, Debug)]
pub(in crate::docker) struct Directories {
    pub(in crate::docker) context: PathBuf,
    /// Where the Dockerfile is; it need not lie in the context.
    pub(in crate::docker) dockerfile: PathBuf,
}

pub(in crate::docker) struct FileSync {
    directories: Directories,
    transfer: Transfer,
    fault: Fault,
}

pub(super) type Outgoing = mpsc::Sender<Result<Packet, Status>>;

impl FileSync {
    pub(in crate::docker) fn new(directories: Directories, transfer: Transfer, fault: Fault) -> Self {
        Self { directories, transfer, fault }
    }

    fn root(&self, name: &str) -> Option<&Path> {
        match name {
            "context" => Some(&self.directories.context),
            "dockerfile" => Some(&self.directories.dockerfile),
            _ => None,
        }
    }
}

#[tonic::async_trait]
impl file_sync_server::FileSync for FileSync {
    type DiffCopyStream = ReceiverStream<Result<Packet, Status>>;
    type TarStreamStream = Pin<Box<dyn Stream<Item = Result<Packet, Status>> + Send>>;

    async fn diff_copy(&self, request: Request<Streaming<Packet>>) -> Result<Response<Self::DiffCopyStream>, Status> {
        let wanted = Wanted::read(request.metadata());
        let Some(root) = self.root(&wanted.directory).map(Path::to_owned) else {
            return Err(Status::not_found(format!("this build has no directory `{}`", wanted.directory)));
        };
        let (outgoing, packets) = mpsc::channel(IN_FLIGHT);
        let announced = Arc::new(Announced::default());

        let (requests, requested) = queue::channel();
        let requested = Arc::new(std::sync::Mutex::new(requested));
        for _ in 0..READERS {
            let reader = (root.clone(), Arc::clone(&announced), Arc::clone(&requested), outgoing.clone());
            // The Dockerfile's own folder is no part of the context; newer engines ask for it anew each time.
            let transfer = (wanted.directory == "context").then(|| self.transfer.clone());
            let fault = self.fault.clone();
            tokio::task::spawn_blocking(move || {
                let (root, announced, requested, outgoing) = reader;
                if let Err(error) = send_contents(&root, &announced, &requested, &outgoing, transfer.as_ref()) {
                    fail(&outgoing, &fault, error);
                }
            });
        }
        let walker = (outgoing.clone(), self.fault.clone());
        tokio::task::spawn_blocking(move || {
            let (outgoing, fault) = walker;
            if let Err(error) = announce(&root, &wanted, &announced, &outgoing) {
                fail(&outgoing, &fault, error);
            }
        });
        tokio::spawn(listen(request.into_inner(), requests, outgoing));
        Ok(Response::new(ReceiverStream::new(packets)))
    }

    async fn tar_stream(&self, _: Request<Streaming<Packet>>) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("only DiffCopy is answered"))
    }
}

/// Takes the engine's requests until it has all that it wants. That the readers end follows from `requests` going away.
async fn listen(mut incoming: Streaming<Packet>, requests: queue::Sender<u32>, outgoing: Outgoing) {
    while let Ok(Some(packet)) = incoming.message().await {
        match packet.r#type() {
            PacketType::PacketReq => {
                if requests.send(packet.id).is_err() {
                    return;
                }
            }
            PacketType::PacketFin => {
                let _ = outgoing.send(Ok(packet_of(PacketType::PacketFin))).await;
                return;
            }
            // The engine failed by itself, and says so in the answer to the build.
            PacketType::PacketErr => return,
            PacketType::PacketStat | PacketType::PacketData => {}
        }
    }
}

/// Walks the directory and sends a stat for each wanted path, closed by an empty one.
fn announce(root: &Path, wanted: &Wanted, announced: &Announced, outgoing: &Outgoing) -> Result<(), Error> {
    let mut include = wanted.include.clone();
    if !wanted.follow.is_empty() {
        match follow(root, &wanted.follow) {
            Ok(Some(paths)) => include.extend(paths),
            // The root itself is named, so nothing is filtered out.
            Ok(None) => include.clear(),
            Err(error) => return Err(unreadable(root, &error)),
        }
    }
    let filter = Filter::new(&include, &wanted.exclude).map_err(|error| {
        Error::new(Exit::Build, "the ignore file of the build context has a pattern that cannot be used")
            .because(&error)
            .hint("correct that line; brackets must close, and a backslash must escape something")
    })?;
    let outcome = walk(root, &filter, |stat| {
        announced.add(&stat);
        outgoing.blocking_send(Ok(stat_packet(Some(stat)))).is_ok()
    });
    match outcome {
        Ok(()) => {
            let _ = outgoing.blocking_send(Ok(stat_packet(None)));
            Ok(())
        }
        // The engine has hung up; there is nobody to tell.
        Err(WalkError::Stopped) => Ok(()),
        Err(WalkError::Read(path, error)) => Err(unreadable(&path, &error)),
        Err(WalkError::NotUtf8(path)) => Err(Error::new(
            Exit::Build,
            format!("the build context holds a name that is not UTF-8: {}", path.display()),
        )
        .hint("rename it, or name its folder in .dockerignore: BuildKit cannot be sent such names")),
        Err(WalkError::Pattern(error)) => {
            Err(Error::new(Exit::Build, "the ignore file of the build context has a pattern that cannot be used")
                .because(&error)
                .hint("correct that line; a range in brackets must go upwards"))
        }
    }
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Exit::Build, format!("cannot read {} of the build context", path.display()))
        .because(error)
        .hint("make it readable, or name it in .dockerignore when the image does not need it")
}

/// Keeps the error for the build's own answer, and tells the engine to give up.
fn fail(outgoing: &Outgoing, fault: &Fault, error: Error) {
    let packet = Packet { data: error.line().into_bytes(), ..packet_of(PacketType::PacketErr) };
    fault.record(error);
    let _ = outgoing.blocking_send(Ok(packet));
}

fn stat_packet(stat: Option<Stat>) -> Packet {
    Packet { stat, ..packet_of(PacketType::PacketStat) }
}

pub(super) fn packet_of(kind: PacketType) -> Packet {
    Packet { r#type: kind.into(), ..Packet::default() }
}
