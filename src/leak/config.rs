//! Looks through what an image says of itself: environment, labels, commands and all the rest of its config, and its
//! history. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::needles::Needles;
use super::scope::Scope;
use super::{Found, Place, Sought};
use crate::docker::Image;

/// One text of the config, and where it stands.
struct Text<'i> {
    place: Place,
    /// What a variable, a label or an argument is called; empty for everything else.
    name: &'i str,
    value: &'i str,
    whole: &'i str,
}

/// Everything that is found in the image's own words. What `base` says in the same words is the base image's.
pub(super) fn look(image: &Image, base: Option<&Image>, sought: &[Sought<'_>], needles: &Needles) -> Vec<Found> {
    let inherited: BTreeSet<&str> =
        base.map(|base| texts(base).into_iter().map(|text| text.whole).collect()).unwrap_or_default();
    let mut found = Vec::new();
    for text in texts(image) {
        let of_base = inherited.contains(text.whole);
        for (secret, form) in needles.find(text.whole.as_bytes()) {
            found.push(Found { secret, form, place: text.place.clone(), of_base });
        }
        for (secret, one) in sought.iter().enumerate().filter(|(_, one)| one.is_whole()) {
            let name_fits = one.scope == Scope::Exact || same_name(text.name, one.name);
            if name_fits && text.value.trim() == one.value.trim() {
                found.push(Found { secret, form: super::Form::Plain, place: text.place.clone(), of_base });
            }
        }
    }
    found
}

/// `DB_PORT` and `db-port`.
fn same_name(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.trim_start_matches('-').replace(['-', '.'], "_").to_lowercase();
    plain(one) == plain(other)
}

fn texts(image: &Image) -> Vec<Text<'_>> {
    let mut texts = Vec::new();
    for entry in &image.env {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        texts.push(Text { place: Place::Variable(name.to_owned()), name, value, whole: entry });
    }
    for (key, value) in &image.labels {
        texts.push(Text { place: Place::Label(key.clone()), name: key, value, whole: value });
        texts.push(Text { place: Place::Config("label's name".to_owned()), name: "", value: "", whole: key });
    }
    for (place, words) in [("entrypoint", &image.entrypoint), ("command", &image.command)] {
        for (at, word) in words.iter().enumerate() {
            // `--token=VALUE` and `--token VALUE`.
            let (name, value) = match word.split_once('=') {
                Some(pair) => pair,
                None => (at.checked_sub(1).map_or("", |before| words[before].as_str()), word.as_str()),
            };
            texts.push(Text { place: Place::Config(place.to_owned()), name, value, whole: word });
        }
    }
    if let Some(members) = image.config.as_object() {
        for (key, value) in members.iter().filter(|(key, _)| !KNOWN.contains(&key.as_str())) {
            strings(value, &mut |whole| {
                texts.push(Text { place: Place::Config(format!("config, `{key}`")), name: "", value: "", whole });
            });
        }
    }
    let steps = image.history.len();
    for (at, step) in image.history.iter().enumerate() {
        let place = Place::History { step: steps - at, steps, instruction: instruction(step) };
        texts.push(Text { place, name: "", value: "", whole: step });
    }
    texts
}

/// Members of the config that have a place of their own above.
const KNOWN: [&str; 4] = ["Env", "Labels", "Entrypoint", "Cmd"];

fn strings<'v>(value: &'v Value, take: &mut impl FnMut(&'v str)) {
    match value {
        Value::String(text) => take(text),
        Value::Array(values) => values.iter().for_each(|value| strings(value, take)),
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            take(key);
            strings(value, take);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `RUN`, `COPY`… of a step of the history. The classic builder wraps it into a shell.
pub(super) fn instruction(step: &str) -> String {
    let step = step.trim_start();
    let step = step
        .strip_prefix("/bin/sh -c ")
        .map_or(step, |rest| rest.trim_start().trim_start_matches("#(nop)").trim_start());
    let word = step.split_whitespace().next().unwrap_or_default();
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase()) {
        word.to_owned()
    } else {
        "RUN".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{instruction, look};
    use crate::docker::Image;
    use crate::leak::needles::Needles;
    use crate::leak::{Sought, seek};
    use crate::secret::Secret;

    fn image() -> Image {
        Image {
            id: "sha256:1".to_owned(),
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            variant: String::new(),
            env: vec!["PATH=/bin".to_owned()],
            labels: BTreeMap::new(),
            history: Vec::new(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            config: serde_json::Value::Null,
            layers: Vec::new(),
            size: 0,
        }
    }

    /// The places, each with `base: ` before it where it is the base image's.
    fn places(image: &Image, base: Option<&Image>, secrets: &[(&str, &str)]) -> Vec<String> {
        let secrets: BTreeMap<String, Secret> =
            secrets.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        let sought: Vec<Sought<'_>> = seek(&secrets, &[], &[]);
        let needles =
            Needles::new(sought.iter().enumerate().filter(|(_, one)| !one.is_whole()).map(|(at, one)| (at, one.value)))
                .unwrap();
        let found = look(image, base, &sought, &needles);
        found.iter().map(|found| format!("{}{}", if found.of_base { "base: " } else { "" }, found.place)).collect()
    }

    #[test]
    fn every_text_of_an_image_is_looked_through() {
        let value = "s3cr3t-value";
        let with = |change: fn(&mut Image)| {
            let mut image = image();
            change(&mut image);
            places(&image, None, &[("TOKEN", value)])
        };
        assert_eq!(with(|_| {}), [""; 0]);
        assert_eq!(with(|i| i.env.push("A=x s3cr3t-value".into())), ["its environment variable `A`"]);
        assert_eq!(with(|i| drop(i.labels.insert("k".into(), "czNjcjN0LXZhbHVl".into()))), ["its label `k`"]);
        assert_eq!(with(|i| i.entrypoint = vec!["/app".into(), "--t=s3cr3t-value".into()]), ["its entrypoint"]);
        assert_eq!(with(|i| i.command.push("s3cr3t-value".into())), ["its command"]);
        assert_eq!(
            with(|i| i.config = serde_json::json!({"Healthcheck": {"Test": ["CMD", "s3cr3t-value"]}})),
            ["its config, `Healthcheck`"]
        );
        assert_eq!(
            with(
                |i| i.history = vec!["CMD [\"x\"]".into(), "RUN |1 A=s3cr3t-value /bin/sh -c x".into(), "ADD x".into()]
            ),
            ["step 2 of 3 of its history (RUN)"]
        );
    }

    #[test]
    fn a_value_that_occurs_by_itself_needs_the_secrets_name() {
        let mut image = image();
        image.env.extend(["PGPORT=5432".into(), "DB_PORT=5432".into(), "MODE=staging".into()]);
        image.labels.insert("app.mode".into(), "staging".into());
        image.command = vec!["serve".into(), "--db-port".into(), "5432".into()];
        let secrets = [("DB_PORT", "5432"), ("APP_MODE", "staging")];
        assert_eq!(
            places(&image, None, &secrets),
            ["its environment variable `DB_PORT`", "its label `app.mode`", "its command"]
        );
    }

    #[test]
    fn what_the_base_image_says_is_the_base_images() {
        let mut base = image();
        base.env.push("TOKEN=s3cr3t-value".into());
        let mut image = base.clone();
        image.env.push("MINE=s3cr3t-value".into());
        assert_eq!(
            places(&image, Some(&base), &[("TOKEN", "s3cr3t-value")]),
            ["base: its environment variable `TOKEN`", "its environment variable `MINE`"]
        );
    }

    #[test]
    fn steps_have_the_name_of_their_instruction() {
        for (step, expected) in [
            ("COPY app /app # buildkit", "COPY"),
            ("RUN |1 A=b /bin/sh -c make # buildkit\nbuildkit.dockerfile.v0", "RUN"),
            ("/bin/sh -c #(nop)  ENV A=b", "ENV"),
            ("/bin/sh -c apt-get update", "RUN"),
            ("", "RUN"),
        ] {
            assert_eq!(instruction(step), expected, "{step}");
        }
    }
}
