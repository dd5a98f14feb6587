//! Keeps secret values, and whatever a terminal would obey, out of everything that is written.
//!
//! Every line goes through `sanitize` first and `redact` second: a control sequence in the middle of a value would hide
//! it from the redactor. Text is redacted before it is put into JSON, not after, so that the JSON stays whole.
//!
//! This is the last net, not the first: no room puts a value into an event or an error on purpose.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use regex::Regex;

use crate::secret::Secret;

const MASK: &str = "***";
/// Shorter values are hidden as whole words only: `dev` inside of `develop` is no secret, and hiding every `1` would
/// leave nothing to read. In characters.
const MIN_ANYWHERE: usize = 4;
/// Shorter lines of a value of many lines say too little and occur everywhere. In characters.
const MIN_LINE: usize = 8;
/// Shorter pieces of base64 occur by chance.
const MIN_BASE64: usize = 8;

/// Knows the secret values in every form in which a program is likely to print them.
#[derive(Clone)]
pub(crate) struct Redactor {
    automaton: AhoCorasick,
    /// By pattern: whether it is hidden as a whole word only.
    whole_word: Vec<bool>,
}

impl Redactor {
    pub(crate) fn new<'s>(values: impl IntoIterator<Item = &'s Secret>) -> Self {
        let mut forms = BTreeSet::new();
        for value in values {
            add_forms(value.expose(), &mut forms);
        }
        let whole_word = forms.iter().map(|form| form.chars().count() < MIN_ANYWHERE).collect();
        let automaton = AhoCorasick::builder()
            // Overlaps have to be seen: of two secrets that share letters, none may leave its rest behind.
            .match_kind(MatchKind::Standard)
            // A table of all transitions would take megabytes for a single certificate.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&forms)
            .expect("the forms of all secrets together are far below the four gigabytes that an automaton can hold");
        Self { automaton, whole_word }
    }

    /// The text with every secret value replaced by `***`. Takes and returns any number of lines.
    pub(crate) fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut hidden: Vec<(usize, usize)> = self
            .automaton
            .find_overlapping_iter(text)
            .filter(|found| !self.whole_word[found.pattern()] || is_whole_word(text, found.start(), found.end()))
            .map(|found| (found.start(), found.end()))
            .collect();
        if hidden.is_empty() {
            return Cow::Borrowed(text);
        }
        hidden.sort_unstable();
        let mut redacted = String::with_capacity(text.len());
        let mut done = 0;
        let mut hidden = hidden.into_iter().peekable();
        while let Some((start, mut end)) = hidden.next() {
            while let Some((_, further)) = hidden.next_if(|(next, _)| *next <= end) {
                end = end.max(further);
            }
            redacted.push_str(&text[done..start]);
            redacted.push_str(MASK);
            done = end;
        }
        redacted.push_str(&text[done..]);
        Cow::Owned(redacted)
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} forms)", self.whole_word.len())
    }
}

fn is_whole_word(text: &str, start: usize, end: usize) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    !text[..start].ends_with(part_of_word) && !text[end..].starts_with(part_of_word)
}

fn add_forms(value: &str, forms: &mut BTreeSet<String>) {
    let trimmed = value.trim();
    if trimmed.is_empty() {
        return;
    }
    for plain in [value, trimmed] {
        forms.insert(plain.to_owned());
        add_escaped(plain, forms);
        if plain.chars().count() >= MIN_ANYWHERE {
            add_base64(plain.as_bytes(), forms);
        }
    }
    if trimmed.contains(['\n', '\r']) {
        for line in trimmed.split(['\n', '\r']).map(str::trim).filter(|line| line.chars().count() >= MIN_LINE) {
            forms.insert(line.to_owned());
            add_escaped(line, forms);
        }
    }
}

/// As it stands in JSON, in a debug print, in a URL and in a shell's quotes.
fn add_escaped(value: &str, forms: &mut BTreeSet<String>) {
    let json = serde_json::Value::from(value).to_string();
    forms.insert(json[1..json.len() - 1].to_owned());
    forms.insert(json[1..json.len() - 1].replace('/', "\\/"));
    forms.insert(value.escape_debug().to_string());
    forms.insert(value.replace('\'', r"'\''"));
    for upper in [true, false] {
        let encoded = percent_encoded(value, upper);
        forms.insert(encoded.replace("%20", "+"));
        forms.insert(encoded);
    }
}

fn percent_encoded(value: &str, upper: bool) -> String {
    let mut encoded = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = if upper { write!(encoded, "%{byte:02X}") } else { write!(encoded, "%{byte:02x}") };
        }
    }
    encoded
}

/// The value encoded by itself, and the part of the encoding that is the same whatever stands around the value, for the
/// three ways in which it can lie across base64's groups of three bytes.
fn add_base64(value: &[u8], forms: &mut BTreeSet<String>) {
    for whole in [STANDARD.encode(value), URL_SAFE.encode(value)] {
        // `base64` and PEM break lines at 76 and 64 characters.
        for width in [76, 64] {
            if whole.len() > width {
                let lines = whole.as_bytes().chunks(width).filter(|line| line.len() >= MIN_BASE64);
                forms.extend(lines.map(|line| String::from_utf8_lossy(line).into_owned()));
            }
        }
        for whole in [whole.trim_end_matches('='), &whole] {
            if whole.len() >= MIN_BASE64 {
                forms.insert(whole.to_owned());
            }
        }
    }
    for (before, skipped) in [(0, 0), (1, 2), (2, 3)] {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value);
        let known = bytes.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            if known >= skipped + MIN_BASE64 {
                forms.insert(encoded[skipped..known].to_owned());
            }
        }
    }
}

/// Takes out what a terminal would obey: control sequences, control characters, and the marks that reorder text. Tabs
/// and line ends stay; a carriage return inside a line, as progress bars write it, becomes a space.
pub(crate) fn sanitize(text: &str) -> Cow<'_, str> {
    static CONTROL: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            // CSI: colours, cursor, clearing.
            r"(?:\x1b\[|\u{9b})[0-?]*[ -/]*[@-~]",
            // OSC, DCS, SOS, PM, APC with their terminator: titles, links, clipboard.
            r"|(?:\x1b[\]PX^_]|[\u{90}\u{98}\u{9d}\u{9e}\u{9f}])[^\x07\x1b\u{9c}\n]*(?:\x07|\x1b\\|\u{9c})",
            // Any other escape.
            r"|\x1b[ -/]*[0-~]?",
            r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u{80}-\u{9f}\u{200e}\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}]",
            r"|\r+(?P<end>\n|$)|(?P<inside>\r+)",
        ))
        .expect("the pattern is constant, and a test uses it")
    });
    CONTROL.replace_all(text, |found: &regex::Captures<'_>| {
        if found.name("inside").is_some() { " " } else { found.name("end").map_or("", |end| end.as_str()) }.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::{Redactor, sanitize};
    use crate::secret::Secret;

    fn redactor(values: &[&str]) -> Redactor {
        let values: Vec<Secret> = values.iter().map(|value| Secret::new(*value)).collect();
        Redactor::new(&values)
    }

    #[test]
    fn values_are_hidden_in_every_form() {
        let value = "p@ss w'o\"rd/é?>";
        let redactor = redactor(&[value]);
        for (text, expected) in [
            (format!("DB={value};"), "DB=***;".to_owned()),
            (format!("{value}{value}"), "***".to_owned()),
            (serde_json::json!({ "a": value }).to_string(), r#"{"a":"***"}"#.to_owned()),
            (r#"p@ss w'o\"rd\/é?>"#.to_owned(), "***".to_owned()),
            (r#"'p@ss w'\''o"rd/é?>'"#.to_owned(), "'***'".to_owned()),
            ("u=p%40ss%20w%27o%22rd%2F%C3%A9%3F%3E&".to_owned(), "u=***&".to_owned()),
            ("u=p%40ss+w%27o%22rd%2f%c3%a9%3f%3e&".to_owned(), "u=***&".to_owned()),
            (format!("[{}]", STANDARD.encode(value)), "[***]".to_owned()),
            (format!("[{}]", URL_SAFE_NO_PAD.encode(value)), "[***]".to_owned()),
            ("nothing here".to_owned(), "nothing here".to_owned()),
        ] {
            assert_eq!(redactor.redact(&text), expected, "{text}");
        }
    }

    #[test]
    fn base64_is_hidden_wherever_the_value_lies_in_it() {
        let value = "correct-horse-battery";
        let redactor = redactor(&[value]);
        for before in ["", "a", "ab", "abc", "user:", "AWS:x"] {
            for after in ["", "1", "12", "\n"] {
                let encoded = STANDARD.encode(format!("{before}{value}{after}"));
                let shown = redactor.redact(&encoded).into_owned();
                assert!(shown.contains("***") && shown.len() <= 3 + before.len() * 2 + after.len() * 2 + 8, "{shown}");
            }
        }
    }

    #[test]
    fn values_of_many_lines_are_hidden_line_by_line() {
        let key = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA1\nshort\r\nq83vEjRWeJCrze8S\n-----END KEY-----\n";
        let redactor = redactor(&[key]);
        assert_eq!(redactor.redact(key), "***");
        assert_eq!(redactor.redact("#7 0.3 q83vEjRWeJCrze8S"), "#7 0.3 ***");
        assert_eq!(redactor.redact("a short line"), "a short line");
        let wrapped = STANDARD.encode(key);
        for line in wrapped.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()) {
            assert_eq!(redactor.redact(line), "***");
        }
    }

    #[test]
    fn overlapping_secrets_leave_nothing_behind() {
        let redactor = redactor(&["abcdef", "defghi", "abcdefghijkl", "cdef"]);
        assert_eq!(redactor.redact("xabcdefghiy abcdefghijkl"), "x***y ***");
    }

    #[test]
    fn short_values_are_hidden_as_words() {
        let redactor = redactor(&["dev", "7", "é"]);
        assert_eq!(redactor.redact("dev: develop, _dev, 7 of 17 (dev) é"), "***: develop, _dev, *** of 17 (***) ***");
    }

    #[test]
    fn blank_values_and_no_values_hide_nothing() {
        assert!(matches!(redactor(&[]).redact("any text"), Cow::Borrowed("any text")));
        assert!(matches!(redactor(&["", " ", "\n"]).redact("any \n text"), Cow::Borrowed("any \n text")));
    }

    #[test]
    fn debug_tells_nothing() {
        assert!(!format!("{:?}", redactor(&["hunter22"])).contains("hunter22"));
    }

    #[test]
    fn a_terminal_obeys_nothing_that_is_left() {
        for (text, expected) in [
            ("plain é 🦀\tx\n", "plain é 🦀\tx\n"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{9b}31mred", "red"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}Pq#0\u{1b}\\x", "x"),
            ("\u{1b}]52;c;never ended", "52;c;never ended"),
            ("\u{1b}(Bx\u{1b}cy\u{1b}", "xy"),
            ("a\u{8}b\u{0}c\u{7f}d\u{85}e", "abcde"),
            ("abc\u{202e}fed\u{2066}", "abcfed"),
            ("10%\r20%\r\ndone\r", "10% 20%\ndone"),
        ] {
            assert_eq!(sanitize(text), expected, "{text:?}");
        }
        assert!(matches!(sanitize("plain\ttext\n"), Cow::Borrowed(_)));
    }
}
