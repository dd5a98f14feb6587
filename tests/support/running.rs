//! A run with `--output json` that still goes on: what it says, as it says it, and signals to it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Project, Ran};

/// What is not said within this is not said at all.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Running {
    process: Child,
    lines: Receiver<String>,
    said: String,
    complaints: Option<JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(project: &Project, args: &[&str]) -> Self {
        let mut process = project
            .command(&[args, &["--output", "json"]].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("shipit starts");
        let stdout = process.stdout.take().expect("its stdout");
        let stderr = process.stderr.take().expect("its stderr");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let complaints = std::thread::spawn(move || text(stderr));
        Self { process, lines, said: String::new(), complaints: Some(complaints) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Reads on until an event is the one.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            let event: Value = serde_json::from_str(&line).expect("each line is an object");
            self.said.push_str(&line);
            self.said.push('\n');
            if is_it(&event) {
                return event;
            }
        }
        panic!("no {what} in\n{}", self.said)
    }

    #[track_caller]
    pub(crate) fn wait_for_stage(&mut self, stage: &str) {
        self.wait_for(stage, |event| event["event"] == "stage" && event["stage"] == stage);
    }

    /// Sends one signal; it has two seconds to end in order.
    #[track_caller]
    pub(crate) fn gets(self, name: &str) -> Ran {
        let began = Instant::now();
        signal(self.id(), name);
        let ran = self.ends();
        assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}\n{}", began.elapsed(), ran.everything());
        ran
    }

    pub(crate) fn ends(mut self) -> Ran {
        let code = self.process.wait().expect("it ends").code();
        let mut stdout = std::mem::take(&mut self.said);
        for line in &self.lines {
            stdout.push_str(&line);
            stdout.push('\n');
        }
        let stderr = self.complaints.take().map(|thread| thread.join().expect("its stderr")).unwrap_or_default();
        Ran { code, stdout, stderr }
    }
}

/// A test that fails leaves nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(mut stream: ChildStderr) -> String {
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

/// `INT` or `TERM`.
pub(crate) fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().expect("kill");
    assert!(status.success());
}
