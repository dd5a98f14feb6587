//! What the tests are written in: a project that reads as a sentence, the stand-in that it deploys to, and what the
//! binary said.

mod engine;
mod project;
mod ran;
mod stand_in;

pub(crate) use engine::engine;
pub(crate) use project::Project;
pub(crate) use ran::Ran;
pub(crate) use stand_in::StandIn;

/// The binary under test.
pub(crate) const SHIPIT: &str = env!("CARGO_BIN_EXE_shipit");

/// Ctrl-C.
#[track_caller]
pub(crate) fn interrupt(process: u32) {
    let status = std::process::Command::new("kill").args(["-INT", &process.to_string()]).status().expect("kill");
    assert!(status.success());
}
