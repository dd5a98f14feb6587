//! The sentences that the terminal and the log share.

use std::fmt::Write as _;

use super::line::{Line, Tone};
use super::progress::Progress;
use super::words;
use crate::event::{Event, Kind, Level, RolloutCounts, StepState};

/// The heading of a run.
pub(super) fn started(kind: &Kind) -> Vec<Line> {
    let Kind::Started { command, project, environment, branch, revision, subject, services, local } = kind else {
        return Vec::new();
    };
    let place = if *local { " on this machine" } else { "" };
    let preposition = if command.starts_with("deploy") { "to" } else { "in" };
    let mut lines = vec![
        Line::new()
            .strong(format!("{command} {project} {preposition} {environment}"))
            .plain(place)
            .plain(format!(": {}", words::list(services)))
            .hanging(2),
    ];
    let revision = revision.as_deref().map(words::short_revision);
    let source: Vec<&str> =
        [branch.as_deref(), revision.as_deref(), subject.as_deref()].into_iter().flatten().collect();
    if !source.is_empty() {
        lines.push(Line::new().plain("from ").plain(source.join("  ")).hanging(5));
    }
    lines
}

/// What the stage came to that this event ends, unless it ends it badly.
pub(super) fn ended(progress: &Progress, event: &Event) -> Option<String> {
    let (stage, _) = progress.stage?;
    match &event.kind {
        Kind::Stage { stage: next } if *next != stage => progress.milestone(stage, event.at),
        Kind::ServiceFinished { outcome } if outcome.verdict.is_good() => progress.milestone(stage, event.at),
        _ => None,
    }
}

/// The events that are told in one sentence wherever they are shown.
pub(super) fn told(kind: &Kind) -> Vec<Line> {
    match kind {
        Kind::Notice { level, text, hint } => {
            let (tone, word) = match level {
                Level::Note => (Tone::Accent, "note"),
                Level::Warning => (Tone::Warning, "warning"),
            };
            let mut lines = vec![Line::new().toned(tone, word).plain(": ").plain(text.clone()).hanging(4)];
            lines.extend(hint.iter().flat_map(|hint| super::error::hint("", hint)));
            lines
        }
        Kind::RollbackPlanned { plan } => {
            let mut lines: Vec<Line> =
                plan.sentences().into_iter().map(|text| Line::new().plain(text).hanging(4)).collect();
            lines.extend(
                plan.warnings
                    .iter()
                    .map(|text| Line::new().toned(Tone::Warning, "warning").plain(": ").plain(text.clone()).hanging(4)),
            );
            lines
        }
        Kind::Asked { shown } => shown.iter().map(|text| Line::new().plain(text.clone()).hanging(4)).collect(),
        Kind::BuildPlaced { builder, .. } => vec![Line::new().plain(format!("builds on {builder}"))],
        Kind::TagPushed { reference, digest } => {
            vec![Line::new().plain(format!("{} is {}", words::tag_of(reference), words::short_digest(digest)))]
        }
        Kind::ImageSearched { secrets, layers, bytes, seconds } => {
            let (secrets, layers) =
                (words::count(secrets.len() as u64, "secret"), words::count(*layers as u64, "layer"));
            let (bytes, took) = (words::bytes(*bytes), words::seconds(*seconds));
            vec![Line::new().plain(format!("looked for {secrets} in the files of {layers}, {bytes}, in {took}"))]
        }
        Kind::RolloutStarted { deployment } => vec![Line::new().plain(format!("rollout {deployment} has started"))],
        Kind::TaskStarted { task, container, command } => {
            let id: String = words::last_part(task).chars().take(8).collect();
            vec![
                Line::new().plain(format!("task {id} runs in container {container}: {}", command.join(" "))).hanging(4),
            ]
        }
        Kind::TaskLog { line, .. } => vec![Line::new().dim("│ ").plain(line.clone())],
        Kind::TaskStopped { task, reason, exit_code } => {
            let id: String = words::last_part(task).chars().take(8).collect();
            vec![
                Line::new()
                    .toned(Tone::Warning, format!("task {id} stopped"))
                    .plain(": ")
                    .plain(stopped(reason, *exit_code))
                    .hanging(4),
            ]
        }
        Kind::Scanned { report } => super::scan::lines(report),
        Kind::Diagnosis(diagnosis) => super::diagnosis::lines(diagnosis),
        Kind::ServiceEvent { text } => vec![Line::new().dim("ECS: ").plain(text.clone()).hanging(4)],
        _ => Vec::new(),
    }
}

/// ECS's words about a stopped task, and the exit code where there is one.
pub(super) fn stopped(reason: &str, exit_code: Option<i32>) -> String {
    let code = exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
    format!("{reason}{code}")
}

/// `1 of 2 run, 1 starting, 2 old draining`.
pub(super) fn counts(counts: &RolloutCounts) -> String {
    let mut text = format!("{} of {} run", counts.running, counts.desired);
    for (number, what) in [(counts.pending, "starting"), (counts.failed, "failed"), (counts.old, "old still running")] {
        if number > 0 {
            let _ = write!(text, ", {number} {what}");
        }
    }
    text
}

/// What follows the name of a build step.
pub(super) fn step_ended(state: StepState, seconds: Option<f64>, error: Option<&str>) -> String {
    let took = seconds.map(|seconds| format!(" in {}", words::seconds(seconds))).unwrap_or_default();
    match state {
        StepState::Started => String::new(),
        StepState::Cached => ": cached".to_owned(),
        StepState::Done => format!(": done{took}"),
        StepState::Canceled => ": canceled".to_owned(),
        StepState::Failed => match error {
            Some(error) => format!(": failed{took}: {}", without_command(error)),
            None => format!(": failed{took}"),
        },
    }
}

/// BuildKit's error repeats the whole command before the exit code; the step's name has just said it.
fn without_command(error: &str) -> String {
    match error.rsplit_once("exit code: ") {
        Some((_, code)) if !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("exit code {code}")
        }
        _ => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_says_its_exit_code_and_not_its_command_again() {
        let table = [
            ("executor failed running [/bin/sh -c make]: exit code: 3", ": failed in 0.2 s: exit code 3"),
            (
                "process \"/bin/sh -c make\" did not complete successfully: exit code: 137",
                ": failed in 0.2 s: exit code 137",
            ),
            ("\"/nothing\": not found", ": failed in 0.2 s: \"/nothing\": not found"),
            ("echo exit code: x", ": failed in 0.2 s: echo exit code: x"),
        ];
        for (error, wanted) in table {
            assert_eq!(step_ended(StepState::Failed, Some(0.2), Some(error)), wanted);
        }
    }
}
