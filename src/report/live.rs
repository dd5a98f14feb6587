//! The two lines of a service that is on its way: what it is doing, and the newest word about it. Pure: the terminal
//! redraws them.

use super::line::{Line, Tone};
use super::progress::Progress;
use super::words;
use crate::event::{RolloutCounts, Stage};

/// Cells of a bar.
const CELLS: usize = 20;
/// More tasks than this are not drawn one by one.
const DOTS: u32 = 12;

/// What the service is doing now.
pub(super) fn doing(progress: &Progress) -> Line {
    let Some((stage, _)) = progress.stage else { return Line::new() };
    match stage {
        Stage::Preflight if progress.planned => Line::new().plain("waiting for its turn"),
        Stage::Preflight => Line::new().plain("checking"),
        Stage::Build => building(progress),
        Stage::Inspect => Line::new().plain("inspecting the image"),
        Stage::Push => pushing(progress),
        Stage::Scan => scanning(progress),
        Stage::BeforeDeploy => Line::new().plain("running the task before the rollout"),
        Stage::Roll => Line::new().plain("starting the rollout"),
        Stage::Watch => match &progress.counts {
            Some(counts) => rolling(counts),
            None => Line::new().plain("rolling out"),
        },
        Stage::Prove => Line::new().plain("proving which digest runs"),
        Stage::Record => Line::new().plain("recording"),
    }
}

/// The newest word from outside, where there is one.
pub(super) fn newest_word(progress: &Progress) -> Option<Line> {
    let text = match progress.stage? {
        (Stage::Build, _) => progress.running_step()?.tail.back()?.clone(),
        (Stage::Watch, _) => progress.service_event.clone()?,
        _ => return None,
    };
    (!text.trim().is_empty()).then(|| Line::new().dim(text))
}

fn building(progress: &Progress) -> Line {
    let line = Line::new().plain("building");
    match progress.running_step() {
        Some(step) => line.dim("  ").plain(step.name.clone()),
        None => match progress.context {
            (0, _) => line,
            (files, bytes) => {
                line.dim("  ").plain(format!("context: {}, {}", words::count(files, "file"), words::bytes(bytes)))
            }
        },
    }
}

fn scanning(progress: &Progress) -> Line {
    let line = Line::new().plain("waiting for the scan of the image");
    match &progress.scan {
        Some(state) => line.dim("  ").plain(state.clone()),
        None => line,
    }
}

fn pushing(progress: &Progress) -> Line {
    let totals = progress.push_totals();
    let line = Line::new().plain("pushing");
    if totals.layers == 0 {
        return line;
    }
    let line = line.plain("  ");
    let line = if totals.total > 0 { bar(line, totals.current, totals.total).plain("  ") } else { line };
    let line = line.plain(format!("{} of {}", totals.settled, words::count(totals.layers, "layer")));
    match totals.total {
        0 => line,
        total => line.dim(format!("  {} of {}", words::bytes(totals.current), words::bytes(total))),
    }
}

fn rolling(counts: &RolloutCounts) -> Line {
    let line = Line::new().plain("rolling out  ");
    let line = if counts.desired == 0 || counts.desired > DOTS {
        line
    } else {
        let full = counts.running.min(counts.desired);
        let half = counts.pending.min(counts.desired - full);
        let rest = counts.desired - full - half;
        line.toned(Tone::Good, "●".repeat(full as usize))
            .toned(Tone::Warning, "◐".repeat(half as usize))
            .dim("○".repeat(rest as usize))
            .plain("  ")
    };
    line.plain(super::story::counts(counts))
}

fn bar(line: Line, current: u64, total: u64) -> Line {
    let full = (u128::from(current.min(total)) * CELLS as u128 / u128::from(total.max(1))) as usize;
    line.toned(Tone::Accent, "━".repeat(full)).dim("╌".repeat(CELLS - full))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Kind};
    use crate::report::progress::Run;
    use crate::report::script;

    /// The lines after each event, repetitions left out.
    fn seen(events: &[Event]) -> Vec<String> {
        let mut run = Run::default();
        let mut seen: Vec<String> = Vec::new();
        for event in events.iter().filter(|event| event.service.is_some()) {
            if matches!(event.kind, Kind::ServiceFinished { .. }) {
                break;
            }
            let progress = run.apply(event);
            let mut text = doing(progress).styled(false);
            if let Some(word) = newest_word(progress) {
                text.push_str(" | ");
                text.push_str(&word.styled(false));
            }
            if seen.last() != Some(&text) {
                seen.push(text);
            }
        }
        seen
    }

    #[test]
    fn the_line_follows_the_run() {
        let seen = seen(&script::good_run());
        for wanted in [
            "checking",
            "building",
            "building  [internal] load build definition from Dockerfile",
            "building  context: 120 files, 3.4 MB",
            "building  [3/4] RUN cargo build |    Compiling api v0.1.0 (/srv)",
            "pushing  ━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌  1 of 3 layers  6.3 MB of 12.3 MB",
            "pushing  ━━━━━━━━━━━━━━━━━━━━  3 of 3 layers  12.3 MB of 12.3 MB",
            "rolling out  ◐◐  0 of 2 run, 2 starting, 2 old still running",
            "rolling out  ●◐  1 of 2 run, 1 starting, 2 old still running | (service api) has started 2 tasks: (task 0a1b) (task 2c3d).",
            "proving which digest runs",
        ] {
            assert!(seen.iter().any(|line| line == wanted), "{wanted:?} is not in {seen:#?}");
        }
    }

    #[test]
    fn after_the_plan_a_service_is_not_checked_any_more() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let mut progress = Progress::default();
        progress.stage = Some((Stage::Preflight, now));
        assert_eq!(doing(&progress).styled(false), "checking");
        progress.planned = true;
        assert_eq!(doing(&progress).styled(false), "waiting for its turn");
    }

    #[test]
    fn a_bar_never_overflows() {
        for (current, total, full) in [(0, 0, 0), (5, 10, 10), (30, 10, 20), (u64::MAX, u64::MAX, 20)] {
            let text = bar(Line::new(), current, total).styled(false);
            assert_eq!(text.chars().count(), CELLS);
            assert_eq!(text.chars().filter(|cell| *cell == '━').count(), full, "{current} of {total}");
        }
    }
}
