//! A bash script that builds and pushes an image for an environment: which repository an environment has, which secrets
//! it wants, and how it builds. It is read, never run.

use std::sync::LazyLock;

use regex::Regex;

use super::evidence::{Place, Sourced};
use super::lines::{Build, Said};
use super::scope::Scope;
use super::shell::{self, Logical};

/// What a value in an arm of the script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Repository,
    Cluster,
    Service,
    Region,
    Account,
    Branch,
}

/// `repo="api-dev"` in the arm of `dev`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PerEnvironment {
    pub(super) environment: String,
    pub(super) role: Role,
    pub(super) value: String,
    pub(super) at: Place,
}

/// One script that deploys.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) path: String,
    /// In the order of the script.
    pub(super) environments: Vec<Sourced<String>>,
    pub(super) values: Vec<PerEnvironment>,
    /// The names without what stands before them for an environment.
    pub(super) secrets: Vec<Sourced<String>>,
    /// Whether the variables of the secrets are bare: `DB_HOST` in every environment.
    pub(super) bare: bool,
    pub(super) said: Said,
    pub(super) scope: Scope,
}

static ARM: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^\(?\s*([\w."'*-]+(?:\s*\|\s*[\w."'*-]+)*)\s*\)\s*(.*)$"#).ok());
static IF: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^(?:el)?if\s+\[+\s*"?\$\{?(\w+)\}?"?\s+==?\s+"?([\w-]+)"?\s+\]+"#).ok());
static TABLE_ENTRY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\[["']?([\w-]+)["']?\]=["']?([^"'\s)]+)"#).ok());
static CHECKED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$\{([A-Z][A-Z0-9_]*):?\?").ok());

/// `None` where the file neither builds an image nor rolls a service.
pub(super) fn read(path: &str, text: &str) -> Option<Script> {
    let mut script = Script {
        path: path.to_owned(),
        environments: Vec::new(),
        values: Vec::new(),
        secrets: Vec::new(),
        bare: false,
        said: Said::default(),
        scope: Scope::default(),
    };
    let lines = shell::logical_lines(text);
    script.walk(&lines);
    let deploys = !script.said.builds.is_empty() || !script.said.rolls.is_empty();
    deploys.then_some(script)
}

/// Where in the script a line stands.
#[derive(Default)]
struct Position {
    in_case: bool,
    /// The environments of the arm, or of the `if`.
    environments: Vec<String>,
    /// The names that a `for` goes through, while it is open, and whether its body looks at their values.
    loop_names: Vec<Sourced<String>>,
    in_loop: bool,
}

impl Script {
    fn walk(&mut self, lines: &[Logical]) {
        let mut position = Position::default();
        for Logical { line, text } in lines {
            let at = Place::at(&self.path, *line);
            self.said.read(text, &at);
            self.blocks(text, &mut position, &at);
            self.secrets(text, &mut position, &at);
            if !position.in_case && position.environments.is_empty() {
                self.assignments(text);
            }
            self.table(text, &at);
        }
    }

    fn assignments(&mut self, text: &str) {
        if let Some((head, array)) = text.split_once("=(") {
            self.scope.assign(head.rsplit(' ').next().unwrap_or_default(), array.trim_end_matches(')'));
            return;
        }
        for command in shell::commands(text) {
            if let Some((name, value)) = shell::assignment(&command) {
                self.scope.assign(name, value);
            }
        }
    }

    /// `case` with its arms, and `if` by the environment's name.
    fn blocks(&mut self, text: &str, position: &mut Position, at: &Place) {
        if let Some(rest) = text.strip_prefix("case ") {
            let subject = rest.split_whitespace().next().unwrap_or_default().trim_matches('"');
            position.in_case = true;
            position.environments.clear();
            if let Some(name) = shell::variable(subject) {
                self.scope.decides(name);
            }
            return;
        }
        if text == "esac" || text == "fi" || text == "else" {
            position.in_case = position.in_case && text != "esac";
            position.environments.clear();
            return;
        }
        let body = if position.in_case {
            match ARM.as_ref().and_then(|arm| arm.captures(text)) {
                Some(found) => {
                    let names = found[1].split('|').map(|name| name.trim().trim_matches(['"', '\'']).to_owned());
                    position.environments = names.filter(|name| !name.contains('*')).collect();
                    found[2].to_owned()
                }
                None => text.to_owned(),
            }
        } else if let Some(found) = IF.as_ref().and_then(|pattern| pattern.captures(text)) {
            if !self.scope.is_environment(&found[1]) {
                return;
            }
            position.environments = vec![found[2].to_owned()];
            text[found[0].len()..].to_owned()
        } else {
            text.to_owned()
        };
        for environment in position.environments.clone() {
            self.environment(&environment, at);
            for command in shell::commands(&body) {
                if let Some((name, value)) = shell::assignment(&command) {
                    self.value(&environment, name, value, at);
                }
            }
        }
        if position.in_case && body.trim_end().ends_with(";;") {
            position.environments.clear();
        }
    }

    fn environment(&mut self, name: &str, at: &Place) {
        if !self.environments.iter().any(|known| known.value == name) {
            self.environments.push(Sourced::new(name.to_owned(), at.clone()));
        }
    }

    fn value(&mut self, environment: &str, name: &str, value: &str, at: &Place) {
        let Some(role) = role(name) else { return };
        let Some(value) = self.scope.resolve(value).filter(|value| !value.is_empty()) else { return };
        let value = value.replace(super::scope::ENV, environment);
        self.values.push(PerEnvironment { environment: environment.to_owned(), role, value, at: at.clone() });
    }

    /// `declare -A REPOS=([dev]=api-dev [prod]=api)`.
    fn table(&mut self, text: &str, at: &Place) {
        let Some((head, entries)) = text.split_once("=(") else { return };
        let name = head.rsplit(' ').next().unwrap_or_default();
        if role(name).is_none() {
            return;
        }
        for entry in TABLE_ENTRY.iter().flat_map(|pattern| pattern.captures_iter(entries)) {
            self.environment(&entry[1], at);
            self.value(&entry[1], name, &entry[2], at);
        }
    }

    /// `for v in A B; do …` whose body looks at the variables of these names, and `${NAME:?…}`.
    fn secrets(&mut self, text: &str, position: &mut Position, at: &Place) {
        if let Some(rest) = text.strip_prefix("for ")
            && let Some((_, names)) = rest.split_once(" in ")
        {
            let names = names.split(';').next().unwrap_or_default();
            let names = names.split_whitespace().flat_map(|word| self.expanded(word.trim_matches('"')));
            position.loop_names =
                names.filter(|name| is_variable(name)).map(|name| Sourced::new(name, at.clone())).collect();
            position.in_loop = true;
        }
        if position.in_loop && (text.contains("${!") || text.contains("printenv") || text.contains("eval ")) {
            for name in std::mem::take(&mut position.loop_names) {
                self.secret(name);
            }
        }
        if position.in_loop && text.contains("^^}_") {
            self.bare = false;
        } else if position.in_loop && text.contains("${!") && !self.prefixes(text) {
            self.bare = true;
        }
        if text == "done" || text.ends_with("; done") {
            position.in_loop = false;
            position.loop_names.clear();
        }
        if !position.in_loop {
            for found in CHECKED.iter().flat_map(|pattern| pattern.captures_iter(text)) {
                let name = &found[1];
                let own = self.environments.iter().find_map(|environment| {
                    name.strip_prefix(&format!("{}_", environment.value.to_uppercase())).map(str::to_owned)
                });
                // Where AWS is and how to get in is no secret of the image.
                if !name.starts_with("AWS_") && !self.scope.is_environment(name) {
                    self.bare |= own.is_none();
                    self.secret(Sourced::new(own.unwrap_or_else(|| name.to_owned()), at.clone()));
                }
            }
        }
    }

    /// Whether the loop's body, so far, put the environment before the name: `k="${env^^}_$v"`.
    fn prefixes(&self, text: &str) -> bool {
        let looked_at = text.split("${!").nth(1).unwrap_or_default();
        let name: String = looked_at.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        self.scope.raw(&name).is_some_and(|value| value.contains("^^}") || value.contains("upper"))
    }

    /// `"${NAMES[@]}"` as the names in the array.
    fn expanded(&self, word: &str) -> Vec<String> {
        let Some(name) = word.strip_prefix("${").and_then(|rest| rest.strip_suffix("[@]}")) else {
            return vec![word.to_owned()];
        };
        let array = self.scope.raw(name).unwrap_or_default();
        array.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect()
    }

    fn secret(&mut self, name: Sourced<String>) {
        if !self.secrets.iter().any(|known| known.value == name.value) {
            self.secrets.push(name);
        }
    }

    /// The first build: a script that builds several images is read for the first one only.
    pub(super) fn build(&self) -> Option<&Sourced<Build>> {
        self.said.builds.first()
    }
}

fn is_variable(name: &str) -> bool {
    shell::is_name(name) && name.bytes().any(|byte| byte.is_ascii_uppercase()) && name.len() > 1
}

fn role(name: &str) -> Option<Role> {
    let name = name.to_ascii_lowercase();
    let has = |part: &str| name.contains(part);
    Some(match () {
        () if has("repo") || has("image") => Role::Repository,
        () if has("cluster") => Role::Cluster,
        () if has("service") => Role::Service,
        () if has("region") => Role::Region,
        () if has("account") => Role::Account,
        () if has("branch") => Role::Branch,
        () => return None,
    })
}
