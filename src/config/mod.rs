//! deploy.yaml: as written (`manifest`), checked with every error at once, and resolved for one environment
//! (`specification`) with no default left open.

pub(crate) mod specification;
