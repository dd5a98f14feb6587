//! What the variables of a script stand for, as far as that is written in it. The environment's name is known only when
//! the script runs: it becomes `${env}`, which is what deploy.yaml writes for it.

use std::collections::BTreeMap;

use super::shell;

/// deploy.yaml's own word for the environment's name.
pub(super) const ENV: &str = "${env}";

/// Nested variables beyond this are not followed.
const DEPTH: usize = 5;

#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    variables: BTreeMap<String, String>,
    /// The variables that hold the environment's name.
    environment: Vec<String>,
}

impl Scope {
    /// The first value counts: what comes later usually overrides it in some branch of the script.
    pub(super) fn assign(&mut self, name: &str, value: &str) {
        let positional = matches!(shell::variable(value), Some("1" | "ENV" | "env" | "ENVIRONMENT" | "environment"));
        if positional && is_environment_name(name) {
            self.environment.push(name.to_owned());
        }
        self.variables.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }

    /// The variable that a `case` or an `if` looks at.
    pub(super) fn decides(&mut self, name: &str) {
        if !self.environment.iter().any(|known| known == name) {
            self.environment.push(name.to_owned());
        }
    }

    pub(super) fn is_environment(&self, name: &str) -> bool {
        self.environment.iter().any(|known| known == name) || is_environment_name(name)
    }

    /// What a variable was given, as it is written.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The word with every variable filled in; `None` where one of them is not known here.
    pub(super) fn resolve(&self, word: &str) -> Option<String> {
        self.fill(word, DEPTH)
    }

    fn fill(&self, word: &str, depth: usize) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        let mut filled = String::new();
        let mut rest = word;
        while let Some(at) = rest.find('$') {
            filled.push_str(&rest[..at]);
            let (expansion, after) = split_expansion(&rest[at..])?;
            let name = shell::variable(expansion)?;
            let changed = expansion.contains("^^") || expansion.contains('!');
            if changed {
                return None;
            }
            if self.is_environment(name) {
                filled.push_str(ENV);
            } else {
                filled.push_str(&self.fill(self.variables.get(name)?, depth)?);
            }
            rest = after;
        }
        filled.push_str(rest);
        Some(filled)
    }
}

/// Names under which scripts keep the environment's name.
fn is_environment_name(name: &str) -> bool {
    matches!(
        name.to_ascii_lowercase().as_str(),
        "env" | "environment" | "stage" | "deploy_env" | "target_env" | "env_name" | "environment_name"
    )
}

/// The expansion at the start of the text, and what follows it.
pub(super) fn split_expansion(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('$')?;
    let end = if inner.starts_with('{') {
        inner.find('}')? + 2
    } else if inner.starts_with(|c: char| c.is_ascii_digit()) {
        2
    } else {
        let length = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        if length == 0 {
            return None;
        }
        length + 1
    };
    Some(text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn variables_are_filled_in_as_far_as_they_are_known() {
        let mut scope = Scope::default();
        scope.assign("env", "$1");
        scope.assign("NAME", "api");
        scope.assign("REPO", "team/${NAME}-$env");
        scope.assign("LOOP", "$LOOP");
        for (word, expected) in [
            ("$REPO", Some("team/api-${env}")),
            ("${REPO}:latest", Some("team/api-${env}:latest")),
            ("plain", Some("plain")),
            ("$ENVIRONMENT-x", Some("${env}-x")),
            ("$UNKNOWN", None),
            ("${env^^}_X", None),
            ("$LOOP", None),
            ("$(date)", None),
        ] {
            assert_eq!(scope.resolve(word).as_deref(), expected, "{word}");
        }
    }
}
