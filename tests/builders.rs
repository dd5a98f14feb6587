//! `builder` of deploy.yaml: engines elsewhere, one or several, and what becomes of a run that loses one.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{Certificates, EngineProxy, Project, Ran, Running, StandIn, with_base_image};

/// Two services that write a line, and then take a while. What they write is new each time, so nothing is cached.
pub(crate) const SLOW: &str = "FROM busybox:stable\nARG NONCE\nRUN echo begun $NONCE && sleep 3\n";

/// A project with these services, which these builders build. Docker's own setting leads nowhere: it plays no part.
pub(crate) fn deploying(builders: &str, services: &[&str], dockerfile: &str) -> (Project, StandIn) {
    with_base_image();
    let mut manifest = format!(
        "version: 1\nname: sample\naws: {{ region: ap-south-1 }}\nbuilder: {builders}\n\
         environments:\n  dev: {{ branch: develop }}\nservices:\n"
    );
    for service in services {
        manifest.push_str(&format!(
            "  {service}: {{ repository: \"{service}-${{env}}\", build_args: {{ NONCE: \"{}\" }} }}\n",
            nonce()
        ));
    }
    let project =
        Project::new().file("deploy.yaml", &manifest).file("Dockerfile", dockerfile).file("app", "one\n").committed();
    let aws = StandIn::scripted(&project, "{}");
    (project.with_aws(&aws).var("DOCKER_HOST", "unix:///nowhere/docker.sock"), aws)
}

/// A word that was in no build before.
pub(crate) fn nonce() -> String {
    let folder = tempfile::tempdir().expect("a folder with a name that nobody else has");
    folder.path().file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned()
}

fn list(engines: &[&EngineProxy]) -> String {
    format!("[{}]", engines.iter().map(|engine| engine.address()).collect::<Vec<_>>().join(", "))
}

fn service(ran: &Ran, name: &str) -> Value {
    let finished = ran.finished();
    let services = finished["services"].as_array().expect("services");
    services.iter().find(|service| service["service"] == name).unwrap_or_else(|| panic!("{finished}")).clone()
}

/// Waits until a build step of `service` has written its line, and returns the one of these engines that builds it.
#[track_caller]
fn begun<'e>(running: &mut Running, service: &str, engines: &[&'e EngineProxy]) -> &'e EngineProxy {
    let placed = running.wait_for("place", |event| event["event"] == "build-placed" && event["service"] == service);
    running.wait_for("line of the build", |event| {
        let line = event["line"].as_str().unwrap_or_default();
        event["event"] == "build-log" && event["service"] == service && line.starts_with("begun")
    });
    let builder = placed["builder"].as_str().expect("a builder");
    engines.iter().find(|engine| builder.contains(&engine.address())).unwrap_or_else(|| panic!("{placed}"))
}

#[test]
fn an_engine_behind_mutual_tls_builds_and_pushes() {
    let certificates = Certificates::make();
    let engine = EngineProxy::with_tls(&certificates);
    let folder = certificates.folder().display().to_string();
    let builder = format!("{{ host: '{}', name: big, certs: '{folder}' }}", engine.address());
    let (project, aws) = deploying(&builder, &["api"], "FROM scratch\nCOPY app /app\n");

    let plan = project.shipit(&["deploy", "--dry-run"]).exits(0);
    plan.says("big: ").says(&format!("at {}", engine.address()));
    assert!(engine.requests("/build").is_empty(), "a dry run builds nothing");

    let ran = project.shipit(&["deploy", "--receipt", "receipt.json", "--output", "json"]).exits(0);
    let label = format!("big ({})", engine.address());
    assert_eq!(service(&ran, "api")["verdict"], "deployed");
    assert_eq!(service(&ran, "api")["builder"], label);
    assert_eq!(service(&ran, "api")["digest"], aws.latest("api-dev"));
    assert_eq!(engine.requests("/build?").len(), 1);
    let receipt: Value =
        serde_json::from_str(&std::fs::read_to_string(project.path("receipt.json")).unwrap()).expect("a receipt");
    assert_eq!(receipt["services"][0]["builder"], label);
    project.shipit(&["deploy", "-v"]).exits(0).says(&format!("builds on {label}"));
}

#[test]
fn without_the_clients_certificate_the_engine_lets_nobody_in() {
    let certificates = Certificates::make();
    let engine = EngineProxy::with_tls(&certificates);
    std::fs::remove_file(certificates.folder().join("cert.pem")).expect("a certificate");
    let builder = format!("{{ host: '{}', certs: '{}' }}", engine.address(), certificates.folder().display());
    let (project, _aws) = deploying(&builder, &["api"], "FROM scratch\nCOPY app /app\n");
    let ran = project.shipit(&["deploy"]).exits(5).says(&engine.address()).says("hint:");
    ran.says("CertificateRequired").says("cert.pem");

    std::fs::remove_dir_all(certificates.folder()).expect("a folder");
    project.shipit(&["deploy"]).exits(5).says("there is no ca.pem, cert.pem or key.pem in").says("`certs`");
}

#[test]
fn tls_on_one_side_only_is_told_as_that() {
    let certificates = Certificates::make();
    let (secret, open) = (EngineProxy::with_tls(&certificates), EngineProxy::open());
    let folder = certificates.folder().display().to_string();
    let (project, _aws) = deploying(&secret.address(), &["api"], "FROM scratch\nCOPY app /app\n");
    project.shipit(&["deploy"]).exits(5).says("the engine speaks TLS");
    let builder = format!("{{ host: '{}', certs: '{folder}' }}", open.address());
    let (project, _aws) = deploying(&builder, &["api"], "FROM scratch\nCOPY app /app\n");
    project.shipit(&["deploy"]).exits(5).says("the engine speaks no TLS");
    // Signed by another authority than that of ca.pem.
    let other = Certificates::make();
    let builder = format!("{{ host: '{}', certs: '{}' }}", secret.address(), other.folder().display());
    let (project, _aws) = deploying(&builder, &["api"], "FROM scratch\nCOPY app /app\n");
    project.shipit(&["deploy"]).exits(5).says("not of the authority in ca.pem");
}

#[test]
fn over_the_network_only_differences_are_sent() {
    let engine = EngineProxy::open();
    let (project, _aws) = deploying(&engine.address(), &["api"], "FROM scratch\nCOPY . /all\n");
    let megabytes: String =
        (0..3_000_000_u32).map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 28) as u8)).collect();
    let project = project.file("large", &megabytes).file(".dockerignore", ".git\n").committed();
    project.shipit(&["deploy"]).exits(0);
    let first = engine.bytes();
    assert!(first > 3_000_000, "{first} bytes");

    let project = project.file("app", "two\n").committed();
    project.shipit(&["deploy"]).exits(0);
    let second = engine.bytes() - first;
    assert!(second < 40_000, "{second} bytes for one small file that changed");
}

#[test]
fn services_are_spread_and_come_back_to_the_engine_that_has_their_layers() {
    let engines = [EngineProxy::open(), EngineProxy::open()];
    let names = ["api", "web", "worker", "admin"];
    let (project, _aws) = deploying(&list(&[&engines[0], &engines[1]]), &names, SLOW);
    let first = project.shipit(&["deploy", "--jobs", "2", "--output", "json"]).exits(0);
    for engine in &engines {
        assert_eq!(engine.requests("/build?").len(), 2, "two each, at the same time");
    }
    let placed: Vec<Value> = names.iter().map(|name| service(&first, name)["builder"].clone()).collect();

    // Alone, each is built at its home, whatever the others did.
    let again = |name: &str| {
        let ran = project.shipit(&["deploy", name, "--output", "json"]).exits(0);
        service(&ran, name)["builder"].clone()
    };
    let home = again("api");
    assert_eq!(home, placed[0], "the first that is placed is placed at home");
    assert_eq!(again("api"), home);
}

#[test]
fn a_builder_that_does_not_answer_is_told_and_the_other_builds() {
    let engine = EngineProxy::open();
    let gone = EngineProxy::open();
    gone.cut();
    let (project, _aws) = deploying(&list(&[&gone, &engine]), &["api"], "FROM scratch\nCOPY app /app\n");
    let ran = project.shipit(&["deploy"]).exits(0).says("deployed");
    ran.says(&format!("builder `{}`: no Docker Engine answers", gone.address())).says("the others build");

    engine.cut();
    let ran = project.shipit(&["deploy", "api"]).exits(5).says("no builder of deploy.yaml can be used").says("hint:");
    ran.says(&format!("`{}`", gone.address())).says(&format!("`{}`", engine.address()));
}

#[test]
fn an_engine_that_is_there_and_does_not_answer_holds_nobody_up() {
    let engine = EngineProxy::open();
    let hung = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", hung.local_addr().expect("an address"));
    // It answers the ping, as a dockerd whose storage is stuck does, and nothing else.
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in hung.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK");
            held.push(stream);
        }
    });
    let builders = format!("[{address}, {}]", engine.address());
    let (project, _aws) = deploying(&builders, &["api"], "FROM scratch\nCOPY app /app\n");
    let ran = project.shipit(&["deploy"]).exits(0).says("deployed");
    ran.says(&format!("builder `{address}`: the engine at {address} does not say what it is")).says("the others build");
}

#[test]
fn a_build_begins_again_elsewhere_when_its_engine_is_lost() {
    let engines = [EngineProxy::open(), EngineProxy::open()];
    let (project, aws) = deploying(&list(&[&engines[0], &engines[1]]), &["api"], SLOW);
    let mut running = Running::start(&project, &["deploy"]);
    let lost = begun(&mut running, "api", &[&engines[0], &engines[1]]);
    lost.cut();
    let ran = running
        .ends()
        .exits(0)
        .says(&format!("builder `{}`: ", lost.address()))
        .says("its work begins again on another");
    let other = engines.iter().find(|engine| engine.address() != lost.address()).expect("another");
    assert_eq!(service(&ran, "api")["builder"], other.address());
    assert_eq!(service(&ran, "api")["digest"], aws.latest("api-dev"));
    let told: Vec<Value> = ran.events().into_iter().filter(|event| event["level"] == "warning").collect();
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn when_all_are_lost_each_is_named_with_its_reason() {
    let engines = [EngineProxy::open(), EngineProxy::open()];
    let (project, aws) = deploying(&list(&[&engines[0], &engines[1]]), &["api", "web"], SLOW);
    let mut running = Running::start(&project, &["deploy"]);
    let first = begun(&mut running, "api", &[&engines[0], &engines[1]]);
    first.cut();
    let second = begun(&mut running, "api", &[&engines[0], &engines[1]]);
    second.cut();
    let ran = running.ends().exits(5);
    for name in ["api", "web"] {
        let outcome = service(&ran, name);
        assert_eq!(outcome["verdict"], "build-failed");
        let reason = outcome["reason"].as_str().unwrap();
        for engine in &engines {
            assert!(reason.contains(&format!("`{}`: ", engine.address())), "{reason}");
        }
        assert!(outcome["hint"].is_string(), "{outcome}");
    }
    assert!(aws.calls("UpdateService").is_empty());
}

#[test]
fn a_build_that_takes_two_engines_down_is_not_given_a_third() {
    let engines = [EngineProxy::open(), EngineProxy::open(), EngineProxy::open()];
    let all = [&engines[0], &engines[1], &engines[2]];
    let (project, _aws) = deploying(&list(&all), &["api"], SLOW);
    let mut running = Running::start(&project, &["deploy"]);
    begun(&mut running, "api", &all).cut();
    begun(&mut running, "api", &all).cut();
    let ran = running.ends().exits(5).says("2 builders were lost while they worked on this").says("memory");
    assert_eq!(service(&ran, "api")["verdict"], "build-failed");
    let builds: usize = engines.iter().map(|engine| engine.requests("/build?").len()).sum();
    assert_eq!(builds, 2);
}

#[test]
fn a_step_that_fails_is_not_tried_elsewhere() {
    let engines = [EngineProxy::open(), EngineProxy::open()];
    let (project, _aws) =
        deploying(&list(&[&engines[0], &engines[1]]), &["api"], "FROM busybox:stable\nRUN echo so && exit 7\n");
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(5);
    assert!(service(&ran, "api")["reason"].as_str().unwrap().contains("exit code 7"));
    let builds: usize = engines.iter().map(|engine| engine.requests("/build?").len()).sum();
    assert_eq!(builds, 1);
}

#[test]
fn an_engine_that_is_lost_during_the_push_costs_a_second_build() {
    let engines = [EngineProxy::open(), EngineProxy::open()];
    let (project, aws) = deploying(&list(&[&engines[0], &engines[1]]), &["api"], "FROM scratch\nCOPY app /app\n");
    // Whichever has it: the other may push.
    let at_home = service(&project.shipit(&["deploy", "--output", "json"]).exits(0), "api")["builder"].clone();
    let home = engines.iter().find(|engine| at_home == engine.address()).expect("one of them");
    let project = project.file("app", "two\n").committed();
    home.cut_at("/push?tag=git");
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0).says("its work begins again on another");
    assert_ne!(service(&ran, "api")["builder"], at_home);
    assert_eq!(service(&ran, "api")["digest"], aws.latest("api-dev"));
}

#[test]
fn latest_needs_no_engine_once_the_image_is_in_the_registry() {
    let engine = EngineProxy::open();
    let (project, aws) = deploying(&engine.address(), &["api"], "FROM scratch\nCOPY app /app\n");
    engine.cut_at("/push?tag=latest");
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0).says("the image is in the registry already");
    assert_eq!(service(&ran, "api")["verdict"], "deployed");
    assert_eq!(service(&ran, "api")["digest"], aws.latest("api-dev"));
}

#[test]
fn an_engine_behind_ssh_builds_and_pushes() {
    let engine = EngineProxy::open();
    let (project, aws) = deploying("ssh://me@far", &["api"], "FROM scratch\nCOPY app /app\n");
    // In place of `ssh`: it writes down what it was asked, and dials the engine as the far side's docker would.
    let ssh =
        format!("#!/bin/sh\necho \"$@\" >> asked\nDOCKER_HOST={} exec docker system dial-stdio\n", engine.address());
    let project = project.file("bin/ssh", &ssh);
    std::fs::set_permissions(project.path("bin/ssh"), std::fs::Permissions::from_mode(0o755)).expect("a program");
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").expect("a PATH"));
    let project = project.var("PATH", &path);
    let ran = project.shipit(&["deploy", "--allow-dirty", "--output", "json"]).exits(0);
    let asked = std::fs::read_to_string(project.path("asked")).expect("what ssh was asked");
    let nobody_is_asked = |line: &str| line.contains("-o BatchMode=yes ");
    let words = |line: &str| line.ends_with("-l me -- far docker system dial-stdio") && nobody_is_asked(line);
    assert!(asked.lines().all(words), "{asked}");
    assert_eq!(service(&ran, "api")["builder"], "ssh://me@far");
    assert_eq!(service(&ran, "api")["digest"], aws.latest("api-dev"));
    assert_eq!(engine.requests("/build?").len(), 1);
}

#[test]
fn an_ssh_that_does_not_know_the_host_is_told_in_words() {
    let (project, _aws) = deploying("ssh://me@far", &["api"], "FROM scratch\nCOPY app /app\n");
    let project = project.file("bin/ssh", "#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n");
    std::fs::set_permissions(project.path("bin/ssh"), std::fs::Permissions::from_mode(0o755)).expect("a program");
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").expect("a PATH"));
    let project = project.var("PATH", &path);
    project.shipit(&["deploy", "--allow-dirty"]).exits(5).says("Host key verification failed").says("known_hosts");
    // What would be an option of ssh is no host.
    let manifest = std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml");
    let project = project.file("deploy.yaml", &manifest.replace("ssh://me@far", "\"ssh://-oProxyCommand=x\""));
    project.shipit(&["check"]).exits(2).says("it names no host that ssh could be given");
}

#[test]
fn on_this_machine_the_engine_of_this_machine_builds() {
    let engine = EngineProxy::open();
    engine.cut();
    let (project, _aws) = deploying(&engine.address(), &["api"], "FROM scratch\nCOPY app /app\n");
    // It is found as Docker finds it, and is not there either.
    project.shipit(&["deploy", "--local"]).exits(5).says("/nowhere/docker.sock").never_says(&engine.address());
}
