//! A blob as it comes out of a registry: taken up again where it breaks off, and checked against its digest.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::stream::{self, Stream};
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use sha2::{Digest as _, Sha256};

use super::client::Registry;
use super::failure::Failure;
use super::parts::Part;
use super::{WORD_EVERY, short};
use crate::docker::hexadecimal;
use crate::error::Error;
use crate::event::{Events, Kind, LayerState};

/// Before each time that a blob is taken up again; as many in a row without getting on, and it is given up.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
];

/// How long the source may send nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// What a blob holds, as it comes: whole, and what its digest says, where it ends without an error.
pub(crate) fn contents(
    from: &Arc<Registry>,
    repository: &str,
    part: &Part,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + Unpin + use<> {
    let doing = format!("read {} {}", part.what(), short(&part.digest));
    let (reader, from) = (Reader::of(from, repository, part), Arc::clone(from));
    Box::pin(stream::try_unfold(reader, move |mut reader| {
        let (from, doing) = (Arc::clone(&from), doing.clone());
        async move {
            let bytes = reader.next().await.map_err(|failure| failure.during(&from, &doing))?;
            Ok(bytes.map(|bytes| (bytes, reader)))
        }
    }))
}

/// A blob being read.
pub(super) struct Reader {
    from: Arc<Registry>,
    repository: String,
    part: Part,
    body: Option<Incoming>,
    /// Bytes read.
    at: u64,
    /// Bytes that come a second time, from a registry that knows no ranges.
    again: u64,
    /// Up to where progress was told.
    told: u64,
    hash: Sha256,
    /// Up to where it was read when it broke off last, and how often it has got hardly any further since.
    broken_at: u64,
    resumed: usize,
}

impl Reader {
    pub(super) fn of(from: &Arc<Registry>, repository: &str, part: &Part) -> Self {
        Self {
            from: Arc::clone(from),
            repository: repository.to_owned(),
            part: part.clone(),
            body: None,
            at: 0,
            again: 0,
            told: 0,
            hash: Sha256::new(),
            broken_at: 0,
            resumed: 0,
        }
    }

    /// The next bytes; `None` when all were given.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while self.at < self.part.size {
            let Some(body) = &mut self.body else {
                match self.from.blob(&self.repository, &self.part.digest, self.at).await {
                    Ok(answer) => {
                        self.again = if answer.status() == StatusCode::OK { self.at } else { 0 };
                        self.body = Some(answer.into_body());
                    }
                    Err(failure) => self.resume(failure).await?,
                }
                continue;
            };
            let broken = match tokio::time::timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => match self.fresh(bytes) {
                        bytes if bytes.is_empty() => continue,
                        bytes => return self.take(bytes).map(Some),
                    },
                    Err(_) => continue,
                },
                Ok(Some(Err(error))) => Failure::unanswered(&error),
                Ok(None) => {
                    Failure::Unanswered(vec![format!("it ended after {} of {} bytes", self.at, self.part.size)])
                }
                Err(_) => Failure::Unanswered(vec![format!("nothing came for {} s", SILENCE.as_secs())]),
            };
            self.body = None;
            self.resume(broken).await?;
        }
        Ok(None)
    }

    /// Without what was read before.
    fn fresh(&mut self, mut bytes: Bytes) -> Bytes {
        let again = self.again.min(bytes.len() as u64);
        self.again -= again;
        // It is not more than there are.
        bytes.advance(usize::try_from(again).unwrap_or(bytes.len()));
        bytes
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

    /// Takes a moment, longer each time, before it goes on where it broke off: a network that is away for a few seconds must
    /// not cost the gigabytes that have come already.
    async fn resume(&mut self, failure: Failure) -> Result<(), Failure> {
        if self.at - self.broken_at >= WORD_EVERY {
            self.resumed = 0;
        }
        self.broken_at = self.at;
        let Some(pause) = PAUSES.get(self.resumed).filter(|_| failure.may_pass()) else { return Err(failure) };
        self.resumed += 1;
        tokio::time::sleep(*pause).await;
        Ok(())
    }

    pub(super) fn tell(&mut self, events: &Events) {
        if self.at - self.told >= WORD_EVERY {
            self.told = self.at;
            let (current, total) = (self.at, self.part.size);
            let id = short(&self.part.digest);
            events.emit(Kind::PushLayer { id, state: LayerState::Pushing, current, total });
        }
    }
}
