//! The verdict on one service: the words that people, scripts and receipts read.

use serde::Serialize;

use crate::error::Error;
use crate::exit::Exit;
use crate::scan::Report;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Deployed,
    /// What was asked for runs already; nothing was done.
    Unchanged,
    Planned,
    Started,
    Refused,
    BuildFailed,
    PushFailed,
    RolloutFailed,
    RolledBack,
    TimedOut,
    Superseded,
    NotProven,
    Interrupted,
    /// Not rolled out, because a service that it depends on was not.
    Skipped,
}

impl Verdict {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::Unchanged => "unchanged",
            Self::Planned => "planned",
            Self::Started => "started",
            Self::Refused => "refused",
            Self::BuildFailed => "build-failed",
            Self::PushFailed => "push-failed",
            Self::RolloutFailed => "rollout-failed",
            Self::RolledBack => "rolled-back",
            Self::TimedOut => "timed-out",
            Self::Superseded => "superseded",
            Self::NotProven => "not-proven",
            Self::Interrupted => "interrupted",
            Self::Skipped => "skipped",
        }
    }

    /// Whether the service is as the user wanted it.
    pub(crate) const fn is_good(self) -> bool {
        matches!(self, Self::Deployed | Self::Unchanged | Self::Planned | Self::Started)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// How it ended for one service: a row of the final table, an element of the `finished` event.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) service: String,
    pub(crate) verdict: Verdict,
    pub(crate) exit_code: Exit,
    /// Manifest digest, `sha256:…`.
    pub(crate) digest: Option<String>,
    /// Full commit, `-dirty` appended where the tree was not clean.
    pub(crate) revision: Option<String>,
    /// Of what is unchanged: the full commit since which it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    /// ECS deployment id, `ecs-svc/…`.
    pub(crate) deployment: Option<String>,
    /// The engine that built it, or began to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) builder: Option<String>,
    /// Where the service answers, when ECS publishes a port of its tasks on a host.
    pub(crate) url: Option<String>,
    /// What ECR's scan found, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scan: Option<Box<Report>>,
    pub(crate) reason: Option<String>,
    pub(crate) hint: Option<String>,
    /// The last lines that the failed build step wrote.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) log: Vec<String>,
    #[serde(serialize_with = "tenths")]
    pub(crate) seconds: f64,
}

/// More digits than a person reads would only differ from run to run.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn tenths<S: serde::Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((seconds * 10.0).round() / 10.0)
}

impl Outcome {
    /// An outcome with nothing known but its name and verdict.
    pub(crate) fn ended(service: &str, verdict: Verdict, exit_code: Exit) -> Self {
        Self {
            service: service.to_owned(),
            verdict,
            exit_code,
            digest: None,
            revision: None,
            since: None,
            deployment: None,
            builder: None,
            url: None,
            scan: None,
            reason: None,
            hint: None,
            log: Vec::new(),
            seconds: 0.0,
        }
    }

    pub(crate) fn failed(service: &str, verdict: Verdict, error: &Error) -> Self {
        Self {
            reason: Some(error.line()),
            hint: error.hints().first().cloned(),
            log: error.shown_excerpt().to_vec(),
            ..Self::ended(service, verdict, error.exit())
        }
    }
}
