//! What is wrong with the file, shown where it is wrong: the message, the place, the line itself with a caret, and help.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use crate::error::Place;
use crate::redact::sanitize;

/// Of a line longer than this, in bytes, only the number is shown. No person wrote it.
const MAX_LINE: usize = 2_000;

/// One fault of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Diagnostic {
    /// Bytes of the text; empty where only a point is known.
    span: Range<usize>,
    message: String,
    help: Option<String>,
}

impl Diagnostic {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    pub(super) fn is_at(&self, span: &Range<usize>) -> bool {
        self.span == *span
    }

    /// Where it begins, in bytes.
    pub(super) fn start(&self) -> usize {
        self.span.start
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    fn place(&self, text: &str) -> Place {
        let line = Excerpt::around(text, &self.span).line;
        Place { line, text: self.message.clone(), help: self.help.clone() }
    }

    fn render(&self, file: &str, text: &str) -> String {
        let excerpt = Excerpt::around(text, &self.span);
        let message = sanitize(&self.message);
        let help = self.help.as_deref().map(sanitize);
        let title = Level::ERROR.primary_title(message.as_ref());
        let mut group = if excerpt.text.len() > MAX_LINE {
            let column = excerpt.text[..excerpt.span.start].chars().count() + 1;
            title.element(Origin::path(file).line(excerpt.line).char_column(column))
        } else {
            let place = AnnotationKind::Primary.span(excerpt.span);
            title.element(Snippet::source(excerpt.text).line_start(excerpt.line).path(file).annotation(place))
        };
        if let Some(help) = &help {
            group = group.element(Level::HELP.message(help.as_ref()));
        }
        Renderer::plain().render(&[group]).clone()
    }
}

/// All faults in the order of the file, each once.
pub(super) fn render(file: &str, text: &str, mut faults: Vec<Diagnostic>) -> String {
    faults.sort_by_key(|fault| (fault.span.start, fault.span.end));
    faults.dedup();
    let rendered: Vec<String> = faults.iter().map(|fault| fault.render(file, text)).collect();
    rendered.join("\n\n")
}

/// The same faults for whoever shows them beside the lines of the file.
pub(super) fn places(text: &str, faults: &[Diagnostic]) -> Vec<Place> {
    let mut places: Vec<Place> = faults.iter().map(|fault| fault.place(text)).collect();
    places.sort_by_key(|place| place.line);
    places.dedup();
    places
}

/// The line of the fault.
struct Excerpt<'t> {
    text: &'t str,
    /// Counted from 1.
    line: usize,
    span: Range<usize>,
}

impl<'t> Excerpt<'t> {
    fn around(text: &'t str, span: &Range<usize>) -> Self {
        let at = span.start.min(text.len());
        // A fault at the very end is shown at the end of the last line that has something in it.
        let at = if at == text.len() { text.trim_end().len() } else { at };
        let start = text[..at].rfind('\n').map_or(0, |index| index + 1);
        let end = text[at..].find('\n').map_or(text.len(), |index| at + index);
        let line = text[..start].matches('\n').count() + 1;
        let text = text[start..end].trim_end_matches('\r');
        let first = (at - start).min(text.len());
        let span = first..text.ceil_char_boundary(span.end.max(at) - start);
        Self { text, line, span }
    }
}

#[cfg(test)]
mod tests {
    use super::{Diagnostic, render};

    #[test]
    fn a_fault_is_shown_where_it_is() {
        let text = "version: 1\r\nname: é bad\r\n";
        let at = text.find("bad").unwrap();
        let faults = vec![
            Diagnostic::new(at..at + 3, "second"),
            Diagnostic::new(0..7, "first").help("do this"),
            Diagnostic::new(0..7, "first").help("do this"),
        ];
        assert_eq!(
            render("deploy.yaml", text, faults),
            "error: first\n --> deploy.yaml:1:1\n  |\n1 | version: 1\n  | ^^^^^^^\n  |\n  = help: do this\n\n\
             error: second\n --> deploy.yaml:2:9\n  |\n2 | name: é bad\n  |         ^^^"
        );
    }

    #[test]
    fn of_an_endless_line_only_the_place_is_shown() {
        let text = format!("a\n{}", "é".repeat(5_000));
        let shown =
            render("deploy.yaml", &text, vec![Diagnostic::new(2 + 2 * 4_000..2 + 2 * 4_001, "here").help("do this")]);
        assert_eq!(shown, "error: here\n--> deploy.yaml:2:4001\n = help: do this");
    }

    #[test]
    fn any_place_can_be_shown() {
        for text in ["", "\n\n", "é", "a: 1\n", "\u{0}\u{1b}[31m\u{202e}x\r"] {
            for start in 0..=text.len() + 2 {
                for end in start..=text.len() + 3 {
                    if text.is_char_boundary(start.min(text.len())) {
                        let shown = render("f", text, vec![Diagnostic::new(start..end, "here")]);
                        assert!(shown.contains("f:"), "{text:?} {start} {end}: {shown}");
                        assert!(!shown.contains('\u{1b}'), "{shown:?}");
                    }
                }
            }
        }
    }
}
