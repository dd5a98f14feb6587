//! The environment that has to run a commit first (`after`), read as the gate on it reads it, and as a promotion does.

use futures_util::future::join_all;

use super::Check;
use crate::after;
use crate::aws::{Settings, ecr};
use crate::config::specification::Specification;
use crate::error::Result;

/// `before` is what deploy.yaml says of that environment.
pub(super) async fn examine(specification: &Specification, before: Specification, settings: &Settings) -> Vec<Check> {
    let (from, promotes) = (before.environment.name.clone(), specification.environment.promote);
    let what = format!("after {from}");
    let before = match after::read(before, settings).await {
        Ok(before) => before,
        Err(error) => return vec![Check::of_error(&what, &error)],
    };
    if !promotes || before.specification.services.is_empty() {
        return vec![Check::works(&what, "what runs there can be read")];
    }
    let mut checks: Vec<Check> =
        ecr::login(&before.clients).await.err().map(|error| Check::of_error(&what, &error)).into_iter().collect();
    let images = join_all(before.releases.iter().map(|release| config(&before, release))).await;
    for error in images.into_iter().filter_map(Result::err) {
        let check = Check::of_error(&what, &error);
        if !checks.contains(&check) {
            checks.push(check);
        }
    }
    if checks.is_empty() {
        checks.push(Check::works(&what, "what runs there, and its images, can be read"));
    }
    checks
}

/// Reads what a copy begins with. Where nothing runs yet, or it is gone, is for the gate to say.
async fn config(before: &after::Before, release: &after::Release) -> Result<()> {
    let (Some(service), Some(digest)) = (before.service(&release.service), &release.digest) else { return Ok(()) };
    match ecr::manifest(&before.clients, &service.repository, digest).await? {
        Some(manifest) => {
            let architecture = service.platform.architecture();
            ecr::config(&before.clients, &service.repository, &manifest, architecture).await.map(drop)
        }
        None => Ok(()),
    }
}
