//! How `doctor` is told: a line for each check, the fix beneath it; or one JSON object a line.

use jiff::Timestamp;
use serde::Serialize;

use super::Format;
use super::line::{Line, Tone};
use super::out::{Out, To};
use crate::doctor::{Check, State};

#[derive(Serialize)]
struct Row<'c> {
    event: &'static str,
    #[serde(flatten)]
    check: &'c Check,
    at: Timestamp,
}

pub(crate) fn doctor(out: &Out, format: Format, checks: &[Check]) {
    if format == Format::Json {
        let at = Timestamp::now();
        for check in checks {
            // No map with keys that are not strings, the only thing that serde_json refuses.
            if let Ok(line) = serde_json::to_string(&Row { event: "check", check, at }) {
                out.json(&line);
            }
        }
        return;
    }
    let width = checks.iter().map(|check| check.what.chars().count()).max().unwrap_or_default();
    let mut heading = String::new();
    for (title, check) in grouped(checks) {
        if title != heading {
            out.blank(To::Data);
            out.line(To::Data, &Line::new().strong(&title));
            heading = title;
        }
        let tone = match check.state {
            State::Works => Tone::Good,
            State::Fails => Tone::Bad,
            State::Unknown => Tone::Warning,
        };
        let lead = 13 + width + 2;
        let line = Line::new()
            .toned(tone, format!("{:<13}", check.state.as_str()))
            .strong(format!("{:<1$}", check.what, width + 2))
            .plain(&check.detail);
        out.line(To::Data, &line.hanging(lead));
        if let Some(fix) = check.fix.as_deref().filter(|fix| !fix.is_empty()) {
            let fix = Line::new().plain(" ".repeat(lead)).dim("fix: ").plain(fix);
            out.line(To::Data, &fix.hanging(lead + 5));
        }
    }
    summary(out, checks);
}

/// Each check under its heading. What is the same in every environment is there once, before what is not.
fn grouped(checks: &[Check]) -> Vec<(String, &Check)> {
    let mut environments: Vec<&str> = Vec::new();
    for environment in checks.iter().filter_map(|check| check.environment.as_deref()) {
        if !environments.contains(&environment) {
            environments.push(environment);
        }
    }
    let same = |one: &Check, other: &Check| {
        (&one.what, one.state, &one.detail, &one.fix) == (&other.what, other.state, &other.detail, &other.fix)
    };
    let everywhere = |check: &Check| {
        environments.len() > 1
            && environments.iter().all(|environment| {
                checks.iter().any(|other| other.environment.as_deref() == Some(environment) && same(check, other))
            })
    };
    let all = environments.join(", ");
    let (mut machine, mut common, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for check in checks {
        match check.environment.as_deref() {
            None => machine.push((String::new(), check)),
            Some(first) if everywhere(check) => {
                if Some(&first) == environments.first() {
                    common.push((all.clone(), check));
                }
            }
            Some(environment) => own.push((environment.to_owned(), check)),
        }
    }
    machine.into_iter().chain(common).chain(own).collect()
}

fn summary(out: &Out, checks: &[Check]) {
    let count = |state: State| checks.iter().filter(|check| check.state == state).count();
    let line = match (count(State::Fails), count(State::Unknown)) {
        (0, 0) => Line::new().toned(Tone::Good, "everything works"),
        (0, open) => Line::new().toned(Tone::Good, "nothing is wrong").plain(format!("; {open} cannot be told")),
        (bad, open) => {
            let bad = if bad == 1 { "1 does not work".to_owned() } else { format!("{bad} do not work") };
            Line::new().toned(Tone::Bad, bad).plain(format!("; {open} cannot be told"))
        }
    };
    out.blank(To::Data);
    out.line(To::Data, &line);
}
