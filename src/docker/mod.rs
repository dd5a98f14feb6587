//! The Docker Engine: finding it, building with its BuildKit, looking into images, and pushing them. No docker CLI is
//! needed, and nothing is written to the user's Docker configuration.

mod build;
mod config_file;
mod connector;
mod context;
mod context_store;
mod credentials;
mod distribution;
mod endpoint;
mod engine;
#[cfg(test)]
mod engine_fakes;
#[cfg(test)]
mod engine_tests;
mod gone;
mod http;
mod ignore;
mod image;
mod image_config;
mod push;
mod reference;
mod session;
mod tls;

pub(crate) use build::{BuildRequest, Built};
pub(crate) use context::{ContextFilter, Entry, EntryKind, Filter, WalkError, walk, walk_context};
pub(crate) use context_store::hexadecimal;
pub(crate) use credentials::RegistryAuth;
pub(crate) use endpoint::check_address;
pub(crate) use engine::{Engine, EngineFacts};
pub(crate) use ignore::check as check_ignore_file;
pub(crate) use ignore::{
    Matcher as IgnoreMatcher, ParentMatches, Pattern as IgnorePattern, locate as locate_ignore_file,
};
pub(crate) use image::Image;
pub(crate) use image_config::ImageConfig;
