//! The stand-in for AWS as a process of its own, with tasks that follow a script.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Project, SHIPIT};

pub(crate) struct StandIn {
    process: Child,
    endpoint: String,
    access_key: String,
    secret_key: String,
    _state: tempfile::TempDir,
}

impl StandIn {
    /// Serves the repositories and services of the project's deploy.yaml; every task follows `script` (JSON).
    pub(crate) fn scripted(project: &Project, script: &str) -> Self {
        Self::start(project, script, |_| {})
    }

    /// The same, with the images in another registry.
    pub(crate) fn before_registry(project: &Project, script: &str, url: &str, user: &str, password: &str) -> Self {
        Self::start(project, script, |serve| {
            serve
                .args(["--registry", url])
                .env("SHIPIT_REGISTRY_USERNAME", user)
                .env("SHIPIT_REGISTRY_PASSWORD", password);
        })
    }

    fn start(project: &Project, script: &str, more: impl FnOnce(&mut Command)) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let file = state.path().join("script.json");
        std::fs::write(&file, script).expect("a script");
        let mut serve = Command::new(SHIPIT);
        serve
            .args(["local", "serve", "--port", "0", "--config"])
            .arg(project.path("deploy.yaml"))
            .arg("--state")
            .arg(state.path().join("state"))
            .arg("--script")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        more(&mut serve);
        let mut process = serve.spawn().expect("the stand-in starts");
        let stdout = process.stdout.take().expect("its stdout");
        let said: Vec<String> = BufReader::new(stdout).lines().take(5).map(|line| line.expect("a line")).collect();
        let value = |start: &str| {
            let line = said.iter().find_map(|line| line.strip_prefix(start));
            line.unwrap_or_else(|| panic!("no `{start}` in {said:?}")).to_owned()
        };
        Self {
            endpoint: value("listening on "),
            access_key: value("export AWS_ACCESS_KEY_ID="),
            secret_key: value("export AWS_SECRET_ACCESS_KEY="),
            process,
            _state: state,
        }
    }

    pub(crate) fn access_key(&self) -> &str {
        &self.access_key
    }

    pub(crate) fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// The calls of one action so far, by its name without the service.
    pub(crate) fn calls(&self, action: &str) -> Vec<serde_json::Value> {
        let is_it = |call: &serde_json::Value| {
            let operation = call["operation"].as_str().expect("an operation");
            operation.split_once(':').is_some_and(|(_, name)| name == action)
        };
        self.journal().into_iter().filter(is_it).collect()
    }

    /// Everything that was asked so far, by the registry's clients as well.
    pub(crate) fn journal(&self) -> Vec<serde_json::Value> {
        let journal = self.http("GET /_stand-in/calls", &[], "");
        journal["calls"].as_array().cloned().expect("a journal")
    }

    /// The name of every call so far: `ecs:UpdateService`, or `GET /v2/…` of the registry.
    pub(crate) fn operations(&self) -> Vec<String> {
        let journal = self.http("GET /_stand-in/calls", &[], "");
        let all = journal["calls"].as_array().cloned().expect("a journal");
        all.iter().map(|call| call["operation"].as_str().expect("an operation").to_owned()).collect()
    }

    /// The requests to the registry so far, as `PUT /v2/api-dev/manifests/latest`.
    pub(crate) fn registry_requests(&self) -> Vec<String> {
        self.operations().into_iter().filter(|operation| operation.contains(" /v2/")).collect()
    }

    /// Waits until the action was called.
    #[track_caller]
    pub(crate) fn wait_for(&self, action: &str) {
        self.wait_for_more(action, 0);
    }

    /// Waits until the action was called more often than that.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, action: &str, than: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.calls(action).len() <= than {
            assert!(Instant::now() < deadline, "{action} was not called");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The digest that `latest` has.
    pub(crate) fn latest(&self, repository: &str) -> String {
        let target = "AmazonEC2ContainerRegistry_V20150921.DescribeImages";
        let input = serde_json::json!({"repositoryName": repository, "imageIds": [{"imageTag": "latest"}]});
        let answer = self.aws("ecr", target, &input);
        answer["imageDetails"][0]["imageDigest"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// All tags of all images of the repository.
    pub(crate) fn image_tags(&self, repository: &str) -> Vec<String> {
        let target = "AmazonEC2ContainerRegistry_V20150921.DescribeImages";
        let answer = self.aws("ecr", target, &serde_json::json!({"repositoryName": repository}));
        let images = answer["imageDetails"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
        let tags = images.flat_map(|image| image["imageTags"].as_array().cloned().unwrap_or_default());
        tags.map(|tag| tag.as_str().expect("a tag").to_owned()).collect()
    }

    /// The service as DescribeServices has it.
    pub(crate) fn service(&self, cluster: &str, service: &str) -> serde_json::Value {
        let target = "AmazonEC2ContainerServiceV20141113.DescribeServices";
        let input = serde_json::json!({"cluster": cluster, "services": [service]});
        self.aws("ecs", target, &input)["services"][0].clone()
    }

    /// The service's tags as one object.
    pub(crate) fn tags(&self, cluster: &str, service: &str) -> serde_json::Value {
        let arn = self.service(cluster, service)["serviceArn"].clone();
        let target = "AmazonEC2ContainerServiceV20141113.ListTagsForResource";
        let answer = self.aws("ecs", target, &serde_json::json!({ "resourceArn": arn }));
        let tags = answer["tags"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
        tags.map(|tag| (tag["key"].as_str().expect("a key").to_owned(), tag["value"].clone())).collect()
    }

    /// Puts a tag on a service, as somebody else would.
    pub(crate) fn tag_service(&self, cluster: &str, service: &str, key: &str, value: &str) {
        let arn = self.service(cluster, service)["serviceArn"].clone();
        let input = serde_json::json!({"resourceArn": arn, "tags": [{"key": key, "value": value}]});
        self.aws("ecs", "AmazonEC2ContainerServiceV20141113.TagResource", &input);
    }

    /// Takes tags off a service.
    pub(crate) fn untag_service(&self, cluster: &str, service: &str, keys: &[&str]) {
        let arn = self.service(cluster, service)["serviceArn"].clone();
        let input = serde_json::json!({"resourceArn": arn, "tagKeys": keys});
        self.aws("ecs", "AmazonEC2ContainerServiceV20141113.UntagResource", &input);
    }

    /// Rolls a service by hand, and waits for nothing.
    pub(crate) fn force(&self, cluster: &str, service: &str) {
        let input = serde_json::json!({"cluster": cluster, "service": service, "forceNewDeployment": true});
        self.aws("ecs", "AmazonEC2ContainerServiceV20141113.UpdateService", &input);
    }

    /// The tasks with this `startedBy`, in the order of their beginning.
    pub(crate) fn one_offs(&self, cluster: &str, started_by: &str) -> Vec<serde_json::Value> {
        let call = |operation: &str, input: serde_json::Value| {
            self.aws("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), &input)
        };
        let list = |desired: &str| {
            let input = serde_json::json!({"cluster": cluster, "startedBy": started_by, "desiredStatus": desired});
            call("ListTasks", input)["taskArns"].as_array().cloned().expect("a list")
        };
        let arns = [list("RUNNING"), list("STOPPED")].concat();
        let answer = call("DescribeTasks", serde_json::json!({"cluster": cluster, "tasks": arns}));
        let mut tasks = answer["tasks"].as_array().cloned().unwrap_or_else(|| panic!("{answer}"));
        tasks.sort_by(|one, other| one["createdAt"].as_f64().partial_cmp(&other["createdAt"].as_f64()).unwrap());
        tasks
    }

    /// Replaces the script.
    pub(crate) fn follow(&self, script: &str) {
        self.http("POST /_stand-in/script", &[], script);
    }

    /// How many deployments ECS has a record of.
    pub(crate) fn deployments_made(&self, cluster: &str, service: &str) -> usize {
        self.records(cluster, service).len()
    }

    fn records(&self, cluster: &str, service: &str) -> Vec<serde_json::Value> {
        let target = "AmazonEC2ContainerServiceV20141113.ListServiceDeployments";
        let answer = self.aws("ecs", target, &serde_json::json!({"cluster": cluster, "service": service}));
        answer["serviceDeployments"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }

    /// Waits until the newest deployment waits at a hook, and answers it.
    #[track_caller]
    pub(crate) fn answer_hook(&self, cluster: &str, service: &str, action: &str) {
        let target = |operation: &str| format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let arn = self.records(cluster, service)[0]["serviceDeploymentArn"].clone();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let question = serde_json::json!({"serviceDeploymentArns": [arn]});
            let answer = self.aws("ecs", &target("DescribeServiceDeployments"), &question);
            let hook = answer["serviceDeployments"][0]["lifecycleHookDetails"][0]["hookId"].clone();
            if hook.is_string() {
                let input = serde_json::json!({"serviceDeploymentArn": arn, "hookId": hook, "action": action});
                self.aws("ecs", &target("ContinueServiceDeployment"), &input);
                return;
            }
            assert!(Instant::now() < deadline, "it waits at no hook: {answer}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Puts a tag on an image, as somebody else would.
    pub(crate) fn tag(&self, repository: &str, digest: &str, tag: &str) {
        let question = serde_json::json!({"repositoryName": repository, "imageIds": [{"imageDigest": digest}]});
        let found = self.aws("ecr", "AmazonEC2ContainerRegistry_V20150921.BatchGetImage", &question);
        let manifest = &found["images"][0]["imageManifest"];
        let input = serde_json::json!({"repositoryName": repository, "imageManifest": manifest, "imageTag": tag});
        self.aws("ecr", "AmazonEC2ContainerRegistry_V20150921.PutImage", &input);
    }

    /// Pushes an index of that one amd64 image under a tag, as buildx does. Returns the index's digest.
    pub(crate) fn push_index_of(&self, repository: &str, digest: &str, tag: &str) -> String {
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [{
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "digest": digest, "size": 527,
            "platform": {"architecture": "amd64", "os": "linux"},
        }]});
        let input = serde_json::json!({
            "repositoryName": repository, "imageTag": tag, "imageManifest": index.to_string(),
            "imageManifestMediaType": media_type,
        });
        let answer = self.aws("ecr", "AmazonEC2ContainerRegistry_V20150921.PutImage", &input);
        answer["image"]["imageId"]["imageDigest"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    pub(crate) fn aws(&self, service: &str, target: &str, input: &serde_json::Value) -> serde_json::Value {
        let scope = format!("{}/20260101/ap-south-1/{service}/aws4_request", self.access_key);
        let signed = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00");
        let headers = [
            ("X-Amz-Target", target),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("Authorization", signed.as_str()),
        ];
        self.http("POST /", &headers, &input.to_string())
    }

    /// One request, by hand: the tests need no HTTP library for this.
    fn http(&self, request: &str, headers: &[(&str, &str)], body: &str) -> serde_json::Value {
        let host = self.endpoint.strip_prefix("http://").expect("an address");
        let mut connection = TcpStream::connect(host).expect("the stand-in answers");
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        write!(connection, "{request} HTTP/1.0\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
            .expect("it takes a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
        assert!(head.contains(" 200 "), "{request}: {answer}");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
