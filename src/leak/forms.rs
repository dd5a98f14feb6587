//! The forms in which a secret's value may lie in an image: as it is, in base64 wherever it begins, in a URL, in JSON.
//! What is packed or encrypted is not seen.
//!
//! The redactor has forms too, and may hide too much; a gate that is wrong refuses a good deploy, so these are
//! stricter: nothing that occurs by itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Fewer characters of base64 are not looked for.
const MIN_BASE64: usize = 8;
/// Long base64 is broken into lines of 64 or 76 characters. Of every such line, wherever it begins in the encoding, one
/// piece of this many is whole.
const PIECE: usize = 32;
/// A line of a value of many lines counts by itself when so many characters of a key stand in it without a break.
const KEY_RUN: usize = 32;
/// Lines of one value that are looked for by themselves.
const MOST_LINES: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Plain,
    Base64,
    UrlEncoded,
    JsonEscaped,
}

impl Form {
    /// As it follows a secret's name; empty for the plain value.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Base64 => ", in base64,",
            Self::UrlEncoded => ", URL-encoded,",
            Self::JsonEscaped => ", escaped as in JSON,",
        }
    }
}

/// Every form of the value once; one that is the same in two forms is under the first.
pub(super) fn forms(value: &str) -> BTreeMap<String, Form> {
    let mut forms = BTreeMap::new();
    let value = value.trim();
    add(value, !value.contains(char::is_whitespace), &mut forms);
    if value.contains(['\n', '\r']) {
        for line in value.split(['\n', '\r']).map(str::trim).filter(|line| holds_key(line)).take(MOST_LINES) {
            add(line, true, &mut forms);
        }
    }
    forms
}

/// `token`: nothing of it is text that others write too, so that a piece of its base64 tells it.
fn add(text: &str, token: bool, forms: &mut BTreeMap<String, Form>) {
    if text.is_empty() {
        return;
    }
    let mut insert = |form: String, kind| {
        forms.entry(form).or_insert(kind);
    };
    insert(text.to_owned(), Form::Plain);
    let json = serde_json::Value::from(text).to_string();
    let json = &json[1..json.len() - 1];
    insert(json.to_owned(), Form::JsonEscaped);
    insert(json.replace('/', "\\/"), Form::JsonEscaped);
    // As Go's encoder has it, and so many a tool's.
    let html = json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    insert(html, Form::JsonEscaped);
    // By RFC 3986; as Python leaves `/`; as JavaScript leaves `!'()*`.
    for kept in ["-._~", "-._~/", "-._~!'()*"] {
        for upper in [true, false] {
            let encoded = percent_encoded(text, kept, upper);
            insert(encoded.replace("%20", "+"), Form::UrlEncoded);
            insert(encoded, Form::UrlEncoded);
        }
    }
    for encoded in base64(text.as_bytes()) {
        if token && encoded.len() >= 2 * PIECE {
            for piece in encoded.as_bytes().chunks_exact(PIECE) {
                insert(String::from_utf8_lossy(piece).into_owned(), Form::Base64);
            }
        }
        insert(encoded, Form::Base64);
    }
}

/// The part of the encoding that is the same whatever stands around the value, for the three ways in which it can lie
/// across base64's groups of three bytes, in both alphabets.
fn base64(value: &[u8]) -> Vec<String> {
    let mut encodings = Vec::new();
    for (before, skipped) in [(0, 0), (1, 2), (2, 3)] {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(value);
        let known = bytes.len() * 8 / 6;
        if known < skipped + MIN_BASE64 {
            continue;
        }
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            encodings.push(encoded[skipped..known].to_owned());
        }
    }
    encodings
}

fn percent_encoded(text: &str, kept: &str, upper: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = if upper { write!(encoded, "%{byte:02X}") } else { write!(encoded, "%{byte:02x}") };
        }
    }
    encoded
}

/// A line of a PEM key or a token, and not one of the text around it, which other files have too.
fn holds_key(line: &str) -> bool {
    let is_key = |run: &str| {
        let has = |kind: fn(&u8) -> bool| run.as_bytes().iter().any(kind);
        run.len() >= KEY_RUN && has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
    };
    line.split(|c: char| !(c.is_ascii_alphanumeric() || "+/=_-".contains(c))).any(is_key)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::{Form, forms};

    fn found(value: &str, text: &str) -> Vec<Form> {
        let mut found: Vec<Form> =
            forms(value).into_iter().filter(|(form, _)| text.contains(form.as_str())).map(|(_, kind)| kind).collect();
        found.sort();
        found.dedup();
        found
    }

    #[test]
    fn every_form_is_found_under_its_name() {
        let value = "p@ss w'o\"rd/é?><&";
        for (text, expected) in [
            (format!("x={value};"), Form::Plain),
            (serde_json::json!({ "a": value }).to_string(), Form::JsonEscaped),
            (r#"{"a":"p@ss w'o\"rd\/é?><&"}"#.to_owned(), Form::JsonEscaped),
            (r#"{"a":"p@ss w'o\"rd/é?\u003e\u003c\u0026"}"#.to_owned(), Form::JsonEscaped),
            ("u=p%40ss%20w%27o%22rd%2F%C3%A9%3F%3E%3C%26&".to_owned(), Form::UrlEncoded),
            ("u=p%40ss+w%27o%22rd%2f%c3%a9%3f%3e%3c%26&".to_owned(), Form::UrlEncoded),
            ("u=p%40ss%20w%27o%22rd/%C3%A9%3F%3E%3C%26&".to_owned(), Form::UrlEncoded),
            ("u=p%40ss%20w'o%22rd%2F%C3%A9%3F%3E%3C%26&".to_owned(), Form::UrlEncoded),
        ] {
            assert_eq!(found(value, &text), [expected], "{text}");
        }
    }

    #[test]
    fn base64_is_found_wherever_the_value_begins_in_it() {
        let value = "subjects?_d/~>";
        for before in ["", "a", "ab", "abc", "user:", "AWS:x"] {
            for after in ["", "1", "12", "\n"] {
                let text = format!("{before}{value}{after}");
                for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                    assert_eq!(found(value, &encoded), [Form::Base64], "{text}");
                }
            }
        }
    }

    #[test]
    fn base64_that_is_broken_into_lines_is_found() {
        let value: String = (0..200_u32).map(|n| char::from(b'a' + u8::try_from(n * n % 23).unwrap())).collect();
        for (before, width) in [("", 64), ("x", 64), ("", 76), ("ab", 76), ("a longer head of the text: ", 76)] {
            let encoded = STANDARD.encode(format!("{before}{value}"));
            let lines: Vec<&str> =
                encoded.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
            assert_eq!(found(&value, &lines.join("\n")), [Form::Base64], "{before} {width}");
        }
    }

    #[test]
    fn of_many_lines_those_of_a_key_count_by_themselves() {
        let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
        let key = format!("-----BEGIN PRIVATE KEY-----\n{line}\nshort\n-----END PRIVATE KEY-----\n");
        assert_eq!(found(&key, &format!("\r\n{line}\r\n")), [Form::Plain]);
        assert_eq!(found(&key, "-----BEGIN PRIVATE KEY-----"), []);
        let account =
            "{\n  \"type\": \"service_account\",\n  \"auth_uri\": \"https://accounts.example.com/o/oauth2/auth\"\n}";
        assert_eq!(found(account, "\"auth_uri\": \"https://accounts.example.com/o/oauth2/auth\""), []);
        assert_eq!(found(account, account), [Form::Plain]);
    }
}
