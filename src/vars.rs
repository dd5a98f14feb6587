//! The environment of the process, read once. Everything else asks this snapshot, so that a test or a reader can see
//! which variables matter. (The AWS SDK reads its own variables by itself.)

use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Clone, Default)]
pub(crate) struct Vars(BTreeMap<String, String>);

impl Vars {
    /// Variables whose name or value is not UTF-8 are left out: no setting of shipit can be one.
    pub(crate) fn of_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// The value, unless it is unset, empty or blank: those three mean the same everywhere in shipit.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The user's home, from `HOME`.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }
}

impl std::fmt::Debug for Vars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vars({} variables)", self.0.len())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Vars {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
