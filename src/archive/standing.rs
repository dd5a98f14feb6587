//! How a zip stands, as a row of `shipit status`.

use super::{Label, place};
use crate::aws::Clients;
use crate::aws::s3::{self, Object};
use crate::config::specification::{Archive, Environment};
use crate::error::Result;
use crate::status::{ServiceStatus, State};

pub(crate) async fn status(clients: &Clients, environment: &Environment, archive: &Archive) -> ServiceStatus {
    let read: Result<Option<Object>> = async {
        s3::bucket(clients, &archive.bucket).await?;
        s3::head(clients, &archive.bucket, &archive.latest_key).await
    }
    .await;
    match read {
        Ok(latest) => judge(environment, archive, latest.as_ref()),
        Err(error) => ServiceStatus::unread(environment, &archive.name, &error),
    }
}

fn judge(environment: &Environment, archive: &Archive, latest: Option<&Object>) -> ServiceStatus {
    let live = place(&archive.bucket, &archive.latest_key);
    let empty = ServiceStatus::empty(environment, &archive.name);
    let Some(latest) = latest else {
        return ServiceStatus { state: State::Absent, notes: vec![format!("nothing is at {live} yet")], ..empty };
    };
    let label = Label::of(latest);
    let mut notes = Vec::new();
    if label.revision.is_none() {
        notes.push(format!("{live} was not put there by shipit"));
    }
    if let Some(held) = &label.held {
        notes.push(format!("{held} was rolled back and is held; deploy --release-hold brings it back"));
    }
    ServiceStatus {
        state: State::Live,
        recorded: label.revision.is_some(),
        digest: label.digest(),
        revision: label.revision,
        since: latest.modified,
        deployed_by: label.by,
        approved_by: label.approved_by,
        held: label.held,
        notes,
        ..empty
    }
}
