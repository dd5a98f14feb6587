//! Debian's docker-registry, with basic authentication, in place of the stand-in's own: nothing else changes. So the
//! push, the login and the digests are judged by a registry that we did not write.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Project, Ran, SHIPIT, StandIn};

const USER: &str = "someone";
const PASSWORD: &str = "pass:word-of-the-registry";

/// docker-registry on a free loopback port, with one user; stopped when it goes out of scope.
struct Registry {
    process: Child,
    host: String,
    folder: tempfile::TempDir,
}

impl Registry {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address");
        let path = |name: &str| folder.path().join(name);
        let configuration = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{free}'}}\n\
             auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            path("data").display(),
            path("htpasswd").display()
        );
        fs::write(path("registry.yml"), configuration).expect("a configuration");
        let_in(&path("htpasswd"), PASSWORD);
        let process = Command::new("docker-registry")
            .args(["serve".into(), path("registry.yml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry (`tests/tools` installs it)");
        let registry = Self { process, host: free.to_string(), folder };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&registry.host).is_err() {
            assert!(Instant::now() < deadline, "docker-registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    /// From now on the user has this password: docker-registry reads the file again when it changes.
    fn change_password(&self, password: &str) {
        let_in(&self.folder.path().join("htpasswd"), password);
    }

    /// The digest that a tag has, by the registry itself.
    fn digest(&self, repository: &str, tag: &str) -> String {
        let login = base64(&format!("{USER}:{PASSWORD}"));
        let mut connection = TcpStream::connect(&self.host).expect("the registry answers");
        write!(
            connection,
            "HEAD /v2/{repository}/manifests/{tag} HTTP/1.0\r\nHost: {}\r\nAuthorization: Basic {login}\r\n\
             Accept: application/vnd.docker.distribution.manifest.v2+json\r\n\
             Accept: application/vnd.oci.image.manifest.v1+json\r\n\r\n",
            self.host
        )
        .expect("it takes a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("it answers");
        let digest = answer.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: "));
        digest.unwrap_or_else(|| panic!("no digest for {repository}:{tag}\n{answer}")).trim().to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn let_in(file: &PathBuf, password: &str) {
    let output = Command::new("htpasswd").args(["-Bbn", USER, password]).output().expect("htpasswd");
    assert!(output.status.success());
    fs::write(file, output.stdout).expect("the file of passwords");
}

fn base64(text: &str) -> String {
    let mut encoder =
        Command::new("base64").arg("-w0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("base64");
    encoder.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("it reads");
    String::from_utf8(encoder.wait_with_output().expect("it ends").stdout).expect("text")
}

fn deploying(script: &str) -> (Project, StandIn, Registry) {
    let registry = Registry::start();
    let project = Project::sample();
    let aws = StandIn::before_registry(&project, script, &registry.url(), USER, PASSWORD);
    (project.with_aws(&aws).with_engine(), aws, registry)
}

#[test]
fn a_deploy_is_proven_by_what_that_registry_has() {
    let (project, aws, registry) = deploying(r#"{"services": {"dev/api": {"desired": 2}}}"#);
    let first = project.shipit(&["deploy", "--output", "json"]).exits(0).finished();
    let digest = first["services"][0]["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(first["services"][0]["verdict"], "deployed");
    assert_eq!(registry.digest("api-dev", "latest"), digest);
    assert_eq!(registry.digest("api-dev", &format!("git-{}", &project.head()[..12])), digest);
    assert_eq!(aws.latest("api-dev"), digest);

    let project = project.file("app", "two\n").committed();
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(0).never_says(PASSWORD);
    let second = ran.finished()["services"][0]["digest"].as_str().expect("a digest").to_owned();
    assert_ne!(second, digest);
    assert_eq!(registry.digest("api-dev", "latest"), second);
}

#[test]
fn a_failed_rollout_puts_latest_back_in_that_registry() {
    let script = r#"{"services": {"dev/api": {"breaker": {"enable": false}, "deployments": [
        {}, {"tasks": [{"healthy_after_ms": 60000, "exit": {"after_ms": 500, "code": 3}}]}]}}}"#;
    let (project, _aws, registry) = deploying(script);
    let first = project.shipit(&["deploy", "--output", "json"]).exits(0).finished();
    let good = first["services"][0]["digest"].as_str().expect("a digest").to_owned();
    let project = project.file("app", "two\n").committed();
    let ran = project.shipit(&["deploy", "--output", "json"]).exits(8).says("exit code 3");
    let bad = ran.finished()["services"][0]["digest"].as_str().expect("a digest").to_owned();
    assert_ne!(bad, good);
    assert_eq!(registry.digest("api-dev", &format!("git-{}", &project.head()[..12])), bad);
    assert_eq!(registry.digest("api-dev", "latest"), good);
}

#[test]
fn a_login_that_the_registry_refuses() {
    let (project, aws, registry) = deploying("{}");
    registry.change_password("another");
    let ran = project.shipit(&["deploy"]).exits(6);
    ran.says("push-failed").says("refuses the login of `someone`").says("hint:").never_says(PASSWORD);
    assert!(aws.calls("UpdateService").is_empty());

    let serve = |project: &Project| -> Ran {
        let args = ["local", "serve", "--port", "0", "--state", "state", "--script", "script.json"];
        let mut command = project.command(&args);
        command.args(["--registry", &registry.url()]).output().expect("shipit runs").into()
    };
    let project = Project::sample().file("script.json", "{}");
    serve(&project).exits(3).says("SHIPIT_REGISTRY_USERNAME, SHIPIT_REGISTRY_PASSWORD");
    let project = project.var("SHIPIT_REGISTRY_USERNAME", USER).var("SHIPIT_REGISTRY_PASSWORD", PASSWORD);
    serve(&project).exits(6).says("refuses the login").says("check SHIPIT_REGISTRY_USERNAME").never_says(PASSWORD);
}

#[test]
fn only_plain_http_to_this_machine_is_taken() {
    for url in ["https://127.0.0.1:5000", "http://registry.example:5000", "http://a:b@127.0.0.1:5000", "127.0.0.1:5000"]
    {
        let mut command = Command::new(SHIPIT);
        command.args(["local", "serve", "--port", "0", "--script", "none", "--registry", url]);
        let ran: Ran = command.current_dir(std::env::temp_dir()).output().expect("shipit runs").into();
        ran.exits(2).says("--registry").says("hint:");
    }
}
