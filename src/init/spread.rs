//! One value for all environments, and what differs: `api-dev`, `api-beta`, `api` become `api-${env}` and one exception.

use super::scope::ENV;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    /// With `${env}` for the environment's name.
    pub(super) common: String,
    /// Environment and value, where it is not the common one.
    pub(super) own: Vec<(String, String)>,
}

impl Spread {
    pub(super) fn same(common: impl Into<String>) -> Self {
        Self { common: common.into(), own: Vec::new() }
    }

    /// From what is known by environment. An environment that nothing is known of gets the common value. `None` where
    /// nothing is known at all.
    pub(super) fn of(values: &[(String, String)]) -> Option<Self> {
        let patterns: Vec<String> = values.iter().map(|(environment, value)| pattern(environment, value)).collect();
        let count = |pattern: &String| patterns.iter().filter(|other| *other == pattern).count();
        // Of two that are as frequent, the one that speaks of the environment; of those, the first.
        let common = patterns
            .iter()
            .enumerate()
            .max_by_key(|(at, pattern)| (count(pattern), pattern.contains(ENV), usize::MAX - at))?
            .1;
        let mut own: Vec<(String, String)> = Vec::new();
        for (environment, value) in values {
            let differs = common.replace(ENV, environment) != *value;
            if differs && !own.iter().any(|(known, _)| known == environment) {
                own.push((environment.clone(), value.clone()));
            }
        }
        Some(Self { common: common.clone(), own })
    }

    /// Sets it for one environment, whatever it was.
    pub(super) fn set(&mut self, environment: &str, value: &str) {
        self.own.retain(|(name, _)| name != environment);
        if self.common.replace(ENV, environment) != value {
            self.own.push((environment.to_owned(), value.to_owned()));
        }
    }

    /// The name without the part that says the environment: `api` for `team/api-${env}`.
    pub(super) fn stem(&self) -> &str {
        let last = self.common.rsplit('/').find(|part| *part != ENV).unwrap_or(&self.common);
        last.trim_start_matches(ENV).trim_end_matches(ENV).trim_matches(['-', '_', '.'])
    }
}

/// The value with the environment's name, where it stands as a word, as `${env}`.
fn pattern(environment: &str, value: &str) -> String {
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
    for (at, _) in value.match_indices(environment) {
        let (before, after) = (&value[..at], &value[at + environment.len()..]);
        if edge(before.chars().next_back()) && edge(after.chars().next()) {
            return format!("{before}{ENV}{after}");
        }
    }
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::Spread;

    fn of(values: &[(&str, &str)]) -> Spread {
        let values: Vec<(String, String)> =
            values.iter().map(|(env, value)| ((*env).to_owned(), (*value).to_owned())).collect();
        Spread::of(&values).unwrap()
    }

    #[test]
    fn what_is_common_and_what_is_not() {
        let spread = of(&[("dev", "api-dev"), ("beta", "api-beta"), ("sandbox", "api-sandbox"), ("prod", "api")]);
        assert_eq!(spread.common, "api-${env}");
        assert_eq!(spread.own, [("prod".to_owned(), "api".to_owned())]);
        assert_eq!(spread.stem(), "api");
        assert_eq!(of(&[("dev", "developer"), ("prod", "developer")]), Spread::same("developer"));
        assert_eq!(of(&[("dev", "dev/api"), ("prod", "prod/api")]).stem(), "api");
        assert_eq!(of(&[("dev", "c1"), ("prod", "prod-c")]).common, "prod-c".replace("prod", "${env}"));
        assert!(Spread::of(&[]).is_none());
    }
}
