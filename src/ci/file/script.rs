//! The lines of a script: which of them run shipit, which may, and what takes a failure away.

mod call;
mod files;
mod lines;
mod programs;

use self::call::{call, is_call, said};
use self::files::runs_file;
use self::lines::{Quoted, joined, quoted};
use self::programs::{
    ADD_WORDS, EVALUATORS, FETCHERS, INTERPRETERS, NAMERS, OF_GIT, SHELLS, SPEAKERS, WRAPPERS, base, is_open_script,
    program, reads_a_script, renames, undecided, wraps_anything,
};
use super::shell::{self, Join, Redirection, Simple, Word};
use super::{Note, Step, Surroundings};

pub(in crate::ci::file) use self::files::tidy;

/// Reads the lines of a step's script, each with its line in the file, into the step.
pub(super) fn read(lines: &[(usize, &str)], surroundings: Surroundings<'_>, step: &mut Step) {
    let mut forgiving = None;
    let mut pipefail = false;
    for (line, text) in joined(lines) {
        let commands = shell::commands(&text);
        for (index, simple) in commands.iter().enumerate() {
            if is_set(simple, "+e") {
                forgiving = Some("set +e".to_owned());
            } else if is_set(simple, "-e") {
                forgiving = None;
            }
            pipefail |= is_set(simple, "-o") && simple.words.iter().any(|word| word.text == "pipefail");
            let before = step.calls.len();
            let feeds = simple.then == Join::Pipe && commands.get(index + 1).is_some_and(reads_a_script);
            command(simple, feeds, line, surroundings, step);
            let last = index + 1 == commands.len();
            for call in &mut step.calls[before..] {
                let by = swallowed(simple, last).filter(|by| !(pipefail && by == "a pipe"));
                call.swallowed = by.or_else(|| forgiving.clone());
            }
        }
    }
    for Quoted { line, text, certain } in quoted(lines) {
        let mut other = Step::default();
        for simple in shell::commands(&text) {
            command(&simple, false, line, surroundings, &mut other);
        }
        // What the single lines have told is known.
        let known = |text: &str, step: &Step| {
            step.calls.iter().any(|one| one.text == text) || step.unclear.iter().any(|one| one.text == text)
        };
        other.calls.retain(|call| !known(&call.text, step));
        other.unclear.retain(|note| (certain || speaks(&note.text)) && !known(&note.text, step));
        step.calls.append(&mut other.calls);
        step.unclear.append(&mut other.unclear);
    }
}

pub(super) fn speaks(text: &str) -> bool {
    text.contains("shipit") || text.contains("--approve")
}

fn is_set(simple: &Simple, flag: &str) -> bool {
    let mut words = simple.words.iter().map(|word| word.text.as_str());
    words.next() == Some("set") && words.any(|word| word.starts_with(&flag[..1]) && word.contains(&flag[1..]))
}

/// What becomes of the failure of this command.
fn swallowed(simple: &Simple, last: bool) -> Option<String> {
    let first = simple.words.first().map_or("", |word| word.text.as_str());
    match simple.then {
        Join::Or => Some("||".to_owned()),
        Join::Pipe => Some("a pipe".to_owned()),
        Join::Background => Some("&".to_owned()),
        Join::And if !last => Some("&&".to_owned()),
        _ if ["if", "while", "until", "elif", "!"].contains(&first) => Some(first.to_owned()),
        _ => None,
    }
}

/// `feeds`: what it prints is run by an interpreter.
fn command(simple: &Simple, feeds: bool, line: usize, surroundings: Surroundings<'_>, step: &mut Step) {
    let targets = simple.redirections.iter().map(|redirection| &redirection.target);
    for word in simple.words.iter().chain(targets).filter(|word| word.open) {
        for inner in shell::substituted(&word.text).into_iter().flat_map(shell::commands) {
            command(&inner, false, line, surroundings, step);
        }
        // `${…}` whose end was not where it seems to be.
        if word.text.contains("${") && word.text.contains([';', '&', '|', '\n']) {
            for inner in word.text.split('}').skip(1).flat_map(shell::commands).filter(|inner| says(&inner.words)) {
                command(&inner, false, line, surroundings, step);
            }
        }
    }
    let words = program(&simple.words);
    let Some(first) = words.first() else { return };
    let name = base(&first.text);
    let whole = || said(words);
    if let Some(why) = undecided(first) {
        step.unclear.push(Note::new(line, format!("{why} decides what `{}` runs", whole())));
        return;
    }
    if EVALUATORS.contains(&name) || name == "trap" && words.get(1).is_some_and(|word| word.text.starts_with('$')) {
        step.unclear.push(Note::new(line, format!("nobody can tell what `{}` runs", whole())));
        return;
    }
    if let Some(at) = (0..words.len()).find(|at| is_call(words, *at)) {
        let mut call = call(&words[at..], line, surroundings);
        call.open |= words[..at].iter().any(|word| ADD_WORDS.contains(&base(&word.text)));
        // A command inside of a word is met as one, and as a part of that word.
        if step.calls.last() != Some(&call) {
            step.calls.push(call);
        }
        return;
    }
    if NAMERS.contains(&name) && renames(words) {
        step.unclear.push(Note::new(line, format!("`{}` gives shipit another name", whole())));
        return;
    }
    if wraps_anything(name, words) {
        step.unclear.push(Note::new(line, format!("what `{}` is given is not known", whole())));
        return;
    }
    let git = name == "git" && words.get(1).is_some_and(|word| OF_GIT.contains(&word.text.as_str()));
    if SPEAKERS.contains(&name) || git {
        let kept = simple.redirections.iter().any(is_kept) && may_approve(words, surroundings);
        let piped = simple.then == Join::Pipe && words.iter().any(|word| word.text.contains("shipit"));
        if kept || piped || feeds && words.iter().any(|word| word.open) {
            step.unclear.push(Note::new(line, format!("nobody can tell what becomes of `{}`", whole())));
        }
        return;
    }
    if feeds && !FETCHERS.contains(&name) {
        step.unclear.push(Note::new(line, format!("nobody can tell what `{}` gives to an interpreter", whole())));
        return;
    }
    let interprets = INTERPRETERS.contains(&name);
    let known = (step.calls.len(), step.unclear.len());
    if interprets && is_open_script(simple, words) {
        step.unclear.push(Note::new(line, format!("a variable decides what `{}` runs", whole())));
        return;
    }
    let texts = simple.redirections.iter().filter(|one| one.sign.starts_with('<')).map(|one| &one.target);
    let inline = interprets && words[1..].iter().any(|word| word.text.starts_with('-') && word.text.ends_with('c'));
    for word in words[1..].iter().chain(texts).filter(|word| !word.text.starts_with(['<', '>'])) {
        let script = inline && !word.text.starts_with('-') && SHELLS.contains(&name);
        if (script || word.text.contains("shipit")) && word.text.contains(char::is_whitespace)
            || script && word.text.starts_with('$')
        {
            for inner in word.text.lines().flat_map(shell::commands) {
                command(&inner, false, line, surroundings, step);
            }
        }
    }
    if known == (step.calls.len(), step.unclear.len()) && approves(words) {
        step.unclear.push(Note::new(line, format!("nobody can tell whether `{}` runs shipit", whole())));
        return;
    }
    let runs = interprets || feeds || WRAPPERS.contains(&name);
    if let Some(file) = runs_file(name, simple, words, runs, surroundings) {
        step.unclear.push(Note::new(line, format!("`{}` runs {file}, which speaks of shipit", whole())));
    }
}

/// Whether what is said is kept in a file, which somebody may run.
fn is_kept(redirection: &Redirection) -> bool {
    let target = redirection.target.text.as_str();
    redirection.sign.starts_with('>') && !redirection.sign.ends_with('&') && !target.starts_with("/dev/")
}

/// Whether these words may say `--approve` to shipit, or hold a line that does.
fn may_approve(words: &[Word], surroundings: Surroundings<'_>) -> bool {
    let line = |simple: &Simple| {
        let words = program(&simple.words);
        let at = (0..words.len()).find(|at| is_call(words, *at));
        at.is_some_and(|at| call(&words[at..], 0, surroundings).may_approve())
    };
    approves(words) || words.iter().any(|word| shell::commands(&word.text).iter().any(line))
}

fn says(words: &[Word]) -> bool {
    words.iter().any(|word| speaks(&word.text))
}

/// Whether a command that is not read as one of shipit speaks like it: the program has another name, or another language
/// is spoken. The flag alone is that of others too (`gh pr review --approve`).
fn approves(words: &[Word]) -> bool {
    let any = |says: fn(&str) -> bool| words.iter().any(|word| says(&word.text));
    any(|text| text.contains("--approve"))
        && any(|text| text.contains("shipit") || ["deploy", "rollback", "run"].contains(&text))
}

#[cfg(test)]
mod tests;
