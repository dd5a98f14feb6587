//! The offline half of a dry run: what is wrong with the files of a project, without an engine, AWS or a network.

use std::collections::BTreeMap;
use std::path::Path;

use crate::archive;
use crate::ci::Provider;
use crate::ci::advice::{Advice, advice};
use crate::ci::file::{self, ReadCall, Surroundings};
use crate::config::Manifest;
use crate::config::specification::{Service, Specification};
use crate::docker::check_ignore_file;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::git::{Repository, tree};

/// Looks at every service's build context, Dockerfile and ignore file, and at every zip's files. All findings, not the first.
pub(crate) fn check(specification: &Specification) -> Vec<(String, Error)> {
    let findings = specification.services.iter().flat_map(|service| {
        let found = of_service(service, &specification.root);
        found.into_iter().map(|error| (service.name.clone(), error))
    });
    let archives = specification.archives.iter();
    let archives = archives.filter_map(|zip| Some((zip.name.clone(), archive::look(zip).err()?)));
    findings.chain(archives).collect()
}

fn of_service(service: &Service, root: &Path) -> Vec<Error> {
    let shown = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    if !service.context.is_dir() {
        let text = format!("the build context {} is not there", shown(&service.context));
        return vec![
            Error::new(Exit::Usage, text).hint("correct `context` in deploy.yaml: it is relative to that file"),
        ];
    }
    let dockerfile = dockerfile(service, &shown(&service.dockerfile));
    let ignore = check_ignore_file(&service.context, &service.dockerfile);
    [dockerfile, ignore].into_iter().filter_map(Result::err).collect()
}

fn dockerfile(service: &Service, shown: &str) -> Result<()> {
    let text = std::fs::read_to_string(&service.dockerfile).map_err(|error| {
        Error::new(Exit::Usage, format!("the Dockerfile {shown} cannot be read"))
            .because(&error)
            .hint("correct `dockerfile` in deploy.yaml: it is relative to the build context")
    })?;
    let stages = stages(&text);
    if stages.is_empty() {
        return Err(Error::new(Exit::Usage, format!("the Dockerfile {shown} has no FROM line")));
    }
    match &service.target {
        Some(target) if !stages.iter().any(|stage| stage.as_deref() == Some(&target.to_lowercase())) => {
            let named: Vec<&str> = stages.iter().filter_map(Option::as_deref).collect();
            Err(Error::new(Exit::Usage, format!("the Dockerfile {shown} has no stage `{target}`")).hint(format!(
                "its named stages are: {}",
                if named.is_empty() { "none".to_owned() } else { named.join(", ") }
            )))
        }
        _ => Ok(()),
    }
}

/// What is found in the pipeline files.
#[derive(Default)]
pub(crate) struct Pipelines {
    pub(crate) errors: Vec<Error>,
    pub(crate) warnings: Vec<Error>,
}

/// Looks at every pipeline file of the working tree: what is checked is what is about to be committed.
///
/// # Errors
/// git cannot be asked.
pub(crate) async fn pipelines(manifest: &Manifest, read: ReadCall) -> Result<Pipelines> {
    let repository = Repository::discover(&manifest.root).await?;
    let top = repository.as_ref().map_or(manifest.root.as_path(), Repository::top);
    let holding = match &repository {
        Some(repository) => tree::holding(repository.top(), &file::WORDS, None).await?,
        None => BTreeMap::new(),
    };
    let mentions = file::approving(&holding, read);
    let surroundings = Surroundings { read, mentions: &mentions };
    let mut found = Pipelines::default();
    for (provider, path) in Provider::ALL.into_iter().flat_map(|provider| present(top, provider)) {
        let text = match text(&top.join(&path)) {
            Ok(text) => text,
            Err(error) => {
                let cannot = Error::new(Exit::Usage, format!("{path} cannot be read")).because(&error);
                found.errors.push(cannot.hint("a pipeline's file is a text in UTF-8"));
                continue;
            }
        };
        match file::read(provider, &path, &text, surroundings) {
            Ok(file) => advice(&file, manifest).into_iter().for_each(|advice| found.add(&advice)),
            Err(fault) => found
                .errors
                .push(Error::new(Exit::Usage, format!("{path}:{}: this is no YAML", fault.line)).cause(fault.text)),
        }
    }
    Ok(found)
}

impl Pipelines {
    fn add(&mut self, advice: &Advice) {
        let Advice { path, line, error, text, hint } = advice;
        let list = if *error { &mut self.errors } else { &mut self.warnings };
        list.push(Error::new(Exit::Usage, format!("{path}:{line}: {text}")).hint(hint));
    }
}

/// Only a file is read: a pipe would be waited for.
fn text(path: &Path) -> std::io::Result<String> {
    match path.metadata()?.is_file() {
        true => std::fs::read_to_string(path),
        false => Err(std::io::Error::other("it is no file")),
    }
}

/// What is there under the names of the provider's files.
fn present(top: &Path, provider: Provider) -> Vec<(Provider, String)> {
    let workflows = std::fs::read_dir(top.join(".github/workflows")).into_iter().flatten().flatten();
    let mut paths: Vec<String> =
        workflows.filter_map(|entry| Some(format!(".github/workflows/{}", entry.file_name().to_str()?))).collect();
    paths.extend(["bitbucket-pipelines.yml", ".gitlab-ci.yml"].map(str::to_owned));
    paths.sort();
    let paths = paths.into_iter().filter(|path| provider.is_file(path) && top.join(path).symlink_metadata().is_ok());
    paths.map(|path| (provider, path)).collect()
}

/// Environments that push to one and the same repository: each deploy of one moves the `latest` of the other.
pub(crate) fn shared(specifications: &[Specification]) -> Vec<Error> {
    let mut found = Vec::new();
    for (at, one) in specifications.iter().enumerate() {
        for other in &specifications[at + 1..] {
            if place(one) != place(other) {
                continue;
            }
            for service in &one.services {
                let Some(same) = other.services.iter().find(|same| same.repository == service.repository) else {
                    continue;
                };
                let (left, right) = (&one.environment.name, &other.environment.name);
                found.push(
                    Error::new(
                        Exit::Usage,
                        format!(
                            "`{}` in `{left}` and `{}` in `{right}` share the repository `{}`: a deploy to one moves \
                             `latest` under the other",
                            service.name, same.name, service.repository
                        ),
                    )
                    .hint("give each environment a repository of its own, as in `repository: api-${env}`"),
                );
            }
        }
    }
    found
}

/// Account and region, as far as deploy.yaml says; a role says its account.
fn place(specification: &Specification) -> (Option<&str>, Option<&str>) {
    let environment = &specification.environment;
    let of_role = environment.role.as_deref().and_then(|role| role.split(':').nth(4));
    (environment.account.as_deref().or(of_role), environment.region.as_deref())
}

/// The stages in order, each with the name that `FROM … AS NAME` gives it. Stage names are not case-sensitive.
fn stages(dockerfile: &str) -> Vec<Option<String>> {
    let words = dockerfile.lines().map(|line| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>());
    words
        .filter(|words| words.first().is_some_and(|word| word == "from"))
        .map(|words| {
            let at = words.iter().position(|word| word == "as")?;
            words.get(at + 1).cloned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::stages;

    #[test]
    fn stages_by_name() {
        let text = "ARG BASE=x\nfrom $BASE AS Build\n# FROM no\nRUN echo from\nFROM --platform=linux/amd64 scratch\n";
        assert_eq!(stages(text), [Some("build".to_owned()), None]);
    }
}
