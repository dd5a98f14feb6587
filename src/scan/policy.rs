//! What a scan has to come to: the words of deploy.yaml, settled.

use std::time::Duration;

use jiff::civil::Date;
use serde::Serialize;

/// How bad a vulnerability is, by ECR's and Inspector's words; the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Nobody has rated it yet (`UNDEFINED`, `UNTRIAGED`): no threshold counts it.
    Undefined,
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// A word that is not known counts as the worst.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "UNDEFINED" | "UNTRIAGED" => Self::Undefined,
            "INFORMATIONAL" => Self::Informational,
            "LOW" => Self::Low,
            "MEDIUM" => Self::Medium,
            "HIGH" => Self::High,
            _ => Self::Critical,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// `scan` of a service in one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// A vulnerability of this severity or a worse one is refused; `None`: there is no gate.
    pub(crate) fail_on: Option<Severity>,
    pub(crate) ignore: Vec<Waiver>,
    /// How long to wait for the scan's end.
    pub(crate) timeout: Duration,
}

/// A vulnerability that is known and may pass for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Waiver {
    /// `CVE-…`, as the scanner names it.
    pub(crate) id: String,
    /// The last day (UTC) on which it holds.
    pub(crate) until: Date,
    pub(crate) reason: String,
}
