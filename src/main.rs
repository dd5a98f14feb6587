//! The doorway: everything is in the library, so that one place decides the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    shipit::run(std::env::args_os())
}
