//! How widely a value is looked for. A value that occurs by itself in any image cannot be told from a leak by its
//! bytes, so it is looked for only where more than chance speaks for it.

/// Fewer characters are found by chance in any file.
const SHORTEST: usize = 8;
/// Fewer say nothing even where they are all there is.
const SHORTEST_EXACT: usize = 4;
/// Words of so many characters are a passphrase rather than a name.
const LONG_WORD: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// In the config, the history, and the files of the layers.
    Everywhere,
    /// In the config and the history: a word or an address stands in the files of libraries too.
    Config,
    /// Where a variable, a label or an argument is exactly this value: `hunter2`.
    Exact,
    /// The same, and its name is the secret's own: `5432`, `true`, `dev`.
    Named,
}

impl Scope {
    pub(super) fn of(value: &str) -> Self {
        let value = value.trim();
        let length = value.chars().count();
        if length < SHORTEST_EXACT || is_number(value) || (length < SHORTEST && is_word(value)) {
            Self::Named
        } else if length < SHORTEST {
            Self::Exact
        } else if is_word(value) || is_region(value) || is_address(value) {
            Self::Config
        } else {
            Self::Everywhere
        }
    }
}

/// Digits and what stands between them in versions, dates and IP addresses.
fn is_number(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit() || b".,:-_/ ".contains(&byte))
}

/// Short words and numbers, alone or joined: `production`, `Production`, `PRODUCTION`, `ap-south-1`, `text/plain`.
fn is_word(value: &str) -> bool {
    let is_part = |part: &str| {
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        let lower = part.chars().skip(1).all(|c| c.is_ascii_lowercase());
        let upper = part.chars().all(|c| c.is_ascii_uppercase());
        digits || (part.starts_with(|c: char| c.is_ascii_alphabetic()) && (lower || upper))
    };
    value.chars().count() < LONG_WORD && value.split(['-', '_', '.', '/', ' ']).all(is_part)
}

/// `ap-southeast-1`, which every SDK lists.
fn is_region(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.as_slice() {
        [area, middle @ .., number] => {
            area.len() == 2
                && !middle.is_empty()
                && middle.iter().all(letters)
                && number.len() == 1
                && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// A host or a URL that says where something is and nothing else: no user, no query, no path (a webhook's path is its
/// secret), unless it is on this very machine.
fn is_address(value: &str) -> bool {
    let (scheme, rest) = value.split_once("://").map_or((None, value), |(scheme, rest)| (Some(scheme), rest));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.split_once(':').unwrap_or((authority, "1"));
    let host_is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let plain = scheme
        .is_none_or(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte)))
        && host.starts_with(|c: char| c.is_ascii_alphanumeric())
        && host_is_plain
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit());
    let here = matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0");
    let says_host = scheme.is_some() || authority.contains(':') || has_domain(host);
    plain && says_host && (here || path.is_empty())
}

/// `db.internal`: labels of a host name, the last of letters only. A key with dots in it (a JWT) has capital letters.
fn has_domain(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    labels.len() >= 2
        && host.bytes().all(|byte| !byte.is_ascii_uppercase())
        && labels.iter().all(|label| (1..=63).contains(&label.len()))
        && labels.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn only_what_does_not_occur_by_itself_is_looked_for_in_files() {
        let table: [(Scope, &[&str]); 4] = [
            (Scope::Named, &["", "x1", "true", "dev", "54321234", "2027-01-31", "10.0.12.240:5432", "staging", "eu-1"]),
            (Scope::Exact, &["hunter2", " s3cr3t ", "p@ss"]),
            (
                Scope::Config,
                &[
                    "postgres",
                    "production",
                    "Production",
                    "PRODUCTION",
                    "localhost",
                    "ap-south-1",
                    "ap-southeast-1",
                    "us-gov-east-1",
                    "text/plain",
                    "http://localhost:4317",
                    "http://localhost:4318/v1/traces",
                    "otel-collector:4317",
                    "https://otel.example.com/",
                    "db.abc123.ap-south-1.rds.amazonaws.com",
                    "db.example.internal",
                ],
            ),
            (
                Scope::Everywhere,
                &[
                    "hunter22",
                    "s3cr3t-one",
                    "super-secret",
                    "topsecretvalue",
                    "correct-horse-battery",
                    "passWord",
                    "https://user:pass@host.example.com",
                    "postgres://u:p@db.internal:5432/app",
                    "https://hooks.example.com/services/T0/B0/xyz",
                    "AKIAIOSFODNN7EXAMPLE",
                    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
                    "pässwörter",
                ],
            ),
        ];
        for (scope, values) in table {
            for value in values {
                assert_eq!(Scope::of(value), scope, "{value}");
            }
        }
    }
}
