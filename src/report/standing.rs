//! How `status` and `history` are printed: a table and what is worth a sentence, or one JSON object per row.

use jiff::Timestamp;
use serde::Serialize;

use super::line::{Line, Tone};
use super::out::{Out, To};
use super::table::{Align, Table};
use super::{Format, words};
use crate::history::{Entry, History};
use crate::status::{ServiceStatus, State};

/// A row as JSON, with the two keys that every line of `--output json` has.
#[derive(Serialize)]
struct Row<'a, T> {
    event: &'static str,
    #[serde(flatten)]
    of: &'a T,
    at: Timestamp,
}

fn json<T: Serialize>(out: &Out, event: &'static str, rows: &[T], at: Timestamp) {
    for row in rows {
        // Neither type has a map whose keys are not strings, the only thing that serde_json refuses.
        if let Ok(line) = serde_json::to_string(&Row { event, of: row, at }) {
            out.json(&line);
        }
    }
}

pub(crate) fn status(out: &Out, format: Format, rows: &[ServiceStatus], now: Timestamp) {
    if format == Format::Json {
        return json(out, "status", rows, now);
    }
    let mut table = Table::new()
        .column("ENVIRONMENT", Align::Left, 0)
        .column("SERVICE", Align::Left, 0)
        .column("STATE", Align::Left, 0)
        .column("TASKS", Align::Right, 1)
        .column("REVISION", Align::Left, 1)
        .column("BEHIND", Align::Right, 3)
        .column("SINCE", Align::Left, 2)
        .column("BY", Align::Left, 4)
        .column("LATEST", Align::Left, 3)
        .column("SUBJECT", Align::Left, 5);
    for row in rows {
        table.row(cells(row, now));
    }
    out.table(To::Data, &table);
    for row in rows {
        let name = || Line::new().strong(format!("{}/{}: ", row.environment, row.service));
        for note in &row.notes {
            out.line(To::Data, &name().plain(note).hanging(2));
        }
        if let Some(error) = &row.error {
            out.line(To::Data, &name().toned(Tone::Bad, error).hanging(2));
        }
    }
    let mut hints: Vec<&str> = rows.iter().filter_map(|row| row.hint.as_deref()).collect();
    hints.dedup();
    for hint in hints {
        out.line(To::Data, &Line::new().dim("hint: ").plain(hint).hanging(6));
    }
}

fn cells(row: &ServiceStatus, now: Timestamp) -> Vec<(Tone, String)> {
    let known = row.state != State::Unknown;
    let unless = |known: bool, text: String| if known { text } else { "?".to_owned() };
    let tone = match row.state {
        State::Steady | State::Live => Tone::Good,
        State::Rolling => Tone::Accent,
        State::Stopped | State::Absent => Tone::Dim,
        State::Failing | State::Failed | State::Gone | State::Unknown => Tone::Bad,
        State::Degraded => Tone::Warning,
    };
    let held = if row.held.is_some() { " (held)" } else { "" };
    let pending = if row.pending > 0 { format!(" +{}", row.pending) } else { String::new() };
    let zip = matches!(row.state, State::Live | State::Absent);
    let latest = match row.latest_runs {
        _ if zip => (Tone::Dim, "-"),
        Some(true) => (Tone::Plain, "runs"),
        Some(false) => (Tone::Warning, "another"),
        None => (Tone::Dim, "?"),
    };
    let by = row.deployed_by.as_deref().map_or("?", words::last_part);
    let by = match &row.approved_by {
        Some(approved) => format!("{by}, approved by {}", words::last_part(approved)),
        None => by.to_owned(),
    };
    vec![
        (Tone::Plain, row.environment.clone()),
        (Tone::Strong, row.service.clone()),
        (tone, format!("{}{held}", row.state.as_str())),
        (
            Tone::Plain,
            if zip { "-".to_owned() } else { unless(known, format!("{}/{}{pending}", row.running, row.desired)) },
        ),
        (Tone::Plain, row.revision.as_deref().map_or_else(|| "?".to_owned(), words::short_revision)),
        (Tone::Plain, row.behind.map_or_else(|| "?".to_owned(), |behind| behind.to_string())),
        (Tone::Plain, row.since.map_or_else(|| "?".to_owned(), |since| age(since, now))),
        (Tone::Plain, by),
        (latest.0, latest.1.to_owned()),
        (Tone::Dim, row.subject.clone().unwrap_or_default()),
    ]
}

pub(crate) fn history(out: &Out, format: Format, history: &History, now: Timestamp) {
    if format == Format::Json {
        return json(out, "release", &history.entries, now);
    }
    let mut table = Table::new()
        .column("WHEN", Align::Left, 0)
        .column("SERVICE", Align::Left, 0)
        .column("WHAT", Align::Left, 0)
        .column("REVISION", Align::Left, 0)
        .column("DIGEST", Align::Left, 3)
        .column("BY", Align::Left, 4)
        .column("SUBJECT", Align::Left, 2)
        .column("REASON", Align::Left, 1);
    for entry in &history.entries {
        table.row(row(entry));
    }
    out.table(To::Data, &table);
    for note in &history.notes {
        out.line(To::Talk, &Line::new().dim("note: ").plain(note).hanging(6));
    }
}

fn row(entry: &Entry) -> Vec<(Tone, String)> {
    let tone = match entry.state.as_str() {
        "SUCCESSFUL" => Tone::Plain,
        "PUSHED" => Tone::Dim,
        "PENDING" | "IN_PROGRESS" => Tone::Accent,
        _ => Tone::Bad,
    };
    let runs = if entry.runs { " (runs)" } else { "" };
    vec![
        (Tone::Plain, entry.when.map_or_else(|| "?".to_owned(), |when| when.strftime("%F %H:%MZ").to_string())),
        (Tone::Strong, entry.service.clone()),
        (tone, format!("{}{runs}", entry.state.to_lowercase().replace('_', "-"))),
        (Tone::Plain, entry.revision.as_deref().map_or_else(|| "?".to_owned(), words::short_revision)),
        (Tone::Plain, entry.digest.as_deref().map_or_else(|| "?".to_owned(), words::short_digest)),
        (Tone::Plain, entry.deployed_by.as_deref().map(words::last_part).unwrap_or_default().to_owned()),
        (Tone::Dim, entry.subject.clone().unwrap_or_default()),
        (Tone::Plain, entry.reason.clone().unwrap_or_default()),
    ]
}

/// `40 s`, `12 min`, `3 h`, `5 d`: how long ago, in the largest unit that fits.
fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::age;
    use jiff::Timestamp;

    #[test]
    fn an_age_is_told_in_one_unit() {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        let cases = [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (172_800, "2 d")];
        for (seconds, expected) in cases {
            let since = Timestamp::from_second(1_000_000 - seconds).expect("a time");
            assert_eq!(age(since, now), expected);
        }
        assert_eq!(age(Timestamp::from_second(1_000_060).expect("a time"), now), "0 s", "clocks differ");
    }
}
