//! What a scan means. Pure: over what ECR said, what deploy.yaml asks for, and the day.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::policy::{Policy, Severity, Waiver};
use crate::aws::ecr::scan::{Scan, Vulnerability};
use crate::error::Error;
use crate::exit::Exit;

/// What every refusal here leaves behind.
pub(super) const UNTOUCHED: &str = "nothing was rolled and `latest` is as it was";

/// What to do after one look.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    /// There are no results yet; the state in a word.
    Wait(String),
    Results(Vec<Vulnerability>),
    /// There will be none.
    Over(Error),
}

/// `None`: ECR knows of no scan.
pub(super) fn read(scan: Option<Scan>) -> Reading {
    let Some(Scan { status, description, findings, .. }) = scan else { return Reading::Wait("not begun".to_owned()) };
    let over = |what: &str, hint: &str| {
        let error = Error::new(Exit::Gate, what.to_owned()).cause(description.clone().unwrap_or_default());
        Reading::Over(error.hint(format!("{hint}; {UNTOUCHED}")))
    };
    match (status.as_str(), findings) {
        // Enhanced scanning stays ACTIVE for good; for a moment it is so before there are results.
        ("COMPLETE" | "ACTIVE", Some(findings)) => Reading::Results(findings),
        ("FAILED", _) => over(
            "ECR could not scan the image",
            "basic scanning knows images of the usual distributions only; where there is none in it, `scan: { fail_on: off }` \
             on this service lets it pass",
        ),
        ("UNSUPPORTED_IMAGE", _) => over(
            "ECR cannot scan this kind of image",
            "an image without a distribution, `FROM scratch` for instance, has nothing to scan: `scan: { fail_on: off }` on \
             this service lets it pass",
        ),
        ("SCAN_ELIGIBILITY_EXPIRED", _) => over(
            "ECR no longer scans this image: it is too old for that",
            "deploy a new commit, or prolong the re-scan duration",
        ),
        ("FINDINGS_UNAVAILABLE", _) => {
            over("ECR has no findings for this image", "turn scanning on for the repository, and deploy a new commit")
        }
        ("LIMIT_EXCEEDED", _) => {
            over("ECR scans no more images: a limit is reached", "run it again tomorrow, or raise the limit")
        }
        ("IMAGE_ARCHIVED", _) => {
            over("ECR has archived this image, and scans it no more", "restore it, or deploy a new commit")
        }
        ("IMAGE_SIZE_EXCEEDED", _) => over("the image is too large for a scan", "make it smaller"),
        // IN_PROGRESS, PENDING, and whatever a later ECR may say: it may yet end. If it does not, the time runs out.
        _ => Reading::Wait(status),
    }
}

/// What a scan came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// The image that was scanned; of an index, the child that runs.
    pub(crate) digest: String,
    /// `None`: there was no gate, so that nothing is refused.
    pub(crate) fail_on: Option<Severity>,
    pub(crate) passed: bool,
    /// All findings, those that are ignored included.
    pub(crate) counts: BTreeMap<Severity, usize>,
    /// What stands in the way; without a gate, what is high or critical. The worst first, and of those what can be fixed.
    pub(crate) findings: Vec<Vulnerability>,
    /// Waivers that let something pass.
    pub(crate) ignored: Vec<Waiver>,
    /// Waivers whose day is over, although their vulnerability is still there.
    pub(crate) expired: Vec<Waiver>,
}

impl Vulnerability {
    pub(crate) fn is_fixable(&self) -> bool {
        self.packages.iter().any(|package| package.fixed.is_some())
    }
}

pub(super) fn judge(digest: &str, found: Vec<Vulnerability>, policy: Option<&Policy>, today: Date) -> Report {
    let mut counts = BTreeMap::new();
    for one in &found {
        *counts.entry(one.severity).or_default() += 1;
    }
    let fail_on = policy.and_then(|policy| policy.fail_on);
    let waivers = policy.map(|policy| policy.ignore.as_slice()).unwrap_or_default();
    let applies = |waiver: &&Waiver| found.iter().any(|one| one.id == waiver.id);
    let (ignored, expired): (Vec<Waiver>, Vec<Waiver>) =
        waivers.iter().filter(applies).cloned().partition(|waiver| waiver.until >= today);
    let least = fail_on.unwrap_or(Severity::High);
    let mut findings: Vec<Vulnerability> = found
        .into_iter()
        .filter(|one| one.severity >= least && !ignored.iter().any(|waiver| waiver.id == one.id))
        .collect();
    findings.sort_by(|one, other| {
        let rank = |one: &Vulnerability| (std::cmp::Reverse(one.severity), !one.is_fixable());
        rank(one).cmp(&rank(other)).then_with(|| one.id.cmp(&other.id))
    });
    Report {
        digest: digest.to_owned(),
        fail_on,
        passed: fail_on.is_none() || findings.is_empty(),
        counts,
        findings,
        ignored,
        expired,
    }
}

impl Report {
    /// `2 critical and 5 high`, the worst first; what nobody rated last.
    pub(crate) fn counted(&self) -> String {
        let counts: Vec<String> =
            self.counts.iter().rev().map(|(severity, count)| format!("{count} {severity}")).collect();
        match counts.as_slice() {
            [] => "nothing found".to_owned(),
            [only] => only.clone(),
            [most @ .., last] => format!("{} and {last}", most.join(", ")),
        }
    }

    /// The refusal, where there is one.
    pub(super) fn refusal(&self) -> Option<Error> {
        let fail_on = self.fail_on.filter(|_| !self.passed)?;
        let fixable = self.findings.iter().filter(|one| one.is_fixable()).count();
        let what = match self.findings.len() {
            1 => "1 vulnerability".to_owned(),
            many => format!("{many} vulnerabilities"),
        };
        let first = self.findings.first().map(Vulnerability::sentence).unwrap_or_default();
        let error = Error::new(Exit::Gate, format!("the scan found {what} in the image (fail_on: {fail_on})"));
        let advice = if fixable > 0 {
            format!("{fixable} can be fixed: build on a newer base image, or update the packages")
        } else {
            "no fix is known yet: take another base image or package".to_owned()
        };
        Some(error.cause(first).hint(format!(
            "{advice}; what has to wait goes under `scan.ignore`, with its last day and a reason; {UNTOUCHED}"
        )))
    }
}

impl Vulnerability {
    /// `critical: openssl 1.1.1k → 1.1.1w (CVE-2021-3711)`.
    fn sentence(&self) -> String {
        let package = self.packages.iter().find(|package| package.fixed.is_some()).or(self.packages.first());
        match package {
            Some(package) => match &package.fixed {
                Some(fixed) => {
                    format!("{}: {} {} → {fixed} ({})", self.severity, package.name, package.installed, self.id)
                }
                None => format!("{}: {} {} ({})", self.severity, package.name, package.installed, self.id),
            },
            None => format!("{}: {}", self.severity, self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::civil::{Date, date};

    use super::{Reading, judge, read};
    use crate::aws::ecr::scan::{Package, Scan, Vulnerability};
    use crate::exit::Exit;
    use crate::scan::{Policy, Severity, Waiver};

    const TODAY: Date = date(2026, 11, 23);

    fn found(id: &str, severity: Severity, fixed: Option<&str>) -> Vulnerability {
        let package = Package { name: "zlib".to_owned(), installed: "1.2".to_owned(), fixed: fixed.map(str::to_owned) };
        Vulnerability { id: id.to_owned(), severity, packages: vec![package], url: None }
    }

    fn policy(fail_on: Option<Severity>, ignore: &[(&str, Date)]) -> Policy {
        let waiver =
            |(id, until): &(&str, Date)| Waiver { id: (*id).to_owned(), until: *until, reason: "r".to_owned() };
        Policy { fail_on, ignore: ignore.iter().map(waiver).collect(), timeout: Duration::from_secs(1) }
    }

    /// Every state that ECR knows, with and without results.
    #[test]
    fn every_state_is_read() {
        let table = [
            (None, "wait"),
            (Some(("IN_PROGRESS", false)), "wait"),
            (Some(("PENDING", false)), "wait"),
            (Some(("PENDING", true)), "wait"),
            (Some(("ACTIVE", false)), "wait"),
            (Some(("ACTIVE", true)), "results"),
            (Some(("COMPLETE", true)), "results"),
            (Some(("COMPLETE", false)), "wait"),
            (Some(("A_WORD_OF_TOMORROW", true)), "wait"),
            (Some(("FAILED", false)), "over"),
            (Some(("UNSUPPORTED_IMAGE", false)), "over"),
            (Some(("SCAN_ELIGIBILITY_EXPIRED", true)), "over"),
            (Some(("FINDINGS_UNAVAILABLE", false)), "over"),
            (Some(("LIMIT_EXCEEDED", false)), "over"),
            (Some(("IMAGE_ARCHIVED", false)), "over"),
            (Some(("IMAGE_SIZE_EXCEEDED", false)), "over"),
        ];
        for (state, expected) in table {
            let scan = state.map(|(status, results)| Scan {
                status: status.to_owned(),
                description: Some("in ECR's words".to_owned()),
                findings: results.then(Vec::new),
                completed_at: None,
            });
            let reading = match read(scan) {
                Reading::Wait(_) => "wait",
                Reading::Results(_) => "results",
                Reading::Over(error) => {
                    assert_eq!(error.exit(), Exit::Gate);
                    assert!(
                        error.line().contains("in ECR's words") && error.hints()[0].contains("`latest` is as it was")
                    );
                    "over"
                }
            };
            assert_eq!(reading, expected, "{state:?}");
        }
    }

    #[test]
    fn the_threshold_decides_and_waivers_hold_to_their_last_day() {
        let all = || {
            vec![
                found("CVE-1", Severity::Medium, None),
                found("CVE-2", Severity::High, None),
                found("CVE-3", Severity::High, Some("1.3")),
                found("CVE-4", Severity::Undefined, None),
            ]
        };
        let table = [
            (Some(Severity::Critical), vec![], vec![]),
            (Some(Severity::High), vec![], vec!["CVE-3", "CVE-2"]),
            (Some(Severity::Low), vec![], vec!["CVE-3", "CVE-2", "CVE-1"]),
            (Some(Severity::High), vec![("CVE-2", TODAY), ("CVE-3", date(2099, 1, 1))], vec![]),
            (Some(Severity::High), vec![("CVE-2", date(2026, 11, 22)), ("CVE-3", TODAY)], vec!["CVE-2"]),
        ];
        for (fail_on, ignore, expected) in table {
            let report = judge("sha256:1", all(), Some(&policy(fail_on, &ignore)), TODAY);
            let ids: Vec<&str> = report.findings.iter().map(|one| one.id.as_str()).collect();
            assert_eq!(ids, expected, "{fail_on:?} {ignore:?}");
            assert_eq!(report.passed, expected.is_empty());
            assert_eq!(report.refusal().is_some(), !report.passed);
            assert_eq!(report.expired.len(), ignore.iter().filter(|(_, until)| *until < TODAY).count());
        }
    }

    #[test]
    fn without_a_gate_nothing_is_refused() {
        for policy in [None, Some(policy(None, &[]))] {
            let report = judge("sha256:1", vec![found("CVE-1", Severity::Critical, None)], policy.as_ref(), TODAY);
            assert!(report.passed && report.refusal().is_none() && report.findings.len() == 1);
        }
    }

    #[test]
    fn the_refusal_says_what_can_be_done() {
        let all = vec![found("CVE-1", Severity::Critical, Some("1.3")), found("CVE-2", Severity::High, None)];
        let report = judge("sha256:1", all, Some(&policy(Some(Severity::High), &[])), TODAY);
        let error = report.refusal().unwrap();
        assert_eq!(
            error.line(),
            "the scan found 2 vulnerabilities in the image (fail_on: high): critical: zlib 1.2 → 1.3 (CVE-1)"
        );
        assert!(error.hints()[0].starts_with("1 can be fixed"), "{:?}", error.hints());
        assert_eq!(report.counted(), "1 critical and 1 high");
    }
}
