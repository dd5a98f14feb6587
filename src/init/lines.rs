//! The commands of a deploy that can be told by their words, in a script or in a CI file: `docker build`, the rollout, the
//! registry, the region.

use std::sync::LazyLock;

use regex::Regex;

use super::evidence::{Place, Sourced};
use super::shell;

/// One `docker build`, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) context: Option<String>,
    pub(super) dockerfile: Option<String>,
    pub(super) target: Option<String>,
    pub(super) platform: Option<String>,
    /// Name and value; without a value docker takes the variable of that name.
    pub(super) args: Vec<(String, Option<String>)>,
    /// The ids of its secret mounts.
    pub(super) secrets: Vec<String>,
    pub(super) tags: Vec<String>,
}

/// One `aws ecs update-service`, or a helper that is given a cluster and a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roll {
    pub(super) cluster: Option<String>,
    pub(super) service: Option<String>,
}

/// What the lines of one file say, as it is written: variables are not filled in.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) builds: Vec<Sourced<Build>>,
    pub(super) rolls: Vec<Sourced<Roll>>,
    pub(super) regions: Vec<Sourced<String>>,
    pub(super) accounts: Vec<Sourced<String>>,
    pub(super) roles: Vec<Sourced<String>>,
    /// Repositories behind a registry's address.
    pub(super) repositories: Vec<Sourced<String>>,
    /// Each Python program that is run, with its arguments.
    pub(super) helpers: Vec<Sourced<Vec<String>>>,
    /// The variable in place of the account.
    pub(super) account_variables: Vec<Sourced<String>>,
}

const REGISTRY: &str =
    r"(?:(\d{12})|\$\{?(\w+)\}?)\.dkr\.ecr\.(?:([a-z0-9-]+)|\$\{?\w+\}?)\.amazonaws\.com(?:\.cn)?(?:/([^\s:@'\x22]+))?";
static REGISTRY_PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(REGISTRY).ok());
static ROLE_PATTERN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"arn:aws[a-z-]*:iam::(\d{12}):role/[A-Za-z0-9/+=,.@_-]+").ok());
static REGION_PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:--region[ =]|(?:AWS_DEFAULT_REGION|AWS_REGION|aws-region|REGION|region|region_name)\s*[:=]\s*)[\x22']?([a-z]{2}(?:-[a-z]+)+-\d)\b").ok()
});

impl Said {
    /// Reads one logical line.
    pub(super) fn read(&mut self, text: &str, at: &Place) {
        self.addresses(text, at);
        for command in shell::commands(text) {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            // What stands before the program: `sudo`, `if !`, variables.
            let Some(start) = words.iter().position(|word| is_program(word)) else { continue };
            match &words[start..] {
                [_, "build", rest @ ..] | [_, "buildx" | "image", "build", rest @ ..] if is_docker(words[start]) => {
                    self.builds.push(Sourced::new(build(rest), at.clone()));
                }
                ["aws", "ecs", "update-service", rest @ ..] => {
                    self.rolls.push(Sourced::new(roll(rest), at.clone()));
                }
                [helper, rest @ ..] if is_python(helper) => {
                    let program: Vec<&str> = words[start..].iter().skip_while(|word| !is_file(word)).copied().collect();
                    self.helpers.push(Sourced::new(program.into_iter().map(str::to_owned).collect(), at.clone()));
                    let named = roll(rest);
                    if named != Roll::default() {
                        self.rolls.push(Sourced::new(named, at.clone()));
                    }
                }
                _ => {}
            }
        }
    }

    fn addresses(&mut self, text: &str, at: &Place) {
        for found in REGISTRY_PATTERN.iter().flat_map(|pattern| pattern.captures_iter(text)) {
            let part = |index: usize| found.get(index).map(|part| part.as_str().to_owned());
            self.accounts.extend(part(1).map(|account| Sourced::new(account, at.clone())));
            self.account_variables.extend(part(2).map(|name| Sourced::new(name, at.clone())));
            self.regions.extend(part(3).map(|region| Sourced::new(region, at.clone())));
            self.repositories.extend(part(4).map(|repository| Sourced::new(repository, at.clone())));
        }
        for found in REGION_PATTERN.iter().flat_map(|pattern| pattern.captures_iter(text)) {
            self.regions.push(Sourced::new(found[1].to_owned(), at.clone()));
        }
        for found in ROLE_PATTERN.iter().flat_map(|pattern| pattern.captures_iter(text)) {
            self.roles.push(Sourced::new(found[0].to_owned(), at.clone()));
            self.accounts.push(Sourced::new(found[1].to_owned(), at.clone()));
        }
    }
}

fn is_docker(word: &str) -> bool {
    matches!(word, "docker" | "podman" | "nerdctl")
}

fn is_python(word: &str) -> bool {
    matches!(word, "python" | "python3") || is_file(word)
}

fn is_file(word: &str) -> bool {
    std::path::Path::new(word).extension().is_some_and(|end| end == "py")
}

fn is_program(word: &str) -> bool {
    is_docker(word) || word == "aws" || is_python(word)
}

/// Options of `docker build` that take a value and are of no interest here.
const WITH_VALUE: [&str; 24] = [
    "--cache-from",
    "--cache-to",
    "--label",
    "--network",
    "--output",
    "-o",
    "--progress",
    "--ssh",
    "--build-context",
    "--builder",
    "--iidfile",
    "--metadata-file",
    "--add-host",
    "--shm-size",
    "--ulimit",
    "--memory",
    "-m",
    "--provenance",
    "--sbom",
    "--attest",
    "--annotation",
    "--isolation",
    "--cgroup-parent",
    "--cpuset-cpus",
];

fn build(words: &[&str]) -> Build {
    let mut build = Build::default();
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        let (option, mut value) = match word.split_once('=') {
            Some((option, value)) if option.starts_with('-') => (option, Some(value)),
            _ => (word, None),
        };
        let mut value = || value.take().or_else(|| words.next()).map(str::to_owned);
        match option {
            "--platform" => build.platform = value(),
            "-f" | "--file" => build.dockerfile = value(),
            "--target" => build.target = value(),
            "-t" | "--tag" => build.tags.extend(value()),
            "--build-arg" => build.args.extend(value().map(|arg| match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            })),
            "--secret" => build.secrets.extend(
                value()
                    .and_then(|secret| secret.split(',').find_map(|part| part.strip_prefix("id=").map(str::to_owned))),
            ),
            _ if WITH_VALUE.contains(&option) => drop(value()),
            _ if option.starts_with('-') => {}
            _ => build.context = Some(word.to_owned()),
        }
    }
    build
}

fn roll(words: &[&str]) -> Roll {
    let option = |name: &str| {
        let at = words.iter().position(|word| *word == name || word.starts_with(&format!("{name}=")))?;
        match words[at].split_once('=') {
            Some((_, value)) => Some(value.to_owned()),
            None => words.get(at + 1).map(|value| (*value).to_owned()),
        }
    };
    Roll { cluster: option("--cluster"), service: option("--service") }
}

#[cfg(test)]
mod tests {
    use super::{Place, Said};

    fn said(text: &str) -> Said {
        let mut said = Said::default();
        said.read(text, &Place::of("x"));
        said
    }

    #[test]
    fn a_build_by_its_options() {
        let said = said(
            "if ! sudo docker buildx build --progress plain --platform=linux/arm64 -f docker/Api.Dockerfile --target run \
             --build-arg A=1 --build-arg B --secret id=KEY,env=KEY -t \"$repo:latest\" --push services/api; then",
        );
        let build = &said.builds[0].value;
        assert_eq!(
            (build.context.as_deref(), build.dockerfile.as_deref()),
            (Some("services/api"), Some("docker/Api.Dockerfile"))
        );
        assert_eq!((build.platform.as_deref(), build.target.as_deref()), (Some("linux/arm64"), Some("run")));
        assert_eq!(build.args, [("A".to_owned(), Some("1".to_owned())), ("B".to_owned(), None)]);
        assert_eq!(
            (build.secrets.as_slice(), build.tags.as_slice()),
            (&["KEY".to_owned()][..], &["$repo:latest".to_owned()][..])
        );
    }

    #[test]
    fn addresses_and_rollouts() {
        let one = said("docker push 123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/api:latest");
        assert_eq!((one.accounts[0].value.as_str(), one.regions[0].value.as_str()), ("123456789012", "eu-west-1"));
        assert_eq!(one.repositories[0].value, "team/api");
        let other = said("docker tag x \"$AWS_ACCOUNT.dkr.ecr.ap-south-1.amazonaws.com/$repo:latest\"");
        assert_eq!(other.account_variables[0].value, "AWS_ACCOUNT");
        assert_eq!(other.repositories[0].value, "$repo");
        let roll =
            said("aws ecs update-service --cluster=$env --service api --force-new-deployment --region eu-north-1");
        assert_eq!(roll.rolls[0].value.cluster.as_deref(), Some("$env"));
        assert_eq!(
            (roll.rolls[0].value.service.as_deref(), roll.regions[0].value.as_str()),
            (Some("api"), "eu-north-1")
        );
        assert!(said("python manage.py migrate").rolls.is_empty());
        assert_eq!(said("role: arn:aws:iam::123456789012:role/ci/deploy").roles.len(), 1);
    }
}
