//! Numbers and identifiers in the words that people read. One wording for the terminal, the log and the table.

/// `sha256:` and 12 hex digits: enough for the eye. The whole digest is in the last sentence and in JSON.
pub(super) fn short_digest(digest: &str) -> String {
    match digest.split_once(':') {
        Some((algorithm, hex)) => format!("{algorithm}:{}", cut(hex, 12)),
        None => cut(digest, 19).to_owned(),
    }
}

/// 12 hex digits of a commit, with `-dirty` where the tree was not clean.
pub(super) fn short_revision(revision: &str) -> String {
    match revision.strip_suffix("-dirty") {
        Some(commit) => format!("{}-dirty", cut(commit, 12)),
        None => cut(revision, 12).to_owned(),
    }
}

/// The tag of `REGISTRY/REPOSITORY:TAG`; the reference itself when it has none.
pub(super) fn tag_of(reference: &str) -> &str {
    match reference.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => reference,
    }
}

/// The last part of an ARN or path: a task's id.
pub(super) fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// `0.3 s`, `12.3 s`, `1 min 05 s`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a run's length fits by far")]
pub(super) fn seconds(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    format!("{} min {:02} s", whole / 60, whole % 60)
}

/// Decimal units, as docker counts: `312 B`, `4.1 kB`, `12.3 MB`.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 task`, `2 tasks`.
pub(super) fn count(number: impl Into<u64>, noun: &str) -> String {
    let number = number.into();
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn cut(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_cut_where_the_eye_has_enough() {
        assert_eq!(short_digest("sha256:0123456789abcdef0123"), "sha256:0123456789ab");
        assert_eq!(short_revision("0123456789abcdef0123456789abcdef01234567-dirty"), "0123456789ab-dirty");
        assert_eq!(short_revision("v1"), "v1");
        assert_eq!(tag_of("127.0.0.1:4510/api-dev:latest"), "latest");
        assert_eq!(tag_of("127.0.0.1:4510/api-dev"), "127.0.0.1:4510/api-dev");
        assert_eq!(last_part("arn:aws:ecs:eu-west-1:1:task/dev/abc"), "abc");
    }

    #[test]
    fn numbers_read_as_people_say_them() {
        for (given, wanted) in [(0.04, "0.0 s"), (12.34, "12.3 s"), (59.96, "1 min 00 s"), (125.0, "2 min 05 s")] {
            assert_eq!(seconds(given), wanted);
        }
        for (given, wanted) in
            [(0, "0 B"), (999, "999 B"), (4100, "4.1 kB"), (999_960, "1.0 MB"), (12_345_678, "12.3 MB")]
        {
            assert_eq!(bytes(given), wanted);
        }
        assert_eq!(count(1_u64, "task"), "1 task");
        assert_eq!(count(0_u64, "task"), "0 tasks");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(list(&["a"]), "a");
    }
}
