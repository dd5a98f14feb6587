//! Go's regular expressions in the dialect of the `regex` crate, for the small subset that a pattern can turn into.
//!
//! The two differ inside classes (nesting, `&&`, `--`, `~~`), in which escapes exist, and in Perl classes, which are
//! ASCII in Go. Everything is therefore read by Go's rules and written anew.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

/// `None` when Go would refuse the expression.
pub(super) fn compile(expression: &str) -> Option<regex::Regex> {
    regex::Regex::new(&translate(expression)?).ok()
}

fn translate(expression: &str) -> Option<String> {
    let mut chars = expression.chars().peekable();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push_str(&escape(&mut chars)?.outside_a_class()),
            '[' => class(&mut chars, &mut out)?,
            // A lone closing bracket is a literal in Go.
            ']' => out.push_str("\\]"),
            // Produced by the translation of a pattern, and the same in both dialects.
            '^' | '$' | '.' | '*' | '?' | '(' | ')' => out.push(c),
            other => literal(other, &mut out),
        }
    }
    Some(out)
}

enum Escape {
    Literal(char),
    /// The inside of a class, in our dialect.
    Set(&'static str),
    /// An assertion, which no class may hold.
    Assertion(&'static str),
}

impl Escape {
    fn outside_a_class(&self) -> String {
        match self {
            Self::Literal(c) => {
                let mut out = String::new();
                literal(*c, &mut out);
                out
            }
            Self::Set(set) => format!("[{set}]"),
            Self::Assertion(text) => (*text).to_owned(),
        }
    }
}

/// Reads what follows a backslash. Rare forms (`\Q`, `\p`, octal) count as refused.
fn escape(chars: &mut Peekable<Chars<'_>>) -> Option<Escape> {
    let c = chars.next()?;
    Some(match c {
        'd' => Escape::Set("0-9"),
        'D' => Escape::Set("^0-9"),
        's' => Escape::Set(r"\t\n\x0C\r\x20"),
        'S' => Escape::Set(r"^\t\n\x0C\r\x20"),
        'w' => Escape::Set("0-9A-Za-z_"),
        'W' => Escape::Set("^0-9A-Za-z_"),
        'A' => Escape::Assertion(r"\A"),
        'z' => Escape::Assertion(r"\z"),
        'b' => Escape::Assertion(r"(?-u:\b)"),
        'B' => Escape::Assertion(r"(?-u:\B)"),
        'a' => Escape::Literal('\u{07}'),
        'f' => Escape::Literal('\u{0C}'),
        't' => Escape::Literal('\t'),
        'n' => Escape::Literal('\n'),
        'r' => Escape::Literal('\r'),
        'v' => Escape::Literal('\u{0B}'),
        'x' => Escape::Literal(hexadecimal(chars)?),
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => Escape::Literal(other),
        _ => return None,
    })
}

fn hexadecimal(chars: &mut Peekable<Chars<'_>>) -> Option<char> {
    let digits: String = if chars.next_if_eq(&'{').is_some() {
        let digits: String = std::iter::from_fn(|| chars.next_if(char::is_ascii_hexdigit)).collect();
        chars.next_if_eq(&'}')?;
        digits
    } else {
        let digits: String = std::iter::from_fn(|| chars.next_if(char::is_ascii_hexdigit)).take(2).collect();
        if digits.len() != 2 {
            return None;
        }
        digits
    };
    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
}

/// Reads a class from after its `[`. A `]` in first place, and a `-` anywhere, may be literal.
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Option<()> {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        if !first && chars.next_if_eq(&']').is_some() {
            out.push(']');
            return Some(());
        }
        first = false;
        match posix_name(chars) {
            Posix::Known(name) => {
                let _ = write!(out, "[:{name}:]");
                continue;
            }
            Posix::Unknown => return None,
            Posix::Absent => {}
        }
        let low = match class_item(chars)? {
            ClassItem::Set(set) => {
                let _ = write!(out, "[{set}]");
                continue;
            }
            ClassItem::Char(c) => c,
        };
        let mut ahead = chars.clone();
        let high = if ahead.next() == Some('-') && ahead.peek().is_some_and(|&c| c != ']') {
            chars.next();
            match class_item(chars)? {
                ClassItem::Char(high) if high >= low => high,
                _ => return None,
            }
        } else {
            low
        };
        let _ = write!(out, "\\x{{{:X}}}-\\x{{{:X}}}", u32::from(low), u32::from(high));
    }
}

enum ClassItem {
    Char(char),
    Set(&'static str),
}

fn class_item(chars: &mut Peekable<Chars<'_>>) -> Option<ClassItem> {
    match chars.next()? {
        '\\' => match escape(chars)? {
            Escape::Literal(c) => Some(ClassItem::Char(c)),
            Escape::Set(set) => Some(ClassItem::Set(set)),
            Escape::Assertion(_) => None,
        },
        c => Some(ClassItem::Char(c)),
    }
}

/// What stands at a place where `[:name:]` may stand.
enum Posix {
    Absent,
    Known(String),
    /// Of that form, and refused by Go.
    Unknown,
}

/// Reads `[:name:]`, if there is one.
fn posix_name(chars: &mut Peekable<Chars<'_>>) -> Posix {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
        "word", "xdigit",
    ];
    let rest: String = chars.clone().collect();
    let Some((name, _)) = rest.strip_prefix("[:").and_then(|inner| inner.split_once(":]")) else {
        return Posix::Absent;
    };
    if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Posix::Unknown;
    }
    chars.nth(name.len() + 3);
    Posix::Known(name.to_owned())
}

fn literal(c: char, out: &mut String) {
    if c.is_ascii_alphanumeric() || c == '/' || !c.is_ascii() {
        out.push(c);
    } else {
        let _ = write!(out, "\\x{{{:X}}}", u32::from(c));
    }
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn reads_classes_as_go_does() {
        for (expression, text, expected) in [
            ("^[]a]$", "]", true),
            ("^[a&&b]$", "&", true),
            ("^[a--]$", "-", false),
            ("^[[a]$", "[", true),
            ("^[[:alpha:]]$", "q", true),
            ("^[^[:alpha:]]$", "q", false),
            ("^\\d$", "9", true),
            ("^[\\d]$", "0", true),
            ("^\\d$", "\u{0667}", false),
            ("^\\<$", "<", true),
            ("^[~~x]$", "~", true),
            ("^x^[^/]$", "xa", false),
        ] {
            let matched = compile(expression).is_some_and(|regex| regex.is_match(text));
            assert_eq!(matched, expected, "{expression} on {text:?}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for expression in ["^[[:nope:]]$", "^[b-a]$", "^[a$", "^\\é$", "^\\y$", "^[Local-Only]$"] {
            assert!(compile(expression).is_none(), "{expression}");
        }
    }
}
