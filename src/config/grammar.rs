//! What a single value has to look like, by the rules of git, ECR, ECS and IAM. Each function answers with what is
//! wrong, as the end of the sentence "`VALUE` …".

use std::time::Duration;

/// Names of environments and services: they end up in repositories, variables, paths and JSON.
pub(crate) fn name(value: &str) -> Result<(), &'static str> {
    let good = value.len() <= 64
        && value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    good.then_some(()).ok_or("is no name: use up to 64 letters, digits, `.`, `_` and `-`, a letter or digit first")
}

/// A span of time.
pub(super) fn duration(value: &str) -> Result<Duration, &'static str> {
    let wrong = "is no span of time: write a number with a unit, such as 90s, 10m or 1h30m";
    humantime::parse_duration(value).ok().filter(|duration| !duration.is_zero()).ok_or(wrong)
}

/// The names of secrets become variables, and ids of BuildKit's secret mounts.
pub(crate) fn secret(value: &str) -> Result<(), &'static str> {
    if matches!(value, "env" | "service" | "branch" | "commit") {
        return Err("means something else in `${…}`: give the secret another name");
    }
    let good = value.len() <= 128
        && value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    good.then_some(()).ok_or("is no name of a secret: use letters, digits, `_`, `-` and `.`, a letter or `_` first")
}

/// The rules of `git check-ref-format`, as far as a slip breaks them.
pub(crate) fn branch(value: &str) -> Result<(), &'static str> {
    if value.trim().is_empty() {
        return Err("names no branch");
    }
    if value.starts_with("refs/") {
        return Err("is a full reference: write the branch alone, as in `main`");
    }
    let bad = value.chars().any(|c| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c));
    if bad || value.contains("${") {
        return Err("is no branch: there are neither patterns nor `${…}` here, one branch leads to one environment");
    }
    let broken = value.contains("..")
        || value.contains("@{")
        || value.contains("//")
        || value.starts_with(['-', '/'])
        || value.ends_with(['/', '.']);
    if broken { Err("cannot be the name of a git branch") } else { Ok(()) }
}

pub(crate) fn account(value: &str) -> Result<(), &'static str> {
    let good = value.len() == 12 && value.bytes().all(|byte| byte.is_ascii_digit());
    good.then_some(()).ok_or("is no AWS account: it has 12 digits")
}

/// The shape only: new regions appear every year.
pub(crate) fn region(value: &str) -> Result<(), &'static str> {
    let parts: Vec<&str> = value.split('-').collect();
    let good = parts.len() >= 3
        && parts.iter().all(|part| !part.is_empty())
        && parts[..parts.len() - 1].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_lowercase()))
        && parts[parts.len() - 1].bytes().all(|byte| byte.is_ascii_digit());
    good.then_some(()).ok_or("is no AWS region: they look like `eu-west-1`")
}

/// The account of a role's ARN.
pub(super) fn role(value: &str) -> Result<&str, &'static str> {
    let wrong = "is not the ARN of an IAM role: they look like `arn:aws:iam::123456789012:role/deploy`";
    let mut parts = value.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, service, region, id, resource) = (next(), next(), next(), next(), next(), next());
    let role = resource.strip_prefix("role/").unwrap_or_default();
    let good = arn == "arn"
        && partition.starts_with("aws")
        && service == "iam"
        && region.is_empty()
        && account(id).is_ok()
        && !role.is_empty()
        && role.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/+=,.@_-".contains(&byte));
    good.then_some(id).ok_or(wrong)
}

/// ECR's own rule: 2 to 256 characters, words of lower-case letters and digits joined by single `.`, `_`, `-` or `/`.
pub(crate) fn repository(value: &str) -> Result<(), &'static str> {
    if value.contains(".dkr.ecr.") || value.contains(':') {
        return Err(
            "is more than a repository: leave the registry and the tag out, they follow from account and region",
        );
    }
    let joined = value
        .split(['.', '_', '-', '/'])
        .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    let good = joined && (2..=256).contains(&value.len());
    good.then_some(())
        .ok_or("is no ECR repository: use lower-case letters and digits, joined by single `.`, `_`, `-` or `/`")
}

/// The rules of S3 for general purpose buckets.
pub(super) fn bucket(value: &str) -> Result<(), &'static str> {
    let words = value.split('.').all(|word| !word.is_empty() && !word.starts_with('-') && !word.ends_with('-'));
    let known = value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
    let address = value.parse::<std::net::Ipv4Addr>().is_ok();
    let good = words && known && !address && (3..=63).contains(&value.len());
    good.then_some(()).ok_or("is no S3 bucket: use 3 to 63 lower-case letters, digits, `-` and `.`, without `s3://`")
}

/// What every client of S3 can handle.
pub(super) fn object_key(value: &str) -> Result<(), &'static str> {
    if value.starts_with('/') {
        return Err("begins with `/`: the keys of a bucket have no root");
    }
    if value.is_empty() || value.ends_with('/') || value.contains("//") {
        return Err("is no key of an object: a name has to stand between the `/` and at the end");
    }
    if value.split('/').any(|name| matches!(name, "." | "..")) {
        return Err("has `.` or `..` in it, which clients of S3 read in different ways");
    }
    let good = value.len() <= 1024 && !value.chars().any(char::is_control);
    good.then_some(()).ok_or("is no key of an object: it may have 1024 bytes and no control characters")
}

/// Clusters, services and containers of ECS.
pub(crate) fn ecs_name(value: &str) -> Result<(), &'static str> {
    let good = (1..=255).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    good.then_some(()).ok_or("is no ECS name: use letters, digits, `_` and `-`")
}

pub(crate) fn build_arg(value: &str) -> Result<(), &'static str> {
    let good = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    good.then_some(()).ok_or("is no name of a build argument: use letters, digits and `_`")
}

pub(super) fn secret_prefix(value: &str) -> Result<(), &'static str> {
    if value.is_empty() { Ok(()) } else { build_arg(value).map_err(|_| "is no prefix: use letters, digits and `_`") }
}

#[cfg(test)]
mod tests {
    use super::{account, branch, build_arg, ecs_name, name, region, repository, role, secret, secret_prefix};

    type Rule = fn(&str) -> Result<(), &'static str>;

    #[test]
    fn rules_take_what_they_should_and_nothing_else() {
        let long = "a".repeat(257);
        let rows: [(Rule, &[&str], &[&str]); 10] = [
            (name, &["dev", "eu-1", "a.b_c", "1"], &["", "-a", "a b", "é", "a/b", "${x}"]),
            (secret, &["DB_HOST", "_x", "a-b.c"], &["", "1A", "A B", "env", "commit", "A,B", "A=B"]),
            (
                branch,
                &["main", "release/1.0", "été"],
                &["", " ", "a b", "feature/*", "refs/heads/main", "a..b", "${env}"],
            ),
            (account, &["123456789012"], &["", "12345678901", "1234567890123", "12345678901a"]),
            (
                region,
                &["eu-west-1", "us-gov-east-1", "ap-southeast-12"],
                &["", "eu-west", "EU-WEST-1", "eu-west-1a", "-west-1"],
            ),
            (
                repository,
                &["api", "team/api-dev", "a1", "a.b_c-d/e"],
                &[
                    "",
                    "a",
                    "Api",
                    "a--b",
                    "a-",
                    "/a",
                    "a//b",
                    "api:latest",
                    "1.dkr.ecr.eu-west-1.amazonaws.com/api",
                    &long,
                ],
            ),
            (ecs_name, &["api", "My_Cluster-1"], &["", "a b", "a.b", "a/b", &long]),
            (build_arg, &["A", "_a1"], &["", "1A", "A-B", "A B"]),
            (secret_prefix, &["", "PROD_", "x"], &["1_", "A-", " "]),
            (
                |value| role(value).map(|_| ()),
                &["arn:aws:iam::123456789012:role/deploy", "arn:aws-cn:iam::123456789012:role/ci/deploy"],
                &[
                    "",
                    "deploy",
                    "arn:aws:iam::123456789012:user/x",
                    "arn:aws:iam::1:role/x",
                    "arn:aws:iam::123456789012:role/",
                ],
            ),
        ];
        for (index, (rule, good, bad)) in rows.into_iter().enumerate() {
            for value in good {
                assert_eq!(rule(value), Ok(()), "rule {index}: {value}");
            }
            for value in bad {
                assert!(rule(value).is_err(), "rule {index}: {value}");
            }
        }
        assert_eq!(role("arn:aws:iam::123456789012:role/deploy"), Ok("123456789012"));
    }
}
