//! ECR's scan of the image on its way: a gate before `latest` is moved, where deploy.yaml makes it one, and otherwise
//! something to tell once the service is rolled.

use super::Ship;
use crate::aws::ecr;
use crate::deploy::scan;
use crate::error::Result;
use crate::event::Stage;
use crate::rollout::Stop;
use crate::scan::{Scanning, look};
use crate::verdict::Verdict;

impl Ship<'_> {
    /// The image that an earlier run pushed for its scan: a tag that cannot be moved cannot be pushed again either.
    pub(super) async fn there_for_scan(&self, tag: &str) -> Result<Option<String>> {
        if !scan::is_for_scan(tag) {
            return Ok(None);
        }
        self.unless_cancelled(ecr::digest_of(self.deploy.clients, &self.service.repository, tag)).await
    }

    /// Before `latest` is moved: waits for ECR's scan, where deploy.yaml makes it a gate.
    pub(super) async fn scan(&mut self) -> Result<(), Stop> {
        let (Some(policy), Some(gate)) = (&self.service.scan, &self.plan.scan) else { return Ok(()) };
        self.events.stage(Stage::Scan);
        let digest = self.trail.digest.clone().unwrap_or_default();
        let scanned = self.unless_cancelled(self.scanning(&digest).gate(policy, gate.on_push)).await;
        match scanned {
            Ok(report) => self.trail.scan = Some(report),
            Err(error) => return Err(Stop::new(Verdict::Refused, error)),
        }
        self.events.stage(Stage::Push);
        Ok(())
    }

    /// Without a gate: what a scan has found by now is told, and is no reason to wait or to fail.
    pub(super) async fn look_at_scan(&mut self) {
        if self.trail.scan.is_none() {
            let digest = self.trail.digest.clone().unwrap_or_default();
            let scanning = self.scanning(&digest);
            let looked = self.unless_cancelled(async { Ok(look(&scanning, self.service.scan.as_ref()).await) }).await;
            self.trail.scan = looked.ok().flatten();
        }
    }

    pub(super) fn scanning<'s>(&'s self, digest: &'s str) -> Scanning<'s> {
        Scanning {
            clients: self.deploy.clients,
            repository: &self.service.repository,
            digest,
            architecture: self.service.platform.architecture(),
            events: self.events,
        }
    }
}
