//! The logs of tasks: of a running container from the engine, of one that is gone from the file that was kept of it.

use std::io::Write as _;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt as _;

use super::Kind;
use super::containers::container_name;
use crate::local::clock::Millis;
use crate::local::shared::Shared;
use crate::local::store::Store;

/// When, and what: without the end of the line.
pub(crate) type Line = (Millis, String);

/// How many lines are kept of a container, the last ones.
const KEPT: usize = 10_000;

/// What a container of a task has written; nothing when it never ran.
pub(crate) async fn read_log(shared: &Shared, task: &str, container: &str) -> Vec<Line> {
    if let Ok(text) = tokio::fs::read_to_string(shared.store.log(task, container)).await {
        return text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    }
    match &shared.runtime.kind {
        Kind::Containers(docker) => of_container(docker, &container_name(task, container)).await,
        Kind::Script => Vec::new(),
    }
}

/// Keeps a container's log beyond the container. A log that cannot be kept is lost; nothing else is.
pub(super) fn keep(store: &Store, task: &str, container: &str, lines: &[Line]) {
    let write = || -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(store.log(task, container))?);
        for line in lines {
            serde_json::to_writer(&mut file, line)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    };
    let _ = write();
}

/// The log as the engine has it.
pub(super) async fn of_container(docker: &Docker, name: &str) -> Vec<Line> {
    let options =
        LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).tail(&KEPT.to_string()).build();
    let mut output = docker.logs(name, Some(options));
    let mut lines = Vec::new();
    while let Some(Ok(entry)) = output.next().await {
        lines.extend(line(&entry));
    }
    lines.sort_by_key(|(at, _)| *at);
    lines
}

/// An entry is `TIMESTAMP TEXT`.
fn line(entry: &LogOutput) -> Option<Line> {
    let text = String::from_utf8_lossy(entry.as_ref());
    let (at, text) = text.split_once(' ')?;
    let at: jiff::Timestamp = at.parse().ok()?;
    Some((at.as_millisecond(), text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use bollard::container::LogOutput;

    #[test]
    fn an_entry_has_its_time_and_its_text() {
        let entry = LogOutput::StdErr { message: "1970-01-01T00:00:01.5Z it is up\n".into() };
        assert_eq!(super::line(&entry), Some((1500, "it is up".to_owned())));
    }
}
