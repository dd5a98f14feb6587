//! What is known of programs other than shipit, as far as it tells whether a command may run shipit unseen.

use crate::ci::file::shell::{Simple, Word};

/// Shell words that stand before a command and are none, and programs that run the command behind them.
pub(super) const BEFORE: [&str; 25] = [
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
pub(super) const WRAPPERS: [&str; 15] = [
    "xargs", "parallel", "su", "runuser", "script", "strace", "watch", "flock", "chroot", "unshare", "nsenter", "gosu",
    "su-exec", "taskset", "busybox",
];
/// Those of them that add what they read to the command's words.
pub(super) const ADD_WORDS: [&str; 2] = ["xargs", "parallel"];
/// Programs that run the file or the text that they are given.
pub(super) const INTERPRETERS: [&str; 19] = [
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
pub(super) const SHELLS: [&str; 6] = ["sh", "bash", "zsh", "dash", "ash", "ksh"];
/// What they are told by these is a program itself.
pub(super) const EVALUATORS: [&str; 3] = ["eval", "iex", "Invoke-Expression"];
/// Programs that give another program, or themselves, another name.
pub(super) const NAMERS: [&str; 5] = ["alias", "cp", "ln", "mv", "install"];
/// Programs that only say what they are given.
pub(super) const SPEAKERS: [&str; 2] = ["echo", "printf"];
/// Commands of git that only keep what they are given.
pub(super) const OF_GIT: [&str; 6] = ["commit", "tag", "log", "grep", "add", "push"];
/// What fetches or shows a script for an interpreter; what is in it is a program's matter.
pub(super) const FETCHERS: [&str; 3] = ["curl", "wget", "cat"];
/// Folders that the pipeline itself names.
pub(super) const FOLDERS: [&str; 7] =
    ["HOME", "PWD", "BITBUCKET_CLONE_DIR", "GITHUB_WORKSPACE", "RUNNER_TEMP", "CI_PROJECT_DIR", "VIRTUAL_ENV"];

/// The words from the program on: what stands before it and is none is taken away.
pub(super) fn program(words: &[Word]) -> &[Word] {
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
pub(super) fn base(word: &str) -> &str {
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

/// Whether it is an interpreter that runs what it is fed, because it is given no file.
pub(super) fn reads_a_script(simple: &Simple) -> bool {
    let words = program(&simple.words);
    let is_option = |word: &Word| word.text.starts_with('-') || word.text == "/dev/stdin";
    let fed = words.iter().skip(1).all(is_option) || words.iter().any(|word| word.text == "-s");
    words.first().is_some_and(|word| INTERPRETERS.contains(&base(&word.text))) && fed
}

/// What decides which program this is, where the word does not say it.
pub(super) fn undecided(first: &Word) -> Option<&'static str> {
    let name = base(&first.text);
    if first.open && (name.contains(['$', '`', ')', '}']) || first.splits && !in_known_folder(&first.text)) {
        return Some("a variable");
    }
    let test = ["[", "[["].contains(&first.text.as_str()) || first.text.contains('=');
    (first.pattern && !test).then_some("a pattern")
}

/// Whether a program that runs what stands among its words is given a variable there, or shipit without its command.
pub(super) fn wraps_anything(name: &str, words: &[Word]) -> bool {
    let commands = ["-c", "-exec", "-execdir", "-ok"];
    let wraps = WRAPPERS.contains(&name);
    words.windows(2).any(|pair| {
        let behind = commands.contains(&pair[0].text.as_str());
        let starts = wraps && (behind || !pair[0].text.starts_with('-')) || name == "find" && behind;
        starts && pair[1].open && undecided(&pair[1]).is_some() || wraps && base(&pair[1].text) == "shipit"
    })
}

/// `$HOME/bin/tool`: the pipeline says which folder that is.
pub(super) fn in_known_folder(text: &str) -> bool {
    let rest = text.strip_prefix("${").or_else(|| text.strip_prefix('$')).unwrap_or_default();
    let folder = rest.split(['}', '/']).next().unwrap_or_default();
    FOLDERS.contains(&folder) && !rest.contains(['$', '`'])
}

/// Whether a variable decides what an interpreter runs: its script, or the text that it is given as one.
pub(super) fn is_open_script(simple: &Simple, words: &[Word]) -> bool {
    if simple.redirections.iter().any(|one| one.sign.starts_with('<') && one.target.open) {
        return true;
    }
    let (mut options, script) = options_and_script(words);
    let Some(script) = script else { return options.any(|word| word.open) };
    options.any(|word| word.open || is_inline(word) && script.open) || undecided(script).is_some()
}

/// The options of an interpreter, and what it runs.
pub(super) fn options_and_script(words: &[Word]) -> (impl Iterator<Item = &Word>, Option<&Word>) {
    let is_option = |word: &&Word| word.text.starts_with('-') || word.text == "pipefail";
    (words.iter().skip(1).take_while(is_option), words.iter().skip(1).find(move |word| !is_option(word)))
}

/// `-c`, `-ec`: the text of the script comes next.
pub(super) fn is_inline(word: &Word) -> bool {
    word.text.starts_with('-') && !word.text.starts_with("--") && word.text.ends_with(['c', 'e'])
}

/// `cp shipit x`, `alias x=shipit`: from then on it is called by a name that is not looked for. To move it into a folder
/// is no new name.
pub(super) fn renames(words: &[Word]) -> bool {
    let is_it = |word: &Word| {
        base(word.text.rsplit('=').next().unwrap_or_default()) == "shipit" || word.text.contains("shipit)")
    };
    let Some(last) = words.last() else { return false };
    let folder = last.text.ends_with('/') || ["bin", "sbin", ".", "tmp"].contains(&base(&last.text));
    let named = words[0].text == "alias" || !folder && base(&last.text) != "shipit";
    named && words[1..].iter().any(is_it)
}
