//! A line as parts with a tone each. Meaning is in the words; a tone only helps the eye.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Strong,
    Dim,
    Good,
    Bad,
    Warning,
    Accent,
}

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Accent => AnsiColor::Cyan.on_default(),
        }
    }
}

/// One line to be printed. Its parts may hold text from outside: only `Out` turns a line into bytes, and cleans every
/// part on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(super) parts: Vec<(Tone, String)>,
    /// Where a line that is too long for the screen goes on: this many blanks in. `None`: it is not broken.
    pub(super) hang: Option<usize>,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn toned(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.parts.push((tone, text.into()));
        self
    }

    pub(crate) fn plain(self, text: impl Into<String>) -> Self {
        self.toned(Tone::Plain, text)
    }

    pub(crate) fn strong(self, text: impl Into<String>) -> Self {
        self.toned(Tone::Strong, text)
    }

    pub(crate) fn dim(self, text: impl Into<String>) -> Self {
        self.toned(Tone::Dim, text)
    }

    /// Adds the parts of another line.
    pub(crate) fn then(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// Breaks the line between words where the screen ends, and goes on `blanks` columns in.
    pub(crate) const fn hanging(mut self, blanks: usize) -> Self {
        self.hang = Some(blanks);
        self
    }

    /// The line as bytes go out: with escape sequences only when `color` is set. Parts must be clean already.
    pub(super) fn styled(&self, color: bool) -> String {
        let mut text = String::new();
        for (tone, part) in &self.parts {
            let style = tone.style();
            if color && *tone != Tone::Plain && !part.is_empty() {
                let _ = write!(text, "{style}{part}{style:#}");
            } else {
                text.push_str(part);
            }
        }
        text
    }

    /// The line as several that fit into `width` columns; one that has no `hang`, or fits, is returned as it is.
    pub(super) fn wrapped(self, width: usize) -> Vec<Self> {
        let Some(hang) = self.hang.filter(|hang| hang + 20 <= width) else { return vec![self] };
        let mut lines = vec![Self::new()];
        let mut column = 0;
        for (tone, part) in self.parts {
            let fits = |word: &str| hang + word.trim_end().width() <= width;
            let broken = |word| if fits(word) { vec![word] } else { word.split_inclusive(' ').collect::<Vec<&str>>() };
            for word in words(&part).into_iter().flat_map(broken) {
                if column > hang && column + word.trim_end().width() > width {
                    lines.last_mut().into_iter().for_each(Self::trim_end);
                    lines.push(Self::new().plain(" ".repeat(hang)));
                    column = hang;
                }
                column += word.width();
                if let Some(last) = lines.last_mut() {
                    match last.parts.last_mut() {
                        Some((same, text)) if *same == tone => text.push_str(word),
                        _ => last.parts.push((tone, word.to_owned())),
                    }
                }
            }
        }
        lines
    }

    fn trim_end(&mut self) {
        if let Some((_, text)) = self.parts.last_mut() {
            text.truncate(text.trim_end().len());
        }
    }
}

/// Cuts after each run of blanks, but not inside backticks: a command that a hint names is to be copied in one piece.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut quoted, mut blank) = (0, false, false);
    for (at, character) in text.char_indices() {
        if blank && character != ' ' && !quoted {
            words.push(&text[start..at]);
            start = at;
        }
        quoted ^= character == '`';
        blank = character == ' ';
    }
    words.push(&text[start..]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: Line, width: usize) -> Vec<String> {
        line.wrapped(width).iter().map(|line| line.styled(false)).collect()
    }

    #[test]
    fn a_long_line_goes_on_under_its_text() {
        let line = Line::new().strong("hint: ").plain("create the repository first with `aws ecr create-repository`");
        assert_eq!(
            texts(line.clone().hanging(6), 44),
            ["hint: create the repository first with", "      `aws ecr create-repository`"]
        );
        assert_eq!(texts(line, 44).len(), 1, "a line that does not hang is left alone");
    }

    #[test]
    fn a_command_that_is_longer_than_the_screen_is_broken_like_text() {
        let line = Line::new().plain("failed at `RUN make one two three four five six` with 3").hanging(2);
        assert_eq!(texts(line, 30), ["failed at `RUN make one two", "  three four five six` with 3"]);
    }

    #[test]
    fn a_narrow_screen_breaks_nothing() {
        assert_eq!(texts(Line::new().plain("a long sentence that does not fit at all").hanging(10), 20).len(), 1);
    }

    #[test]
    fn colour_is_there_only_when_asked_for() {
        let line = Line::new().toned(Tone::Bad, "error").plain(": x");
        assert_eq!(line.styled(false), "error: x");
        assert_eq!(line.styled(true), "\u{1b}[1m\u{1b}[31merror\u{1b}[0m: x");
    }
}
