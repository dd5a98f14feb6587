//! A Dockerfile to its instructions: the directives at its top, comments, continued lines and here-documents, as
//! BuildKit's parser has them.

use super::expand::split;
use crate::content_key::NoKey;

/// What the first comments say to the parser.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directives {
    pub(super) escape: char,
    /// The image of the program that reads the Dockerfile.
    pub(super) syntax: Option<String>,
}

/// One instruction on one line; the bodies of its here-documents are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// In upper case.
    pub(super) word: String,
    pub(super) rest: String,
}

impl Instruction {
    pub(super) fn parse(line: &str) -> Self {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        Self { word: word.to_ascii_uppercase(), rest: rest.trim().to_owned() }
    }
}

pub(super) fn read(text: &str) -> Result<(Directives, Vec<Instruction>), NoKey> {
    if text.starts_with("//") || text.starts_with("#!") || text.trim_start().starts_with('{') {
        return Err(NoKey::new("the Dockerfile begins with something that is no instruction and no comment"));
    }
    let directives = directives(text)?;
    let mut instructions = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if is_comment(line) || line.trim().is_empty() {
            continue;
        }
        let mut whole = String::new();
        let mut next = Some(line);
        while let Some(line) = next {
            let (part, goes_on) = continued(line, directives.escape)?;
            whole.push_str(part);
            if !goes_on {
                break;
            }
            next = lines.by_ref().find(|line| !is_comment(line) && !line.trim().is_empty());
        }
        for end in here_documents(&whole, directives.escape)? {
            let closes =
                |line: &str| if end.tabs { line.trim_start_matches('\t') == end.word } else { line == end.word };
            if !lines.by_ref().any(closes) {
                return Err(NoKey::new(format!("the here-document `{}` of the Dockerfile does not end", end.word)));
            }
        }
        instructions.push(Instruction::parse(&whole));
    }
    Ok((directives, instructions))
}

/// Only the comments of the very first lines can be directives.
fn directives(text: &str) -> Result<Directives, NoKey> {
    let mut found = Directives { escape: '\\', syntax: None };
    for line in text.lines() {
        let Some((name, value)) = line.strip_prefix('#').and_then(|comment| comment.split_once('=')) else { break };
        let (name, value) = (name.trim(), value.trim());
        if !name.starts_with(|c: char| c.is_ascii_alphabetic())
            || !name.chars().all(|c| c.is_ascii_alphanumeric())
            || value.is_empty()
        {
            break;
        }
        match name.to_ascii_lowercase().as_str() {
            "escape" => {
                found.escape = match value {
                    "\\" => '\\',
                    "`" => '`',
                    _ => return Err(NoKey::new(format!("the Dockerfile's escape character is `{value}`"))),
                };
            }
            "syntax" => found.syntax = Some(value.to_owned()),
            _ => {}
        }
    }
    Ok(found)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// The line without the sign that it goes on, and whether it does.
fn continued(line: &str, escape: char) -> Result<(&str, bool), NoKey> {
    let trimmed = line.trim_end_matches([' ', '\t', '\r']);
    match trimmed.strip_suffix(escape) {
        // Older parsers take the line to go on, newer ones do not.
        Some(before) if before.ends_with(escape) => {
            Err(NoKey::new(format!("a line of the Dockerfile ends in `{escape}{escape}`")))
        }
        Some(before) => Ok((before, true)),
        None => Ok((line, false)),
    }
}

struct HereDocument {
    word: String,
    /// `<<-`: tabs before the word at its end do not count.
    tabs: bool,
}

/// Those that a line begins. Only RUN, COPY and ADD have them; a word of its own says so.
fn here_documents(line: &str, escape: char) -> Result<Vec<HereDocument>, NoKey> {
    let mut instruction = Instruction::parse(line);
    if instruction.word == "ONBUILD" {
        instruction = Instruction::parse(&instruction.rest);
    }
    if !matches!(instruction.word.as_str(), "RUN" | "COPY" | "ADD") || !instruction.rest.contains("<<") {
        return Ok(Vec::new());
    }
    let unsure = || NoKey::new("a line of the Dockerfile with `<<` has quotes that do not close");
    let words = split(&instruction.rest, escape).ok_or_else(unsure)?;
    Ok(words.iter().filter_map(|word| here_document(word, escape)).collect())
}

fn here_document(word: &str, escape: char) -> Option<HereDocument> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let word: String = rest.chars().filter(|c| !matches!(c, '"' | '\'') && *c != escape).collect();
    Some(HereDocument { word, tabs })
}
