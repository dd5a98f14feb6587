//! From one repository to another, byte for byte: what the target has is not sent, what can be mounted is mounted, and
//! everything else flows from one registry into the other without being kept here. Children come before their index.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;

use super::blobs::Upload;
use super::client::{Body, Registry, retrying};
use super::failure::Failure;
use super::parts::{Image, Part};
use super::reader::{Reader, contents};
use super::short;
use crate::error::Result;
use crate::event::{Events, Kind, LayerState};

/// Blobs on their way at a time.
const AT_ONCE: usize = 4;

/// Where from, and where to.
pub(crate) struct Copy<'a> {
    pub(crate) from: &'a Arc<Registry>,
    pub(crate) from_repository: &'a str,
    pub(crate) to: &'a Registry,
    pub(crate) to_repository: &'a str,
    /// Both repositories are in one registry, which may mount what the other has.
    pub(crate) same_registry: bool,
    pub(crate) events: &'a Events,
}

impl Copy<'_> {
    /// The layers that the target lacks, which would be sent or mounted, with their numbers from 1 on.
    ///
    /// # Errors
    /// `Exit::Registry`: the target refuses or does not answer.
    pub(crate) async fn missing<'i>(&self, image: &'i Image) -> Result<Vec<(usize, &'i Part)>> {
        let asked = stream::iter(image.layers().zip(1..)).map(async |(part, number)| {
            let there = retrying(|| self.to.has_blob(self.to_repository, &part.digest)).await;
            let doing = format!("look for layer {}", short(&part.digest));
            let there = there.map_err(|failure| failure.during(self.to, &doing))?;
            Ok((!there).then_some((number, part)))
        });
        let missing: Vec<Option<(usize, &Part)>> = asked.buffered(AT_ONCE).try_collect().await?;
        Ok(missing.into_iter().flatten().collect())
    }

    /// What a blob of the source holds, as it comes.
    pub(crate) fn read(&self, part: &Part) -> impl Stream<Item = Result<Bytes>> + Send + Unpin + use<> {
        contents(self.from, self.from_repository, part)
    }

    /// Everything but the tag: nobody sees the image before it is whole.
    ///
    /// # Errors
    /// `Exit::Registry`: either registry refuses or does not answer, or what comes is not what the digest says.
    pub(crate) async fn parts(&self, image: &Image) -> Result<()> {
        let blobs = stream::iter(image.blobs()).map(|part| self.blob(part));
        blobs.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        for child in image.children() {
            let known = || self.to.digest_of(self.to_repository, &child.digest);
            let doing = format!("put manifest {}", short(&child.digest));
            if retrying(known).await.map_err(|failure| failure.during(self.to, &doing))?.is_none() {
                let put =
                    || self.to.put_manifest(self.to_repository, &child.digest, &child.media_type, child.bytes.clone());
                retrying(put).await.map_err(|failure| failure.during(self.to, &doing))?;
            }
        }
        Ok(())
    }

    /// Puts the image itself under a tag.
    pub(crate) async fn tag(&self, image: &Image, tag: &str) -> Result<String> {
        let root = image.root();
        let put = || self.to.put_manifest(self.to_repository, tag, &root.media_type, root.bytes.clone());
        retrying(put).await.map_err(|failure| failure.during(self.to, &format!("set the tag `{tag}`")))
    }

    async fn blob(&self, part: &Part) -> Result<()> {
        let fault = Fault::default();
        let sent = retrying(|| self.send(part, &fault)).await;
        let state = sent.map_err(|failure| match fault.take() {
            // The upload only broke off because there was nothing more to send.
            Some(theirs) => theirs.during(self.from, &format!("read {} {}", part.what(), short(&part.digest))),
            None => failure.during(self.to, &format!("send {} {}", part.what(), short(&part.digest))),
        })?;
        self.say(part, state, if state == LayerState::Pushed { part.size } else { 0 });
        Ok(())
    }

    async fn send(&self, part: &Part, fault: &Fault) -> Result<LayerState, Failure> {
        fault.take();
        if self.to.has_blob(self.to_repository, &part.digest).await? {
            return Ok(LayerState::Exists);
        }
        let mount_from = self.same_registry.then_some(self.from_repository);
        let place = match self.to.begin_upload(self.to_repository, &part.digest, mount_from).await? {
            Upload::Mounted => return Ok(LayerState::Mounted),
            Upload::At(place) => place,
        };
        self.say(part, LayerState::Pushing, 0);
        let body = self.relay(part, fault);
        match self.to.finish_upload(&place, &part.digest, part.size, body).await {
            Ok(()) => Ok(LayerState::Pushed),
            Err(failure) => {
                self.to.give_upload_up(&place).await;
                // The reader has tried often enough by itself.
                match fault.take() {
                    Some(theirs) => {
                        fault.keep(theirs);
                        Err(Failure::Strange("the upload was broken off from here".to_owned()))
                    }
                    None => Err(failure),
                }
            }
        }
    }

    fn say(&self, part: &Part, state: LayerState, current: u64) {
        if part.is_layer {
            self.events.emit(Kind::PushLayer { id: short(&part.digest), state, current, total: part.size });
        }
    }

    /// The source's bytes as the target takes them. The last of them are given only when the whole has the digest that
    /// it is called by, so that an altered blob never arrives whole.
    fn relay(&self, part: &Part, fault: &Fault) -> Body {
        let events = part.is_layer.then(|| self.events.clone());
        let reader = Reader::of(self.from, self.from_repository, part);
        let fault = fault.clone();
        let next = move |mut reader: Reader| {
            let (fault, events) = (fault.clone(), events.clone());
            async move {
                match reader.next().await {
                    Ok(None) => Ok(None),
                    Ok(Some(bytes)) => {
                        if let Some(events) = &events {
                            reader.tell(events);
                        }
                        Ok(Some((Frame::data(bytes), reader)))
                    }
                    Err(failure) => {
                        fault.keep(failure);
                        Err(std::io::Error::other("the source broke off"))
                    }
                }
            }
        };
        StreamBody::new(stream::try_unfold(reader, next)).boxed_unsync()
    }
}

/// What went wrong at the source while the target was being sent to.
#[derive(Clone, Default)]
struct Fault(Arc<Mutex<Option<Failure>>>);

impl Fault {
    fn keep(&self, failure: Failure) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    fn take(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
