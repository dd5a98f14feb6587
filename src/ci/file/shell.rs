//! A line of shell as far as it has to be understood: which programs it runs with which words, how they are joined, and
//! where a variable decides. It is no shell: what it cannot read it says, and nothing is ever run.

/// What joins a command to the one behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `|`
    Pipe,
    /// `&`
    Background,
    /// `;`, or the end of the line.
    End,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word {
    /// Quotes taken away; a variable stands as it is written.
    pub(crate) text: String,
    /// A variable or another command decides what it is.
    pub(crate) open: bool,
    /// And it does so outside of quotes, so that it may become several words.
    pub(crate) splits: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Simple {
    pub(crate) words: Vec<Word>,
    pub(crate) then: Join,
}

/// The commands of one line, in order. Redirections are words; that does not matter to who looks for a program.
pub(crate) fn commands(line: &str) -> Vec<Simple> {
    let mut reader = Reader { chars: line.chars().peekable(), words: Vec::new(), word: None, commands: Vec::new() };
    reader.read();
    reader.commands
}

/// The commands that stand in a word, in `$(…)` or backquotes: each is run, whatever becomes of what it prints. Those
/// inside of another are in that one's text.
pub(crate) fn substituted(word: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = word;
    loop {
        let (dollar, back) = (rest.find("$("), rest.find('`'));
        let inner = match (dollar, back) {
            (Some(at), back) if back.is_none_or(|back| at < back) => &rest[at + 2..],
            (_, Some(at)) => {
                let inner = &rest[at + 1..];
                let (inside, behind) = inner.split_once('`').unwrap_or((inner, ""));
                found.push(inside);
                rest = behind;
                continue;
            }
            _ => return found,
        };
        let mut depth = 1;
        let end = inner.find(|char| {
            depth += i32::from(char == '(') - i32::from(char == ')');
            depth == 0
        });
        let (inside, behind) = inner.split_at(end.unwrap_or(inner.len()));
        found.push(inside);
        rest = behind;
    }
}

struct Reader<'l> {
    chars: std::iter::Peekable<std::str::Chars<'l>>,
    words: Vec<Word>,
    word: Option<Word>,
    commands: Vec<Simple>,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(char) = self.chars.next() {
            match char {
                '\'' => self.quoted(),
                '"' => self.double_quoted(),
                '\\' => {
                    let next = self.chars.next();
                    self.word().text.extend(next);
                }
                '$' | '`' => self.variable(char, false),
                '#' if self.word.is_none() => break,
                ' ' | '\t' | '\r' => self.end_word(),
                // `2>&1` and `&>` are redirections.
                '&' if self.word.as_ref().is_some_and(|word| word.text.ends_with('>'))
                    || self.chars.peek() == Some(&'>') =>
                {
                    self.word().text.push('&');
                }
                '&' if self.chars.next_if_eq(&'&').is_some() => self.end(Join::And),
                '|' if self.chars.next_if_eq(&'|').is_some() => self.end(Join::Or),
                '&' => self.end(Join::Background),
                '|' => self.end(Join::Pipe),
                ';' | '\n' | ')' => self.end(Join::End),
                '(' | '{' | '}' if self.word.is_none() => self.end(Join::End),
                char => self.word().text.push(char),
            }
        }
        self.end(Join::End);
    }

    fn word(&mut self) -> &mut Word {
        self.word.get_or_insert_default()
    }

    fn quoted(&mut self) {
        self.word();
        while let Some(char) = self.chars.next().filter(|char| *char != '\'') {
            self.word().text.push(char);
        }
    }

    fn double_quoted(&mut self) {
        self.word();
        while let Some(char) = self.chars.next().filter(|char| *char != '"') {
            match char {
                '\\' => {
                    let next = self.chars.next();
                    self.word().text.extend(next);
                }
                '$' | '`' => self.variable(char, true),
                char => self.word().text.push(char),
            }
        }
    }

    /// `$NAME`, `${…}`, `$(…)` and backquotes are taken over as they are written.
    fn variable(&mut self, first: char, quoted: bool) {
        let end = match (first, self.chars.peek()) {
            ('`', _) => Some('`'),
            (_, Some('{')) => Some('}'),
            (_, Some('(')) => Some(')'),
            // `$ ` and a `$` at the end are only themselves.
            (_, Some(char)) if char.is_alphanumeric() || "_@*#?!-$".contains(*char) => None,
            _ => {
                self.word().text.push(first);
                return;
            }
        };
        let word = self.word();
        word.open = true;
        word.splits |= !quoted;
        word.text.push(first);
        let Some(end) = end else { return };
        let mut depth = 0;
        while let Some(char) = self.chars.next() {
            self.word().text.push(char);
            match char {
                '(' | '{' if end != '`' => depth += 1,
                char if char == end => {
                    depth -= 1;
                    if depth <= 0 {
                        break;
                    }
                }
                _ => {}
            }
        }
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end(&mut self, then: Join) {
        self.end_word();
        if self.words.is_empty() {
            return;
        }
        self.commands.push(Simple { words: std::mem::take(&mut self.words), then });
    }
}

#[cfg(test)]
mod tests {
    use super::{Join, commands, substituted};

    fn read(line: &str) -> Vec<(Vec<String>, Join)> {
        let simple = commands(line).into_iter();
        simple.map(|simple| (simple.words.into_iter().map(|word| word.text).collect(), simple.then)).collect()
    }

    #[test]
    fn words_quotes_and_joins() {
        let line = r#"set -e; A=1 ./shipit deploy --env 'my prod' && echo "a \" b" # no
"#;
        let told = read(line);
        assert_eq!(told[0], (vec!["set".into(), "-e".into()], Join::End));
        let words: Vec<String> = ["A=1", "./shipit", "deploy", "--env", "my prod"].map(str::to_owned).to_vec();
        assert_eq!(told[1], (words, Join::And));
        assert_eq!(told[2].0, ["echo", "a \" b"]);
        assert_eq!(read("a | b || c & d 2>&1")[1].1, Join::Or);
        assert_eq!(read("a | b || c & d 2>&1").len(), 4);
    }

    #[test]
    fn commands_inside_of_words() {
        for (word, inside) in [
            ("plain $A ${B}", &[][..]),
            ("$(a b)`c d`$(e", &["a b", "c d", "e"]),
            ("x$(a $(b) `c`)y$((1 + 2))", &["a $(b) `c`", "(1 + 2)"]),
            ("`a $(b)` `c", &["a $(b)", "c"]),
            ("${X:-$(a)}", &["a"]),
        ] {
            assert_eq!(substituted(word), inside, "{word}");
        }
    }

    #[test]
    fn what_a_variable_decides_is_open() {
        for (line, at, open, splits) in [
            ("shipit deploy --env $ENV", 3, true, true),
            ("shipit deploy --env \"${ENV:-dev}\"", 3, true, false),
            ("shipit deploy $(cat flags)", 2, true, true),
            ("shipit deploy `cat flags`", 2, true, true),
            ("shipit deploy '$ENV'", 2, false, false),
            ("shipit deploy \\$ENV", 2, false, false),
            ("shipit deploy 5$", 2, false, false),
        ] {
            let told = commands(line);
            let word = &told[0].words[at];
            assert_eq!((word.open, word.splits), (open, splits), "{line}: {word:?}");
            assert_eq!(told.len(), 1, "{line}: {told:?}");
        }
    }
}
