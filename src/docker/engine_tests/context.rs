//! What of the context reaches the build, and how.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::bench::{Bench, exists, unique};

/// Copies the whole context and lists what came, as the image's steps.
fn listing() -> String {
    format!("COPY . /data\nRUN echo {}; cd /data; find . | sort", unique())
}

fn paths(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.strip_prefix("./")).collect()
}

#[tokio::test]
async fn the_ignore_file_of_the_dockerfile_wins_over_that_of_the_context() {
    let mut bench = Bench::new("ignore").await;
    bench.write(".dockerignore", "*.log\nnode_modules\n!node_modules/keep\n.dockerignore\nDockerfile*\nOther*\n");
    bench.write("a.log", "").write("b/a.log", "").write("node_modules/x", "").write("node_modules/keep/y", "");
    let lines = bench.output_of(&listing()).await;
    assert_eq!(paths(&lines), ["b", "b/a.log", "node_modules", "node_modules/keep", "node_modules/keep/y"]);
    bench.dockerfile = bench.context.path().join("Other");
    bench.write("Other.dockerignore", "**/*.log\nOther*\nDockerfile\n.dockerignore\nnode_modules/keep\n");
    let lines = bench.output_of(&listing()).await;
    assert_eq!(paths(&lines), ["b", "node_modules", "node_modules/x"]);
    bench.clean().await;
}

#[tokio::test]
async fn a_dockerfile_outside_the_context_is_used() {
    let mut bench = Bench::new("outside").await;
    let elsewhere = tempfile::tempdir().unwrap();
    bench.dockerfile = elsewhere.path().join("build.dockerfile");
    bench.write("inside", "");
    let lines = bench.output_of(&listing()).await;
    assert_eq!(paths(&lines), ["inside"]);
    bench.clean().await;
}

#[tokio::test]
async fn only_what_is_copied_is_sent_and_links_on_the_way_are_followed() {
    let bench = Bench::new("follow").await;
    for n in 0..50 {
        bench.write(&format!("other/f{n}"), "x");
    }
    bench.write("real/deep/file", "12345").write("ünïcödé + 100%/dåta", "6789");
    symlink("real", bench.context.path().join("link")).unwrap();
    bench.steps(&format!(
        "COPY link/deep/file /one\nCOPY [\"ünïcödé + 100%\", \"/two\"]\nRUN echo {}; cat /one /two/dåta; echo",
        unique()
    ));
    let told = bench.build().await;
    told.result.as_ref().unwrap();
    assert!(told.lines().contains(&"123456789".to_owned()), "{:?}", told.lines());
    assert_eq!(told.sent().0, 2);
    bench.clean().await;
}

#[tokio::test]
async fn links_modes_and_odd_files_arrive_as_they_are() {
    let bench = Bench::new("odd").await;
    bench.write("a", "same").write("x/run.sh", "#!/bin/sh\n").write("empty", "").write(" spaced\tname ", "");
    let root = bench.context.path();
    std::fs::hard_link(root.join("a"), root.join("b")).unwrap();
    symlink("../a", root.join("x/up")).unwrap();
    symlink("/nowhere", root.join("dangling")).unwrap();
    std::fs::set_permissions(root.join("x/run.sh"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    std::fs::File::create(root.join("sparse")).unwrap().set_len(3 << 20).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    assert!(Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
    assert!(exists(&root.join("socket")));
    bench.write(".dockerignore", "Dockerfile\n.dockerignore\n");
    let lines = bench
        .output_of(&format!(
            "COPY . /data\nRUN echo {}; cd /data; stat -c '%n|%A|%s|%h|%u' * x/*; cat x/up; echo",
            unique()
        ))
        .await;
    for expected in [
        " spaced\tname |-rw-r--r--|0|1|0",
        "a|-rw-r--r--|4|2|0",
        "b|-rw-r--r--|4|2|0",
        "dangling|lrwxrwxrwx|8|1|0",
        "empty|-rw-r--r--|0|1|0",
        "sparse|-rw-r--r--|3145728|1|0",
        "x/run.sh|-rwsr-xr-x|10|1|0",
        "x/up|lrwxrwxrwx|4|1|0",
        "same",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected} is not in {lines:#?}");
    }
    // BuildKit's own COPY decides about the pipe; the point is that nobody waits for a writer.
    assert!(!lines.iter().any(|line| line.starts_with("socket")), "{lines:#?}");
    bench.clean().await;
}

#[tokio::test]
async fn a_very_long_ignore_file_works() {
    let bench = Bench::new("long").await;
    let patterns: Vec<String> = (0..8000).map(|n| format!("generated/folder/number/{n}\n")).collect();
    bench.write(".dockerignore", patterns.concat() + "Dockerfile\n.dockerignore\n");
    bench.write("generated/folder/number/77", "").write("generated/folder/number/8000", "");
    let lines = bench.output_of(&listing()).await;
    assert_eq!(paths(&lines).last(), Some(&"generated/folder/number/8000"));
    assert!(!lines.iter().any(|line| line.ends_with("/77")));
    bench.clean().await;
}
