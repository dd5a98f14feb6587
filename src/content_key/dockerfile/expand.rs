//! Words and `$NAME` as BuildKit's own small shell has them: quotes, the escape character, and the forms of `${…}` that
//! are the same in all its versions.

use crate::content_key::NoKey;

/// Splits at white space outside of quotes; the quotes stay. `None` where one does not close.
pub(super) fn split(text: &str, escape: char) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        word.push(c);
        if c == escape && quote != Some('\'') {
            word.extend(chars.next());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

/// Fills in what a word names and takes its quotes away. `value`: what a name stands for.
pub(super) fn expand(
    word: &str,
    escape: char,
    value: &dyn Fn(&str) -> Result<Option<String>, NoKey>,
) -> Result<String, NoKey> {
    let mut out = String::new();
    let mut rest = word;
    let mut in_double = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\'' if !in_double => {
                let end = after.find('\'').ok_or_else(|| unsure(word))?;
                out.push_str(&after[..end]);
                &after[end + 1..]
            }
            '"' => {
                in_double = !in_double;
                after
            }
            _ if c == escape => {
                let next = after.chars().next().ok_or_else(|| unsure(word))?;
                // Within quotes the escape character means something before few others only.
                if in_double && !matches!(next, '"' | '$') && next != escape {
                    out.push(c);
                }
                out.push(next);
                &after[next.len_utf8()..]
            }
            '$' => {
                let (text, after) = substitute(word, after, escape, value)?;
                out.push_str(&text);
                after
            }
            _ => {
                out.push(c);
                after
            }
        };
    }
    if in_double { Err(unsure(word)) } else { Ok(out) }
}

/// What stands behind a `$`, and what comes after it.
fn substitute<'w>(
    word: &str,
    text: &'w str,
    escape: char,
    value: &dyn Fn(&str) -> Result<Option<String>, NoKey>,
) -> Result<(String, &'w str), NoKey> {
    let Some(inner) = text.strip_prefix('{') else {
        let (name, after) = text.split_at(name_length(text));
        if name.is_empty() {
            return Err(unsure(word));
        }
        return Ok((value(name)?.unwrap_or_default(), after));
    };
    let (inside, after) = inner.split_at(closing(inner).ok_or_else(|| unsure(word))?);
    let after = &after[1..];
    let (name, form) = inside.split_at(name_length(inside));
    if name.is_empty() {
        return Err(unsure(word));
    }
    let found = value(name)?;
    let not_empty = || found.clone().filter(|value| !value.is_empty());
    let other = |form: &str| expand(form, escape, value);
    let text = if form.is_empty() {
        found.unwrap_or_default()
    } else if let Some(default) = form.strip_prefix(":-") {
        not_empty().map_or_else(|| other(default), Ok)?
    } else if let Some(default) = form.strip_prefix('-') {
        found.map_or_else(|| other(default), Ok)?
    } else if let Some(alternative) = form.strip_prefix(":+") {
        not_empty().map_or_else(|| Ok(String::new()), |_| other(alternative))?
    } else if let Some(alternative) = form.strip_prefix('+') {
        found.map_or_else(|| Ok(String::new()), |_| other(alternative))?
    } else {
        return Err(unsure(word));
    };
    Ok((text, after))
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// Where the brace closes that was opened just before.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        None
    })
}

fn unsure(word: &str) -> NoKey {
    NoKey::new(format!("`{word}` of the Dockerfile is written in a way that is not understood here"))
}
