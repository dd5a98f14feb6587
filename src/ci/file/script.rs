//! The lines of a script: which of them run shipit, which may, and what takes a failure away.

use super::shell::{self, Join, Redirection, Simple, Word};
use super::{Call, Note, Step, Surroundings, Verb};

/// Shell words that stand before a command and are none, and programs that run the command behind them.
const BEFORE: [&str; 25] = [
    "if",
    "then",
    "else",
    "elif",
    "while",
    "until",
    "do",
    "!",
    "time",
    "exec",
    "command",
    "nohup",
    "sudo",
    "env",
    "timeout",
    "builtin",
    "coproc",
    "nice",
    "ionice",
    "setsid",
    "stdbuf",
    "doas",
    "unbuffer",
    "tini",
    "dumb-init",
];
/// Programs that run a command which stands among their words, with words of their own before it.
const WRAPPERS: [&str; 15] = [
    "xargs", "parallel", "su", "runuser", "script", "strace", "watch", "flock", "chroot", "unshare", "nsenter", "gosu",
    "su-exec", "taskset", "busybox",
];
/// Programs that run the file or the text that they are given.
const INTERPRETERS: [&str; 19] = [
    "sh",
    "bash",
    "zsh",
    "dash",
    "ash",
    "ksh",
    "fish",
    "source",
    ".",
    "python",
    "python3",
    "node",
    "deno",
    "bun",
    "ruby",
    "perl",
    "php",
    "pwsh",
    "powershell",
];
/// Those whose `-c` is read as the lines of the step are.
const SHELLS: [&str; 6] = ["sh", "bash", "zsh", "dash", "ash", "ksh"];
/// What they are told by these is a program itself.
const EVALUATORS: [&str; 3] = ["eval", "iex", "Invoke-Expression"];
/// Programs that run what a file of theirs says.
const RUNNERS: [(&str, &[&str]); 15] = [
    ("make", &["Makefile", "makefile", "GNUmakefile"]),
    ("npm", &["package.json"]),
    ("yarn", &["package.json"]),
    ("pnpm", &["package.json"]),
    ("bun", &["package.json"]),
    ("deno", &["deno.json", "deno.jsonc"]),
    ("composer", &["composer.json"]),
    ("just", &["justfile", "Justfile", ".justfile"]),
    ("task", &["Taskfile.yml", "Taskfile.yaml"]),
    ("rake", &["Rakefile"]),
    ("invoke", &["tasks.py"]),
    ("tox", &["tox.ini"]),
    ("nox", &["noxfile.py"]),
    ("mise", &["mise.toml", ".mise.toml"]),
    ("docker-compose", COMPOSE),
];
const COMPOSE: &[&str] = &["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// Programs that give another program, or themselves, another name.
const NAMERS: [&str; 5] = ["alias", "cp", "ln", "mv", "install"];
/// Flags that say where it goes; a value in quotes stays one word, whatever a variable holds.
const PLACES: [&str; 4] = ["--env", "-e", "--branch", "-b"];
/// Other flags with such a value.
const OTHERS: [&str; 5] = ["--config", "--timeout", "--receipt", "--jobs", "-j"];
/// Programs that only say what they are given.
const SPEAKERS: [&str; 2] = ["echo", "printf"];
/// Commands of git that only keep what they are given.
const OF_GIT: [&str; 6] = ["commit", "tag", "log", "grep", "add", "push"];
/// What fetches or shows a script for an interpreter; what is in it is a program's matter.
const FETCHERS: [&str; 3] = ["curl", "wget", "cat"];
/// Folders that the pipeline itself names.
const FOLDERS: [&str; 7] =
    ["HOME", "PWD", "BITBUCKET_CLONE_DIR", "GITHUB_WORKSPACE", "RUNNER_TEMP", "CI_PROJECT_DIR", "VIRTUAL_ENV"];

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

/// A line that ends in a backslash goes on in the next one, unless it ends in a comment.
fn joined(lines: &[(usize, &str)]) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (line, text) in lines {
        let text = text.trim_end();
        match joined.last_mut().filter(|_| open) {
            Some((_, before)) => before.push_str(text),
            None => joined.push((*line, text.to_owned())),
        }
        let Some((_, whole)) = joined.last_mut() else { continue };
        let backslashes = whole.bytes().rev().take_while(|byte| *byte == b'\\').count();
        open = backslashes % 2 == 1 && !shell::end(whole).comment;
        if open {
            whole.pop();
        }
    }
    joined
}

/// The most lines that quotes are followed through.
const LONGEST: usize = 200;

/// Lines that one pair of quotes holds together.
struct Quoted {
    line: usize,
    text: String,
    /// That they begin here; otherwise it is only possible.
    certain: bool,
}

/// Each line that leaves quotes open, with those behind it up to their end: where the shell sees an end of quotes, the
/// single lines may have seen a beginning. Where the count is lost (a here-document with an apostrophe), every such line
/// may be a beginning.
fn quoted(lines: &[(usize, &str)]) -> Vec<Quoted> {
    let whole = |at: usize| {
        let mut text = lines[at].1.to_owned();
        for (_, next) in lines[at + 1..].iter().take(LONGEST) {
            text.push('\n');
            text.push_str(next);
            if !shell::end(&text).quoted {
                break;
            }
        }
        text
    };
    let mut next = 0;
    let mut all = Vec::new();
    for (at, (line, text)) in lines.iter().enumerate() {
        if !shell::end(text).quoted {
            continue;
        }
        let text = whole(at);
        let certain = at >= next;
        if certain {
            next = at + text.matches('\n').count() + 1;
        }
        if certain || speaks(&text) {
            all.push(Quoted { line: *line, text, certain });
        }
    }
    all
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

/// Whether it is an interpreter that runs what it is fed, because it is given no file.
fn reads_a_script(simple: &Simple) -> bool {
    let words = program(&simple.words);
    let is_option = |word: &Word| word.text.starts_with('-') || word.text == "/dev/stdin";
    let fed = words.iter().skip(1).all(is_option) || words.iter().any(|word| word.text == "-s");
    words.first().is_some_and(|word| INTERPRETERS.contains(&base(&word.text))) && fed
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
        let call = call(&words[at..], line, surroundings);
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

/// What decides which program this is, where the word does not say it.
fn undecided(first: &Word) -> Option<&'static str> {
    let name = base(&first.text);
    if first.open && (name.contains(['$', '`', ')', '}']) || first.splits && !in_known_folder(&first.text)) {
        return Some("a variable");
    }
    let test = ["[", "[["].contains(&first.text.as_str()) || first.text.contains('=');
    (first.pattern && !test).then_some("a pattern")
}

/// Whether a program that runs what stands among its words is given a variable there, or shipit without its command.
fn wraps_anything(name: &str, words: &[Word]) -> bool {
    let commands = ["-c", "-exec", "-execdir", "-ok"];
    let wraps = WRAPPERS.contains(&name);
    words.windows(2).any(|pair| {
        let behind = commands.contains(&pair[0].text.as_str());
        let starts = wraps && (behind || !pair[0].text.starts_with('-')) || name == "find" && behind;
        starts && pair[1].open && undecided(&pair[1]).is_some() || wraps && base(&pair[1].text) == "shipit"
    })
}

/// `$HOME/bin/tool`: the pipeline says which folder that is.
fn in_known_folder(text: &str) -> bool {
    let rest = text.strip_prefix("${").or_else(|| text.strip_prefix('$')).unwrap_or_default();
    let folder = rest.split(['}', '/']).next().unwrap_or_default();
    FOLDERS.contains(&folder) && !rest.contains(['$', '`'])
}

/// Whether a variable decides what an interpreter runs: its script, or the text that it is given as one.
fn is_open_script(simple: &Simple, words: &[Word]) -> bool {
    if simple.redirections.iter().any(|one| one.sign.starts_with('<') && one.target.open) {
        return true;
    }
    let (mut options, script) = options_and_script(words);
    let Some(script) = script else { return options.any(|word| word.open) };
    options.any(|word| word.open || is_inline(word) && script.open) || undecided(script).is_some()
}

/// The options of an interpreter, and what it runs.
fn options_and_script(words: &[Word]) -> (impl Iterator<Item = &Word>, Option<&Word>) {
    let is_option = |word: &&Word| word.text.starts_with('-') || word.text == "pipefail";
    (words.iter().skip(1).take_while(is_option), words.iter().skip(1).find(move |word| !is_option(word)))
}

/// `-c`, `-ec`: the text of the script comes next.
fn is_inline(word: &Word) -> bool {
    word.text.starts_with('-') && !word.text.starts_with("--") && word.text.ends_with(['c', 'e'])
}

/// `cp shipit x`, `alias x=shipit`: from then on it is called by a name that is not looked for. To move it into a folder
/// is no new name.
fn renames(words: &[Word]) -> bool {
    let is_it = |word: &Word| {
        base(word.text.rsplit('=').next().unwrap_or_default()) == "shipit" || word.text.contains("shipit)")
    };
    let Some(last) = words.last() else { return false };
    let folder = last.text.ends_with('/') || ["bin", "sbin", ".", "tmp"].contains(&base(&last.text));
    let named = words[0].text == "alias" || !folder && base(&last.text) != "shipit";
    named && words[1..].iter().any(is_it)
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
            // `env -u NAME`, `env -C FOLDER`
            if wrapped && ["-u", "-C"].contains(&text) && !rest.is_empty() {
                rest = &rest[1..];
            }
        } else {
            break;
        }
    }
    rest
}

/// `./shipit`, `/usr/bin/shipit`, `registry/shipit:1@sha256:…`. A variable that holds a `/` is one name.
fn base(word: &str) -> &str {
    let mut depth = 0_usize;
    let mut start = 0;
    for (at, char) in word.char_indices() {
        match char {
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            '/' if depth == 0 => start = at + 1,
            _ => {}
        }
    }
    let name = &word[start..];
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
fn is_named(word: &str) -> bool {
    let fixed = word.split(['$', '`']).next().unwrap_or_default();
    fixed.starts_with("--") && fixed.contains('=')
}

/// The file of the project that this command runs, where that file speaks of shipit.
fn runs_file(
    name: &str,
    simple: &Simple,
    words: &[Word],
    runs: bool,
    surroundings: Surroundings<'_>,
) -> Option<String> {
    let mentions = surroundings.mentions;
    let compose = name == "docker" && words.get(1).is_some_and(|word| word.text == "compose");
    let files = RUNNERS.iter().find(|(runner, _)| *runner == name).map(|(_, files)| *files);
    if let Some(files) = files.or(compose.then_some(COMPOSE)) {
        let of_runner = |path: &&String| files.contains(&path.rsplit('/').next().unwrap_or(path));
        if let Some(file) = mentions.iter().find(of_runner) {
            return Some(file.clone());
        }
    }
    let candidates = if runs || files.is_some() { words } else { &words[..1] };
    // `npm run deploy` names no file.
    let candidates = candidates.iter().filter(|word| files.is_none() || word.text.contains(['/', '.']));
    let fed = simple.redirections.iter().filter(|one| one.sign == "<").map(|one| &one.target);
    candidates.chain(fed).find_map(|word| {
        let path = tidy(&word.text);
        // The folder that the step stands in by then is not known.
        let ends =
            |path: &str, end: &str| path.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
        // What lies below a link to a folder is called by the link's name.
        let below = |file: &str| path.strip_prefix(file).is_some_and(|rest| rest.starts_with('/'));
        let is_it = |file: &&String| ends(file, &path) || ends(&path, file) || below(file);
        mentions.iter().find(|file| !path.is_empty() && is_it(file)).cloned()
    })
}

/// The path without `.`, `..` and what they take back; of one that begins with a folder in a variable, the end.
pub(super) fn tidy(path: &str) -> String {
    let path = if path.starts_with('$') { path.split_once('/').map_or("", |(_, rest)| rest) } else { path };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
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
