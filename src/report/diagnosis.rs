//! How a diagnosis is printed: the failed tasks by cause, the end of one log, ECS's own words. It fits on one screen;
//! the reason and the hint come with the verdict.

use super::line::{Line, Tone};
use super::words;
use crate::rollout::diagnosis::{Diagnosis, Group, LogTail};

/// Causes and lines of a log that are shown; JSON has them all.
const GROUPS: usize = 3;
const LOG_LINES: usize = 12;

pub(super) fn lines(diagnosis: &Diagnosis) -> Vec<Line> {
    let mut lines: Vec<Line> = diagnosis.groups.iter().take(GROUPS).map(group).collect();
    if let Some(more) = diagnosis.groups.len().checked_sub(GROUPS).filter(|more| *more > 0) {
        lines.push(Line::new().plain(format!("and {} more", words::count(more as u64, "cause"))));
    }
    lines.extend(diagnosis.log.iter().flat_map(log));
    lines.extend(diagnosis.record.iter().map(|text| said_by_ecs(text)));
    lines.extend(diagnosis.events.iter().map(|text| said_by_ecs(text)));
    lines
}

fn group(group: &Group) -> Line {
    let code = group.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
    let tasks = words::count(group.count as u64, "task");
    Line::new()
        .toned(Tone::Bad, format!("{tasks} failed"))
        .plain(": ")
        .plain(format!("{}{code}", group.reason))
        .hanging(4)
}

fn log(log: &LogTail) -> Vec<Line> {
    let task: String = log.task.chars().take(8).collect();
    let title = format!("log of {} in task {task}", log.container);
    let mut lines = match (&log.note, log.lines.is_empty()) {
        (Some(note), _) => vec![Line::new().plain(format!("{title}: {note}")).hanging(4)],
        (None, true) => vec![Line::new().plain(format!("{title}: it wrote nothing"))],
        (None, false) => vec![Line::new().plain(format!("{title}:"))],
    };
    let last = log.lines.len().saturating_sub(LOG_LINES);
    lines.extend(log.lines[last..].iter().map(|line| Line::new().dim("  │ ").plain(line.clone())));
    lines
}

fn said_by_ecs(text: &str) -> Line {
    Line::new().dim("ECS: ").plain(text).hanging(4)
}

#[cfg(test)]
mod tests {
    use super::lines;
    use crate::rollout::cause::Cause;
    use crate::rollout::diagnosis::{Diagnosis, Group, LogTail};

    #[test]
    fn causes_then_the_log_then_ecs() {
        let diagnosis = Diagnosis {
            groups: vec![Group {
                cause: Cause::Killed,
                count: 3,
                reason: "Essential container in task exited".to_owned(),
                exit_code: Some(1),
                container: None,
                tasks: Vec::new(),
            }],
            log: Some(LogTail {
                task: "0123456789abcdef".to_owned(),
                container: "api".to_owned(),
                lines: (0..14).map(|n| format!("line {n}")).collect(),
                note: None,
            }),
            events: vec!["(service api) is unable to start".to_owned()],
            ..Diagnosis::default()
        };
        let text: Vec<String> = lines(&diagnosis).iter().map(|line| line.styled(false)).collect();
        assert_eq!(text[0], "3 tasks failed: Essential container in task exited (exit code 1)");
        assert_eq!(text[1], "log of api in task 01234567:");
        assert_eq!((text[2].as_str(), text[13].as_str()), ("  │ line 2", "  │ line 13"));
        assert_eq!(text[14], "ECS: (service api) is unable to start");
    }
}
