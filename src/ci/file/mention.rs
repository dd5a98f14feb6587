//! Files of the project that speak of shipit, and which of them may have it approve something when a step runs them: a
//! Makefile with `shipit deploy --env dev --local` in it cannot, one with `shipit deploy $(FLAGS)` can. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{ReadCall, Step, Surroundings, script};

/// The words that a file is looked through for: the second decides only beside the first.
pub(crate) const WORDS: [&str; 2] = ["shipit", "--approve"];

/// Their programs add the words that they are given to a line of the file.
const ADD_TO_THEIR_LINES: [&str; 3] = ["package.json", "mise.toml", ".mise.toml"];

/// Those files that may say `--approve`, of all that hold one of the words, each with its lines that do.
pub(crate) fn approving(holding: &BTreeMap<String, Vec<String>>, read: ReadCall) -> BTreeSet<String> {
    let may = holding.iter().filter(|(path, lines)| may_approve(path, lines, read));
    may.map(|(path, _)| path.clone()).collect()
}

fn may_approve(path: &str, lines: &[String], read: ReadCall) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let speaks = lines.iter().any(|line| line.contains(WORDS[0]));
    speaks && (ADD_TO_THEIR_LINES.contains(&name) || !lines.iter().all(|line| is_harmless(line, read)))
}

/// Whether the line is a comment, or is read to its end as a command that approves nothing.
fn is_harmless(line: &str, read: ReadCall) -> bool {
    let line = line.trim();
    if line.starts_with('#') && !line.starts_with("#!") {
        return true;
    }
    // What make takes away, and what makes an item of a list.
    let line = line.trim_start_matches(['@', '-', '+', ' ']);
    if line.ends_with('\\') || line.contains(['$', '`', '%', '{', '*', '?', '[']) {
        return false;
    }
    let mut step = Step::default();
    script::read(&[(0, line)], Surroundings { read, mentions: &BTreeSet::new() }, &mut step);
    let says = ["echo ", "printf "].iter().any(|speaker| line.starts_with(speaker)) && !line.contains(['|', '>']);
    let calls = step.calls.iter().all(|call| !call.may_approve() && !call.open && call.wrong.is_none());
    step.unclear.is_empty() && calls && (says || !step.calls.is_empty())
}

#[cfg(test)]
mod tests {
    use super::may_approve;
    use crate::ci::file::Call;

    /// Reads the flags that matter here; the real reading is the command line's.
    fn read(words: &[String]) -> Result<Call, String> {
        let has = |flag: &str| words.iter().any(|word| word == flag);
        let verb = if has("deploy") { crate::ci::file::Verb::Deploy } else { crate::ci::file::Verb::Other };
        match has("--nonsense") {
            true => Err("unexpected argument".to_owned()),
            false => Ok(Call { verb, approve: has("--approve"), local: has("--local"), ..Call::default() }),
        }
    }

    #[test]
    fn a_file_without_approval_is_told_from_one_that_may() {
        for (path, line, may) in [
            ("Makefile", "\t@target/debug/shipit deploy --env dev --any-branch --local", false),
            ("Makefile", "\tshipit deploy --env dev && echo done", false),
            ("Makefile", "\t@echo 'make deploy: shipit for dev'", false),
            ("Makefile", "# shipit deploy --env prod --approve", false),
            ("tasks.yml", "  - shipit check", false),
            ("Makefile", "\tshipit deploy $(FLAGS)", true),
            ("Makefile", "\tshipit deploy --env prod --approve", true),
            ("Makefile", "\tshipit deploy \\", true),
            ("Makefile", "TOOL = shipit", true),
            ("Makefile", "\tshipit deploy --nonsense", true),
            ("Makefile", "\tcat flags | xargs shipit deploy", true),
            ("deploy.sh", "shipit deploy \"$@\"", true),
            ("deploy.py", "run([\"shipit\", \"deploy\", \"--env\", \"dev\"])", true),
            ("Taskfile.yml", "  - shipit deploy {{.CLI_ARGS}}", true),
            ("web/package.json", "    \"x\": \"shipit check\",", true),
            ("run", "#!/usr/bin/shipit deploy", true),
        ] {
            assert_eq!(may_approve(path, &[line.to_owned()], read), may, "{line}");
        }
    }

    #[test]
    fn the_flag_counts_beside_the_word_alone() {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert!(!may_approve("review.sh", &lines(&["gh pr review --approve"]), read));
        assert!(may_approve("all.sh", &lines(&["shipit check", "flags=--approve"]), read));
    }
}
