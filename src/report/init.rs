//! How `init` is told: what was found and where, what was guessed, what a person has to decide; differences; next steps.

use jiff::Timestamp;
use serde::Serialize;

use super::Format;
use super::line::{Line, Tone};
use super::out::{Out, To};
use crate::init::{Basis, Change, Note};

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fate {
    Written,
    /// A dry run: it would be.
    WouldBeWritten,
    /// It is already as it would be written.
    Unchanged,
    /// It is there, it differs, and was left as it is.
    Kept,
}

#[derive(Serialize)]
struct NoteLine<'n> {
    event: &'static str,
    #[serde(flatten)]
    note: &'n Note,
    at: Timestamp,
}

#[derive(Serialize)]
struct FileLine<'f> {
    event: &'static str,
    path: &'f str,
    fate: Fate,
    text: &'f str,
    at: Timestamp,
}

#[derive(Serialize)]
struct ToDoLine<'t> {
    event: &'static str,
    what: &'t str,
    at: Timestamp,
}

fn json<T: Serialize>(out: &Out, line: &T) {
    // No map with keys that are not strings, the only thing that serde_json refuses.
    if let Ok(line) = serde_json::to_string(line) {
        out.json(&line);
    }
}

/// One line for each statement.
pub(crate) fn notes(out: &Out, format: Format, notes: &[Note]) {
    if format == Format::Json {
        let at = Timestamp::now();
        for note in notes {
            json(out, &NoteLine { event: "note", note, at });
        }
        return;
    }
    for (basis, tone, word) in [
        (Basis::Found, Tone::Good, "found"),
        (Basis::LeftOut, Tone::Dim, "left out"),
        (Basis::Guessed, Tone::Accent, "guessed"),
        (Basis::Decide, Tone::Warning, "decide"),
    ] {
        for note in notes.iter().filter(|note| note.basis == basis) {
            let mut line = Line::new().toned(tone, format!("{word:<9}")).plain(&note.what);
            if let Some(at) = &note.place {
                line = line.dim(format!("  {at}"));
            }
            out.line(To::Talk, &line.hanging(9));
        }
    }
}

/// What would change in a file that is there.
pub(crate) fn difference(out: &Out, format: Format, path: &str, changes: &[Change]) {
    if format == Format::Json {
        return;
    }
    out.line(To::Talk, &Line::new().strong(format!("{path} is there already; what would change:")));
    for change in changes {
        let line = match change {
            Change::Same(text) => Line::new().dim(format!("  {text}")),
            Change::Removed(text) => Line::new().toned(Tone::Bad, format!("- {text}")),
            Change::Added(text) => Line::new().toned(Tone::Good, format!("+ {text}")),
            Change::Gap(count) => Line::new().dim(format!("  … {count} lines as they are")),
        };
        out.line(To::Talk, &line);
    }
}

/// What became of one file.
pub(crate) fn file(out: &Out, format: Format, path: &str, fate: Fate, text: &str) {
    if format == Format::Json {
        return json(out, &FileLine { event: "file", path, fate, text, at: Timestamp::now() });
    }
    let line = match fate {
        Fate::Written => Line::new().toned(Tone::Good, "wrote    ").strong(path),
        Fate::WouldBeWritten => Line::new().toned(Tone::Accent, "would write ").strong(path),
        Fate::Unchanged => Line::new().dim("same     ").plain(path).plain(" is there already, just like this"),
        Fate::Kept => {
            Line::new().toned(Tone::Warning, "kept     ").plain(path).plain(" is there already and was left as it is")
        }
    };
    out.line(To::Talk, &line);
}

/// What is left to a person.
pub(crate) fn to_do(out: &Out, format: Format, steps: &[String]) {
    if format == Format::Json {
        let at = Timestamp::now();
        for what in steps {
            json(out, &ToDoLine { event: "next", what, at });
        }
        return;
    }
    for (index, step) in steps.iter().enumerate() {
        let lead = if index == 0 { "next     " } else { "         " };
        out.line(To::Talk, &Line::new().toned(Tone::Accent, lead).plain(step).hanging(9));
    }
}
