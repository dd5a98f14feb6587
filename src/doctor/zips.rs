//! The buckets of zips, as a deploy would find them.

use super::Check;
use crate::archive::{Label, place};
use crate::aws::{Clients, s3};
use crate::config::specification::Archive;
use crate::error::Error;
use crate::revision::short;

/// What a deploy writes.
pub(super) const WRITES: &str = "s3:PutObject";

/// The bucket with what is live in it. Whether it may be listed is what the look at the bucket tells, too.
pub(super) async fn examine(clients: &Clients, archive: &Archive) -> Vec<Check> {
    let Archive { name, bucket, latest_key, .. } = archive;
    if let Err(error) = s3::bucket(clients, bucket).await {
        return vec![refused(name, &error, "s3:ListBucket")];
    }
    let live = place(bucket, latest_key);
    let (latest, listed) =
        tokio::join!(s3::head(clients, bucket, latest_key), s3::list(clients, bucket, &archive.key.prefix));
    let mut checks = vec![match latest {
        Ok(None) => Check::works(name, format!("bucket {bucket}: nothing is at {live} yet")),
        Ok(Some(object)) => {
            let revision = Label::of(&object).revision;
            let is = revision.as_deref().map_or("not shipit's", short);
            Check::works(name, format!("bucket {bucket}: what is live at {live} is {is}"))
        }
        Err(error) => refused(name, &error, "s3:GetObject"),
    }];
    checks.extend(listed.err().map(|error| refused(name, &error, "s3:ListBucket")));
    checks
}

/// An answer to HEAD has no words, so it does not name the action that is missing.
fn refused(what: &str, error: &Error, action: &str) -> Check {
    let check = Check::of_error(what, error);
    match check.missing_action {
        None if error.line().contains("HTTP 403") => Check { missing_action: Some(action.to_owned()), ..check },
        _ => check,
    }
}
