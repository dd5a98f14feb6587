//! The step that others see: a zip is copied over the live key, and what is there is looked at. Deploy and rollback
//! share it. S3 makes the copy whole or not at all: there is nothing to bring back.

use super::{Label, place};
use crate::aws::Clients;
use crate::aws::s3::{self, Copied, Copy, Object};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::revision::short;
use crate::rollout::Stop;
use crate::verdict::Verdict;

const LOOK: &str = "see what is live with shipit status, then run this again";

/// Copies it, with this label. An answer that was lost, and was asked for again, looks like a refusal, and so does a second
/// run of the same commit at the same time: what is there decides. Once begun it is not given up: it takes a moment, and
/// cannot be taken back.
pub(crate) async fn make_live(clients: &Clients, copy: Copy<'_>, label: &Label) -> Result<(), Stop> {
    let copied = s3::copy(clients, copy, &label.metadata()).await;
    if matches!(copied, Ok(Copied::Done)) {
        return Ok(());
    }
    let live = place(copy.bucket, copy.to);
    let now = s3::head(clients, copy.bucket, copy.to).await;
    let stop = match (copied, now) {
        (_, Ok(Some(now))) if is_same(Label::of(&now), label) => return Ok(()),
        (Err(error), Ok(now)) => {
            let is_as_it_was = now.as_ref().map(|now| &*now.etag) == copy.to_etag;
            let what = if is_as_it_was { "is as it was" } else { "was changed by somebody else meanwhile" };
            Stop::new(Verdict::PushFailed, error.cause(format!("{live} {what}")))
        }
        (Ok(_), Ok(_)) => Stop::new(
            Verdict::Refused,
            Error::new(Exit::Gate, format!("{live} was changed while this one was made"))
                .hint("somebody else has deployed: what is live is theirs; look at it, then run this again"),
        ),
        (copied, Err(unknown)) => {
            let error = Error::new(Exit::Aws, format!("whether {live} is this zip now is not known"));
            let error = error.cause(unknown.line()).hint(LOOK);
            let error = match copied {
                Err(refused) => error.cause(refused.line()),
                Ok(_) => error,
            };
            Stop::new(Verdict::NotProven, error)
        }
    };
    Err(stop)
}

/// Whoever made it live, and when.
fn is_same(now: Label, meant: &Label) -> bool {
    let Label { at, by, approved_by, .. } = meant.clone();
    Label { at, by, approved_by, ..now } == *meant
}

/// What is live is what was meant.
pub(crate) async fn prove(
    clients: &Clients,
    bucket: &str,
    latest_key: &str,
    is_meant: impl Fn(&Object) -> bool,
) -> Result<(), Stop> {
    let live = place(bucket, latest_key);
    let unproven = |exit, text| Stop::new(Verdict::NotProven, Error::new(exit, text).hint(LOOK));
    let now = s3::head(clients, bucket, latest_key).await.map_err(|error| {
        let mut stop = unproven(Exit::Aws, format!("{live} was written, but could not be read again"));
        stop.error = stop.error.cause(error.line());
        stop
    })?;
    match now {
        Some(now) if is_meant(&now) => Ok(()),
        Some(now) => {
            let label = Label::of(&now);
            let is = label.revision.as_deref().map_or("nothing that shipit put there", short);
            Err(unproven(Exit::NotProven, format!("{live} is another zip now: {is}")))
        }
        None => Err(unproven(Exit::NotProven, format!("{live} is gone"))),
    }
}
