//! From one repository to another, byte for byte: what the target has is not sent, what can be mounted is mounted, and
//! everything else flows from one registry into the other without being kept here. Children come before their index.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use sha2::{Digest as _, Sha256};

use super::blobs::Upload;
use super::client::{Body, Registry, retrying};
use super::failure::Failure;
use super::parts::{Image, Part};
use super::{WORD_EVERY, short};
use crate::docker::hexadecimal;
use crate::error::Result;
use crate::event::{Events, Kind, LayerState};

/// Blobs on their way at a time.
const AT_ONCE: usize = 4;

/// How often a blob that breaks off is taken up again where it broke off.
const RESUMED_AT_MOST: usize = 5;

/// How long the source may send nothing.
const SILENCE: Duration = Duration::from_secs(30);

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
                // What the source is to blame for decides whether another attempt makes sense.
                match fault.take() {
                    Some(theirs) if !theirs.may_pass() => {
                        fault.keep(theirs);
                        Err(Failure::Strange("the upload was broken off from here".to_owned()))
                    }
                    Some(theirs) => {
                        fault.keep(theirs);
                        Err(failure)
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
        let reader = Reader {
            from: Arc::clone(self.from),
            repository: self.from_repository.to_owned(),
            part: part.clone(),
            body: None,
            at: 0,
            told: 0,
            hash: Sha256::new(),
            resumed: 0,
        };
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

/// A blob being read.
struct Reader {
    from: Arc<Registry>,
    repository: String,
    part: Part,
    body: Option<Incoming>,
    /// Bytes read.
    at: u64,
    /// Up to where progress was told.
    told: u64,
    hash: Sha256,
    resumed: usize,
}

impl Reader {
    /// The next bytes; `None` when all were given.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while self.at < self.part.size {
            let Some(body) = &mut self.body else {
                match self.from.blob(&self.repository, &self.part.digest, self.at).await {
                    Ok(answer) => self.body = Some(answer.into_body()),
                    Err(failure) => self.may_resume(failure)?,
                }
                continue;
            };
            let broken = match tokio::time::timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) if bytes.is_empty() => continue,
                    Ok(bytes) => return self.take(bytes).map(Some),
                    Err(_) => continue,
                },
                Ok(Some(Err(error))) => Failure::unanswered(&error),
                Ok(None) => {
                    Failure::Unanswered(vec![format!("it ended after {} of {} bytes", self.at, self.part.size)])
                }
                Err(_) => Failure::Unanswered(vec![format!("nothing came for {} s", SILENCE.as_secs())]),
            };
            self.body = None;
            self.may_resume(broken)?;
        }
        Ok(None)
    }

    fn take(&mut self, bytes: Bytes) -> Result<Bytes, Failure> {
        self.at += bytes.len() as u64;
        self.hash.update(&bytes);
        if self.at < self.part.size {
            return Ok(bytes);
        }
        let found = hexadecimal(&self.hash.clone().finalize());
        if self.at == self.part.size && self.part.digest.strip_prefix("sha256:") == Some(&*found) {
            Ok(bytes)
        } else {
            Err(Failure::other_bytes(&self.part.digest))
        }
    }

    fn may_resume(&mut self, failure: Failure) -> Result<(), Failure> {
        self.resumed += 1;
        if failure.may_pass() && self.resumed <= RESUMED_AT_MOST { Ok(()) } else { Err(failure) }
    }

    fn tell(&mut self, events: &Events) {
        if self.at - self.told >= WORD_EVERY {
            self.told = self.at;
            let (current, total) = (self.at, self.part.size);
            let id = short(&self.part.digest);
            events.emit(Kind::PushLayer { id, state: LayerState::Pushing, current, total });
        }
    }
}
