//! `${name}` in a value. `$${` is a literal `${`; a `$` before anything else is itself. There are no defaults, no
//! nesting and no commands: a name is all that may stand between the braces.

use std::borrow::Cow;

/// A text taken apart, once and without knowing any value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template<'t>(Vec<Piece<'t>>);

#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Literal(&'t str),
    Name(&'t str),
}

/// The part of the text that cannot be read, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed<'t> {
    pub(super) part: &'t str,
    pub(super) message: &'static str,
}

impl<'t> Template<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, Malformed<'t>> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(index) = rest.find("${") {
            if rest[..index].ends_with('$') {
                pieces.push(Piece::Literal(&rest[..index - 1]));
                pieces.push(Piece::Literal("${"));
                rest = &rest[index + 2..];
                continue;
            }
            pieces.push(Piece::Literal(&rest[..index]));
            let inside = &rest[index + 2..];
            let Some(end) = inside.find('}') else {
                return Err(Malformed { part: &rest[index..], message: "`${` is not closed" });
            };
            let name = &inside[..end];
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
                let part = &rest[index..=index + 2 + end];
                return Err(Malformed { part, message: "only a name may stand between `${` and `}`" });
            }
            pieces.push(Piece::Name(name));
            rest = &inside[end + 1..];
        }
        pieces.push(Piece::Literal(rest));
        Ok(Self(pieces))
    }

    /// The names in order, repeated where the text repeats them.
    pub(super) fn names(&self) -> impl Iterator<Item = &'t str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(*name),
            Piece::Literal(_) => None,
        })
    }

    /// The text with every name replaced; or the first name that has no value.
    pub(super) fn fill<'v>(&self, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> Result<String, &'t str> {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => filled.push_str(text),
                Piece::Name(name) => filled.push_str(&value(name).ok_or(*name)?),
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::Template;

    #[test]
    fn names_are_filled_in() {
        let value = |name: &str| match name {
            "env" => Some(Cow::from("dev")),
            // What a value holds is never read again.
            "trick" => Some(Cow::from("${env}")),
            _ => None,
        };
        for (text, expected) in [
            ("", Ok("")),
            ("plain", Ok("plain")),
            ("api-${env}", Ok("api-dev")),
            ("${env}${env}", Ok("devdev")),
            ("$env $ $$ {env} }", Ok("$env $ $$ {env} }")),
            ("$${env}-${env}", Ok("${env}-dev")),
            ("$$${env}", Ok("$${env}")),
            ("${trick}", Ok("${env}")),
            ("${other}", Err("other")),
        ] {
            let filled = Template::parse(text).unwrap().fill(value);
            assert_eq!(filled.as_deref().map_err(|name| *name), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_pointed_at() {
        for (text, part) in [
            ("a ${env", "${env"),
            ("a ${} b", "${}"),
            ("a ${A:-b} c", "${A:-b}"),
            ("${ env }", "${ env }"),
            ("${a${b}}", "${a${b}"),
        ] {
            assert_eq!(Template::parse(text).unwrap_err().part, part, "{text}");
        }
    }
}
