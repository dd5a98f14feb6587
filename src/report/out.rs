//! The one place where text leaves the process. Whatever is printed, on either stream, is cleaned and redacted here;
//! nothing else in the crate may print, which the lints hold.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use terminal_size::{Width, terminal_size_of};

use super::SharedRedactor;
use super::clean;
use super::line::Line;
use super::surface::{Face, Surface};
use super::table::Table;

/// Where a line goes: answers to stdout, everything that is said on the way to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Data,
    Talk,
}

/// Cloned where another part has to print: all clones write to the same streams through the same redactor.
#[derive(Clone, Debug)]
pub(crate) struct Out {
    surface: Surface,
    redactor: SharedRedactor,
    /// stdout is kept for a document; what would be an answer there goes to stderr.
    aside: Arc<AtomicBool>,
    /// In place of the two streams, and of the screen's width.
    #[cfg(test)]
    pub(super) memory: Option<(Memory, Option<usize>)>,
}

/// What was printed, each line with its stream.
#[cfg(test)]
pub(super) type Memory = std::sync::Arc<std::sync::Mutex<Vec<(To, String)>>>;

impl Out {
    pub(crate) fn new(surface: Surface, redactor: SharedRedactor) -> Self {
        Self {
            surface,
            redactor,
            aside: Arc::default(),
            #[cfg(test)]
            memory: None,
        }
    }

    /// Whether the progress of a run can be shown by redrawing lines.
    pub(super) fn is_live(&self) -> bool {
        self.surface.stderr.live
    }

    /// Columns of the screen, asked anew because a window can be resized; `None` where the stream is not a screen.
    pub(super) fn width(&self, to: To) -> Option<usize> {
        #[cfg(test)]
        if let Some((_, width)) = &self.memory {
            return *width;
        }
        let size = match self.really(to) {
            _ if !self.face(to).terminal => None,
            To::Data => terminal_size_of(std::io::stdout()),
            To::Talk => terminal_size_of(std::io::stderr()),
        };
        size.map(|(Width(columns), _)| usize::from(columns)).filter(|columns| *columns > 0)
    }

    pub(crate) fn line(&self, to: To, line: &Line) {
        let line = self.cleaned(line);
        let lines = match self.width(to) {
            Some(width) => line.wrapped(width),
            None => vec![line],
        };
        for line in lines {
            self.write(to, &line.styled(self.face(to).color));
        }
    }

    pub(crate) fn blank(&self, to: To) {
        self.write(to, "");
    }

    pub(crate) fn table(&self, to: To, table: &Table) {
        for line in table.lay_out(self.width(to), |cell| clean::line(&self.redactor, cell)) {
            self.write(to, &line.styled(self.face(to).color));
        }
    }

    /// Empties the screen behind stdout, where there is one that may be redrawn, and says whether it did.
    pub(crate) fn clear_screen(&self) -> bool {
        let live = self.face(To::Data).live;
        if live {
            let _ = self.try_write(To::Data, "\x1b[H\x1b[2J\x1b[3J");
        }
        live
    }

    /// One JSON document on one line of stdout.
    pub(super) fn json(&self, json: &str) {
        let clean = super::json::with_texts(json, |text| clean::lines(&self.redactor, text));
        self.write(To::Data, &clean);
    }

    /// Text that is data as it stands (a schema, completions): only secrets are hidden, nothing else is touched.
    /// A reader that has gone away is no error.
    pub(crate) fn verbatim(&self, text: &str) -> std::io::Result<()> {
        let text = self.redactor.redact(text);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        match self.try_write(To::Data, &format!("{text}\n")) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// A question: the cursor stays behind it.
    pub(super) fn prompt(&self, question: &str) {
        let _ = self.try_write(To::Talk, &clean::line(&self.redactor, question));
    }

    /// The line as it may be handed to the live display, which writes it to stderr.
    pub(super) fn painted(&self, line: &Line) -> String {
        self.cleaned(line).styled(self.face(To::Talk).color)
    }

    /// As [`Out::painted`], broken where the screen ends.
    pub(super) fn painted_lines(&self, line: &Line) -> Vec<String> {
        let width = self.width(To::Talk).unwrap_or(usize::MAX);
        let color = self.face(To::Talk).color;
        self.cleaned(line).wrapped(width).iter().map(|line| line.styled(color)).collect()
    }

    fn cleaned(&self, line: &Line) -> Line {
        let mut parts: Vec<(_, String)> =
            line.parts.iter().map(|(tone, part)| (*tone, clean::line(&self.redactor, part))).collect();
        let begins = parts.iter().position(|(_, part)| !part.trim().is_empty());
        for (at, (_, part)) in parts.iter_mut().enumerate() {
            clean::no_command(part, begins == Some(at));
        }
        Line { parts, hang: line.hang }
    }

    /// From now on stdout is kept for what `document` prints.
    pub(super) fn step_aside(&self) {
        self.aside.store(true, Ordering::Relaxed);
    }

    /// A text that is the only thing on stdout.
    pub(super) fn document(&self, text: &str) -> std::io::Result<()> {
        match put(To::Data, &self.redactor.redact(text)) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// The text without secrets and without what a terminal would obey; it keeps its lines.
    pub(super) fn clean(&self, text: &str) -> String {
        clean::lines(&self.redactor, text)
    }

    /// A line for the program behind the log, as it stands: it is clean already.
    pub(super) fn command(&self, to: To, line: &str) {
        self.write(to, line);
    }

    fn really(&self, to: To) -> To {
        if self.aside.load(Ordering::Relaxed) { To::Talk } else { to }
    }

    fn face(&self, to: To) -> Face {
        match self.really(to) {
            To::Data => self.surface.stdout,
            To::Talk => self.surface.stderr,
        }
    }

    /// A reader that has gone away (`shipit deploy | head`) is no reason to stop a deploy: the error is dropped. The
    /// line goes out in one write, so that lines of two writers never mix.
    fn write(&self, to: To, text: &str) {
        let _ = self.try_write(to, &format!("{text}\n"));
    }

    fn try_write(&self, to: To, text: &str) -> std::io::Result<()> {
        #[cfg(test)]
        if let Some((memory, _)) = &self.memory {
            memory.lock().unwrap().push((to, text.strip_suffix('\n').unwrap_or(text).to_owned()));
            return Ok(());
        }
        put(self.really(to), text)
    }
}

fn put(to: To, text: &str) -> std::io::Result<()> {
    match to {
        To::Data => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        }
        To::Talk => std::io::stderr().lock().write_all(text.as_bytes()),
    }
}

#[cfg(test)]
impl Out {
    /// Keeps what is printed. `width` stands for the screen's.
    pub(super) fn to_memory(redactor: SharedRedactor, width: Option<usize>) -> (Self, Memory) {
        let memory = Memory::default();
        let mut out = Self::new(Surface::default(), redactor);
        out.memory = Some((memory.clone(), width));
        (out, memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Redactor;
    use crate::report::line::Tone;
    use crate::report::table::Align;
    use crate::secret::Secret;

    #[test]
    fn no_way_out_passes_by_the_redactor() {
        let redactor = SharedRedactor::default();
        let (out, memory) = Out::to_memory(redactor.clone(), None);
        redactor.set(Redactor::new([&Secret::new("s3cr\"t")]));

        out.line(To::Talk, &Line::new().plain("a s3cr\"t b"));
        let mut table = Table::new().column("S", Align::Left, 0);
        table.row(vec![(Tone::Plain, "s3cr\"t".to_owned())]);
        out.table(To::Data, &table);
        out.json(r#"{"text":"s3cr\"t"}"#);
        out.verbatim("x=s3cr\"t\n").unwrap();
        memory.lock().unwrap().push((To::Talk, out.painted(&Line::new().plain("p s3cr\"t"))));

        let lines: Vec<String> = memory.lock().unwrap().iter().map(|(_, line)| line.clone()).collect();
        assert_eq!(lines, ["a *** b", "S", "***", r#"{"text":"***"}"#, "x=***", "p ***"]);
    }
}
