//! The Docker Engine of the tests.

use std::process::Command;
use std::sync::Once;

/// Its address. A test that needs an engine fails without one: a test that is skipped proves nothing.
pub(crate) fn engine() -> String {
    std::env::var("DOCKER_HOST").expect("DOCKER_HOST names a Docker Engine; `make test` starts one where there is none")
}

/// Makes sure that the engine has `busybox:stable`, without a registry if need be.
pub(crate) fn with_base_image() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engine");
        let output = Command::new(script).arg("base").env("DOCKER_HOST", engine()).output().expect("tests/engine runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

/// What the docker command line says about that engine.
#[track_caller]
pub(crate) fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").env("DOCKER_HOST", engine()).args(args).output().expect("docker runs");
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("docker speaks UTF-8")
}
