//! A command line of shipit among the words of a script.

use super::programs::base;
use crate::ci::file::shell::Word;
use crate::ci::file::{Call, Surroundings, Verb};

/// Flags that say where it goes; a value in quotes stays one word, whatever a variable holds.
pub(super) const PLACES: [&str; 4] = ["--env", "-e", "--branch", "-b"];
/// Other flags with such a value.
pub(super) const OTHERS: [&str; 5] = ["--config", "--timeout", "--receipt", "--jobs", "-j"];
/// The word `shipit` with one of its commands behind it, or with a variable in that place.
pub(super) fn is_call(words: &[Word], at: usize) -> bool {
    if base(&words[at].text) != "shipit" {
        return false;
    }
    let next = words[at + 1..].iter().find(|word| word.open || !is_global(&word.text));
    match next {
        Some(word) => word.open || COMMANDS.contains(&word.text.as_str()),
        None => at == 0 && words.len() > 1,
    }
}

pub(super) fn is_global(word: &str) -> bool {
    word.starts_with('-') || word == "json" || word == "text"
}

pub(super) const COMMANDS: [&str; 14] = [
    "deploy",
    "check",
    "changed",
    "status",
    "wait",
    "rollback",
    "run",
    "history",
    "init",
    "doctor",
    "local",
    "schema",
    "completions",
    "man",
];

pub(super) fn call(words: &[Word], line: usize, surroundings: Surroundings<'_>) -> Call {
    let text = said(words);
    let own: Vec<&Word> = words[1..].iter().collect();
    // Behind `--` is the command of a one-off task.
    let flags = own.iter().position(|word| word.text == "--").unwrap_or(own.len());
    let is_value = |at: usize, of: &[&str]| at > 0 && of.contains(&own[at - 1].text.as_str());
    let open = own[..flags].iter().enumerate().any(|(at, word)| {
        let value = is_value(at, &PLACES) || is_value(at, &OTHERS);
        word.open && (word.splits || !(value || is_named(&word.text))) || word.pattern && !value
    });
    let texts: Vec<String> = own.iter().map(|word| word.text.clone()).collect();
    // What a variable holds is no number and no duration yet; where the line goes, it goes without that flag, too.
    let without_values = || {
        let mut kept: Vec<String> = Vec::new();
        for (at, word) in own.iter().enumerate() {
            let place = is_value(at, &PLACES) || PLACES.iter().any(|flag| word.text.starts_with(&format!("{flag}=")));
            if at >= flags || !word.open || place {
                kept.push(word.text.clone());
            } else if is_value(at, &OTHERS) {
                kept.pop();
            }
        }
        kept
    };
    let verb = texts.iter().find(|word| !is_global(word)).map_or(Verb::Other, |word| match word.as_str() {
        "deploy" => Verb::Deploy,
        "rollback" => Verb::Rollback,
        "run" => Verb::Run,
        word if word.contains(['$', '`']) => Verb::Deploy,
        _ => Verb::Other,
    });
    let read = (surroundings.read)(&texts);
    match read.or_else(|wrong| if open { Err(wrong) } else { (surroundings.read)(&without_values()) }) {
        Ok(call) => Call { line, text, open, ..call },
        // As bad as it can be: a line that is wrong to this shipit may be right to the one that runs.
        Err(wrong) => Call {
            line,
            text,
            verb,
            approve: texts.iter().any(|word| word == "--approve"),
            open,
            wrong: Some(wrong).filter(|_| !open),
            ..Call::default()
        },
    }
}

/// `--timeout=$T`: the flag is named, whatever the variable holds. `--$F` is not.
pub(super) fn is_named(word: &str) -> bool {
    let fixed = word.split(['$', '`']).next().unwrap_or_default();
    fixed.starts_with("--") && fixed.contains('=')
}

pub(super) fn said(words: &[Word]) -> String {
    let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(100) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
