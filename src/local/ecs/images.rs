//! What an image reference of a task definition leads to: a manifest of the stand-in's own registry, or something that
//! only the engine can know about.

use std::collections::BTreeMap;

use crate::local::place::Place;
use crate::local::state::{Repository, TaskDefinition};

/// What the scheduler may look at while it decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Catalog<'a> {
    /// `127.0.0.1:PORT`: references to the own registry begin with it.
    pub(crate) host: &'a str,
    pub(crate) place: &'a Place,
    pub(crate) repositories: &'a BTreeMap<String, Repository>,
    pub(crate) definitions: &'a BTreeMap<String, Vec<TaskDefinition>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// Manifest digest in a repository of the own registry.
    Own { repository: String, digest: String },
    /// An image of another registry: the engine pulls it under its name.
    Foreign,
}

impl Catalog<'_> {
    /// Resolves a reference; `settled` is the digest that the deployment's first task found, which every later task
    /// uses whatever the tag has become.
    ///
    /// # Errors
    /// The stop reason that ECS gives for a reference that is not found.
    pub(crate) fn resolve(&self, reference: &str, settled: Option<&String>) -> Result<Resolved, String> {
        let own = reference.strip_prefix(self.host).and_then(|rest| rest.strip_prefix('/'));
        let Some(own) = own else { return Ok(Resolved::Foreign) };
        let (name, wanted) = split_reference(own);
        let wanted = settled.map_or(wanted, String::as_str);
        let repository = self.repositories.get(name);
        let digest = repository.and_then(|repository| repository.resolve(wanted)).ok_or_else(|| {
            let at = settled.map_or_else(String::new, |digest| format!("@{digest}"));
            format!(
                "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref \
                 {reference}{at}: {reference}{at}: not found"
            )
        })?;
        Ok(Resolved::Own { repository: name.to_owned(), digest: digest.to_owned() })
    }
}

/// Repository and tag or digest of a reference without its host.
fn split_reference(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
        return (name, digest);
    }
    reference.rsplit_once(':').unwrap_or((reference, "latest"))
}

#[cfg(test)]
mod tests {
    use super::split_reference;

    #[test]
    fn references_come_apart() {
        let table = [
            ("api", ("api", "latest")),
            ("team/api:1", ("team/api", "1")),
            ("api@sha256:ab", ("api", "sha256:ab")),
            ("api:1@sha256:ab", ("api", "sha256:ab")),
        ];
        for (reference, parts) in table {
            assert_eq!(split_reference(reference), parts, "{reference}");
        }
    }
}
