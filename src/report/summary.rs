//! How a run ends for its reader: the reasons of what failed, one table, the addresses, and one sentence.

use jiff::Timestamp;

use super::line::{Line, Tone};
use super::out::{Out, To};
use super::progress::{Progress, Run};
use super::table::{Align, Table};
use super::words;
use crate::exit::Exit;
use crate::verdict::{Outcome, Verdict};

/// A reason longer than this is shortened in its middle, so that the end of a run fits on a screen.
const REASON_LINES: usize = 16;

pub(super) fn print(out: &Out, run: &Run, now: Timestamp, exit: Exit, environment: Option<&str>, outcomes: &[Outcome]) {
    if outcomes.is_empty() {
        return;
    }
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.exit_code != Exit::Success).collect();
    for outcome in &failed {
        out.blank(To::Talk);
        // The log of the only service that was built has just been told.
        let progress = run.of(&outcome.service).filter(|_| outcomes.len() > 1);
        for line in failure(outcome, progress) {
            out.line(To::Talk, &line);
        }
    }
    out.blank(To::Talk);
    out.table(To::Data, &table(outcomes));
    let addresses: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.url.is_some()).collect();
    if !addresses.is_empty() {
        out.blank(To::Data);
    }
    for outcome in addresses {
        let url = outcome.url.clone().unwrap_or_default();
        out.line(To::Data, &Line::new().strong(outcome.service.clone()).plain("  ").toned(Tone::Accent, url));
    }
    out.blank(To::Data);
    out.line(To::Data, &sentence(run, now, exit, environment, outcomes));
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new()
        .column("SERVICE", Align::Left, 0)
        .column("VERDICT", Align::Left, 0)
        .column("REVISION", Align::Left, 2)
        .column("DIGEST", Align::Left, 3)
        .column("TIME", Align::Right, 1);
    let or_dash = |text: Option<String>| match text {
        Some(text) => (Tone::Plain, text),
        None => (Tone::Dim, "-".to_owned()),
    };
    for outcome in outcomes {
        table.row(vec![
            (Tone::Strong, outcome.service.clone()),
            (tone(outcome.verdict), verdict(outcome)),
            or_dash(outcome.revision.as_deref().map(words::short_revision)),
            or_dash(outcome.digest.as_deref().map(words::short_digest)),
            (Tone::Plain, words::seconds(outcome.seconds)),
        ]);
    }
    table
}

/// What is unchanged says since when.
fn verdict(outcome: &Outcome) -> String {
    match &outcome.since {
        Some(since) => format!("{} since {}", outcome.verdict, words::short_revision(since)),
        None => outcome.verdict.to_string(),
    }
}

const fn tone(verdict: Verdict) -> Tone {
    match verdict {
        _ if verdict.is_good() => Tone::Good,
        Verdict::TimedOut | Verdict::Superseded | Verdict::Interrupted | Verdict::Skipped => Tone::Warning,
        _ => Tone::Bad,
    }
}

/// Why one service is not as it was to be.
fn failure(outcome: &Outcome, progress: Option<&Progress>) -> Vec<Line> {
    let mut lines = vec![
        Line::new().toned(Tone::Bad, "✗ ").strong(outcome.service.clone()).plain(": ").plain(outcome.verdict.as_str()),
    ];
    let reason = outcome.reason.as_deref().unwrap_or("no reason was given");
    let texts: Vec<&str> = reason.lines().collect();
    let skipped = texts.len().saturating_sub(REASON_LINES);
    for (at, text) in texts.iter().enumerate() {
        // The first lines say what happened, the last ones are the end of a log: the middle matters least.
        if skipped > 0 && at == 4 {
            lines.push(Line::new().dim(format!("  … {} left out …", words::count(skipped as u64 + 1, "line"))));
        }
        if skipped == 0 || at < 4 || at > 4 + skipped {
            lines.push(Line::new().plain("  ").plain(*text).hanging(4));
        }
    }
    if let Some(step) = progress.and_then(Progress::failed_step).filter(|_| outcome.verdict == Verdict::BuildFailed) {
        // The reason may hold the end of the log already.
        let told = step.tail.back().is_some_and(|last| reason.contains(last.trim()));
        if !told {
            lines.extend(step.tail.iter().map(|text| Line::new().dim("  │ ").plain(text.clone()).hanging(4)));
        }
    }
    if let Some(hint) = &outcome.hint {
        lines.push(Line::new());
        lines.extend(super::error::hint("  ", hint));
    }
    lines
}

fn sentence(run: &Run, now: Timestamp, exit: Exit, environment: Option<&str>, outcomes: &[Outcome]) -> Line {
    let place = |word: &str| environment.map(|name| format!(" {word} {name}")).unwrap_or_default();
    let named = |wanted: &dyn Fn(&Outcome) -> bool| -> Vec<&str> {
        outcomes.iter().filter(|outcome| wanted(outcome)).map(|outcome| outcome.service.as_str()).collect()
    };
    let took = words::seconds(run.seconds(now));
    let bad = named(&|outcome| outcome.exit_code != Exit::Success);
    let deployed = named(&|outcome| outcome.verdict == Verdict::Deployed);
    let started = named(&|outcome| outcome.verdict == Verdict::Started);
    let planned = named(&|outcome| outcome.verdict == Verdict::Planned);

    if exit == Exit::Interrupted {
        return Line::new().toned(Tone::Warning, "interrupted").plain(format!(" after {took}")).hanging(0);
    }
    if !bad.is_empty() {
        let line = Line::new().toned(Tone::Bad, "failed");
        let code = format!(" (exit code {}, {took})", exit.code());
        return match outcomes {
            [only] => line.plain(format!(": {}{}: {}{code}", only.service, place("in"), only.verdict)),
            _ => line.plain(format!(
                ": {} of {}{}: {}{code}",
                bad.len(),
                words::count(outcomes.len() as u64, "service"),
                place("in"),
                words::list(&bad)
            )),
        }
        .hanging(0);
    }
    let line = Line::new();
    match (deployed.as_slice(), outcomes) {
        ([], _) if !planned.is_empty() => line.toned(Tone::Good, "nothing stands in the way").plain(format!(
            " of {}{}; nothing was changed",
            words::list(&planned),
            place("in")
        )),
        ([], _) if !started.is_empty() => line.toned(Tone::Good, "started").plain(format!(
            " the rollout of {}{} ({took}); its end was not waited for",
            words::list(&started),
            place("in")
        )),
        ([], _) if outcomes.iter().any(|outcome| outcome.since.is_some()) => {
            line.plain(format!("nothing to deploy{} ({took})", place("in")))
        }
        ([], _) => line.plain(format!("nothing to do{} ({took})", place("in"))),
        ([name], [only]) => {
            let digest = only.digest.as_deref().unwrap_or("the image that was pushed");
            let tasks = run.of(name).and_then(|progress| progress.counts.as_ref()).map_or_else(String::new, |counts| {
                format!(" in {} of {}", counts.running, words::count(counts.desired, "task"))
            });
            line.toned(Tone::Good, "deployed").plain(format!(" {name}{}: {digest} runs{tasks} ({took})", place("to")))
        }
        _ => line.toned(Tone::Good, "deployed").plain(format!(" {}{} ({took})", words::list(&deployed), place("to"))),
    }
    .hanging(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Kind};
    use crate::report::{SharedRedactor, script};

    fn ended(events: &[Event], width: Option<usize>) -> String {
        let (out, memory) = Out::to_memory(SharedRedactor::default(), width);
        let mut run = Run::default();
        for event in events {
            run.apply(event);
            if let Kind::Finished { exit_code, environment, services, .. } = &event.kind {
                print(&out, &run, event.at, *exit_code, environment.as_deref(), services);
            }
        }
        let lines = memory.lock().unwrap();
        lines.iter().map(|(to, line)| [if *to == To::Data { "" } else { "! " }, line, "\n"].concat()).collect()
    }

    #[test]
    fn a_good_deploy_ends_in_table_address_and_sentence() {
        assert_eq!(
            ended(&script::good_run(), None),
            "! \n\
             SERVICE  VERDICT   REVISION      DIGEST                 TIME\n\
             api      deployed  1a2b3c4d5e6f  sha256:0123456789ab  12.3 s\n\
             \n\
             api  http://127.0.0.1:32768\n\
             \n\
             deployed api to dev: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef runs in 2 of 2 \
             tasks (12.3 s)\n"
        );
    }

    #[test]
    fn a_failed_build_ends_in_its_reason_and_hint() {
        assert_eq!(
            ended(&script::failed_build(), None),
            "! \n\
             ! ✗ api: build-failed\n\
             !   the build failed at `RUN cargo build`: exit code 101\n\
             ! \n\
             !   hint: run `docker build` on the same folder to see the whole log\n\
             ! \n\
             SERVICE  VERDICT       REVISION      DIGEST   TIME\n\
             api      build-failed  1a2b3c4d5e6f  -       5.9 s\n\
             \n\
             failed: api in dev: build-failed (exit code 5, 5.9 s)\n"
        );
    }

    /// The events with a second service, which went well.
    fn beside_another(mut events: Vec<Event>, reason: Option<&str>) -> Vec<Event> {
        if let Some(Event { kind: Kind::Finished { services, .. }, .. }) = events.last_mut() {
            services[0].reason = reason.map(str::to_owned).or(services[0].reason.take());
            services.push(script::deployed("worker"));
        }
        events
    }

    #[test]
    fn among_several_services_the_log_of_the_failed_step_is_repeated() {
        let text = ended(&beside_another(script::failed_build(), None), None);
        assert!(text.contains("!   │ error: could not compile"), "{text}");
        assert!(text.lines().count() <= 24, "it fits on one screen");
    }

    #[test]
    fn a_log_that_the_reason_holds_is_not_told_twice() {
        let reason = "failed\nerror: could not compile `api` (bin \"api\") due to 1 previous error";
        let text = ended(&beside_another(script::failed_build(), Some(reason)), None);
        assert_eq!(text.matches("could not compile").count(), 1);
    }

    #[test]
    fn a_long_reason_loses_its_middle() {
        let mut outcome = script::deployed("api");
        outcome.verdict = Verdict::RolloutFailed;
        outcome.reason = Some((1..=40).map(|number| format!("line {number}")).collect::<Vec<_>>().join("\n"));
        let lines: Vec<String> = failure(&outcome, None).iter().map(|line| line.styled(false)).collect();
        assert_eq!(lines.len(), 1 + REASON_LINES);
        assert_eq!(lines[5], "  … 25 lines left out …");
        assert_eq!(lines.last().unwrap(), "  line 40");
    }

    #[test]
    fn several_services_end_in_one_sentence() {
        let mut failed = script::deployed("worker");
        failed.verdict = Verdict::RolledBack;
        failed.exit_code = Exit::Rollout;
        let table = [
            (
                vec![script::deployed("api"), script::deployed("web")],
                Exit::Success,
                "deployed api and web to dev (0.0 s)",
            ),
            (
                vec![script::deployed("api"), failed],
                Exit::Rollout,
                "failed: 1 of 2 services in dev: worker (exit code 8, 0.0 s)",
            ),
        ];
        for (outcomes, exit, wanted) in table {
            let line = sentence(&Run::default(), Timestamp::UNIX_EPOCH, exit, Some("dev"), &outcomes);
            assert_eq!(line.styled(false), wanted);
        }
    }
}
