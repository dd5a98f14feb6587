//! deploy.yaml: as written (`manifest`), checked with every error at once, and resolved for one environment
//! (`specification`) with no default left open.
//!
//! The way of a file: bytes → `parse` (a tree that knows where everything stands) → `decode` (the types) → `check` (what
//! the types cannot say) → `resolve` (one environment, every `${…}` filled in). YAML is known to `parse` alone.

mod builder;
pub(crate) mod cache;
mod check;
mod decode;
mod dependencies;
mod describe;
mod diagnostic;
mod fill;
pub(crate) mod foreign;
pub(crate) mod grammar;
mod interpolate;
mod lines;
mod load;
mod locate;
pub(crate) mod manifest;
mod names;
mod parse;
mod positions;
mod resolve;
mod scan;
pub(crate) mod schema;
mod secrets;
mod settings;
pub(crate) mod specification;
pub(crate) mod suggest;
mod tree;
mod zip;

pub(crate) use lines::Lines;
pub(crate) use load::{earlier, load, load_text};
pub(crate) use manifest::Manifest;
pub(crate) use names::{default_prefix, variable};
pub(crate) use resolve::{ResolveInput, SecretsMode};

/// Where the file is looked for when `--config` does not say: this name in the current directory.
pub(crate) const FILE_NAME: &str = "deploy.yaml";
