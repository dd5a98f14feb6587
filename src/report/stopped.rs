//! Tasks that stop one after the other: the first of a cause are told, the others only counted, so that a crash loop does
//! not bury what else the log has to say.

use indexmap::IndexMap;

/// How many tasks of one cause are told each by itself.
const TOLD: u64 = 3;

/// The stopped tasks of one service.
#[derive(Debug, Default)]
pub(super) struct Stopped {
    causes: IndexMap<String, Cause>,
}

#[derive(Debug)]
struct Cause {
    tasks: u64,
    /// ECS's words about the first one.
    words: String,
}

impl Stopped {
    /// Counts a task, and says whether it is to be told.
    pub(super) fn count(&mut self, reason: &str, exit_code: Option<i32>) -> bool {
        let cause = self
            .causes
            .entry(cause(reason, exit_code))
            .or_insert_with(|| Cause { tasks: 0, words: super::story::stopped(reason, exit_code) });
        cause.tasks += 1;
        cause.tasks <= TOLD
    }

    /// A sentence for each cause of which more tasks were counted than told. They are said once: it starts over.
    pub(super) fn others(&mut self) -> Vec<String> {
        std::mem::take(&mut self.causes)
            .into_values()
            .filter(|cause| cause.tasks > TOLD)
            .map(|cause| format!("and {} more like it: {}", cause.tasks - TOLD, cause.words))
            .collect()
    }
}

/// What two tasks must share to be alike: ids, addresses and counters in ECS's words differ from task to task.
fn cause(reason: &str, exit_code: Option<i32>) -> String {
    let words = reason.split(|character: char| !character.is_ascii_alphanumeric());
    let mut cause = format!("{exit_code:?}");
    for word in words.filter(|word| !word.bytes().any(|byte| byte.is_ascii_digit())) {
        cause.push(' ');
        cause.push_str(word);
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::Stopped;

    #[test]
    fn the_first_three_of_a_cause_are_told_and_the_others_counted() {
        let mut stopped = Stopped::default();
        let pull = |retries| format!("CannotPullContainerError: retried {retries} time(s): task 0a{retries}9f: denied");
        let told: Vec<bool> = (0..5).map(|retries| stopped.count(&pull(retries), None)).collect();
        assert_eq!(told, [true, true, true, false, false]);
        assert!(stopped.count("Essential container in task exited", Some(1)), "another cause");
        assert!(stopped.count("Essential container in task exited", Some(2)), "another exit code is another cause");
        assert_eq!(
            stopped.others(),
            ["and 2 more like it: CannotPullContainerError: retried 0 time(s): task 0a09f: denied"]
        );
        assert!(stopped.others().is_empty(), "they are said once");
    }
}
