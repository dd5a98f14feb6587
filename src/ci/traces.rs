//! Signs that this is a pipeline although the variables do not say so. They can all be wiped by who tries hard enough
//! (another namespace of processes, for instance); they are for the two words that are easy to write: `env -u` and
//! `script`.

use std::path::Path;

use crate::vars::Vars;

/// Where Bitbucket's build containers have their clone and tools, whatever the variables say.
const BITBUCKET: &str = "/opt/atlassian/pipelines/agent";

/// What gives it away, in words. `above`: the variables of the processes above this one.
pub(crate) fn trace(above: &[Vars]) -> Option<String> {
    let provider = above.iter().find_map(super::detect).map(|ci| ci.provider);
    if let Some(provider) = provider {
        return Some(format!("a process above this one belongs to {provider}"));
    }
    Path::new(BITBUCKET).is_dir().then(|| format!("{BITBUCKET} is there"))
}

#[cfg(test)]
mod tests {
    use super::trace;
    use crate::vars::Vars;

    #[test]
    fn a_process_above_gives_it_away() {
        let run: Vars = [("BITBUCKET_BUILD_NUMBER", "7")].into_iter().collect();
        let found = trace(&[Vars::default(), run]);
        assert_eq!(found.as_deref(), Some("a process above this one belongs to Bitbucket Pipelines"));
    }
}
