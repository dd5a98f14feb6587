//! The offline half of a dry run: what is wrong with the files of a project, without an engine, AWS or a network.

use std::path::Path;

use crate::archive;
use crate::config::specification::{Service, Specification};
use crate::docker::check_ignore_file;
use crate::error::{Error, Result};
use crate::exit::Exit;

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
