//! Reading the members of a JSON request, with AWS's own refusals for what is missing.

use serde_json::Value;

use super::fault::{Answered, Fault};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a>(pub(crate) &'a Value);

impl<'a> Input<'a> {
    pub(crate) fn text(self, member: &str) -> Option<&'a str> {
        self.0.get(member).and_then(Value::as_str)
    }

    pub(crate) fn required(self, member: &'static str) -> Answered<&'a str> {
        self.text(member)
            .ok_or_else(|| Fault::invalid_parameter(format!("Parameter validation failed: {member} is required.")))
    }

    pub(crate) fn number(self, member: &str) -> Option<i64> {
        self.0.get(member).and_then(Value::as_i64)
    }

    pub(crate) fn flag(self, member: &str) -> bool {
        self.0.get(member).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn list(self, member: &str) -> &'a [Value] {
        self.0.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn texts(self, member: &str) -> Vec<&'a str> {
        self.list(member).iter().filter_map(Value::as_str).collect()
    }

    pub(crate) fn has(self, list: &str, value: &str) -> bool {
        self.list(list).iter().any(|item| item.as_str() == Some(value))
    }

    pub(crate) fn member(self, member: &str) -> Option<&'a Value> {
        self.0.get(member).filter(|value| !value.is_null())
    }

    /// One page of `items`: `maxResults` of them (at most `limit`, which is also the default) after `nextToken`, and the
    /// token of the next page.
    pub(crate) fn page<T: Clone>(self, items: &[T], limit: usize) -> Answered<(Vec<T>, Option<String>)> {
        let size = self.number("maxResults").and_then(|size| usize::try_from(size).ok()).unwrap_or(limit);
        if size == 0 || size > limit {
            return Err(Fault::invalid_parameter(format!("maxResults must be between 1 and {limit}.")));
        }
        let start = match self.text("nextToken") {
            None => 0,
            Some(token) => token
                .parse()
                .ok()
                .filter(|start| *start <= items.len())
                .ok_or_else(|| Fault::invalid_parameter("Invalid token."))?,
        };
        let end = items.len().min(start + size);
        Ok((items[start..end].to_vec(), (end < items.len()).then(|| end.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Input;

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let items: Vec<u32> = (0..250).collect();
        let mut request = json!({"maxResults": 100});
        let mut seen = Vec::new();
        loop {
            let (page, next) = Input(&request).page(&items, 100).unwrap();
            seen.extend(page);
            match next {
                Some(token) => request = json!({"maxResults": 100, "nextToken": token}),
                None => break,
            }
        }
        assert_eq!(seen, items);
        assert!(Input(&json!({"maxResults": 101})).page(&items, 100).is_err());
        assert!(Input(&json!({"nextToken": "abc"})).page(&items, 100).is_err());
    }
}
