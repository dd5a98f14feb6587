//! Asks ECR for the scan of an image: again and again until there is a result or no more time, or just once.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::judge::{Reading, Report, UNTOUCHED, judge, read};
use super::policy::Policy;
use crate::aws::ecr::scan::Scan;
use crate::aws::{Clients, ecr};
use crate::error::{Error, Result};
use crate::event::{Events, Kind};
use crate::exit::Exit;

/// So long after a push a scan that ECR was to begin by itself may still not be there.
const GRACE: Duration = Duration::from_secs(10);
/// The pause after each look; the last one is that of all later looks.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// ECR scans an image on demand once within this.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);
/// How long the look after a rollout may take, so that nobody waits for it.
const A_LOOK: Duration = Duration::from_secs(3);

/// Which image is scanned.
pub(crate) struct Scanning<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) repository: &'a str,
    /// Of what was pushed, an index perhaps.
    pub(crate) digest: &'a str,
    /// In Go's word.
    pub(crate) architecture: &'a str,
    pub(crate) events: &'a Events,
}

impl Scanning<'_> {
    /// Waits for the result, and tells it. Where `on_push` is `false`, or ECR begins no scan by itself, it is asked to.
    ///
    /// # Errors
    /// What `fail_on` names was found, the image cannot be scanned, or the time ran out ([`Exit::Gate`]); ECR refuses to
    /// say ([`Exit::Aws`]).
    pub(crate) async fn gate(&self, policy: &Policy, on_push: Option<bool>) -> Result<Report> {
        let began = Instant::now();
        let image = self.image().await?;
        let (mut told, mut asked, mut pauses) = (String::new(), None, PAUSES.iter());
        let mut pause = PAUSES[0];
        loop {
            let state = match ecr::scan::findings(self.clients, self.repository, &image).await {
                Ok(scan) => {
                    let absent = scan.is_none();
                    let old = scan.as_ref().and_then(outdated);
                    match read(scan) {
                        Reading::Results(_) if self.is_begun_anew(old, &image, &mut asked).await => {
                            "over a day old, and begun anew".to_owned()
                        }
                        Reading::Results(found) => {
                            let report = judge(&image, found, Some(policy), today());
                            self.events.emit(Kind::Scanned { report: Box::new(report.clone()) });
                            return report.refusal().map_or(Ok(report), Err);
                        }
                        Reading::Over(error) => return Err(error),
                        Reading::Wait(state) => {
                            if absent && asked.is_none() && (on_push == Some(false) || began.elapsed() >= GRACE) {
                                asked = Some(ecr::scan::start(self.clients, self.repository, &image).await);
                            }
                            state
                        }
                    }
                }
                Err(error) if error.is_transient() => error.line(),
                Err(error) => {
                    return Err(error.cause("`scan.fail_on` cannot be kept without it").hint(UNTOUCHED));
                }
            };
            if told != state {
                self.events.emit(Kind::Scanning { state: state.clone() });
                told = state;
            }
            if began.elapsed() >= policy.timeout {
                return Err(out_of_time(&image, &told, asked.and_then(Result::err), policy.timeout));
            }
            pause = pauses.next().copied().unwrap_or(pause);
            tokio::time::sleep(pause.min(policy.timeout.saturating_sub(began.elapsed()))).await;
        }
    }

    /// ECR scans images, not indexes: of an index it is the child that runs.
    async fn image(&self) -> Result<String> {
        let manifest = ecr::manifest(self.clients, self.repository, self.digest).await?;
        let child = manifest.and_then(|manifest| manifest.child(self.architecture));
        Ok(child.unwrap_or_else(|| self.digest.to_owned()))
    }

    /// Whether the results that are there are too old to go by, and others will come. Where they cannot be had, these are
    /// better than none.
    async fn is_begun_anew(&self, old: Option<Timestamp>, image: &str, asked: &mut Option<Result<()>>) -> bool {
        let Some(at) = old else { return false };
        if asked.is_none() {
            let answered = ecr::scan::start(self.clients, self.repository, image).await;
            if let Err(error) = &answered {
                let at = at.strftime("%F");
                self.events.warn(format!("the scan is of {at}, and no new one can be had: {}", error.line()), None);
            }
            *asked = Some(answered);
        }
        matches!(asked, Some(Ok(())))
    }
}

fn out_of_time(image: &str, state: &str, refused: Option<Error>, timeout: Duration) -> Error {
    let timeout = humantime::format_duration(timeout);
    let error = Error::new(Exit::Gate, format!("the scan of {image} has no result after {timeout}: {state}"));
    let error = match refused {
        Some(refused) => error.cause(format!("no scan could be asked for: {}", refused.line())),
        None => error,
    };
    error.hint(format!(
        "run it again when ECR has scanned the image, or give it more time with `scan.timeout`; if no scan ever begins, \
         turn scanning on for the repository; {UNTOUCHED}"
    ))
}

/// One look that changes nothing and fails nobody: what a scan has found so far, where that is known at all.
pub(crate) async fn look(scanning: &Scanning<'_>, policy: Option<&Policy>) -> Option<Report> {
    let look = async {
        // An index is asked for as it is: that ECR cannot scan it is no news here, and one call is enough.
        let scan = ecr::scan::findings(scanning.clients, scanning.repository, scanning.digest).await.ok()?;
        match read(scan) {
            Reading::Results(found) => Some(judge(scanning.digest, found, policy, today())),
            Reading::Wait(_) | Reading::Over(_) => None,
        }
    };
    let report = tokio::time::timeout(A_LOOK, look).await.ok().flatten()?;
    scanning.events.emit(Kind::Scanned { report: Box::new(report.clone()) });
    Some(report)
}

/// When a basic scan ended, where ECR would scan anew: of vulnerabilities that became known since it says nothing.
/// Enhanced scanning goes on by itself.
fn outdated(scan: &Scan) -> Option<Timestamp> {
    let at = scan.completed_at.filter(|_| scan.status == "COMPLETE")?;
    (Timestamp::now().duration_since(at) > A_DAY).then_some(at)
}

/// Waivers end with a day of UTC, wherever this machine stands.
fn today() -> jiff::civil::Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use jiff::Timestamp;
    use serde_json::json;

    use super::Scanning;
    use crate::aws::fake::Fake;
    use crate::event::Events;
    use crate::scan::{Policy, Severity};

    /// What the gate says of an image that was scanned a month ago and found clean, and of which a scan of today finds
    /// something. `refused`: why ECR begins none today.
    async fn passes(refused: Option<&'static str>) -> (bool, usize) {
        let begun = Arc::new(AtomicBool::new(false));
        let fake = Fake::start(move |operation, _| {
            let today = Timestamp::now().as_second();
            let scanned = |at: i64, findings: serde_json::Value| {
                json!({"imageScanStatus": {"status": "COMPLETE"},
                       "imageScanFindings": {"imageScanCompletedAt": at, "findings": findings}})
            };
            match operation {
                "StartImageScan" => refused.map_or_else(
                    || {
                        begun.store(true, Ordering::SeqCst);
                        Ok(json!({"imageScanStatus": {"status": "IN_PROGRESS"}}))
                    },
                    Err,
                ),
                "DescribeImageScanFindings" if begun.load(Ordering::SeqCst) => {
                    Ok(scanned(today, json!([{"name": "CVE-1", "severity": "CRITICAL"}])))
                }
                "DescribeImageScanFindings" => Ok(scanned(today - 30 * 86_400, json!([]))),
                _ => Ok(json!({"images": []})),
            }
        })
        .await;
        let policy = Policy { fail_on: Some(Severity::Critical), ignore: Vec::new(), timeout: Duration::from_secs(30) };
        let (clients, events) = (&fake.clients, &Events::channel().0);
        let scanning = Scanning { clients, repository: "api", digest: "sha256:1", architecture: "amd64", events };
        let passed = scanning.gate(&policy, Some(true)).await.is_ok();
        (passed, fake.calls("StartImageScan").len())
    }

    #[tokio::test]
    async fn a_scan_of_a_month_ago_is_made_anew_where_it_can_be() {
        assert_eq!(passes(None).await, (false, 1));
        assert_eq!(passes(Some("ValidationException")).await, (true, 1));
    }
}
