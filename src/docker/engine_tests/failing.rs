//! Builds that fail, and what is said then.

use std::os::unix::ffi::OsStrExt;

use super::bench::{Bench, unique};
use crate::exit::Exit;
use crate::secret::Secret;

#[tokio::test]
async fn a_failing_step_is_named_with_its_code_and_its_last_lines() {
    let mut bench = Bench::new("failing").await;
    bench.build_args.insert("PASSWORD".into(), Secret::new("hunter2"));
    bench.steps(&format!("ARG PASSWORD\nRUN echo {}; seq 1 30; exit 42", unique()));
    let told = bench.build().await;
    let error = told.error();
    assert_eq!(error.exit(), Exit::Build);
    assert!(error.message().starts_with("the build failed at `[2/2] RUN echo"), "{error:?}");
    assert!(error.message().ends_with("with exit code 42"), "{error:?}");
    let last = error.shown_excerpt();
    assert_eq!((last.len(), last[0].as_str(), last[19].as_str()), (20, "11", "30"), "{last:?}");
    assert!(!format!("{error:?} {:?}", told.kinds).contains("hunter2"));
}

#[tokio::test]
async fn what_is_missing_is_named_with_what_to_do() {
    let bench = Bench::new("missing").await;
    let told = bench.build().await;
    assert!(told.error().message().starts_with("cannot read the Dockerfile "), "{:?}", told.error());

    bench.write("dropped", "").write(".dockerignore", "dropped\n");
    for (steps, message, hint) in [
        ("COPY dropped /x", "", "excludes it: add the line `!dropped`"),
        ("COPY gone /x", "", "there is no `gone` in the build context"),
        ("RUN --mount=type=secret,id=NPM,required=true true", "", "name `NPM` under `build_secrets`"),
        ("RUNN true", "unknown instruction", "correct "),
        ("FROM 127.0.0.1:1/none:1", "127.0.0.1:1/none:1", "network"),
        ("COPY --from=nowhere:0 /x /x", "", ""),
    ] {
        let told = bench.steps(&format!("{steps}\nRUN echo {}", unique())).build().await;
        let error = told.error();
        assert_eq!(error.exit(), Exit::Build, "{steps}");
        assert!(error.line().contains(message), "{steps}: {error:?}");
        assert!(hint.is_empty() || error.hints()[0].contains(hint), "{steps}: {error:?}");
        assert!(!error.line().contains("LLB") && !error.line().contains("rpc error"), "{steps}: {error:?}");
    }
}

#[tokio::test]
async fn a_context_that_cannot_be_sent_is_our_error_and_not_an_echo() {
    let bench = Bench::new("unsendable").await;
    let name = std::ffi::OsStr::from_bytes(b"latin-\xfc");
    std::fs::write(bench.context.path().join(name), "").unwrap();
    bench.steps("COPY . /data");
    let told = bench.build().await;
    assert!(
        told.error().message().starts_with("the build context holds a name that is not UTF-8"),
        "{:?}",
        told.error()
    );
    bench.write(".dockerignore", "latin-*\n");
    bench.build().await.result.unwrap();
    bench.write(".dockerignore", "[z-a]\n");
    let told = bench.build().await;
    assert_eq!(told.error().exit(), Exit::Build);
    assert!(told.error().line().contains("[z-a]"), "{:?}", told.error());
    bench.clean().await;
}

#[tokio::test]
async fn a_target_that_is_no_stage_is_named() {
    let mut bench = Bench::new("target").await;
    bench.target = Some("nope".into());
    let told = bench.steps("RUN true").build().await;
    assert!(told.error().line().contains("nope"), "{:?}", told.error());
    assert!(told.error().hints()[0].contains("`target`"), "{:?}", told.error());
}
