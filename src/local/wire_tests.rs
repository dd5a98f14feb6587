//! The stand-in over the wire, asked by the SDK that the product uses, with tasks that follow a script.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_sdk_ecs::config::{Credentials, Region};
use aws_sdk_ecs::error::ProvideErrorMetadata as _;
use aws_sdk_ecs::types::{Deployment, DesiredStatus, Service, Task};
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::ecr::manifest::digest_of;
use super::{Options, RuntimeChoice, SeedService, StandIn};

const ACCOUNT: &str = "123456789012";

struct World {
    stand_in: StandIn,
    folder: tempfile::TempDir,
    /// Made once: a client reads the certificates of the machine.
    ecs: aws_sdk_ecs::Client,
    ecr: aws_sdk_ecr::Client,
}

impl World {
    async fn new(script: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("script.json"), script.to_string()).unwrap();
        Self::start(folder).await
    }

    async fn start(folder: tempfile::TempDir) -> Self {
        let stand_in = StandIn::start(options(folder.path())).await.unwrap();
        let key = stand_in.credentials().access_key_id;
        let ecs = ecs_client(&stand_in, &key);
        let config = aws_sdk_ecr::Config::builder()
            .behavior_version_latest()
            .endpoint_url(stand_in.endpoint())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new(key, "secret", None, None, "test"))
            .build();
        Self { stand_in, folder, ecs, ecr: aws_sdk_ecr::Client::from_conf(config) }
    }

    async fn request(&self, method: Method, path: &str, authorization: &str, body: impl Into<Body>) -> Response<Body> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.stand_in.endpoint()))
            .header("authorization", authorization)
            .body(body.into())
            .unwrap();
        Client::builder(TokioExecutor::new()).build_http().request(request).await.unwrap().map(Body::new)
    }

    async fn login(&self) -> String {
        let answer = self.ecr.get_authorization_token().send().await.unwrap();
        let data = &answer.authorization_data()[0];
        assert_eq!(data.proxy_endpoint(), Some(self.stand_in.endpoint().as_str()));
        format!("Basic {}", data.authorization_token().unwrap())
    }

    /// Pushes an image without layers whose config is `content`; returns its digest.
    async fn push(&self, tag: &str, content: &str) -> String {
        let login = self.login().await;
        let blob = digest_of(content.as_bytes());
        let path = format!("/v2/api/blobs/uploads/?digest={blob}");
        let pushed = self.request(Method::POST, &path, &login, content.to_owned()).await;
        assert_eq!(pushed.status(), StatusCode::CREATED);
        let manifest = json!({"config": {"digest": blob, "size": content.len()}, "layers": []}).to_string();
        let path = format!("/v2/api/manifests/{tag}");
        let pushed = self.request(Method::PUT, &path, &login, manifest.clone()).await;
        assert_eq!(pushed.status(), StatusCode::CREATED);
        assert_eq!(pushed.headers()["docker-content-digest"], digest_of(manifest.as_bytes()).as_str());
        digest_of(manifest.as_bytes())
    }

    async fn service(&self) -> Service {
        let answer = self.ecs.describe_services().cluster("dev").services("api").send().await.unwrap();
        answer.services()[0].clone()
    }

    /// Forces a deployment and returns its id.
    async fn roll(&self) -> String {
        let answer =
            self.ecs.update_service().cluster("dev").service("api").force_new_deployment(true).send().await.unwrap();
        primary(answer.service().unwrap()).id().unwrap().to_owned()
    }

    async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        let start = Instant::now();
        while !holds().await {
            assert!(start.elapsed() < Duration::from_secs(20), "never: {what}; {:#?}", self.service().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn until_primary(&self, id: &str, state: &str) {
        self.until(state, || async {
            let service = self.service().await;
            let primary = primary(&service);
            primary.id() == Some(id) && primary.rollout_state().is_some_and(|now| now.as_str() == state)
        })
        .await;
    }

    async fn tasks(&self, status: DesiredStatus) -> Vec<Task> {
        let mut pages =
            self.ecs.list_tasks().cluster("dev").service_name("api").desired_status(status).into_paginator().send();
        let mut tasks = Vec::new();
        while let Some(page) = pages.next().await {
            let arns = page.unwrap().task_arns().to_vec();
            if !arns.is_empty() {
                let answer = self.ecs.describe_tasks().cluster("dev").set_tasks(Some(arns)).send().await.unwrap();
                tasks.extend(answer.tasks().to_vec());
            }
        }
        tasks
    }

    async fn calls(&self, operation: &str) -> usize {
        let answer = self.request(Method::GET, "/_stand-in/calls", "", Body::empty()).await;
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let calls: Value = serde_json::from_slice(&bytes).unwrap();
        calls["calls"].as_array().unwrap().iter().filter(|call| call["operation"] == operation).count()
    }
}

fn ecs_client(stand_in: &StandIn, key: &str) -> aws_sdk_ecs::Client {
    let config = aws_sdk_ecs::Config::builder()
        .behavior_version_latest()
        .endpoint_url(stand_in.endpoint())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new(key, "secret", None, None, "test"))
        .build();
    aws_sdk_ecs::Client::from_conf(config)
}

fn options(folder: &Path) -> Options {
    Options {
        state_dir: folder.join("state"),
        port: 0,
        account: ACCOUNT.to_owned(),
        region: "eu-west-1".to_owned(),
        buckets: Vec::new(),
        seed: vec![SeedService {
            account: None,
            region: None,
            repository: "api".to_owned(),
            cache_repository: None,
            cluster: "dev".to_owned(),
            service: "api".to_owned(),
            container: "app".to_owned(),
            container_port: None,
            desired: 1,
            architecture: "X86_64",
        }],
        runtime: RuntimeChoice::Script(folder.join("script.json")),
        registry: None,
    }
}

fn primary(service: &Service) -> &Deployment {
    service.deployments().iter().find(|deployment| deployment.status() == Some("PRIMARY")).unwrap()
}

/// One service, `dev/api`, scripted.
fn script(service: &Value) -> Value {
    json!({"speed": 50, "services": {"dev/api": service}})
}

#[tokio::test]
async fn a_pushed_image_is_rolled_and_its_digest_shown_by_the_tasks() {
    let world = World::new(&script(&json!({}))).await;
    let waiting = world.service().await;
    assert_eq!((waiting.desired_count(), waiting.running_count(), waiting.deployments().len()), (1, 0, 1));
    let digest = world.push("latest", "one").await;
    let id = world.roll().await;
    world.until_primary(&id, "COMPLETED").await;
    let tasks = world.tasks(DesiredStatus::Running).await;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].started_by(), Some(id.as_str()));
    assert_eq!(tasks[0].containers()[0].name(), Some("app"));
    assert_eq!(tasks[0].containers()[0].image_digest(), Some(digest.as_str()));
    let image = tasks[0].containers()[0].image().unwrap();
    assert_eq!(format!("http://{image}"), format!("{}/api:latest", world.stand_in.endpoint()));
}

#[tokio::test]
async fn old_and_new_overlap_and_the_old_one_says_why_it_stopped() {
    let old = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let behaviour =
        json!({"running": old, "deployments": [{"tasks": [{"healthy_after_ms": 50_000, "drain_ms": 50_000}]}]});
    let world = World::new(&script(&behaviour)).await;
    assert_eq!(world.tasks(DesiredStatus::Running).await[0].containers()[0].image_digest(), Some(old));
    let before = primary(&world.service().await).id().unwrap().to_owned();
    world.push("latest", "two").await;
    let id = world.roll().await;
    world.until("both run", || async { world.service().await.running_count() == 2 }).await;
    let statuses: Vec<_> =
        world.service().await.deployments().iter().filter_map(|each| each.status().map(str::to_owned)).collect();
    assert_eq!(statuses, ["PRIMARY", "ACTIVE"]);
    world.until_primary(&id, "COMPLETED").await;
    assert_eq!(world.service().await.deployments().len(), 1);
    let stopped = world.tasks(DesiredStatus::Stopped).await;
    assert_eq!(
        stopped[0].stopped_reason(),
        Some(format!("Scaling activity initiated by (deployment {before})").as_str())
    );
    assert_eq!(stopped[0].stop_code().unwrap().as_str(), "ServiceSchedulerInitiated");
}

#[tokio::test]
async fn a_crash_loop_is_rolled_back_and_only_the_history_remembers() {
    let old = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let crash = json!({"exit": {"code": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"}});
    let world = World::new(&script(&json!({"running": old, "deployments": [{"tasks": [crash]}]}))).await;
    let before = primary(&world.service().await).id().unwrap().to_owned();
    world.push("latest", "bad").await;
    let id = world.roll().await;
    assert_ne!(id, before);
    world
        .until("the history says so", || async {
            let history = world.ecs.list_service_deployments().cluster("dev").service("api").send().await.unwrap();
            history.service_deployments()[0].status().is_some_and(|status| status.as_str() == "ROLLBACK_SUCCESSFUL")
        })
        .await;
    world.until_primary(&before, "COMPLETED").await;
    world.until("alone", || async { world.service().await.deployments().len() == 1 }).await;
    assert_eq!(world.tasks(DesiredStatus::Running).await[0].containers()[0].image_digest(), Some(old));
    let stopped = world.tasks(DesiredStatus::Stopped).await;
    assert_eq!(stopped.len(), 3);
    assert!(stopped.iter().all(|task| task.started_by() == Some(id.as_str())));
    assert_eq!(stopped[0].containers()[0].exit_code(), Some(137));
    assert_eq!(stopped[0].stopped_reason(), Some("Essential container in task exited"));
    let history = world.ecs.list_service_deployments().cluster("dev").service("api").send().await.unwrap();
    assert_eq!(history.service_deployments()[0].status().unwrap().as_str(), "ROLLBACK_SUCCESSFUL");
    let arn = history.service_deployments()[0].service_deployment_arn().unwrap();
    let described = world.ecs.describe_service_deployments().service_deployment_arns(arn).send().await.unwrap();
    let breaker = described.service_deployments()[0].deployment_circuit_breaker().unwrap();
    assert_eq!((breaker.failure_count(), breaker.threshold()), (3, 3));
}

#[tokio::test]
async fn somebody_else_supersedes_and_another_digest_can_win() {
    let other = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    let behaviour = json!({"deployments": [
        {"superseded_after_ms": 1000, "tasks": [{"healthy_after_ms": 500_000}]},
        {"digest": other},
    ]});
    let world = World::new(&script(&behaviour)).await;
    world.push("latest", "mine").await;
    let mine = world.roll().await;
    world
        .until("another PRIMARY is steady", || async {
            let service = world.service().await;
            let primary = primary(&service);
            primary.id() != Some(mine.as_str())
                && primary.rollout_state().is_some_and(|state| state.as_str() == "COMPLETED")
        })
        .await;
    assert_eq!(world.tasks(DesiredStatus::Running).await[0].containers()[0].image_digest(), Some(other));
}

#[tokio::test]
async fn more_than_a_hundred_tasks_are_listed_in_pages() {
    let world = World::new(&script(&json!({"desired": 150}))).await;
    world.push("latest", "many").await;
    let id = world.roll().await;
    world.until_primary(&id, "COMPLETED").await;
    assert_eq!(world.tasks(DesiredStatus::Running).await.len(), 150);
    assert_eq!(world.calls("ecs:DescribeTasks").await, 2);
    let too_many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let refused = world.ecs.describe_tasks().cluster("dev").set_tasks(Some(too_many)).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("InvalidParameterException"));
}

#[tokio::test]
async fn throttling_and_lost_connections_are_survived_and_denials_are_not() {
    let mut script = script(&json!({}));
    script["deny"] = json!(["ecs:TagResource"]);
    script["faults"] = json!([
        {"operation": "DescribeServices", "times": 1, "error": "ThrottlingException", "message": "Rate exceeded"},
        {"operation": "ListTasks", "times": 1, "drop": true},
        {"operation": "ListServices", "times": 1, "status": 503},
    ]);
    let world = World::new(&script).await;
    assert_eq!(world.service().await.status(), Some("ACTIVE"));
    assert_eq!(world.calls("ecs:DescribeServices").await, 2, "one throttled, one answered");
    assert!(world.tasks(DesiredStatus::Running).await.is_empty());
    world.ecs.list_services().cluster("dev").send().await.unwrap();
    let arn = world.service().await.service_arn().unwrap().to_owned();
    let tag = aws_sdk_ecs::types::Tag::builder().key("a").value("b").build();
    let denied = world.ecs.tag_resource().resource_arn(arn).tags(tag).send().await.unwrap_err();
    assert_eq!(denied.code(), Some("AccessDeniedException"));
    let expected = format!("User: arn:aws:iam::{ACCOUNT}:user/local is not authorized to perform: ecs:TagResource");
    assert!(denied.message().unwrap().starts_with(&expected), "{:?}", denied.message());
}

#[tokio::test]
async fn an_answer_can_be_from_before_the_update() {
    let mut script = script(&json!({}));
    script["faults"] = json!([{"operation": "DescribeServices", "after": 1, "times": 1, "stale": true}]);
    let world = World::new(&script).await;
    world.push("latest", "x").await;
    let before = primary(&world.service().await).id().unwrap().to_owned();
    let mine = world.roll().await;
    assert_eq!(primary(&world.service().await).id(), Some(before.as_str()), "not through yet");
    assert_eq!(primary(&world.service().await).id(), Some(mine.as_str()));
}

#[tokio::test]
async fn refusals_have_the_names_that_aws_gives_them() {
    let world = World::new(&script(&json!({"controller": "CODE_DEPLOY"}))).await;
    let update = |cluster: &str, service: &str| {
        world.ecs.update_service().cluster(cluster).service(service).force_new_deployment(true).send()
    };
    assert_eq!(update("dev", "api").await.unwrap_err().code(), Some("InvalidParameterException"));
    assert_eq!(update("nope", "api").await.unwrap_err().code(), Some("ClusterNotFoundException"));
    assert_eq!(update("dev", "nope").await.unwrap_err().code(), Some("ServiceNotFoundException"));
    let answer = world.ecs.describe_services().cluster("dev").services("nope").send().await.unwrap();
    assert_eq!(answer.failures()[0].reason(), Some("MISSING"));
    let refused = ecs_client(&world.stand_in, "AKIANOBODY").list_clusters().send().await.unwrap_err();
    assert_eq!(refused.code(), Some("UnrecognizedClientException"));
    let unknown = world.ecs.list_container_instances().send().await.unwrap_err();
    assert_eq!(unknown.code(), Some("UnknownOperationException"));
    let ecr = &world.ecr;
    let missing = ecr.describe_repositories().repository_names("nope").send().await.unwrap_err();
    assert_eq!(missing.code(), Some("RepositoryNotFoundException"));
    let again = ecr.create_repository().repository_name("api").send().await.unwrap_err();
    assert_eq!(again.code(), Some("RepositoryAlreadyExistsException"));
    let tag = aws_sdk_ecr::types::ImageIdentifier::builder().image_tag("nope").build();
    let missing = ecr.describe_images().repository_name("api").image_ids(tag.clone()).send().await.unwrap_err();
    assert_eq!(missing.code(), Some("ImageNotFoundException"));
    let answer = ecr.batch_get_image().repository_name("api").image_ids(tag).send().await.unwrap();
    assert_eq!(answer.failures()[0].failure_code().unwrap().as_str(), "ImageNotFound");
}

#[tokio::test]
async fn a_manifest_is_put_back_byte_for_byte() {
    let world = World::new(&script(&json!({}))).await;
    let first = world.push("latest", "one").await;
    let second = world.push("latest", "two").await;
    assert_ne!(first, second);
    let ecr = &world.ecr;
    let by_digest = aws_sdk_ecr::types::ImageIdentifier::builder().image_digest(&first).build();
    let got = ecr.batch_get_image().repository_name("api").image_ids(by_digest).send().await.unwrap();
    let manifest = got.images()[0].image_manifest().unwrap();
    let put =
        || ecr.put_image().repository_name("api").image_tag("latest").image_manifest(manifest).image_digest(&first);
    put().send().await.unwrap();
    assert_eq!(put().send().await.unwrap_err().code(), Some("ImageAlreadyExistsException"));
    let tag = aws_sdk_ecr::types::ImageIdentifier::builder().image_tag("latest").build();
    let latest = ecr.describe_images().repository_name("api").image_ids(tag).send().await.unwrap();
    assert_eq!(latest.image_details()[0].image_digest(), Some(first.as_str()));
    let all = ecr.describe_images().repository_name("api").send().await.unwrap();
    assert_eq!(all.image_details().len(), 2, "the other one is there still, untagged");
}

#[tokio::test]
async fn the_registry_checks_the_login_and_every_digest() {
    let world = World::new(&script(&json!({}))).await;
    let nobody = world.request(Method::GET, "/v2/", "", Body::empty()).await;
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    assert!(nobody.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
    let login = world.login().await;
    let wrong = format!("/v2/api/blobs/uploads/?digest={}", digest_of(b"something else"));
    assert_eq!(world.request(Method::POST, &wrong, &login, "content").await.status(), StatusCode::BAD_REQUEST);
    let missing = world.request(Method::POST, "/v2/nope/blobs/uploads/", &login, Body::empty()).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    let begun = world.request(Method::POST, "/v2/api/blobs/uploads/", &login, Body::empty()).await;
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    let upload = begun.headers()["location"].to_str().unwrap().to_owned();
    let first = world.request(Method::PATCH, &upload, &login, "in two ").await;
    assert_eq!(first.headers()["range"], "0-6");
    world.request(Method::PATCH, &upload, &login, "chunks").await;
    let digest = digest_of(b"in two chunks");
    let done = world.request(Method::PUT, &format!("{upload}?digest={digest}"), &login, Body::empty()).await;
    assert_eq!(done.status(), StatusCode::CREATED);
    let blob = world.request(Method::GET, &format!("/v2/api/blobs/{digest}"), &login, Body::empty()).await;
    assert_eq!(blob.into_body().collect().await.unwrap().to_bytes(), "in two chunks");
    let gone = world.request(Method::PUT, &format!("{upload}?digest={digest}"), &login, Body::empty()).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_state_outlives_the_process() {
    let world = World::new(&script(&json!({}))).await;
    let digest = world.push("latest", "kept").await;
    let id = world.roll().await;
    world.until_primary(&id, "COMPLETED").await;
    let World { stand_in, folder, .. } = world;
    stand_in.stop().await.unwrap();
    let world = World::start(folder).await;
    let service = world.service().await;
    assert_eq!((primary(&service).id(), service.running_count()), (Some(id.as_str()), 1));
    let next = world.roll().await;
    world.until_primary(&next, "COMPLETED").await;
    let tasks = world.tasks(DesiredStatus::Running).await;
    assert_eq!(tasks[0].containers()[0].image_digest(), Some(digest.as_str()), "found on the new port too");
}

#[tokio::test]
async fn a_new_script_is_taken_up_and_a_bad_one_refused() {
    let world = World::new(&script(&json!({}))).await;
    let post = |body: Value| world.request(Method::POST, "/_stand-in/script", "", body.to_string());
    assert_eq!(post(json!({"sped": 1})).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(post(script(&json!({"status": "MISSING"}))).await.status(), StatusCode::OK);
    let answer = world.ecs.describe_services().cluster("dev").services("api").send().await.unwrap();
    assert_eq!(answer.failures().len(), 1);
}
