//! Signs that this is a pipeline, or another run of it, although the variables do not say so. They can all be wiped by who
//! tries hard enough (another namespace of processes, for instance); they are for the two words that are easy to write:
//! `env -u` and `script`.

use std::path::Path;

use crate::vars::{OF_OTHER_PIPELINES, OF_PIPELINES, Vars};

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

/// The same for pipelines that no file is read of. None of their steps can be proven to be manual. `CI` counts only where
/// shipit itself is given it: shells and tools above a person have it for reasons of their own.
pub(crate) fn other(own: &Vars, above: &[Vars]) -> Option<String> {
    let set = |vars: &Vars, name: &str| !matches!(vars.get(name), None | Some("false" | "0"));
    let of_other = |vars: &Vars| OF_OTHER_PIPELINES.into_iter().find(|name| set(vars, name));
    let name = set(own, "CI").then_some("CI").or_else(|| of_other(own)).or_else(|| above.iter().find_map(of_other))?;
    Some(format!("{name} is set"))
}

/// The variable of the pipeline that a process above has with another value: somebody changed it on the way.
pub(crate) fn forged(own: &Vars, above: &[Vars]) -> Option<&'static str> {
    let differs = |name: &&str| above.iter().any(|vars| vars.has(name) && vars.get(name) != own.get(name));
    OF_PIPELINES.into_iter().find(differs)
}

/// The commit of the run, as the processes above have it.
pub(crate) fn commit(above: &[Vars]) -> Option<String> {
    above.iter().rev().filter_map(super::detect).find_map(|ci| ci.commit)
}

#[cfg(test)]
mod tests {
    use super::{commit, forged, other, trace};
    use crate::vars::Vars;

    #[test]
    fn a_process_above_gives_it_away() {
        let run: Vars = [("BITBUCKET_BUILD_NUMBER", "7")].into_iter().collect();
        let found = trace(&[Vars::default(), run]);
        assert_eq!(found.as_deref(), Some("a process above this one belongs to Bitbucket Pipelines"));
    }

    #[test]
    fn what_was_changed_on_the_way_is_found() {
        let vars = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<Vars>();
        let run = [("BITBUCKET_BUILD_NUMBER", "7"), ("BITBUCKET_COMMIT", "c0ffee")];
        let above = [Vars::default(), vars(&run)];
        assert_eq!(forged(&vars(&run), &above), None);
        assert_eq!(forged(&vars(&[run[0], ("BITBUCKET_COMMIT", "beef")]), &above), Some("BITBUCKET_COMMIT"));
        assert_eq!(forged(&vars(&run[..1]), &above), Some("BITBUCKET_COMMIT"));
        assert_eq!(forged(&vars(&run), &[]), None);
        assert_eq!(commit(&above).as_deref(), Some("c0ffee"));
        // The farthest was there first.
        assert_eq!(commit(&[vars(&[run[0], ("BITBUCKET_COMMIT", "beef")]), vars(&run)]).as_deref(), Some("c0ffee"));
    }

    #[test]
    fn other_pipelines_say_so_too() {
        let vars = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<Vars>();
        assert_eq!(other(&vars(&[("CI", "true")]), &[]).as_deref(), Some("CI is set"));
        assert_eq!(
            other(&vars(&[("CI", "false")]), &[vars(&[("TF_BUILD", "True")])]).as_deref(),
            Some("TF_BUILD is set")
        );
        assert_eq!(other(&Vars::default(), &[vars(&[("CI", "true")])]), None);
    }
}
