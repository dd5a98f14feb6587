//! A run on a terminal: `script` gives it one, and what is written here is typed there.

use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Project;

const COLUMNS: NonZero<u16> = NonZero::new(100).unwrap();
const ROWS: NonZero<u16> = NonZero::new(30).unwrap();
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Terminal {
    process: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Runs shipit on a terminal. The words of the command line must not need quotes.
    pub(crate) fn run(project: &Project, args: &[&str]) -> Self {
        Self::run_program(project, super::SHIPIT, args)
    }

    /// The same for another program, with the variables that shipit would have.
    pub(crate) fn run_program(project: &Project, program: &str, args: &[&str]) -> Self {
        let inner = project.command(args);
        let line = format!("stty cols {COLUMNS} rows {ROWS}; exec {program} {}", args.join(" "));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]).env_clear();
        for (name, value) in inner.get_envs() {
            command.env(name, value.expect("the variables are set, none is removed"));
        }
        command.env("TERM", "xterm-256color").env("SHELL", "/bin/sh").current_dir(project.folder());
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("script runs");
        let keyboard = process.stdin.take().expect("its stdin");
        let mut stdout = process.stdout.take().expect("its stdout");
        let screen = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&screen);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut bytes) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { process, keyboard, screen, reader: Some(reader) }
    }

    /// Waits until the terminal was sent this text.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen().contains(text) {
            assert!(Instant::now() < deadline, "`{text}` is not shown:\n{}", self.seen());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the terminal was sent this text, and a little longer: a person still sees it.
    #[track_caller]
    pub(crate) fn keeps(&self, text: &str) {
        self.shows(text);
        std::thread::sleep(Duration::from_millis(500));
        let mut screen = vt100::Parser::new(ROWS, COLUMNS, 0);
        screen.process(self.seen().as_bytes());
        let left = screen.screen().contents();
        assert!(left.contains(text), "`{text}` was shown and is gone:\n{left}");
    }

    pub(crate) fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("a terminal takes what is typed");
        self.keyboard.flush().expect("a terminal takes what is typed");
    }

    /// The exit code, and everything that was sent to the terminal.
    pub(crate) fn ends(mut self) -> (Option<i32>, String) {
        let status = self.process.wait().expect("it ends");
        self.reader.take().expect("it was not read yet").join().expect("its screen");
        (status.code(), self.seen())
    }

    fn seen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
