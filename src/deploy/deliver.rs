//! A zip's way: pack → keep it under its commit's key → copy it over the live key → prove. It reads in that order.
//!
//! The copy is the one step that others see, and S3 makes it whole or not at all: there is nothing to bring back.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;

use super::Deploy;
use super::order::Ends;
use crate::archive::{ArchivePlan, Label, Packed, make_live, pack, place, prove};
use crate::aws::s3::{self, Copy, Object, Upload};
use crate::config::specification::Archive;
use crate::docker::hexadecimal;
use crate::error::{Error, Result};
use crate::event::{Events, Kind, LayerState, Stage};
use crate::exit::Exit;
use crate::interrupt::{interrupted, unless_cancelled};
use crate::rollout::Stop;
use crate::verdict::{Outcome, Verdict};

const NOTHING_LIVE: &str = "interrupted; what is live is as it was";

pub(super) struct Deliver<'a> {
    pub(super) deploy: &'a Deploy<'a>,
    pub(super) archive: &'a Archive,
    pub(super) plan: &'a ArchivePlan,
    pub(super) events: &'a Events,
}

/// The zip, once it is packed.
struct Zip {
    file: Arc<std::fs::File>,
    bytes: u64,
    /// Hexadecimal.
    sha256: String,
    /// What S3 says of it where it was put in one call or copied, and where it was put in parts.
    checksums: [Option<String>; 2],
}

impl Zip {
    /// Whether an object is this zip. S3's own checksum decides where there is one.
    fn is(&self, object: &Object) -> bool {
        let said = Label::of(object).sha256.as_ref() == Some(&self.sha256) && object.bytes == self.bytes;
        said && object.checksum.as_ref().is_none_or(|found| self.checksums.iter().flatten().any(|own| own == found))
    }
}

impl Deliver<'_> {
    pub(super) async fn run(self, ends: &Ends) -> Outcome {
        let mut digest = None;
        let mut outcome = match self.all_the_way(ends, &mut digest).await {
            Ok(verdict) => Outcome::ended(&self.archive.name, verdict, Exit::Success),
            Err(stop) => Outcome::failed(&self.archive.name, stop.verdict, &stop.error),
        };
        outcome.digest = digest;
        outcome
    }

    async fn all_the_way(&self, ends: &Ends, digest: &mut Option<String>) -> Result<Verdict, Stop> {
        ends.in_the_way(&self.plan.depends_on)?;
        let zip = self.pack().await.map_err(|error| Stop::new(Verdict::BuildFailed, error))?;
        *digest = Some(format!("sha256:{}", zip.sha256));
        let kept = self.keep(&zip).await.map_err(|error| Stop::new(Verdict::PushFailed, error))?;
        ends.turn(&self.plan.depends_on, self.events, self.deploy.cancel, NOTHING_LIVE).await?;
        if self.is_live(&zip) {
            self.prove(&zip).await?;
            return Ok(Verdict::Unchanged);
        }
        self.still_before().await?;
        self.make_live(&zip, &kept).await?;
        self.prove(&zip).await?;
        Ok(Verdict::Deployed)
    }

    /// The environment before this one may have gone another way since the plan was made.
    async fn still_before(&self) -> Result<(), Stop> {
        let Some(before) = self.deploy.before else { return Ok(()) };
        let still = before.still_runs(&self.archive.name, "commit");
        let still = unless_cancelled(self.deploy.cancel, NOTHING_LIVE, still).await;
        still.map_err(|error| Stop::new(Verdict::Refused, error))
    }

    async fn pack(&self) -> Result<Zip> {
        self.events.stage(Stage::Build);
        let (archive, cancel) = (self.archive.clone(), self.deploy.cancel.clone());
        let packed = tokio::task::spawn_blocking(move || pack(&archive, &cancel)).await;
        let packed = packed.map_err(|ended| Error::new(Exit::Fault, "the packing ended early").because(&ended))?;
        let Packed { file, sha256, bytes, files } = packed?;
        let whole = BASE64_STANDARD.encode(sha256);
        let sha256 = hexadecimal(&sha256);
        let ending = if files == 1 { "file" } else { "files" };
        self.events.note(format!("packed {files} {ending} into {bytes} bytes, sha256:{sha256}"));
        let file = Arc::new(file);
        let in_parts = s3::checksum_of_parts(&file, bytes).await?;
        Ok(Zip { file, bytes, sha256, checksums: [Some(whole), in_parts] })
    }

    /// Makes sure that the bucket has it under the commit's key, and returns it as the bucket has it.
    async fn keep(&self, zip: &Zip) -> Result<Object> {
        self.events.stage(Stage::Push);
        let Deploy { clients, cancel, .. } = *self.deploy;
        let (bucket, key) = (&self.plan.bucket, &self.plan.key);
        let there = unless_cancelled(cancel, NOTHING_LIVE, s3::head(clients, bucket, key)).await?;
        match there {
            Some(object) if zip.is(&object) => {
                self.events.note(format!("{} is there already, with the same bytes", place(bucket, key)));
                return Ok(object);
            }
            Some(_) => self.events.warn(
                format!("{} is there with other bytes: it is replaced", place(bucket, key)),
                Some("files that are not in git, or another `exclude`, make another zip of the same commit".to_owned()),
            ),
            None => {}
        }
        let label = Label { previous: None, held: None, base: None, ..self.label(zip) };
        let metadata = label.metadata();
        let upload = Upload { bucket, key, file: &zip.file, bytes: zip.bytes, metadata: &metadata };
        let id = "zip".to_owned();
        let sent = |current| {
            let state = if current == zip.bytes { LayerState::Pushed } else { LayerState::Pushing };
            self.events.emit(Kind::PushLayer { id: id.clone(), state, current, total: zip.bytes });
        };
        sent(0);
        s3::put(clients, upload, cancel, sent).await?;
        let kept = unless_cancelled(cancel, NOTHING_LIVE, s3::head(clients, bucket, key)).await?;
        match kept.filter(|object| zip.is(object)) {
            Some(object) => {
                let digest = format!("sha256:{}", zip.sha256);
                self.events.emit(Kind::TagPushed { reference: place(bucket, key), digest });
                Ok(object)
            }
            None => Err(Error::new(Exit::Aws, format!("{} is not what was put there", place(bucket, key)))
                .hint("somebody else writes there at the same time: run it again when they are done")),
        }
    }

    /// Whether the plan has seen this very zip of this very commit live, and nothing held.
    fn is_live(&self, zip: &Zip) -> bool {
        let label = &self.plan.label;
        label.sha256.as_ref() == Some(&zip.sha256)
            && label.revision.as_ref() == Some(&self.deploy.plan.revision.full())
            && label.held.is_none()
    }

    async fn make_live(&self, zip: &Zip, kept: &Object) -> Result<(), Stop> {
        let Deploy { clients, cancel, .. } = *self.deploy;
        let (bucket, latest_key) = (&self.plan.bucket, &self.plan.latest_key);
        if cancel.is_cancelled() {
            return Err(Stop::new(Verdict::Interrupted, interrupted(NOTHING_LIVE)));
        }
        let copy = Copy {
            bucket,
            from: &self.plan.key,
            from_etag: &kept.etag,
            to: latest_key,
            to_etag: self.plan.latest_etag.as_deref(),
        };
        make_live(clients, copy, &self.label(zip)).await?;
        let reference = place(bucket, latest_key);
        self.events.emit(Kind::TagPushed { reference, digest: format!("sha256:{}", zip.sha256) });
        Ok(())
    }

    /// What is live is this zip, by S3's own checksum where it has one.
    async fn prove(&self, zip: &Zip) -> Result<(), Stop> {
        self.events.stage(Stage::Prove);
        prove(self.deploy.clients, &self.plan.bucket, &self.plan.latest_key, |now| zip.is(now)).await
    }

    fn label(&self, zip: &Zip) -> Label {
        let Deploy { plan, options, .. } = *self.deploy;
        let revision = plan.revision.full();
        let before = &self.plan.label;
        let previous = match &before.revision {
            Some(live) if *live != revision => Some(live.clone()),
            _ => before.previous.clone(),
        };
        Label {
            sha256: Some(zip.sha256.clone()),
            at: Some(Timestamp::now().strftime("%FT%TZ").to_string()),
            by: plan.identity.clone(),
            approved_by: options.approved_by.clone(),
            base: Some(revision.clone()),
            held: None,
            previous,
            revision: Some(revision),
        }
    }
}
