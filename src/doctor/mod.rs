//! `shipit doctor`: what works, what does not, what cannot be told, each with the fix; and the IAM policy that a
//! deploy.yaml needs. It reads and changes nothing, so what a write would answer is said to be open.

mod account;
mod before;
mod here;
pub(crate) mod policy;
mod services;
mod zips;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde::{Serialize, Serializer};

use crate::aws::Settings;
use crate::config::specification::Specification;
use crate::docker::{Engine, EngineFacts};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::git::Repository;
use crate::standing::Standing;
use crate::vars::Vars;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Works,
    Fails,
    /// Nobody could say, and that is no fault in itself.
    Unknown,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Fails => "does not",
            Self::Unknown => "cannot tell",
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Absent for what is the same in all of them.
    pub(crate) environment: Option<String>,
    pub(crate) what: String,
    pub(crate) state: State,
    pub(crate) detail: String,
    /// What to do about it.
    pub(crate) fix: Option<String>,
    /// The IAM action that was refused, as in `ecs:DescribeServices`.
    pub(crate) missing_action: Option<String>,
    /// What this line alone would end the process with.
    pub(crate) exit_code: Exit,
}

impl Check {
    fn new(what: &str, state: State, detail: impl Into<String>) -> Self {
        Self {
            environment: None,
            what: what.to_owned(),
            state,
            detail: detail.into(),
            fix: None,
            missing_action: None,
            exit_code: Exit::Success,
        }
    }

    fn works(what: &str, detail: impl Into<String>) -> Self {
        Self::new(what, State::Works, detail)
    }

    fn unknown(what: &str, detail: impl Into<String>) -> Self {
        Self::new(what, State::Unknown, detail)
    }

    fn fails(what: &str, exit: Exit, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { exit_code: exit, fix: Some(fix.into()), ..Self::new(what, State::Fails, detail) }
    }

    /// What an error says, with its hint as the fix.
    fn of_error(what: &str, error: &Error) -> Self {
        if let Some(action) = missing_action(error) {
            let reason = reason(error).map_or(String::new(), |reason| format!(": {reason}"));
            let fix = "`shipit doctor --iam-policy` prints the whole policy that is needed";
            let check = Self::fails(what, error.exit(), format!("{action} is not allowed{reason}"), fix);
            return Self { missing_action: Some(action), ..check };
        }
        let fix = (!error.hints().is_empty()).then(|| error.hints().join("; "));
        let detail = match (error.is_rendered(), error.causes()) {
            (true, _) => first_line(error.message()),
            (false, []) => error.message().to_owned(),
            (false, causes) => format!("{}: {}", error.message(), causes.join("; ")),
        };
        Self { exit_code: error.exit(), fix, ..Self::new(what, State::Fails, detail) }
    }

    fn fix(mut self, text: impl Into<String>) -> Self {
        self.fix = Some(text.into());
        self
    }

    fn at(mut self, environment: &str) -> Self {
        self.environment = Some(environment.to_owned());
        self
    }
}

/// A rendered error has an excerpt beneath its first line; here there is room for the line and the place.
fn first_line(rendered: &str) -> String {
    let mut lines = rendered.lines();
    let first = lines.next().unwrap_or_default().trim_start_matches("error: ");
    let place = lines.next().map(str::trim).and_then(|line| line.strip_prefix("--> "));
    place.map_or_else(|| first.to_owned(), |place| format!("{place}: {first}"))
}

/// Why AWS refused, where it says so: no policy that allows it is mended otherwise than one that forbids it.
fn reason(error: &Error) -> Option<String> {
    let line = error.line();
    let explicit = line.split_once(" with an explicit deny").map(|(_, rest)| format!("an explicit deny{rest}"));
    explicit.or_else(|| line.split_once(" because ").map(|(_, because)| because.to_owned()))
}

/// The action that AWS names in its refusal, or the one that was called.
fn missing_action(error: &Error) -> Option<String> {
    let line = error.line();
    let refused =
        ["AccessDenied", "UnauthorizedOperation", "not authorized to perform"].iter().any(|word| line.contains(word));
    let word =
        |text: &str| text.split_whitespace().next().map(|word| word.trim_end_matches([':', ',', '.']).to_owned());
    let named = line.split("not authorized to perform: ").nth(1).and_then(word);
    let called = || error.message().split("AWS refused ").nth(1).and_then(word);
    if refused { named.or_else(called) } else { None }
}

/// What is asked for.
pub(crate) struct Question<'q> {
    pub(crate) config: &'q std::path::Path,
    /// Without it, every environment.
    pub(crate) environment: Option<&'q str>,
    pub(crate) vars: &'q Vars,
}

/// Looks at everything, side by side, and puts it in the order of the screen. `engine` is asked for the engine of this
/// process, where deploy.yaml names no other.
///
/// # Errors
/// The environment that is named is not in deploy.yaml ([`Exit::Usage`]).
pub(crate) async fn examine(
    question: &Question<'_>,
    engine: impl AsyncFnOnce() -> Result<EngineFacts>,
) -> Result<Vec<Check>> {
    let standing = Standing::load(question.config, question.vars).await;
    let mut checks = Vec::new();
    let specifications = match &standing {
        Ok(standing) => {
            let specifications = specifications(standing, question)?;
            checks.push(here::manifest(standing, &specifications));
            specifications
        }
        Err(error) => {
            checks.push(Check::of_error("deploy.yaml", error));
            Vec::new()
        }
    };
    let folder =
        standing.as_ref().map_or_else(|_| std::path::PathBuf::from("."), |standing| standing.manifest.root.clone());
    let repository = match Repository::discover(&folder).await {
        Ok(Some(repository)) => Some(repository.head().await),
        Ok(None) => None,
        Err(error) => Some(Err(error)),
    };
    checks.push(here::git(repository.as_ref(), standing.as_ref().ok()));
    if needs_engine(&specifications) {
        for builder in builders(&specifications, question.vars, engine).await {
            checks.extend(here::engine(&builder, &specifications));
        }
    }
    checks.extend(account::variables(question.vars));
    let before = |specification: &Specification| {
        let after = specification.environment.after.as_ref()?;
        standing.as_ref().ok()?.specification(after, &[], question.vars).ok()
    };
    let all =
        specifications.iter().map(|specification| environment(specification, before(specification), question.vars));
    checks.extend(join_all(all).await.into_iter().flatten());
    Ok(checks)
}

/// Zips are packed without one, and what is promoted is not built. Where deploy.yaml does not say, one is looked for.
fn needs_engine(specifications: &[Specification]) -> bool {
    let builds = |one: &Specification| !one.services.is_empty() && !one.environment.promote;
    specifications.is_empty() || specifications.iter().any(builds)
}

/// The engines of deploy.yaml, or the one of this process.
async fn builders(
    specifications: &[Specification],
    vars: &Vars,
    engine: impl AsyncFnOnce() -> Result<EngineFacts>,
) -> Vec<here::Builder> {
    let named = specifications.first().map(|specification| specification.builders.as_slice()).unwrap_or_default();
    if named.is_empty() {
        return vec![here::Builder { name: "engine".to_owned(), facts: engine().await, platforms: Vec::new() }];
    }
    join_all(named.iter().map(|builder| async {
        let reached = Engine::connect_to(&builder.name, &builder.host, builder.certs.as_deref(), vars).await;
        here::Builder {
            name: format!("builder {}", builder.name),
            facts: reached.map(|engine| engine.facts().clone()),
            platforms: builder.platforms.clone(),
        }
    }))
    .await
}

fn specifications(standing: &Standing, question: &Question<'_>) -> Result<Vec<Specification>> {
    let names = question.environment.map_or_else(|| standing.environments(), |name| vec![name.to_owned()]);
    names.iter().map(|name| standing.specification(name, &[], question.vars)).collect()
}

/// `before`: the environment that has to run a commit first.
async fn environment(specification: &Specification, before: Option<Specification>, vars: &Vars) -> Vec<Check> {
    let name = &specification.environment.name;
    let settings = Settings::of(vars);
    let (mut checks, clients) = account::examine(&specification.environment, &settings, vars).await;
    if let Some(clients) = clients {
        let before = async {
            match before {
                Some(before) => before::examine(specification, before, &settings).await,
                None => Vec::new(),
            }
        };
        let (services, before) = tokio::join!(services::examine(&clients, specification), before);
        checks.extend(services);
        checks.extend(before);
        checks.push(permissions(specification, &checks));
    } else {
        let text = "repositories, services and buckets cannot be looked at before that";
        checks.push(Check::unknown("services", text));
    }
    checks.into_iter().map(|check| check.at(name)).collect()
}

/// What was refused, once; and that a write cannot be tried: AWS has no way of asking whether it would be allowed.
fn permissions(specification: &Specification, checks: &[Check]) -> Check {
    const POLICY: &str = "`shipit doctor --iam-policy` prints the whole policy that is needed";
    let refused: BTreeSet<&str> = checks.iter().filter_map(|check| check.missing_action.as_deref()).collect();
    if !refused.is_empty() {
        let refused: Vec<&str> = refused.into_iter().collect();
        return Check::fails("permissions", Exit::Aws, format!("not allowed: {}", refused.join(", ")), POLICY);
    }
    let writes = [
        (!specification.services.is_empty()).then_some(services::WRITES),
        (!specification.archives.is_empty()).then_some(zips::WRITES),
    ];
    let writes: Vec<&str> = writes.into_iter().flatten().collect();
    let text = format!("every read is allowed; {} cannot be tried without doing it", writes.join(", "));
    Check::unknown("permissions", text).fix(POLICY)
}

#[cfg(test)]
mod tests {
    use super::{Check, Error, Exit, missing_action};

    #[test]
    fn the_action_that_is_missing_is_named() {
        let refused = |cause: &str| missing_action(&Error::new(Exit::Aws, "AWS refused ecs:ListTasks").cause(cause));
        assert_eq!(refused("AccessDeniedException: no").as_deref(), Some("ecs:ListTasks"));
        let words = "AccessDeniedException: User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: \
                     ecs:DescribeServices on resource: arn because no identity-based policy allows it";
        assert_eq!(refused(words).as_deref(), Some("ecs:DescribeServices"));
        assert_eq!(refused("ClusterNotFoundException: Cluster not found."), None);
        let check =
            |words: &str| Check::of_error("api", &Error::new(Exit::Aws, "AWS refused ecs:ListTasks").cause(words));
        assert!(check(words).detail.ends_with("is not allowed: no identity-based policy allows it"));
        let denied = words.replace(
            " because no identity-based policy allows it",
            " with an explicit deny in a service control policy",
        );
        assert!(check(&denied).detail.ends_with(": an explicit deny in a service control policy"));
    }
}
