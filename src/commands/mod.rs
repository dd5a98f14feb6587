//! A file a command: arguments to options to one call.

pub(crate) mod local;
