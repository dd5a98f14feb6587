//! Line and column to byte offset, as libyaml counts: columns in characters, and a line ends at more than a line feed.

/// Where every line and every character begins.
pub(super) struct Positions {
    /// Byte offset of every character, and of the end.
    chars: Vec<usize>,
    /// Index of the first character of every line.
    lines: Vec<usize>,
}

impl Positions {
    pub(super) fn of(text: &str) -> Self {
        let chars = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        Self { chars, lines: line_starts(text) }
    }

    /// `line` and `column` are counted from 1. What lies behind the text is its end.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let place = self.lines.get(line - 1).and_then(|start| self.chars.get(start + column - 1));
        place.or(self.chars.last()).copied().unwrap_or(0)
    }
}

/// Index of the first character of every line. libyaml also ends a line at NEL, LS and PS.
fn line_starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    let mut chars = text.chars().enumerate().peekable();
    while let Some((index, char)) = chars.next() {
        let crlf = char == '\r' && chars.peek().is_some_and(|(_, next)| *next == '\n');
        if !crlf && matches!(char, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}') {
            starts.push(index + 1);
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::Positions;

    #[test]
    fn places_are_counted_as_libyaml_does() {
        let text = "aé\r\nb\rc\u{85}d\u{2028}e\n";
        let positions = Positions::of(text);
        for (line, column, rest) in [
            (1, 1, "aé\r"),
            (1, 3, "\r\n"),
            (2, 1, "b"),
            (3, 1, "c"),
            (4, 1, "d"),
            (5, 1, "e"),
            (6, 1, ""),
            (9, 9, ""),
            (1, 99, ""),
        ] {
            let offset = positions.offset(line, column);
            assert!(text[offset..].starts_with(rest) && (rest.is_empty() == (offset == text.len())), "{line}:{column}");
        }
    }
}
