//! What text from outside (build logs, ECS, the engine, AWS) goes through before a terminal or a log sees it: secret
//! values are hidden and nothing in it can move the cursor, set a title or reorder what is read.

use anstream::adapter::strip_str;

use super::SharedRedactor;

/// One line of text, safe to print. Escape sequences and control characters are gone, a tab is four blanks, and of a
/// line that was overwritten with carriage returns (a progress display) only the last state is left.
///
/// Secrets are looked for before and after: a value may hold a character that is stripped, and stripping may join a
/// value that was torn apart by colours.
pub(super) fn line(redactor: &SharedRedactor, text: &str) -> String {
    let hidden = redactor.redact(text);
    if hidden.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return hidden.into_owned();
    }
    let plain = strip_str(&hidden).to_string();
    let mut safe = String::with_capacity(plain.len());
    for character in last_state(&plain).chars() {
        match character {
            '\t' => safe.push_str("    "),
            '\n' => safe.push(' '),
            character if is_unsafe(character) => {}
            character => safe.push(character),
        }
    }
    redactor.redact(&safe).into_owned()
}

/// As [`line`], for text of several lines.
pub(super) fn lines(redactor: &SharedRedactor, text: &str) -> String {
    let hidden = redactor.redact(text);
    hidden.lines().map(|text| line(redactor, text)).collect::<Vec<_>>().join("\n")
}

/// The runner of GitHub takes a line of a step's log that begins with `::`, blanks aside, for a command, and so what
/// stands behind `##[`: no log of a build, no subject of a commit may give one. `begins`: the line begins with this text.
pub(super) fn no_command(text: &mut String, begins: bool) {
    if begins && text.trim_start().starts_with("::") {
        *text = text.replacen("::", ":\u{200b}:", 1);
    }
    if text.contains("##[") {
        *text = text.replace("##[", "##\u{200b}[");
    }
}

/// What is left on screen after carriage returns.
fn last_state(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n']).rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or("")
}

/// Control characters, and the marks that change the direction of what follows.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Redactor;
    use crate::secret::Secret;

    #[test]
    fn nothing_from_outside_drives_the_terminal() {
        let table = [
            ("plain text", "plain text"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}[2J\u{1b}[Hgone", "gone"),
            ("10%\r50%\r100%\r", "100%"),
            ("done\r\n", "done"),
            ("a\tb", "a    b"),
            ("two\nlines", "two lines"),
            ("bell\u{7}", "bell"),
            ("c1\u{9b}31m", "c131m"),
            ("user\u{202e}gpj.exe", "usergpj.exe"),
            ("größe 数 ✓", "größe 数 ✓"),
            ("\r\r", ""),
        ];
        for (given, wanted) in table {
            assert_eq!(line(&SharedRedactor::default(), given), wanted, "{given:?}");
        }
    }

    #[test]
    fn no_text_becomes_a_command_of_the_runner() {
        for (given, begins, wanted) in [
            ("  ::add-mask::x", true, "  :\u{200b}:add-mask::x"),
            ("a ::add-mask::x", true, "a ::add-mask::x"),
            ("::1", false, "::1"),
            ("x ##[error]y", false, "x ##\u{200b}[error]y"),
        ] {
            let mut text = given.to_owned();
            no_command(&mut text, begins);
            assert_eq!(text, wanted, "{given}");
        }
    }

    #[test]
    fn a_secret_torn_apart_by_colours_is_hidden() {
        let redactor = SharedRedactor::default();
        redactor.set(Redactor::new([&Secret::new("hunter22")]));
        assert_eq!(line(&redactor, "pw=hun\u{1b}[1mter22\u{1b}[0m!"), "pw=***!");
    }

    #[test]
    fn a_secret_of_two_lines_is_hidden() {
        let redactor = SharedRedactor::default();
        redactor.set(Redactor::new([&Secret::new("first half\nsecond half")]));
        assert_eq!(lines(&redactor, "key: first half\nsecond half\nend"), "key: ***\nend");
    }
}
