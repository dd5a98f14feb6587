//! The stand-in for AWS against tools that we did not write: the `aws` command line, skopeo and docker. Were it only
//! tested with our own client, it would only agree with ourselves.
//!
//! The tools have to be there; so these tests run where they are asked for (`--ignored`).

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::support::noise;

/// `shipit local serve` with scripted tasks, on a free port; stopped when it goes out of scope.
struct Serve {
    child: Child,
    folder: tempfile::TempDir,
    /// The lines that it says at first: `NAME=VALUE` for the environment of a tool.
    environment: Vec<(String, String)>,
    endpoint: String,
}

impl Serve {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("script.json"), r#"{"speed": 50}"#).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_shipit"))
            .args(["local", "serve", "--port", "0", "--state", "state", "--script", "script.json"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let first = lines.next().unwrap();
        let endpoint = first.strip_prefix("listening on ").unwrap().to_owned();
        let environment = lines
            .by_ref()
            .take(5)
            .map(|line| {
                let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
                (name.to_owned(), value.to_owned())
            })
            .collect();
        Self { child, folder, environment, endpoint }
    }

    fn host(&self) -> &str {
        self.endpoint.strip_prefix("http://").unwrap()
    }

    fn environment(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn aws(&self, line: &str) -> Output {
        Command::new("aws")
            .args(line.split_whitespace())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("the aws command line is on the PATH")
    }

    /// What the command says; it has to succeed.
    #[track_caller]
    fn says(&self, line: &str) -> String {
        let output = self.aws(line);
        assert!(output.status.success(), "aws {line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The command has to fail with this exception.
    #[track_caller]
    fn refuses(&self, line: &str, exception: &str) {
        let output = self.aws(line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(&format!("({exception})")), "aws {line}: {said}");
    }

    fn password(&self) -> String {
        self.says("ecr get-login-password")
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An OCI layout with one image: a config and no layers.
fn oci_layout(folder: &Path) {
    let layout = folder.join("oci");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let blob = |content: &str| {
        let mut sum =
            Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha256sum");
        sum.stdin.take().unwrap().write_all(content.as_bytes()).unwrap();
        let digest = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap()[..64].to_owned();
        fs::write(layout.join("blobs/sha256").join(&digest), content).unwrap();
        (digest, content.len())
    };
    let (config, size) =
        blob(r#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#);
    let (manifest, length) = blob(&format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:{config}","size":{size}}},"layers":[]}}"#
    ));
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(
        layout.join("index.json"),
        format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{manifest}","size":{length},"annotations":{{"org.opencontainers.image.ref.name":"x"}}}}]}}"#
        ),
    )
    .unwrap();
}

fn skopeo(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("skopeo").args(arguments).current_dir(folder).output().expect("skopeo is on the PATH")
}

/// Makes a repository, pushes an image with skopeo and returns its digest as ECR has it.
fn pushed(serve: &Serve) -> String {
    serve.says("ecr create-repository --repository-name team/tools");
    oci_layout(serve.path());
    let target = format!("docker://{}/team/tools:latest", serve.host());
    let credentials = format!("AWS:{}", serve.password());
    let copied = skopeo(
        serve.path(),
        &[
            "copy",
            "--insecure-policy",
            "--preserve-digests",
            "--dest-tls-verify=false",
            "--dest-creds",
            &credentials,
            "oci:oci:x",
            &target,
        ],
    );
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    serve.says("ecr describe-images --repository-name team/tools --image-ids imageTag=latest --query imageDetails[0].imageDigest --output text")
}

#[test]
fn skopeo_pushes_and_finds_what_it_pushed() {
    let serve = Serve::start();
    let digest = pushed(&serve);
    let source = format!("docker://{}/team/tools:latest", serve.host());
    let credentials = format!("AWS:{}", serve.password());
    let inspected = skopeo(
        serve.path(),
        &["inspect", "--tls-verify=false", "--creds", &credentials, "--format", "{{.Digest}}", &source],
    );
    assert_eq!(String::from_utf8_lossy(&inspected.stdout).trim(), digest);
    let stranger = skopeo(serve.path(), &["inspect", "--tls-verify=false", "--creds", "AWS:guess", &source]);
    assert!(!stranger.status.success(), "a password that was never given out");
}

#[test]
fn the_aws_command_line_rolls_a_service_and_waits_for_it() {
    let serve = Serve::start();
    let digest = pushed(&serve);
    serve.says("ecs create-cluster --cluster-name dev");
    let image = format!("{}/team/tools:latest", serve.host());
    let containers = format!(r#"[{{"name":"app","image":"{image}"}}]"#);
    serve.says(&format!("ecs register-task-definition --family tools --container-definitions {containers}"));
    serve.says("ecs create-service --cluster dev --service-name tools --task-definition tools --desired-count 2");
    serve.says("ecs wait services-stable --cluster dev --services tools");
    let first = serve.says(
        "ecs describe-services --cluster dev --services tools --query services[0].deployments[0].id --output text",
    );
    let mine = serve.says("ecs update-service --cluster dev --service tools --force-new-deployment --query service.deployments[?status=='PRIMARY'].id --output text");
    assert_ne!(first, mine);
    serve.says("ecs wait services-stable --cluster dev --services tools");
    let tasks = serve.says("ecs list-tasks --cluster dev --service-name tools --query taskArns --output text");
    let shown = serve.says(&format!("ecs describe-tasks --cluster dev --tasks {tasks} --query tasks[].[startedBy,containers[0].imageDigest] --output text"));
    let expected = format!("{mine}\t{digest}\n{mine}\t{digest}");
    assert_eq!(shown, expected);
}

#[test]
fn the_aws_command_line_understands_every_refusal() {
    let serve = Serve::start();
    assert!(serve.says("sts get-caller-identity").contains(":user/local"));
    serve.refuses("ecs list-tasks --cluster nope", "ClusterNotFoundException");
    serve.refuses("ecr describe-images --repository-name nope", "RepositoryNotFoundException");
    serve.refuses("ecs describe-task-definition --task-definition nope", "ClientException");
    serve.refuses("ecs list-container-instances", "UnknownOperationException");
    serve.refuses("sts assume-role --role-session-name me --role-arn arn:aws:iam::999999999999:role/x", "AccessDenied");
    serve.refuses("sts assume-role-with-web-identity --role-session-name me --web-identity-token garbage --role-arn arn:aws:iam::999999999999:role/x", "InvalidIdentityToken");
    serve.refuses("logs get-log-events --log-group-name nope --log-stream-name nope", "ResourceNotFoundException");
    pushed(&serve);
    let manifest = serve.says("ecr batch-get-image --repository-name team/tools --image-ids imageTag=latest --query images[0].imageManifest --output text");
    let manifest: String = manifest.split_whitespace().collect();
    serve.refuses(
        &format!("ecr put-image --repository-name team/tools --image-tag latest --image-manifest {manifest}"),
        "ImageAlreadyExistsException",
    );
    serve.says("ecr create-repository --repository-name other");
    serve.refuses(
        &format!("ecr put-image --repository-name other --image-tag latest --image-manifest {manifest}"),
        "LayersNotFoundException",
    );
    serve.says("ecr put-image-tag-mutability --repository-name team/tools --image-tag-mutability IMMUTABLE");
    serve.refuses(
        &format!("ecr put-image --repository-name team/tools --image-tag latest --image-manifest {manifest}"),
        "ImageTagAlreadyExistsException",
    );
    serve.refuses("ecr delete-repository --repository-name team/tools", "RepositoryNotEmptyException");
}

#[test]
fn docker_logs_in_pushes_and_pulls() {
    let serve = Serve::start();
    serve.says("ecr create-repository --repository-name tools");
    let reference = format!("{}/tools:latest", serve.host());
    let docker = |arguments: &[&str], input: Vec<u8>| {
        let mut child = Command::new("docker")
            .args(arguments)
            .env("DOCKER_CONFIG", serve.path().join("docker"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker is on the PATH");
        child.stdin.take().unwrap().write_all(&input).unwrap();
        child.wait_with_output().unwrap()
    };
    let login =
        |password: String| docker(&["login", "-u", "AWS", "--password-stdin", serve.host()], password.into_bytes());
    let tar = Command::new("tar").args(["-c", "script.json"]).current_dir(serve.path()).output().unwrap().stdout;
    assert!(docker(&["import", "-", &reference], tar).status.success());
    assert!(!docker(&["push", &reference], Vec::new()).status.success(), "nobody is logged in");
    assert!(!login("guess".to_owned()).status.success());
    assert!(login(serve.password()).status.success());
    let push = docker(&["push", &reference], Vec::new());
    assert!(push.status.success(), "{}", String::from_utf8_lossy(&push.stderr));
    let digest =
        serve.says("ecr describe-images --repository-name tools --query imageDetails[0].imageDigest --output text");
    assert!(String::from_utf8_lossy(&push.stdout).contains(&digest));
    assert!(docker(&["rmi", &reference], Vec::new()).status.success());
    let pull = docker(&["pull", &reference], Vec::new());
    assert!(String::from_utf8_lossy(&pull.stdout).contains(&digest), "{}", String::from_utf8_lossy(&pull.stderr));
    assert!(docker(&["rmi", &reference], Vec::new()).status.success());
}

#[test]
fn the_aws_command_line_works_with_buckets() {
    let serve = Serve::start();
    let file = |name: &str| serve.path().join(name).display().to_string();
    fs::write(file("small"), "small\n").unwrap();
    // Large enough for the command line to send it in parts, and to fetch it in ranges.
    fs::write(file("large"), noise(20 << 20)).unwrap();
    serve.says("s3 mb s3://apps");
    for name in ["small", "large"] {
        serve.says(&format!("s3 cp {} s3://apps/dir/{name} --metadata revision=abc", file(name)));
        serve.says(&format!("s3 cp s3://apps/dir/{name} {}", file("back")));
        assert!(fs::read(file("back")).unwrap() == fs::read(file(name)).unwrap(), "{name}");
    }
    assert_eq!(
        serve.says("s3api head-object --bucket apps --key dir/small --query Metadata.revision --output text"),
        "abc"
    );
    assert!(serve.says("s3api head-object --bucket apps --key dir/large --query ETag --output text").ends_with("-3\""));
    assert_eq!(
        serve.says("s3api list-objects-v2 --bucket apps --delimiter / --query CommonPrefixes[].Prefix --output text"),
        "dir/"
    );
    let listed = serve.says("s3api list-objects-v2 --bucket apps --page-size 1 --query Contents[].Key --output text");
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), ["dir/large", "dir/small"]);
    for algorithm in ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"] {
        let put = format!(
            "s3api put-object --bucket apps --key sums --body {} --checksum-algorithm {algorithm}",
            file("small")
        );
        let output = serve.aws(&put);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Two of them need a library that is not always there.
        assert!(output.status.success() || said.contains("botocore[crt]"), "{algorithm}: {said}");
    }
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    serve.refuses(
        &format!("s3api put-object --bucket apps --key wrong --body {} --checksum-sha256 {wrong}", file("small")),
        "BadDigest",
    );
    let copied = serve.says(
        "s3api copy-object --bucket apps --key copy --copy-source apps/dir/large --checksum-algorithm SHA256 \
         --metadata-directive REPLACE --metadata revision=def --query CopyObjectResult.ChecksumSHA256 --output text",
    );
    let head = "s3api head-object --bucket apps --key copy --checksum-mode ENABLED --output text --query";
    assert_eq!(
        serve.says(&format!("{head} [ChecksumSHA256,Metadata.revision,ChecksumType]")),
        format!("{copied}\tdef\tFULL_OBJECT")
    );
    let ranged = serve.says(&format!(
        "s3api get-object --bucket apps --key dir/small --range bytes=1-2 {} --query ContentRange --output text",
        file("part")
    ));
    assert_eq!((ranged.as_str(), fs::read_to_string(file("part")).unwrap()), ("bytes 1-2/6", "ma".to_owned()));
    serve.refuses(
        &format!("s3api put-object --bucket apps --key copy --if-none-match * --body {}", file("small")),
        "PreconditionFailed",
    );
    serve.refuses("s3api head-object --bucket apps --key nothing", "404");
    serve.refuses("s3api get-object --bucket nobodys --key x /dev/null", "NoSuchBucket");
    // It is sent on to the bucket's own region.
    let region = serve.says("s3api head-bucket --bucket apps --region eu-central-1 --query BucketRegion --output text");
    assert_eq!(Some(region.as_str()), serve.environment("AWS_REGION"));
    serve.says("s3 rm s3://apps --recursive");
    serve.says("s3 rb s3://apps");
    assert_eq!(serve.says("s3 ls"), "");
}
