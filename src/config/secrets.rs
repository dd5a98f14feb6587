//! The values behind the names under `secrets`, from the variables of one environment. There is no fall-back to another
//! variable: that is how one environment's secret ends up in another.

use std::collections::BTreeMap;

use crate::config::{names, suggest};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::secret::Secret;
use crate::vars::Vars;

pub(super) struct Secrets<'v> {
    environment: &'v str,
    prefix: String,
    vars: &'v Vars,
    values: BTreeMap<String, Secret>,
    /// In the order in which they were looked up.
    missing: Vec<String>,
}

impl<'v> Secrets<'v> {
    pub(super) fn new(environment: &'v str, prefix: Option<&str>, vars: &'v Vars) -> Self {
        let prefix = prefix.map_or_else(|| names::default_prefix(environment), str::to_owned);
        Self { environment, prefix, vars, values: BTreeMap::new(), missing: Vec::new() }
    }

    pub(super) fn look_up(&mut self, names: &[String]) {
        for name in names {
            if self.values.contains_key(name) || self.missing.contains(name) {
                continue;
            }
            match self.vars.get(&names::variable(&self.prefix, name)) {
                Some(value) => drop(self.values.insert(name.clone(), Secret::new(value))),
                None => self.missing.push(name.clone()),
            }
        }
    }

    /// Takes the name of the variable for the value: what is compared need not be known.
    pub(super) fn stand_for(&mut self, names: &[String]) {
        for name in names {
            self.values.insert(name.clone(), Secret::new(format!("${{{}}}", names::variable(&self.prefix, name))));
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Secret> {
        self.values.get(name)
    }

    pub(super) fn into_values(self) -> BTreeMap<String, Secret> {
        self.values
    }

    /// `Exit::Secret` that names every missing one and the variable that was looked for.
    pub(super) fn none_missing(&self) -> Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let variables: Vec<String> = self.missing.iter().map(|name| names::variable(&self.prefix, name)).collect();
        let pairs: Vec<String> =
            self.missing.iter().zip(&variables).map(|(name, variable)| format!("{name} → {variable}")).collect();
        let count = match self.missing.len() {
            1 => "1 secret is".to_owned(),
            many => format!("{many} secrets are"),
        };
        let message = format!("{count} missing or empty in environment `{}`: {}", self.environment, pairs.join(", "));
        let error = Error::new(Exit::Secret, message).hint(format!(
            "set {} in the environment of this process; in a pipeline, as secured variables",
            suggest::list(&variables)
        ));
        Err(self.with_bare_hint(error))
    }

    /// Somebody who set `DB_HOST` is told why that is not read.
    fn with_bare_hint(&self, error: Error) -> Error {
        let bare: Vec<String> = self
            .missing
            .iter()
            .map(|name| names::variable("", name))
            .filter(|variable| !self.prefix.is_empty() && self.vars.has(variable))
            .collect();
        if bare.is_empty() {
            return error;
        }
        error.hint(format!(
            "{} without `{}` is set but not read: `secret_prefix: \"\"` on the environment would read bare names",
            suggest::list(&bare),
            self.prefix
        ))
    }
}
