//! A context of 20,000 files and 500 MB: how long it takes, and how much memory we need for it.

use std::process::Command;
use std::time::Instant;

use super::bench::Bench;
use crate::config::specification::Platform;
use crate::docker::BuildRequest;
use crate::event::Events;

const LIMIT_KB: u64 = 64 * 1024;

/// The peak of memory is one of the whole process, so this runs itself again with nothing beside it.
#[test]
#[ignore = "needs a Docker Engine, and is slow: 500 MB"]
fn memory_does_not_grow_with_the_context() {
    if std::env::args().any(|argument| argument == "--exact") {
        return tokio::runtime::Runtime::new().unwrap().block_on(measure());
    }
    let name = std::thread::current().name().unwrap().to_owned();
    let alone = Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--ignored", "--nocapture"])
        .status()
        .unwrap();
    assert!(alone.success());
}

async fn measure() {
    let bench = Bench::new("big").await;
    bench.steps("COPY . /data");
    let mut content = vec![0_u8; 22_000];
    for folder in 0..100 {
        for file in 0..200 {
            content[..16].copy_from_slice(format!("{folder:8}{file:8}").as_bytes());
            bench.write(&format!("d{folder}/f{file}"), &content);
        }
    }
    std::fs::File::create(bench.context.path().join("large")).unwrap().set_len(60 << 20).unwrap();
    let (events, _received) = Events::channel();
    let tags = [bench.name.clone()];
    let request = BuildRequest {
        context: bench.context.path(),
        dockerfile: &bench.dockerfile,
        target: None,
        platform: Platform::LinuxAmd64,
        build_args: &bench.build_args,
        build_secrets: &bench.build_secrets,
        labels: &bench.labels,
        tags: &tags,
        no_cache: false,
        inline_cache: false,
        cache_from: &[],
        registry_auth: &[],
    };
    for _ in 0..2 {
        let since = Instant::now();
        bench.engine.build(&request, &events, &bench.cancel).await.unwrap();
        let peak = peak_kb();
        assert!(peak < LIMIT_KB, "{peak} kB after {:?}", since.elapsed());
    }
    bench.clean().await;
}

fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}
