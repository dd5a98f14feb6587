//! How an error is printed: what, why, and after a blank line what to do next.

use super::line::{Line, Tone};
use super::out::{Out, To};
use crate::error::Error;

pub(crate) fn print(out: &Out, error: &Error) {
    for line in lines(error) {
        out.line(To::Talk, &line);
    }
}

/// The same for what is in nobody's way.
pub(crate) fn print_warning(out: &Out, error: &Error) {
    for line in lines_under("warning", Tone::Warning, error) {
        out.line(To::Talk, &line);
    }
}

fn lines(error: &Error) -> Vec<Line> {
    lines_under("error", Tone::Bad, error)
}

fn lines_under(word: &'static str, tone: Tone, error: &Error) -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, text) in error.message().lines().enumerate() {
        lines.push(match (error.is_rendered(), at) {
            (true, _) => rendered(text),
            (false, 0) => Line::new().toned(tone, word).strong(": ").plain(text).hanging(word.len() + 2),
            (false, _) => Line::new().plain("  ").plain(text).hanging(4),
        });
    }
    for cause in error.causes() {
        lines.extend(cause.lines().map(|text| Line::new().plain("  ").plain(text).hanging(4)));
    }
    if !error.hints().is_empty() {
        lines.push(Line::new());
    }
    lines.extend(error.hints().iter().flat_map(|text| hint("", text)));
    lines
}

/// A hint in lines, `margin` blanks in.
pub(super) fn hint(margin: &str, text: &str) -> Vec<Line> {
    let indent = margin.len() + "hint: ".len();
    let line = |at: usize, text: &str| match at {
        0 => Line::new().plain(margin).toned(Tone::Accent, "hint").plain(": ").plain(text).hanging(indent),
        _ => Line::new().plain(" ".repeat(indent)).plain(text).hanging(indent),
    };
    text.lines().enumerate().map(|(at, text)| line(at, text)).collect()
}

/// A line of an excerpt that is laid out already: only the word at its start gets its tone.
fn rendered(text: &str) -> Line {
    for (word, tone) in
        [("error", Tone::Bad), ("warning", Tone::Warning), ("hint", Tone::Accent), ("help", Tone::Accent)]
    {
        if let Some(rest) = text.strip_prefix(word).filter(|rest| rest.starts_with(':')) {
            return Line::new().toned(tone, word).plain(rest);
        }
    }
    Line::new().plain(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::report::SharedRedactor;

    fn printed(error: &Error, width: Option<usize>) -> String {
        let (out, memory) = Out::to_memory(SharedRedactor::default(), width);
        print(&out, error);
        let lines = memory.lock().unwrap();
        assert!(lines.iter().all(|(to, _)| *to == To::Talk));
        lines.iter().map(|(_, line)| line.trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn what_why_and_what_next() {
        let error = Error::new(Exit::Registry, "cannot push api-dev:latest")
            .cause("denied: requested access to the resource is denied")
            .cause("two\nlines")
            .hint("give the role `ecr:PutImage` on this repository")
            .hint("or ask for another one");
        assert_eq!(
            printed(&error, None),
            "error: cannot push api-dev:latest\n\
             \x20 denied: requested access to the resource is denied\n\
             \x20 two\n\
             \x20 lines\n\
             \n\
             hint: give the role `ecr:PutImage` on this repository\n\
             hint: or ask for another one\n"
        );
    }

    #[test]
    fn a_narrow_screen_keeps_the_command_of_a_hint_whole() {
        let error =
            Error::new(Exit::Aws, "the repository api-dev does not exist in ap-south-1, in account 123456789012")
                .hint("create it with `aws ecr create-repository --repository-name api-dev`");
        assert_eq!(
            printed(&error, Some(60)),
            "error: the repository api-dev does not exist in ap-south-1,\n\
             \x20      in account 123456789012\n\
             \n\
             hint: create it with\n\
             \x20     `aws ecr create-repository --repository-name api-dev`\n"
        );
    }

    #[test]
    fn an_excerpt_is_printed_as_it_is() {
        let text = "error: unknown key `brnach`\n --> deploy.yaml:3:10\n  |\n3 |   dev: { brnach: develop }\n  |          ^^^^^^";
        assert_eq!(printed(&Error::rendered(Exit::Usage, text), Some(30)), format!("{text}\n"));
    }
}
