//! Lines as the shell takes them together: those that a backslash joins, and those that one pair of quotes holds.

use super::speaks;
use crate::ci::file::shell;

/// A line that ends in a backslash goes on in the next one, unless it ends in a comment.
pub(super) fn joined(lines: &[(usize, &str)]) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (line, text) in lines {
        let text = text.trim_end();
        match joined.last_mut().filter(|_| open) {
            Some((_, before)) => before.push_str(text),
            None => joined.push((*line, text.to_owned())),
        }
        let Some((_, whole)) = joined.last_mut() else { continue };
        let backslashes = whole.bytes().rev().take_while(|byte| *byte == b'\\').count();
        open = backslashes % 2 == 1 && !shell::end(whole).comment;
        if open {
            whole.pop();
        }
    }
    joined
}

/// The most lines that quotes are followed through.
pub(super) const LONGEST: usize = 200;

/// Lines that one pair of quotes holds together.
pub(super) struct Quoted {
    pub(super) line: usize,
    pub(super) text: String,
    /// That they begin here; otherwise it is only possible.
    pub(super) certain: bool,
}

/// Each line that leaves quotes open, with those behind it up to their end: where the shell sees an end of quotes, the
/// single lines may have seen a beginning. Where the count is lost (a here-document with an apostrophe), every such line
/// may be a beginning.
pub(super) fn quoted(lines: &[(usize, &str)]) -> Vec<Quoted> {
    let whole = |at: usize| {
        let mut text = lines[at].1.to_owned();
        for (_, next) in lines[at + 1..].iter().take(LONGEST) {
            text.push('\n');
            text.push_str(next);
            if !shell::end(&text).quoted {
                break;
            }
        }
        text
    };
    let mut next = 0;
    let mut all = Vec::new();
    for (at, (line, text)) in lines.iter().enumerate() {
        if !shell::end(text).quoted {
            continue;
        }
        let text = whole(at);
        let certain = at >= next;
        if certain {
            next = at + text.matches('\n').count() + 1;
        }
        if certain || speaks(&text) {
            all.push(Quoted { line: *line, text, certain });
        }
    }
    all
}
