//! `scan` of deploy.yaml: what is wrong with it, and what it comes to.

use std::time::Duration;

use jiff::civil::Date;

use crate::config::grammar;
use crate::config::manifest::{FailOn, Scan};
use crate::scan::{Policy, Severity, Waiver};

/// Basic scans take seconds, enhanced ones up to some minutes.
const TIMEOUT: Duration = Duration::from_secs(300);

/// One fault: the keys from `scan` to the value (an index for an item of a list), and what is wrong.
pub(super) struct Wrong {
    pub(super) item: Option<usize>,
    pub(super) key: &'static str,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
}

pub(super) fn faults(scan: &Scan) -> Vec<Wrong> {
    let mut faults = Vec::new();
    if let Some(timeout) = &scan.timeout
        && let Err(wrong) = grammar::duration(timeout)
    {
        faults.push(Wrong { item: None, key: "timeout", message: format!("`{timeout}` {wrong}"), help: None });
    }
    for (index, ignore) in scan.ignore.iter().enumerate() {
        let mut fault = |key, message: String, help| {
            faults.push(Wrong { item: Some(index), key, message, help });
        };
        if ignore.id.trim().is_empty() || ignore.id.contains(char::is_whitespace) {
            let help = Some("write the scanner's own name of it, as in `CVE-2024-3094`");
            fault("id", format!("`{}` names no vulnerability", ignore.id), help);
        } else if scan.ignore[..index].iter().any(|other| other.id == ignore.id) {
            fault("id", format!("`{}` is there twice", ignore.id), None);
        }
        if ignore.until.parse::<Date>().is_err() {
            let help = Some("write the last day on which it may be ignored, as in `2027-01-31`");
            fault("until", format!("`{}` is no date", ignore.until), help);
        }
        if ignore.reason.trim().is_empty() {
            fault("reason", "there is no reason".to_owned(), Some("say why it may wait, for whoever reads the record"));
        }
    }
    faults
}

/// The file was checked, so that every value is as it has to be.
pub(super) fn policy(scan: &Scan) -> Policy {
    let waiver = |written: &crate::config::manifest::Ignore| {
        Some(Waiver {
            id: written.id.clone(),
            until: written.until.parse().ok()?,
            reason: written.reason.trim().to_owned(),
        })
    };
    Policy {
        fail_on: match scan.fail_on {
            FailOn::Critical => Some(Severity::Critical),
            FailOn::High => Some(Severity::High),
            FailOn::Medium => Some(Severity::Medium),
            FailOn::Low => Some(Severity::Low),
            FailOn::Off => None,
        },
        ignore: scan.ignore.iter().filter_map(waiver).collect(),
        timeout: scan.timeout.as_deref().and_then(|text| grammar::duration(text).ok()).unwrap_or(TIMEOUT),
    }
}
