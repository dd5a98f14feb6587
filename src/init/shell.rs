//! Shell text as far as a deploy script needs to be understood: logical lines, words, simple commands. Nothing is run, and
//! what a shell would work out (`$(…)`, arithmetic, functions) stays as it is written.

/// A line with its continuations, and the number of its first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logical {
    pub(super) line: usize,
    pub(super) text: String,
}

/// Lines joined at `\` and inside the brackets of an array; comments and blank lines are left out.
pub(super) fn logical_lines(text: &str) -> Vec<Logical> {
    let mut lines: Vec<Logical> = Vec::new();
    let mut open: Option<Logical> = None;
    for (index, raw) in text.lines().enumerate() {
        let stripped = without_comment(raw);
        let trimmed = stripped.trim();
        let (part, goes_on) = match trimmed.strip_suffix('\\') {
            Some(part) => (part.trim_end(), true),
            None => (trimmed, false),
        };
        let mut logical = open.take().unwrap_or(Logical { line: index + 1, text: String::new() });
        if !logical.text.is_empty() && !part.is_empty() {
            logical.text.push(' ');
        }
        logical.text.push_str(part);
        if goes_on || in_open_array(&logical.text) {
            open = Some(logical);
        } else if !logical.text.is_empty() {
            lines.push(logical);
        }
    }
    lines.extend(open.filter(|logical| !logical.text.is_empty()));
    lines
}

/// `NAME=(` whose bracket has not closed yet.
fn in_open_array(text: &str) -> bool {
    let Some(at) = text.find("=(") else { return false };
    let name = text[..at].rsplit(' ').next().unwrap_or_default();
    is_name(name) && !text[at..].contains(')')
}

/// A `#` begins a comment at the start of a word, outside quotes.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return &line[..at],
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            _ => {}
        }
        before = c;
    }
    line
}

/// The simple commands of a line, each as its words: cut at `;`, `|`, `&&` and `||`. Quotes are taken off; `${…}` and
/// `$(…)` stay whole.
pub(super) fn commands(text: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    let mut word: Option<String> = None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                while let Some(inner) = characters.next() {
                    match inner {
                        _ if inner == c => break,
                        '\\' if c == '"' => word.extend(characters.next()),
                        '$' if c == '"' => expansion(&mut characters, word),
                        _ => word.push(inner),
                    }
                }
            }
            '$' => expansion(&mut characters, word.get_or_insert_default()),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            ';' | '|' | '&' => {
                words.extend(word.take());
                if !words.is_empty() {
                    commands.push(std::mem::take(&mut words));
                }
            }
            _ if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if !words.is_empty() {
        commands.push(words);
    }
    commands
}

/// What follows a `$`, up to the end of its brackets.
fn expansion(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, word: &mut String) {
    word.push('$');
    let (open, close) = match characters.peek() {
        Some('{') => ('{', '}'),
        Some('(') => ('(', ')'),
        _ => return,
    };
    let mut depth = 0;
    for c in characters.by_ref() {
        word.push(c);
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                break;
            }
        }
    }
}

/// `NAME=value` at the start of a command, perhaps behind `export`, `local`, `readonly` or `declare`.
pub(super) fn assignment(command: &[String]) -> Option<(&str, &str)> {
    let first = command.iter().find(|word| {
        !matches!(word.as_str(), "export" | "local" | "readonly" | "declare" | "then" | "do" | "else")
            && !word.starts_with('-')
    })?;
    let (name, value) = first.split_once('=')?;
    is_name(name).then_some((name, value))
}

pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The name in `$NAME` or `${NAME…}`, where the whole word is that one expansion.
pub(super) fn variable(word: &str) -> Option<&str> {
    let rest = word.strip_prefix('$')?;
    let name = match rest.strip_prefix('{') {
        Some(inner) => {
            let inner = inner.strip_suffix('}')?;
            &inner[..inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len())]
        }
        None => rest,
    };
    (is_name(name) || name.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{Logical, assignment, commands, logical_lines, variable};

    #[test]
    fn lines_are_joined_and_comments_are_not_read() {
        let text = "# a comment\nenv=\"$1\" # dev | prod\n\ndocker build \\\n  --platform linux/amd64 \\\n  .\nn=(\n  A # one\n  B\n)\necho 'a # b'\n";
        let line = |line, text: &str| Logical { line, text: text.to_owned() };
        assert_eq!(
            logical_lines(text),
            [
                line(2, "env=\"$1\""),
                line(4, "docker build --platform linux/amd64 ."),
                line(7, "n=( A B )"),
                line(11, "echo 'a # b'"),
            ]
        );
    }

    #[test]
    fn commands_are_cut_into_words() {
        let words = |text| commands(text).iter().map(|words| words.join("¦")).collect::<Vec<_>>();
        assert_eq!(words("a \"b c\" | d 'e;f' && g"), ["a¦b c", "d¦e;f", "g"]);
        assert_eq!(words(": \"${!k:?missing required secret: $k}\""), [":¦${!k:?missing required secret: $k}"]);
        assert_eq!(words("x=$(git rev-parse HEAD; true) y"), ["x=$(git rev-parse HEAD; true)¦y"]);
        assert_eq!(words("--build-arg \"A=${!env^^}_A\""), ["--build-arg¦A=${!env^^}_A"]);
    }

    #[test]
    fn assignments_and_variables() {
        let command = |text| commands(text).remove(0);
        assert_eq!(assignment(&command("export AWS_REGION=\"eu-west-1\"")), Some(("AWS_REGION", "eu-west-1")));
        assert_eq!(assignment(&command("docker build --x=y")), None);
        assert_eq!(variable("${ENV:-dev}"), Some("ENV"));
        assert_eq!((variable("$1"), variable("$a-b"), variable("x$a")), (Some("1"), None, None));
    }
}
