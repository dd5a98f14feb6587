//! What would change in a file, line by line: for the question whether it may be overwritten.

/// More lines than this are not compared.
const MAX_LINES: usize = 3_000;
/// Unchanged lines that are shown around a change.
const AROUND: usize = 2;

/// One line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Same(String),
    Removed(String),
    Added(String),
    /// This many unchanged lines are not shown.
    Gap(usize),
}

/// The lines that differ, with a few around them; nothing where the texts are the same.
pub(crate) fn diff(before: &str, after: &str) -> Vec<Change> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        let removed = old.iter().map(|line| Change::Removed((*line).to_owned()));
        return removed.chain(new.iter().map(|line| Change::Added((*line).to_owned()))).collect();
    }
    shorten(compare(&old, &new))
}

/// By the longest common subsequence.
fn compare(old: &[&str], new: &[&str]) -> Vec<Change> {
    let width = new.len() + 1;
    let mut lengths = vec![0_u16; (old.len() + 1) * width];
    for at in (0..old.len()).rev() {
        for to in (0..new.len()).rev() {
            lengths[at * width + to] = if old[at] == new[to] {
                lengths[(at + 1) * width + to + 1] + 1
            } else {
                lengths[(at + 1) * width + to].max(lengths[at * width + to + 1])
            };
        }
    }
    let (mut at, mut to, mut changes) = (0, 0, Vec::new());
    while at < old.len() || to < new.len() {
        if at < old.len() && to < new.len() && old[at] == new[to] {
            changes.push(Change::Same(old[at].to_owned()));
            at += 1;
            to += 1;
        } else if to == new.len() || at < old.len() && lengths[(at + 1) * width + to] >= lengths[at * width + to + 1] {
            changes.push(Change::Removed(old[at].to_owned()));
            at += 1;
        } else {
            changes.push(Change::Added(new[to].to_owned()));
            to += 1;
        }
    }
    changes
}

/// Leaves out what is far from any change.
fn shorten(changes: Vec<Change>) -> Vec<Change> {
    let changed: Vec<usize> =
        changes.iter().enumerate().filter(|(_, change)| !matches!(change, Change::Same(_))).map(|(at, _)| at).collect();
    let near = |at: usize| changed.iter().any(|change| change.abs_diff(at) <= AROUND);
    let mut shown = Vec::new();
    for (at, change) in changes.into_iter().enumerate() {
        match (near(at), shown.last_mut()) {
            (true, _) => shown.push(change),
            (false, Some(Change::Gap(count))) => *count += 1,
            (false, _) => shown.push(Change::Gap(1)),
        }
    }
    if changed.is_empty() { Vec::new() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::{Change, diff};

    #[test]
    fn only_what_differs_is_shown() {
        assert!(diff("a\nb\n", "a\nb").is_empty());
        let shown: Vec<String> = diff("1\n2\n3\n4\n5\nx\n", "1\n2\n3\n4\n5\ny\nz\n")
            .into_iter()
            .map(|change| match change {
                Change::Same(line) => format!(" {line}"),
                Change::Removed(line) => format!("-{line}"),
                Change::Added(line) => format!("+{line}"),
                Change::Gap(count) => format!("…{count}"),
            })
            .collect();
        assert_eq!(shown, ["…3", " 4", " 5", "-x", "+y", "+z"]);
        assert_eq!(diff("", "a\n"), [Change::Added("a".to_owned())]);
    }
}
