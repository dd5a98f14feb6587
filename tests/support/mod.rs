//! What the tests are written in: a project that reads as a sentence, the stand-in that it deploys to, and what the
//! binary said.

mod certificates;
mod containers;
mod dockerd;
mod engine;
mod http;
mod insights;
mod objects;
mod pipelines;
mod project;
mod proxy;
mod ran;
mod running;
mod stand_in;
mod terminal;

pub(crate) use certificates::Certificates;
pub(crate) use containers::OnThisMachine;
pub(crate) use dockerd::Dockerd;
pub(crate) use engine::{docker, engine, with_base_image};
pub(crate) use http::get;
pub(crate) use insights::InsightsProxy;
pub(crate) use objects::noise;
pub(crate) use pipelines::refusal as pipelines_refuse;
pub(crate) use project::Project;
pub(crate) use proxy::EngineProxy;
pub(crate) use ran::Ran;
pub(crate) use running::{Running, signal};
pub(crate) use stand_in::StandIn;
pub(crate) use terminal::Terminal;

/// The binary under test.
pub(crate) const SHIPIT: &str = env!("CARGO_BIN_EXE_shipit");

/// Ctrl-C.
#[track_caller]
pub(crate) fn interrupt(process: u32) {
    let status = std::process::Command::new("kill").args(["-INT", &process.to_string()]).status().expect("kill");
    assert!(status.success());
}
