//! What the end of a `before_deploy` task means to the deploy. Pure.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::one_off::{Ended, Ending};

/// # Errors
/// The task did not end by itself with code 0 ([`Exit::Rollout`]): nothing may be rolled.
pub(super) fn verdict(ended: Ended, timeout: Duration) -> Result<()> {
    let Ended { task, ending, log } = ended;
    let error = |text: String| Error::new(Exit::Rollout, text);
    let error = match ending {
        Ending::Exited(0) => return Ok(()),
        Ending::Exited(code) => error(format!("before_deploy failed: task {task} ended with exit code {code}"))
            .hint("nothing was rolled; mend what its log says, and deploy again"),
        Ending::Stopped(words) => error(format!("before_deploy failed: task {task} was stopped"))
            .cause(words)
            .hint("nothing was rolled; see to the reason, and deploy again"),
        Ending::TimedOut => error(format!(
            "before_deploy failed: task {task} was stopped after {}, its timeout",
            humantime::format_duration(timeout)
        ))
        .hint("nothing was rolled; look at its log, and give it more time with `before_deploy.timeout` if it needs it"),
        Ending::OtherImage(digest) => error(format!(
            "before_deploy failed: task {task} got another image than the one pushed, {digest}"
        ))
        .hint("nothing was rolled; somebody else moves `latest` at the same time: deploy again when they are done"),
    };
    Err(error.excerpt(log))
}

#[cfg(test)]
mod tests {
    use super::verdict;
    use crate::exit::Exit;
    use crate::one_off::{Ended, Ending};
    use std::time::Duration;

    #[test]
    fn only_code_0_lets_the_rollout_begin() {
        let table = [
            (Ending::Exited(0), None),
            (Ending::Exited(7), Some("exit code 7")),
            (Ending::Stopped("CannotPullContainerError: gone".to_owned()), Some("CannotPullContainerError: gone")),
            (Ending::TimedOut, Some("after 1m 30s, its timeout")),
            (Ending::OtherImage("sha256:b".to_owned()), Some("sha256:b")),
        ];
        for (ending, expected) in table {
            let ended = Ended { task: "t1".to_owned(), ending, log: vec!["the last line".to_owned()] };
            let said = verdict(ended, Duration::from_secs(90)).err();
            assert_eq!(said.is_some(), expected.is_some());
            if let (Some(error), Some(expected)) = (said, expected) {
                assert!(error.line().contains(expected), "{error}");
                assert_eq!(error.exit(), Exit::Rollout);
                assert_eq!(error.shown_excerpt(), ["the last line"]);
                assert!(error.hints()[0].starts_with("nothing was rolled"));
            }
        }
    }
}
