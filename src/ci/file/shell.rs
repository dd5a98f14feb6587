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
    /// It is a pattern (`ship*t`, `{a,b}`): what lies in the folder, or what stands in it, decides.
    pub(crate) pattern: bool,
}

/// `> log`, `2>&1`, `< script`, `<<< text`: the words behind it are the command's all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirection {
    /// `>`, `>>`, `>&`, `<`, `<<<`, without the number before it.
    pub(crate) sign: String,
    pub(crate) target: Word,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Simple {
    pub(crate) words: Vec<Word>,
    pub(crate) redirections: Vec<Redirection>,
    pub(crate) then: Join,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// In a comment, which no backslash carries on.
    pub(crate) comment: bool,
    /// In quotes that the next line goes on with.
    pub(crate) quoted: bool,
}

/// The commands of one line, in order.
pub(crate) fn commands(line: &str) -> Vec<Simple> {
    let mut reader = Reader::of(line);
    reader.read();
    reader.commands
}

/// How the line ends.
pub(crate) fn end(line: &str) -> End {
    let mut reader = Reader::of(line);
    reader.read();
    reader.end
}

/// The commands that stand in a word, in `$(…)`, `<(…)` or backquotes: each is run, whatever becomes of what it prints. Those
/// inside of another are in that one's text.
pub(crate) fn substituted(word: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = word;
    loop {
        let opening = ["$(", "<(", ">("].iter().filter_map(|opening| rest.find(opening)).min();
        let (dollar, back) = (opening, rest.find('`'));
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
        let (mut depth, mut quote) = (1, None);
        let end = inner.find(|char| {
            match (quote, char) {
                (None, '\'' | '"') => quote = Some(char),
                (Some(open), char) if open == char => quote = None,
                (None, '(') => depth += 1,
                (None, ')') => depth -= 1,
                _ => {}
            }
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
    /// The sign of a redirection whose target comes next.
    sign: Option<String>,
    redirections: Vec<Redirection>,
    commands: Vec<Simple>,
    /// Parentheses that are open: without one, `)` ends a pattern of `case`.
    depth: usize,
    end: End,
}

impl<'l> Reader<'l> {
    fn of(line: &'l str) -> Self {
        Self {
            chars: line.chars().peekable(),
            words: Vec::new(),
            word: None,
            sign: None,
            redirections: Vec::new(),
            commands: Vec::new(),
            depth: 0,
            end: End::default(),
        }
    }

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
                '#' if self.word.is_none() => {
                    // What stands behind the end of the line is none.
                    if self.chars.by_ref().all(|char| char != '\n') {
                        self.end.comment = true;
                        break;
                    }
                    self.ends(Join::End);
                }
                ' ' | '\t' | '\r' => self.end_word(),
                '&' if self.chars.peek() == Some(&'>') => self.end_word(),
                '<' | '>' => self.redirection(char),
                '&' if self.chars.next_if_eq(&'&').is_some() => self.ends(Join::And),
                '|' if self.chars.next_if_eq(&'|').is_some() => self.ends(Join::Or),
                '&' => self.ends(Join::Background),
                '|' => self.ends(Join::Pipe),
                ';' | '\n' => self.ends(Join::End),
                ')' => self.closed(),
                '(' if self.word.is_none() => {
                    self.depth += 1;
                    self.ends(Join::End);
                }
                // A group has a blank behind its brace; `{a,b}` is a pattern.
                '{' if self.word.is_none() && self.chars.peek().is_none_or(|next| next.is_whitespace()) => {
                    self.ends(Join::End);
                }
                '}' if self.word.is_none() => self.ends(Join::End),
                '{' | '*' | '?' | '[' => {
                    let word = self.word();
                    word.text.push(char);
                    word.pattern = true;
                }
                char => self.word().text.push(char),
            }
        }
        self.ends(Join::End);
    }

    fn closed(&mut self) {
        if self.depth == 0 {
            let before = self.words.iter_mut().chain(self.word.as_mut());
            before.for_each(|word| word.pattern = false);
        }
        self.depth = self.depth.saturating_sub(1);
        self.ends(Join::End);
    }

    fn redirection(&mut self, first: char) {
        // `<(…)` is a file that a command makes.
        if self.chars.peek() == Some(&'(') {
            self.end_word();
            self.variable(first, false);
            return;
        }
        // `2>`: the number belongs to the sign.
        if self.word.as_ref().is_some_and(|word| word.text.bytes().all(|byte| byte.is_ascii_digit()) && !word.open) {
            self.word = None;
        }
        self.end_word();
        let mut sign = first.to_string();
        while let Some(more) = self.chars.next_if(|next| matches!(next, '<' | '>' | '&' | '|')) {
            sign.push(more);
        }
        if sign == "<<" {
            self.chars.next_if_eq(&'-');
        }
        self.sign = Some(sign);
    }

    fn word(&mut self) -> &mut Word {
        self.word.get_or_insert_default()
    }

    fn quoted(&mut self) {
        self.word();
        loop {
            match self.chars.next() {
                Some('\'') => return,
                Some(char) => self.word().text.push(char),
                None => break,
            }
        }
        self.end.quoted = true;
    }

    fn double_quoted(&mut self) {
        self.word();
        while let Some(char) = self.chars.next() {
            match char {
                '"' => return,
                '\\' => {
                    let next = self.chars.next();
                    self.word().text.extend(next);
                }
                '$' | '`' => self.variable(char, true),
                char => self.word().text.push(char),
            }
        }
        self.end.quoted = true;
    }

    /// `$'…'`, where `\x73` is a letter: one that has such is kept as it is written.
    fn escaped(&mut self) {
        self.chars.next();
        let mut text = String::new();
        let mut open = false;
        loop {
            match self.chars.next() {
                Some('\'') => break,
                Some('\\') => {
                    open = true;
                    text.push('\\');
                    text.extend(self.chars.next());
                }
                Some(char) => text.push(char),
                None => {
                    self.end.quoted = true;
                    break;
                }
            }
        }
        let word = self.word();
        word.open |= open;
        word.text.push_str(&if open { format!("$'{text}'") } else { text });
    }

    /// `$NAME`, `${…}`, `$(…)` and backquotes are taken over as they are written.
    fn variable(&mut self, first: char, quoted: bool) {
        let end = match (first, self.chars.peek()) {
            ('`', _) => Some('`'),
            ('$', Some('\'')) if !quoted => return self.escaped(),
            // `$"…"` is `"…"` in the reader's language.
            ('$', Some('"')) if !quoted => return,
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
        if let Some(opening) = self.chars.next_if(|next| end != '`' && matches!(next, '{' | '(')) {
            self.word().text.push(opening);
        }
        self.inside(end);
    }

    /// Takes over what stands before that sign, quotes and what is nested in it included.
    fn inside(&mut self, end: char) {
        while let Some(char) = self.chars.next() {
            self.word().text.push(char);
            match char {
                char if char == end => return,
                // In these nothing else means anything.
                _ if end == '\'' => {}
                '\\' => {
                    let next = self.chars.next();
                    self.word().text.extend(next);
                }
                '\'' | '"' if end != '"' => self.inside(char),
                '`' => self.inside('`'),
                '(' if end == ')' => self.inside(')'),
                '$' => {
                    if let Some(opening) = self.chars.next_if(|next| matches!(next, '{' | '(')) {
                        self.word().text.push(opening);
                        self.inside(if opening == '(' { ')' } else { '}' });
                    }
                }
                _ => {}
            }
        }
        self.end.quoted = true;
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match self.sign.take() {
            Some(sign) => self.redirections.push(Redirection { sign, target: word }),
            None => self.words.push(word),
        }
    }

    fn ends(&mut self, then: Join) {
        self.end_word();
        self.sign = None;
        if self.words.is_empty() && self.redirections.is_empty() {
            return;
        }
        let (words, redirections) = (std::mem::take(&mut self.words), std::mem::take(&mut self.redirections));
        self.commands.push(Simple { words, redirections, then });
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
    fn a_redirection_ends_no_command() {
        for (line, words, redirections) in [
            ("shipit > log deploy 2>&1 --env prod", &["shipit", "deploy", "--env", "prod"][..], &[">log", ">&1"][..]),
            ("shipit>log deploy", &["shipit", "deploy"], &[">log"]),
            ("bash<run.sh", &["bash"], &["<run.sh"]),
            ("bash <<< \"$X\" -s", &["bash", "-s"], &["<<<$X"]),
            ("x &>> log y", &["x", "y"], &[">>log"]),
            ("cat <(a b) c", &["cat", "<(a b)", "c"], &[]),
        ] {
            let told = commands(line);
            let of = |one: &super::Redirection| format!("{}{}", one.sign, one.target.text);
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(told[0].words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(), words, "{line}");
            assert_eq!(told[0].redirections.iter().map(of).collect::<Vec<_>>(), redirections, "{line}");
        }
    }

    #[test]
    fn how_a_line_ends() {
        for (line, comment, quoted) in [
            ("a # b \\", true, false),
            ("a#b \\", false, false),
            ("echo 'a", false, true),
            ("echo \"it's", false, true),
            ("echo 'a' \"b\"", false, false),
            ("A=$(cat", false, true),
            ("A=$(echo ')' \"(\" ) B=${C:-(}", false, false),
        ] {
            assert_eq!(super::end(line), super::End { comment, quoted }, "{line}");
        }
    }

    #[test]
    fn patterns_and_letters_written_as_numbers() {
        for (line, pattern, open) in [
            ("ship*t deploy", true, false),
            ("{shipit,} deploy", true, false),
            ("main*) true", false, false),
            ("'ship*t' deploy", false, false),
            ("$'\\x73hipit' deploy", false, true),
            ("$'shipit' deploy", false, false),
            ("$\"shipit\" deploy", false, false),
        ] {
            let told = commands(line);
            let word = &told[0].words[0];
            assert_eq!((word.pattern, word.open), (pattern, open), "{line}: {word:?}");
        }
        assert_eq!(commands("{ a; }").len(), 1);
    }

    #[test]
    fn commands_inside_of_words() {
        for (word, inside) in [
            ("plain $A ${B}", &[][..]),
            ("$(a b)`c d`$(e", &["a b", "c d", "e"]),
            ("x$(a $(b) `c`)y$((1 + 2))", &["a $(b) `c`", "(1 + 2)"]),
            ("`a $(b)` `c", &["a $(b)", "c"]),
            ("${X:-$(a)}", &["a"]),
            ("$(a ')' b)$(c \"(\")", &["a ')' b", "c \"(\""]),
            ("<(a)>(b)", &["a", "b"]),
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
