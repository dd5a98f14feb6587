//! The order between services (`depends_on`): one that depends on others moves nothing that anybody sees before they are
//! where they should be. Building and pushing under its own tag do not wait.

use std::collections::BTreeMap;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::event::Events;
use crate::exit::Exit;
use crate::interrupt::interrupted;
use crate::rollout::Stop;
use crate::verdict::{Outcome, Verdict};

/// How one service ended.
#[derive(Clone, Copy, Debug)]
struct End {
    verdict: Verdict,
    exit: Exit,
}

/// The ends of a run's services, each told once.
pub(super) struct Ends(BTreeMap<String, watch::Sender<Option<End>>>);

impl Ends {
    pub(super) fn of<'n>(services: impl IntoIterator<Item = &'n str>) -> Self {
        Self(services.into_iter().map(|name| (name.to_owned(), watch::Sender::new(None))).collect())
    }

    pub(super) fn tell(&self, outcome: &Outcome) {
        if let Some(sender) = self.0.get(&outcome.service) {
            sender.send_replace(Some(End { verdict: outcome.verdict, exit: outcome.exit_code }));
        }
    }

    /// What ended badly already, of those that somebody depends on.
    pub(super) fn in_the_way(&self, depends_on: &[String]) -> Result<(), Stop> {
        let ended = depends_on.iter().filter_map(|name| Some((name, (*self.0.get(name)?.borrow())?)));
        ended.into_iter().find(|(_, end)| !end.verdict.is_good()).map_or(Ok(()), |(name, end)| Err(skipped(name, end)))
    }

    /// Those that have not ended yet.
    pub(super) fn awaited<'n>(&self, depends_on: &'n [String]) -> Vec<&'n str> {
        let open = |name: &&String| self.0.get(*name).is_some_and(|sender| sender.borrow().is_none());
        depends_on.iter().filter(open).map(String::as_str).collect()
    }

    /// Returns once all of them have ended well, or as soon as one has not.
    pub(super) async fn wait(&self, depends_on: &[String]) -> Result<(), Stop> {
        for name in depends_on {
            let Some(sender) = self.0.get(name) else { continue };
            // The sender is here, so it cannot be gone.
            let _ = sender.subscribe().wait_for(Option::is_some).await;
            self.in_the_way(depends_on)?;
        }
        Ok(())
    }
}

impl Ends {
    /// Waits for the services that this one depends on, and says so where it has to. `said` is what is true when that is
    /// interrupted.
    pub(super) async fn turn(
        &self,
        depends_on: &[String],
        events: &Events,
        cancel: &CancellationToken,
        said: &str,
    ) -> Result<(), Stop> {
        let awaited = self.awaited(depends_on);
        if !awaited.is_empty() {
            let are = if awaited.len() == 1 { "is" } else { "are" };
            events.note(format!("waits until {} {are} deployed", awaited.join(" and ")));
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Stop::new(Verdict::Interrupted, interrupted(said))),
            ended = self.wait(depends_on) => ended,
        }
    }
}

/// The first service in the way of this one that is refused, over any number of steps.
pub(super) fn held_back<'p>(
    depends_on: impl Fn(&str) -> &'p [String],
    service: &str,
    refused: impl Fn(&str) -> bool,
) -> Option<&'p str> {
    let mut open: Vec<&str> = depends_on(service).iter().map(String::as_str).collect();
    let mut seen = Vec::new();
    while let Some(name) = open.pop() {
        if refused(name) {
            return Some(name);
        }
        if !seen.contains(&name) {
            seen.push(name);
            open.extend(depends_on(name).iter().map(String::as_str));
        }
    }
    None
}

fn skipped(name: &str, end: End) -> Stop {
    // Its own failure is told where it happened; an interruption of the run is one of this service, too.
    let verdict = if end.verdict == Verdict::Interrupted { Verdict::Interrupted } else { Verdict::Skipped };
    Stop::new(verdict, because_of(name, end.verdict, end.exit))
}

/// Why a service is skipped.
pub(super) fn because_of(name: &str, verdict: Verdict, exit: Exit) -> Error {
    Error::new(exit, format!("it depends on `{name}`, which is {verdict}"))
        .hint(format!("nothing was changed here: mend `{name}`, then run the same command again"))
}

#[cfg(test)]
mod tests {
    use super::Ends;
    use crate::exit::Exit;
    use crate::verdict::{Outcome, Verdict};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn waits_for_all_and_stops_at_the_first_that_failed() {
        let ends = Ends::of(["db", "api", "web"]);
        let both = names(&["db", "api"]);
        assert_eq!(ends.awaited(&both), ["db", "api"]);
        ends.tell(&Outcome::ended("db", Verdict::Unchanged, Exit::Success));
        assert_eq!(ends.awaited(&both), ["api"]);
        assert!(ends.wait(&names(&["db"])).await.is_ok());
        // One that is not part of the run is nobody's concern.
        assert!(ends.wait(&names(&["elsewhere"])).await.is_ok());
        ends.tell(&Outcome::ended("api", Verdict::RolloutFailed, Exit::Rollout));
        let stop = ends.wait(&both).await.unwrap_err();
        assert_eq!((stop.verdict, stop.error.exit()), (Verdict::Skipped, Exit::Rollout));
        assert_eq!(stop.error.message(), "it depends on `api`, which is rollout-failed");
    }

    #[test]
    fn what_holds_back_is_found_over_any_number_of_steps() {
        let all = [("api", names(&["db"])), ("web", names(&["api"]))];
        let depends_on =
            |name: &str| all.iter().find(|(one, _)| *one == name).map_or(&[][..], |(_, others)| others.as_slice());
        let refused = |name: &str| name == "db";
        assert_eq!(super::held_back(depends_on, "web", refused), Some("db"));
        assert_eq!(super::held_back(depends_on, "docs", refused), None);
        assert_eq!(super::held_back(depends_on, "db", refused), None);
    }
}
