//! The output of a step, to lines that are safe to show anywhere: no control characters, no colours, of a progress bar
//! only its last state.

/// A line without an end is cut here, in bytes.
const LONGEST_LINE: usize = 16 * 1024;

/// Joins the pieces of one stream and gives out its whole lines.
#[derive(Default)]
pub(super) struct LineBuffer(Vec<u8>);

impl LineBuffer {
    pub(super) fn feed(&mut self, piece: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in piece {
            if byte == b'\n' || self.0.len() >= LONGEST_LINE {
                lines.extend(self.take());
            }
            if byte != b'\n' {
                self.0.push(byte);
            }
        }
        lines
    }

    /// What is left of a stream that has ended.
    pub(super) fn take(&mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let line = plain(&String::from_utf8_lossy(&self.0));
        self.0.clear();
        Some(line)
    }
}

/// The text as a terminal would show it at last, without what only a terminal understands.
pub(super) fn plain(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Skips one sequence after its escape character: `[ … letter`, `] … BEL`, or a single character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
        Some(']') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{LineBuffer, plain};

    #[test]
    fn pieces_become_lines() {
        let mut buffer = LineBuffer::default();
        assert!(buffer.feed(b"on").is_empty());
        assert_eq!(buffer.feed(b"e\ntwo\r\n\xc3"), ["one", "two"]);
        assert_eq!(buffer.feed(b"\xbc\n"), ["ü"]);
        assert_eq!(buffer.take(), None);
        buffer.feed(b"end");
        assert_eq!(buffer.take().as_deref(), Some("end"));
        assert_eq!(buffer.feed(&vec![b'x'; 40_000]).len(), 2);
    }

    #[test]
    fn what_only_a_terminal_understands_is_dropped() {
        for (line, expected) in [
            ("\u{1b}[31mred\u{1b}[0m\tx", "red\tx"),
            (" 10%\r 50%\r100%", "100%"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
            ("bell\u{7}\u{8}", "bell"),
        ] {
            assert_eq!(plain(line), expected);
        }
    }
}
