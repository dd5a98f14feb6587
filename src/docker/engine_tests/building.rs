//! Builds that succeed, and one that is interrupted.

use std::time::{Duration, Instant};

use super::bench::{Bench, unique};
use crate::config::specification::Platform;
use crate::docker::Engine;
use crate::event::{Kind, StepState};
use crate::exit::Exit;
use crate::secret::Secret;
use crate::vars::Vars;

#[tokio::test]
async fn the_engine_says_what_it_is() {
    let engine = Engine::connect(&Vars::of_process()).await.unwrap();
    let facts = engine.facts();
    let near = !facts.address.starts_with("ssh://");
    assert_eq!((facts.os.as_str(), facts.buildkit, facts.on_this_host), ("linux", true, near), "{facts:?}");
    let version = engine.bollard().version().await.unwrap();
    assert_eq!(version.version.as_deref(), Some(facts.version.as_str()));
}

#[tokio::test]
async fn an_image_is_built_as_it_was_asked_for() {
    let mut bench = Bench::new("asked").await;
    bench.write("a file", "content");
    bench.target = Some("wanted".into());
    bench.build_args.insert("GREETING".into(), Secret::new("hello there"));
    bench.labels.insert("org.example.label".into(), "a b".into());
    bench.steps(&format!(
        "FROM shipit-engine-test/base:1 AS wanted\nARG GREETING\nENV GREETING=$GREETING\nCOPY [\"a file\", \"/a\"]\n\
         RUN cat /a; echo \" $GREETING\"; : {}\nENTRYPOINT [\"/bin/sh\"]\nCMD [\"-c\", \"x\"]\nFROM wanted AS other\nRUN false",
        unique()
    ));
    let told = bench.build().await;
    let id = told.result.as_ref().unwrap();
    assert!(told.lines().contains(&"content hello there".to_owned()), "{:?}", told.lines());
    let image = bench.engine.inspect(&bench.name).await.unwrap();
    assert_eq!(&image.id, id);
    assert_eq!((image.os.as_str(), image.architecture.as_str()), ("linux", "amd64"));
    assert!(image.env.contains(&"GREETING=hello there".to_owned()));
    assert_eq!(image.labels["org.example.label"], "a b");
    assert_eq!((image.entrypoint, image.command), (vec!["/bin/sh".to_owned()], vec!["-c".to_owned(), "x".to_owned()]));
    assert!(image.history.iter().any(|step| step.contains("COPY")), "{:?}", image.history);
    let done = told.kinds.iter().any(|kind| {
        matches!(kind, Kind::BuildStep { name, state: StepState::Done, seconds: Some(_), .. } if name.contains("RUN cat"))
    });
    assert!(done, "{:?}", told.kinds);
    bench.clean().await;
    assert!(bench.engine.inspect(&bench.name).await.is_err());
    bench.clean().await;
}

#[tokio::test]
async fn another_platform_is_sent_explicitly() {
    let bench = Bench::new("platform").await;
    // Nothing may run in it, and the base has to exist for it: an empty image has neither problem.
    std::fs::write(&bench.dockerfile, "FROM scratch\nCOPY x /x\n").unwrap();
    bench.write("x", "");
    let told = bench.build_for(Platform::LinuxArm64).await;
    told.result.as_ref().unwrap();
    let image = bench.engine.inspect(&bench.name).await.unwrap();
    assert_eq!(image.architecture, "arm64");
    let error = image.require_architecture("amd64").unwrap_err();
    assert_eq!(error.exit(), Exit::Gate);
    bench.clean().await;
}

#[tokio::test]
async fn an_unchanged_context_sends_nothing_and_one_change_sends_one_file() {
    let bench = Bench::new("incremental").await;
    bench.steps("COPY . /data");
    for n in 0..200 {
        bench.write(&format!("d{}/f{n}", n % 7), format!("{n} {}", "x".repeat(5000)));
    }
    let first = bench.build().await;
    first.result.as_ref().unwrap();
    assert_eq!(first.sent().0, 201, "200 files and the Dockerfile");
    let second = bench.build().await;
    second.result.as_ref().unwrap();
    assert_eq!(second.sent(), (0, 0));
    let cached =
        |kind: &Kind| matches!(kind, Kind::BuildStep { state: StepState::Cached, name, .. } if name.contains("COPY"));
    assert!(second.kinds.iter().any(cached));
    bench.write("d1/f1", "changed");
    let third = bench.build().await;
    third.result.as_ref().unwrap();
    assert_eq!(third.sent(), (1, 7));
    bench.clean().await;
}

#[tokio::test]
async fn services_with_the_same_context_build_side_by_side() {
    let bench = Bench::new("side").await;
    for n in 0..300 {
        bench.write(&format!("f{n}"), format!("{n} {}", unique()));
    }
    bench.steps(&format!("COPY . /data\nRUN echo {}; ls /data | wc -l", unique()));
    let all = futures_util::future::join_all((0..4).map(|_| bench.build())).await;
    for told in all {
        told.result.as_ref().unwrap();
    }
    bench.clean().await;
}

#[tokio::test]
async fn a_mounted_secret_is_seen_by_its_step_and_is_in_no_part_of_the_image() {
    let mut bench = Bench::new("secret").await;
    let value = format!("hunter2 {}", unique());
    bench.build_secrets.insert("TOKEN".into(), Secret::new(&value));
    bench.steps(&format!(
        "RUN --mount=type=secret,id=TOKEN cat /run/secrets/TOKEN | wc -c > /length; echo {}",
        unique()
    ));
    let told = bench.build().await;
    told.result.as_ref().unwrap();
    let image = bench.engine.inspect(&bench.name).await.unwrap();
    assert!(!format!("{image:?} {:?}", told.kinds).contains("hunter2"));
    let lines = bench.output_of(&format!("RUN echo {}; cat /length /run/secrets/TOKEN; true", unique())).await;
    assert!(!lines.iter().any(|line| line.contains("hunter2")), "{lines:?}");
    bench.clean().await;
}

#[tokio::test]
async fn an_interrupted_build_stops_on_the_engine_at_once() {
    let bench = Bench::new("cancel").await;
    let marker = format!("86{}", std::process::id());
    bench.steps(&format!("RUN echo {}; sleep {marker}", unique()));
    let running = move || {
        std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            std::fs::read(entry.path().join("cmdline"))
                .is_ok_and(|line| line == format!("sleep\0{marker}\0").as_bytes())
        })
    };
    let cancel = bench.cancel.clone();
    let stopper = tokio::spawn(async move {
        // The step's process exists before the interruption, or the test would prove nothing.
        while !running() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancel.cancel();
        let since = Instant::now();
        while running() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        since.elapsed()
    });
    let told = bench.build().await;
    assert_eq!(told.error().exit(), Exit::Interrupted);
    let took = stopper.await.unwrap();
    assert!(took < Duration::from_secs(2), "{took:?}");
}
