//! What the end of a watch means to a run: the verdict, the error with its reason and hint, and whether `latest` has to
//! go back. Pure, and the same for every command that watches.

use super::decision::Ending;
use super::diagnosis::Diagnosis;
use super::stop::Stop;
use super::watch::{End, Watched};
use crate::error::Error;
use crate::exit::Exit;
use crate::verdict::Verdict;

/// Where the service answers, when ECS publishes a port of its tasks on a host; or why it is not called deployed.
pub(crate) fn outcome(end: End, watched: &Watched) -> Result<Option<String>, Stop> {
    let deployment = &watched.deployment;
    let unproven = match end {
        End::Proven { url } => return Ok(url),
        End::NotProven { reason } => Stop {
            verdict: Verdict::NotProven,
            error: Error::new(Exit::NotProven, reason).hint("see what runs before you rely on it: shipit status"),
            restore: false,
        },
        End::Blind { error } => Stop { verdict: Verdict::NotProven, error: blind(deployment, &error), restore: false },
        End::Interrupted => Stop {
            verdict: Verdict::Interrupted,
            error: Error::new(Exit::Interrupted, format!("interrupted; the rollout {deployment} goes on in ECS"))
                .hint("it was left as it is and is not proven: take it up again with shipit wait"),
            restore: false,
        },
        End::Failed { ending, diagnosis } => failed(ending, &diagnosis, watched),
    };
    Err(unproven)
}

/// Neither proven nor failed: the rollout does not need us to go on.
fn blind(deployment: &str, error: &Error) -> Error {
    let mut told = Error::new(Exit::Aws, format!("the rollout {deployment} goes on, but it cannot be watched"))
        .cause(error.line());
    for hint in error.hints() {
        told = told.hint(hint.clone());
    }
    told.hint("it is neither proven nor failed: once reading works again, take it up again with shipit wait")
}

fn failed(ending: Ending, diagnosis: &Diagnosis, watched: &Watched) -> Stop {
    let deployment = &watched.deployment;
    let told = |verdict, exit, text: String| (verdict, Error::new(exit, text));
    let (restore, (verdict, error)) = match ending {
        Ending::CrashLoop { failures } => {
            let text = format!("the tasks of {deployment} fail again and again ({failures} times alike)");
            (true, told(Verdict::RolloutFailed, Exit::Rollout, text))
        }
        Ending::Failed { reason } => (true, told(Verdict::RolloutFailed, Exit::Rollout, reason)),
        Ending::Stopped { reason } => {
            let text = format!("the rollout {deployment} was stopped: {reason}");
            (true, told(Verdict::RolloutFailed, Exit::Rollout, text))
        }
        Ending::RolledBack { to, reason } => {
            let to = to.map_or_else(String::new, |id| format!(" to {id}"));
            let error = Error::new(Exit::Rollout, format!("ECS rolled back{to}")).cause(reason);
            (true, (Verdict::RolledBack, error))
        }
        Ending::ServiceGone { status } => {
            let text = format!("service `{}` is {status}", watched.service);
            (true, told(Verdict::RolloutFailed, Exit::Rollout, text))
        }
        Ending::Superseded { by } => {
            let text = format!("another deployment took the place of this one: {by}");
            let error = Error::new(Exit::NotProven, text).hint("somebody else deployed this service at the same time");
            // What this one's tasks did is not why it ended.
            return Stop { verdict: Verdict::Superseded, error, restore: false };
        }
        Ending::TimedOut => {
            let waited = humantime::format_duration(watched.timeout);
            let text = format!("after {waited} the rollout {deployment} is still under way");
            (false, told(Verdict::TimedOut, Exit::TimedOut, text))
        }
    };
    let mut error = diagnosis.causes().into_iter().fold(error, Error::cause);
    if let Some(hint) = &diagnosis.hint {
        error = error.hint(hint.clone());
    }
    if verdict == Verdict::TimedOut {
        error = error.hint("it goes on in ECS: take it up again with shipit wait, or give it more --timeout");
    }
    Stop { verdict, error, restore }
}

#[cfg(test)]
mod tests {
    use super::super::failure::tests::exited;
    use super::{Ending, Stop, outcome};
    use crate::error::Error;
    use crate::exit::Exit;
    use crate::rollout::diagnosis::{Diagnosis, diagnose};
    use crate::rollout::watch::{End, Watched};
    use crate::verdict::Verdict;
    use std::time::Duration;

    fn judged(end: End) -> Stop {
        let watched = Watched {
            cluster: "dev".to_owned(),
            service: "api".to_owned(),
            container: "api".to_owned(),
            deployment: "ecs-svc/7".to_owned(),
            previous: None,
            digests: Vec::new(),
            timeout: Duration::from_secs(90),
            fail_fast: true,
        };
        outcome(end, &watched).expect_err("it is not proven")
    }

    fn failed(ending: Ending, diagnosis: Diagnosis) -> Stop {
        judged(End::Failed { ending, diagnosis: Box::new(diagnosis) })
    }

    #[test]
    fn every_ending_has_its_verdict_its_exit_code_and_its_words() {
        let reason = || "circuit breaker".to_owned();
        let cases = [
            (Ending::Failed { reason: reason() }, Verdict::RolloutFailed, Exit::Rollout, true, "circuit breaker"),
            (
                Ending::RolledBack { to: Some("ecs-svc/6".to_owned()), reason: reason() },
                Verdict::RolledBack,
                Exit::Rollout,
                true,
                "ECS rolled back to ecs-svc/6: circuit breaker",
            ),
            (Ending::Stopped { reason: reason() }, Verdict::RolloutFailed, Exit::Rollout, true, "was stopped"),
            (Ending::CrashLoop { failures: 2 }, Verdict::RolloutFailed, Exit::Rollout, true, "2 times alike"),
            (Ending::Superseded { by: "x".to_owned() }, Verdict::Superseded, Exit::NotProven, false, "another"),
            (
                Ending::ServiceGone { status: "DRAINING".to_owned() },
                Verdict::RolloutFailed,
                Exit::Rollout,
                true,
                "service `api` is DRAINING",
            ),
            (Ending::TimedOut, Verdict::TimedOut, Exit::TimedOut, false, "after 1m 30s the rollout ecs-svc/7 is still"),
        ];
        for (ending, verdict, exit, restore, words) in cases {
            let told = failed(ending, Diagnosis::default());
            assert_eq!((told.verdict, told.error.exit(), told.restore), (verdict, exit, restore), "{words}");
            assert!(told.error.line().contains(words), "{}", told.error.line());
        }
    }

    #[test]
    fn the_reason_names_the_cause_and_the_hint_what_to_do() {
        let told = failed(
            Ending::CrashLoop { failures: 2 },
            diagnose(&[exited("id-a", 3), exited("id-b", 3)], None, &[], None),
        );
        assert!(told.error.line().contains("2 tasks: Essential container in task exited (exit code 3)"));
        assert!(told.error.hints()[0].contains("log lines"));
    }

    #[test]
    fn a_watch_that_went_blind_says_that_the_rollout_goes_on() {
        let expired = Error::new(Exit::Aws, "AWS refused ecs:DescribeServices").cause("ExpiredTokenException: expired");
        let told = judged(End::Blind { error: expired.hint("log in again") });
        assert_eq!((told.verdict, told.error.exit(), told.restore), (Verdict::NotProven, Exit::Aws, false));
        let line = told.error.line();
        assert!(line.contains("ecs-svc/7 goes on") && line.contains("ExpiredTokenException"), "{line}");
        assert_eq!(told.error.hints()[0], "log in again");
        assert!(told.error.hints()[1].contains("neither proven nor failed"));
    }
}
