//! The lines of a script: which of them run shipit, which may, and what takes a failure away.

use super::shell::{self, Join, Simple, Word};
use super::{Call, Note, Step, Surroundings, Verb};

/// Shell words that stand before a command and are none.
const BEFORE: [&str; 15] = [
    "if", "then", "else", "elif", "while", "until", "do", "!", "time", "exec", "command", "nohup", "sudo", "env",
    "timeout",
];
/// Programs that run the file or the text that they are given.
const INTERPRETERS: [&str; 13] =
    ["sh", "bash", "zsh", "dash", "ash", "ksh", "source", ".", "python", "python3", "node", "ruby", "perl"];
/// Programs that run what a file of theirs says.
const RUNNERS: [(&str, &[&str]); 8] = [
    ("make", &["Makefile", "makefile", "GNUmakefile"]),
    ("npm", &["package.json"]),
    ("yarn", &["package.json"]),
    ("pnpm", &["package.json"]),
    ("just", &["justfile", "Justfile", ".justfile"]),
    ("task", &["Taskfile.yml", "Taskfile.yaml"]),
    ("tox", &["tox.ini"]),
    ("mise", &["mise.toml", ".mise.toml"]),
];
/// Flags that say where it goes; a value in quotes stays one word, whatever a variable holds.
const PLACES: [&str; 4] = ["--env", "-e", "--branch", "-b"];
/// Other flags with such a value.
const OTHERS: [&str; 5] = ["--config", "--timeout", "--receipt", "--jobs", "-j"];
/// Programs that only say what they are given.
const SPEAKERS: [&str; 3] = ["echo", "printf", "git"];

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
            let feeds = simple.then == Join::Pipe && commands.get(index + 1).is_some_and(is_interpreter);
            command(simple, feeds, line, surroundings, step);
            let last = index + 1 == commands.len();
            for call in &mut step.calls[before..] {
                let by = swallowed(simple, last).filter(|by| !(pipefail && by == "a pipe"));
                call.swallowed = by.or_else(|| forgiving.clone());
            }
        }
    }
}

/// A line that ends in a backslash goes on in the next one.
fn joined(lines: &[(usize, &str)]) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (line, text) in lines {
        let text = text.trim_end();
        let goes_on = text.ends_with('\\');
        let text = text.trim_end_matches('\\');
        match joined.last_mut().filter(|_| open) {
            Some((_, before)) => before.push_str(text),
            None => joined.push((*line, text.to_owned())),
        }
        open = goes_on;
    }
    joined
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

fn is_interpreter(simple: &Simple) -> bool {
    program(&simple.words).first().is_some_and(|word| INTERPRETERS.contains(&base(&word.text)))
}

/// `feeds`: what it prints is run by an interpreter.
fn command(simple: &Simple, feeds: bool, line: usize, surroundings: Surroundings<'_>, step: &mut Step) {
    for word in simple.words.iter().filter(|word| word.open) {
        for inner in shell::substituted(&word.text).into_iter().flat_map(shell::commands) {
            command(&inner, false, line, surroundings, step);
        }
    }
    let words = program(&simple.words);
    let Some(first) = words.first() else { return };
    let name = base(&first.text);
    let whole = || said(words);
    if first.open && name.contains(['$', '`', ')']) {
        step.unclear.push(Note::new(line, format!("a variable decides what `{}` runs", whole())));
        return;
    }
    if name == "eval" {
        step.unclear.push(Note::new(line, format!("nobody can tell what `{}` runs", whole())));
        return;
    }
    if let Some(at) = (0..words.len()).find(|at| is_call(words, *at)) {
        let call = call(&words[at..], line, surroundings);
        // A command inside of a word is met as one, and as a part of that word.
        if step.calls.last() != Some(&call) {
            step.calls.push(call);
        }
        return;
    }
    if ["xargs", "parallel"].contains(&name) && words.iter().any(|word| base(&word.text) == "shipit") {
        step.unclear.push(Note::new(line, format!("what `{}` is given is not known", whole())));
        return;
    }
    if SPEAKERS.contains(&name) {
        let kept = words.iter().any(|word| is_redirection(&word.text)) && approves(words);
        if kept || simple.then == Join::Pipe && words.iter().any(|word| word.text.contains("shipit")) {
            step.unclear.push(Note::new(line, format!("nobody can tell what becomes of `{}`", whole())));
        }
        return;
    }
    let interprets = feeds || INTERPRETERS.contains(&name);
    let known = (step.calls.len(), step.unclear.len());
    for word in &words[1..] {
        if interprets && word.open && words[1].text.starts_with('-') && words[1].text.ends_with('c') {
            step.unclear.push(Note::new(line, format!("a variable decides what `{}` runs", whole())));
            return;
        }
        if word.text.contains("shipit") && word.text.contains(char::is_whitespace) {
            for inner in word.text.lines().flat_map(shell::commands) {
                command(&inner, false, line, surroundings, step);
            }
        }
    }
    if known == (step.calls.len(), step.unclear.len()) && approves(words) {
        step.unclear.push(Note::new(line, format!("nobody can tell whether `{}` runs shipit", whole())));
        return;
    }
    if let Some(file) = runs_file(name, words, interprets, surroundings) {
        step.unclear.push(Note::new(line, format!("`{}` runs {file}, which speaks of shipit", whole())));
    } else if interprets && words.get(1).is_some_and(|word| word.open && base(&word.text).contains(['$', '`', ')'])) {
        step.unclear.push(Note::new(line, format!("a variable decides what `{}` runs", whole())));
    }
}

/// Whether a command that is not read as one of shipit speaks like it: the program has another name, or another language
/// is spoken. The flag alone is that of others too (`gh pr review --approve`).
fn approves(words: &[Word]) -> bool {
    let any = |says: fn(&str) -> bool| words.iter().any(|word| says(&word.text));
    any(|text| text.contains("--approve"))
        && any(|text| text.contains("shipit") || ["deploy", "rollback", "run"].contains(&text))
}

/// The words from the program on: what stands before it and is none is taken away.
fn program(words: &[Word]) -> &[Word] {
    let mut rest = words;
    let mut wrapped = false;
    while let Some(first) = rest.first() {
        let text = first.text.as_str();
        let assignment = text
            .split_once('=')
            .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        let duration = wrapped && text.starts_with(|c: char| c.is_ascii_digit());
        if assignment || BEFORE.contains(&text) || (wrapped && text.starts_with('-')) || duration {
            wrapped |= BEFORE.contains(&text);
            rest = &rest[1..];
            // `env -u NAME`
            if wrapped && text == "-u" && !rest.is_empty() {
                rest = &rest[1..];
            }
        } else {
            break;
        }
    }
    rest
}

/// `./shipit`, `/usr/bin/shipit`, `registry/shipit:1@sha256:…`.
fn base(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    name.split(['@', ':']).next().unwrap_or(name)
}

/// The word `shipit` with one of its commands behind it, or with a variable in that place.
fn is_call(words: &[Word], at: usize) -> bool {
    if base(&words[at].text) != "shipit" {
        return false;
    }
    let next = words[at + 1..].iter().find(|word| word.open || !is_global(&word.text));
    match next {
        Some(word) => word.open || COMMANDS.contains(&word.text.as_str()),
        None => at == 0 && words.len() > 1,
    }
}

fn is_global(word: &str) -> bool {
    word.starts_with('-') || word == "json" || word == "text"
}

const COMMANDS: [&str; 14] = [
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

fn call(words: &[Word], line: usize, surroundings: Surroundings<'_>) -> Call {
    let text = said(words);
    // What comes behind a redirection is not for shipit.
    let own: Vec<&Word> = words[1..].iter().take_while(|word| !is_redirection(&word.text)).collect();
    // Behind `--` is the command of a one-off task.
    let flags = own.iter().position(|word| word.text == "--").unwrap_or(own.len());
    let is_value = |at: usize, of: &[&str]| at > 0 && of.contains(&own[at - 1].text.as_str());
    let open = own[..flags].iter().enumerate().any(|(at, word)| {
        let value = is_value(at, &PLACES) || is_value(at, &OTHERS);
        word.open && (word.splits || !(value || word.text.starts_with("--")))
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

fn is_redirection(word: &str) -> bool {
    word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&').starts_with(['>', '<'])
}

/// The file of the project that this command runs, where that file speaks of shipit.
fn runs_file(name: &str, words: &[Word], interprets: bool, surroundings: Surroundings<'_>) -> Option<String> {
    let mentions = surroundings.mentions;
    if let Some((_, files)) = RUNNERS.iter().find(|(runner, _)| *runner == name) {
        let of_runner = |path: &&String| files.contains(&path.rsplit('/').next().unwrap_or(path));
        return mentions.iter().find(of_runner).cloned();
    }
    let candidates = if interprets { words } else { &words[..1] };
    candidates.iter().find_map(|word| {
        let path = word.text.trim_start_matches("../").trim_start_matches("./");
        // A folder in a variable: the end of the path tells.
        let path = if path.starts_with('$') { path.split_once('/').map_or("", |(_, rest)| rest) } else { path };
        // The folder that the step stands in by then is not known.
        let ends =
            |path: &str, end: &str| path.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        mentions.iter().find(|file| !path.is_empty() && (ends(file, path) || ends(path, file))).cloned()
    })
}

fn said(words: &[Word]) -> String {
    let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(100) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
