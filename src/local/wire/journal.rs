//! The last calls that were made, for tests that ask what a tool did. It holds no headers, no tokens and no bodies of
//! blobs; long values are cut.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::local::clock::Millis;

const KEPT: usize = 50_000;
const LONGEST_VALUE: usize = 200;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Call {
    pub(crate) at: Millis,
    /// `ecs:UpdateService`, `GET /v2/…`.
    pub(crate) operation: String,
    pub(crate) status: u16,
    pub(crate) input: Value,
}

#[derive(Debug, Default)]
pub(crate) struct Journal(VecDeque<Call>);

impl Journal {
    pub(crate) fn record(&mut self, call: Call) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(call);
    }

    pub(crate) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.0.iter()
    }
}

/// The request without what is long or secret.
pub(crate) fn summary(input: &Value) -> Value {
    match input {
        Value::String(text) if text.chars().count() > LONGEST_VALUE => {
            Value::String(text.chars().take(LONGEST_VALUE).chain(['…']).collect())
        }
        Value::Array(items) => items.iter().map(summary).collect(),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(name, _)| !name.to_ascii_lowercase().contains("token") || name.as_str() == "nextToken")
                .map(|(name, value)| (name.clone(), summary(value)))
                .collect::<Map<_, _>>(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{LONGEST_VALUE, summary};

    #[test]
    fn tokens_are_left_out_and_long_values_cut() {
        let shown =
            summary(&json!({"WebIdentityToken": "a.b.c", "imageManifest": "x".repeat(4000), "imageTag": "latest"}));
        assert!(shown.get("WebIdentityToken").is_none());
        assert_eq!(shown["imageManifest"].as_str().unwrap().chars().count(), LONGEST_VALUE + 1);
        assert_eq!(shown["imageTag"], "latest");
    }
}
