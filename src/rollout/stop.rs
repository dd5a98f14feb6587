//! Why a service's way ended before its end: the verdict, the reason in words, and what becomes of `latest`.
//!
//! Pure. Deploy, rollback and wait share it, so that an ending has one verdict and one exit code everywhere.

use super::Watched;
use super::decision::Ending;
use super::failure::Failure;
use super::watch::End;
use crate::error::Error;
use crate::exit::Exit;
use crate::verdict::Verdict;

#[derive(Clone, Debug)]
pub(crate) struct Stop {
    pub(crate) verdict: Verdict,
    pub(crate) error: Error,
    /// Whether `latest` has to go back to what runs.
    pub(crate) restore: bool,
}

impl Stop {
    pub(crate) fn new(verdict: Verdict, error: Error) -> Self {
        let verdict = if error.exit() == Exit::Interrupted { Verdict::Interrupted } else { verdict };
        Self { verdict, error, restore: true }
    }

    /// The rollout goes on without us, or `latest` is somebody else's: it stays where it is.
    pub(crate) fn leaving_latest(mut self) -> Self {
        self.restore = false;
        self
    }
}

/// What the end of a watch means: where the service answers, or why it is not called deployed.
pub(super) fn judged(end: End, watched: &Watched) -> Result<Option<String>, Stop> {
    let deployment = &watched.deployment;
    match end {
        End::Proven { url, .. } => Ok(url),
        End::NotProven { reason } => {
            let error = Error::new(Exit::NotProven, reason).hint("see what runs before you rely on it: shipit status");
            Err(Stop::new(Verdict::NotProven, error).leaving_latest())
        }
        End::Blind { error } => {
            let error = Error::new(Exit::Aws, format!("the rollout {deployment} goes on, but it cannot be watched"))
                .cause(error.line())
                .hint("it is neither proven nor failed: restore the credentials, then take it up with shipit wait");
            Err(Stop::new(Verdict::NotProven, error).leaving_latest())
        }
        End::Interrupted => {
            let error = Error::new(Exit::Interrupted, format!("interrupted; the rollout {deployment} goes on in ECS"))
                .hint("it was left as it is and is not proven: take it up again with shipit wait");
            Err(Stop::new(Verdict::Interrupted, error).leaving_latest())
        }
        End::Failed { ending, failures } => Err(failed(ending, &failures, watched)),
    }
}

/// The verdict on a rollout that did not do what was asked, with the failures' causes and one hint.
fn failed(ending: Ending, failures: &[Failure], watched: &Watched) -> Stop {
    let (verdict, mut error, restore) = match ending {
        Ending::CrashLoop { failures } => {
            let text = format!("the tasks of {} fail again and again ({failures} times alike)", watched.deployment);
            (Verdict::RolloutFailed, Error::new(Exit::Rollout, text), true)
        }
        Ending::Failed { reason } => (Verdict::RolloutFailed, Error::new(Exit::Rollout, reason), true),
        Ending::RolledBack { to, reason } => {
            let to = to.map_or_else(String::new, |id| format!(" to {id}"));
            (Verdict::RolledBack, Error::new(Exit::Rollout, format!("ECS rolled back{to}")).cause(reason), true)
        }
        Ending::ServiceGone { status } => {
            let text = format!("service `{}` is {status}", watched.service);
            (Verdict::RolloutFailed, Error::new(Exit::Rollout, text), true)
        }
        Ending::Superseded { by } => {
            let text = format!("another deployment took the place of this one: {by}");
            let error = Error::new(Exit::NotProven, text).hint("somebody else deployed this service at the same time");
            (Verdict::Superseded, error, false)
        }
        Ending::TimedOut => {
            let minutes = watched.timeout.as_secs_f64() / 60.0;
            let text = format!("after {minutes:.0} min the rollout {} is still under way", watched.deployment);
            let error = Error::new(Exit::TimedOut, text)
                .hint("it goes on in ECS: take it up again with shipit wait, or give it more --timeout");
            (Verdict::TimedOut, error, false)
        }
    };
    if let Some(last) = failures.last() {
        error = error.cause(last.in_words());
        if let Some(hint) = last.hint() {
            error = error.hint(hint);
        }
    }
    let stop = Stop::new(verdict, error);
    if restore { stop } else { stop.leaving_latest() }
}

#[cfg(test)]
mod tests {
    use super::super::decision::Ending;
    use super::super::watch::End;
    use super::{Watched, judged};
    use crate::error::Error;
    use crate::exit::Exit;
    use crate::verdict::Verdict;
    use std::time::Duration;

    fn watched() -> Watched {
        Watched {
            cluster: "dev".to_owned(),
            service: "api".to_owned(),
            container: "api".to_owned(),
            deployment: "ecs-svc/1".to_owned(),
            digests: vec!["sha256:a".to_owned()],
            timeout: Duration::from_secs(1200),
            fail_fast: true,
        }
    }

    #[test]
    fn every_end_has_its_verdict_its_code_and_its_word_on_latest() {
        let failed = |ending| End::Failed { ending, failures: Vec::new() };
        let blind = Error::new(Exit::Aws, "AWS refused ecs:DescribeServices");
        let rolled_back = Ending::RolledBack { to: Some("ecs-svc/0".to_owned()), reason: "circuit breaker".to_owned() };
        let cases = [
            (End::NotProven { reason: "other".to_owned() }, Verdict::NotProven, Exit::NotProven, false),
            (End::Blind { error: blind }, Verdict::NotProven, Exit::Aws, false),
            (End::Interrupted, Verdict::Interrupted, Exit::Interrupted, false),
            (failed(Ending::CrashLoop { failures: 2 }), Verdict::RolloutFailed, Exit::Rollout, true),
            (failed(Ending::Failed { reason: "no".to_owned() }), Verdict::RolloutFailed, Exit::Rollout, true),
            (failed(rolled_back), Verdict::RolledBack, Exit::Rollout, true),
            (
                failed(Ending::ServiceGone { status: "DRAINING".to_owned() }),
                Verdict::RolloutFailed,
                Exit::Rollout,
                true,
            ),
            (failed(Ending::Superseded { by: "ecs-svc/2".to_owned() }), Verdict::Superseded, Exit::NotProven, false),
            (failed(Ending::TimedOut), Verdict::TimedOut, Exit::TimedOut, false),
        ];
        for (end, verdict, exit, restore) in cases {
            let said = format!("{end:?}");
            let stop = judged(end, &watched()).expect_err("it is no success");
            assert_eq!((stop.verdict, stop.error.exit(), stop.restore), (verdict, exit, restore), "{said}");
        }
        let proven = End::Proven { tasks: 2, url: Some("http://127.0.0.1:1/".to_owned()) };
        assert_eq!(judged(proven, &watched()).expect("proven").as_deref(), Some("http://127.0.0.1:1/"));
    }
}
