//! One JSON object per line on stdout, for programs. The first key is `event`, the last `at`; the last line of a run is
//! `finished`.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::out::Out;
use crate::event::{Event, Kind};

/// The event with its own keys first, so that a person who reads the stream sees what happened.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    kind: &'a Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a Arc<str>>,
    at: Timestamp,
}

pub(super) fn print(out: &Out, event: &Event) {
    let record = Record { kind: &event.kind, service: event.service.as_ref(), at: event.at };
    match serde_json::to_string(&record) {
        Ok(json) => out.json(&json),
        // No event has a map whose keys are not strings, the only thing that serde_json refuses.
        Err(error) => out.json(&serde_json::json!({"event": "fault", "text": error.to_string()}).to_string()),
    }
}

/// Keys whose value is one of our own words and is left as it is: a secret that happens to be such a word must not break
/// the reader.
const OUR_WORDS: [&str; 5] = ["event", "at", "verdict", "stage", "level"];

/// The document with `change` applied to every text in it, except keys and our own words. A value must be decoded for
/// that: escaped, a secret with a quote in it would not be recognised.
pub(super) fn with_texts(json: &str, change: impl Fn(&str) -> String) -> String {
    let mut result = String::with_capacity(json.len());
    let mut key = String::new();
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (before, from_quote) = rest.split_at(start);
        result.push_str(before);
        let (literal, after) = from_quote.split_at(literal_end(from_quote));
        rest = after;
        let text: String = serde_json::from_str(literal).unwrap_or_default();
        if rest.starts_with(':') {
            result.push_str(literal);
            key = text;
        } else if OUR_WORDS.contains(&key.as_str()) {
            result.push_str(literal);
        } else {
            result.push_str(&serde_json::Value::from(change(&text)).to_string());
        }
    }
    result.push_str(rest);
    result
}

/// Where the string literal that begins at the first byte ends.
fn literal_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return at + 1,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StepState;
    use crate::exit::Exit;
    use crate::report::{SharedRedactor, script};

    fn printed(event: &Event) -> String {
        let (out, memory) = Out::to_memory(SharedRedactor::default(), Some(60));
        print(&out, event);
        let lines = memory.lock().unwrap();
        assert_eq!(lines.len(), 1);
        lines[0].1.clone()
    }

    #[test]
    fn the_last_line_has_the_shape_of_the_contract() {
        let mut outcome = script::deployed("api");
        outcome.url = None;
        let kind = Kind::Finished {
            exit_code: Exit::Success,
            environment: Some("dev".to_owned()),
            services: vec![outcome],
            error: None,
        };
        assert_eq!(
            printed(&script::at(12.3, None, kind)),
            concat!(
                r#"{"event":"finished","exit_code":0,"environment":"dev","services":[{"service":"api","#,
                r#""verdict":"deployed","exit_code":0,"#,
                r#""digest":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","#,
                r#""revision":"1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d","deployment":"ecs-svc/1234567890123456789","#,
                r#""url":null,"reason":null,"hint":null,"seconds":12.3}],"at":"2026-11-23T19:30:12.3Z"}"#,
            )
        );
    }

    #[test]
    fn an_event_of_a_service_names_it() {
        let kind = Kind::BuildStep {
            id: "sha256:1".to_owned(),
            name: "[2/4] RUN printf '\u{1b}[31m\"'".to_owned(),
            state: StepState::Done,
            seconds: Some(0.5),
            error: None,
        };
        assert_eq!(
            printed(&script::at(1.0, Some("api"), kind)),
            r#"{"event":"build-step","id":"sha256:1","name":"[2/4] RUN printf '\"'","state":"done","seconds":0.5,"service":"api","at":"2026-11-23T19:30:01Z"}"#
        );
    }

    #[test]
    fn keys_and_our_own_words_are_left_alone() {
        let changed =
            with_texts(r#"{"event":"x","a\"b":["x",{"c":"x"}],"n":1,"reason":"x \\\" y"}"#, str::to_uppercase);
        assert_eq!(changed, r#"{"event":"x","a\"b":["X",{"c":"X"}],"n":1,"reason":"X \\\" Y"}"#);
    }
}
