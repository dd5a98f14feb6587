//! `shipit init`: from the pipeline that a team has today to the first deploy, with nothing edited in between.

use crate::support::{Project, StandIn, Terminal, with_base_image};

/// The script of a team that deploys by hand-written bash, as it stands in many repositories.
const SCRIPT: &str = include_str!("sample/adopt/ecr_deploy.sh");

const DOCKERFILE: &str = "FROM busybox:stable\nARG DB_HOST\nRUN echo \"$DB_HOST\" > /db\n\
                          CMD [\"sh\", \"-c\", \"mkdir -p /w && echo it runs > /w/index.html && exec httpd -f -p 8080 -h /w\"]\nEXPOSE 8080\n";

fn bash_pipeline() -> Project {
    Project::new()
        .file("ecr_deploy.sh", SCRIPT)
        .file("Dockerfile", DOCKERFILE)
        .file(".gitignore", ".home/\nignored/\n")
        .file("ignored/Dockerfile", "FROM scratch\n")
        .committed()
}

fn deploy_yaml(project: &Project) -> String {
    std::fs::read_to_string(project.path("deploy.yaml")).expect("deploy.yaml")
}

#[test]
fn the_bash_pipeline_is_deployed_with_nothing_edited() {
    with_base_image();
    let state = tempfile::tempdir().expect("a folder");
    let project = bash_pipeline()
        .with_engine()
        .var("XDG_STATE_HOME", state.path().to_str().expect("UTF-8"))
        .var("AWS_ACCOUNT", "123456789012")
        .var("DEV_DB_HOST", "db.internal.example")
        .var("DEV_OPENAI_API_KEY", "sk-0123456789abcdef")
        .var("DEV_OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel.internal:4317");
    project
        .shipit(&["init"])
        .exits(0)
        .says("environment `sandbox`  ecr_deploy.sh:8")
        .says("repository `api` in prod  ecr_deploy.sh:9")
        .says("3 secrets have to be set: DB_HOST, OPENAI_API_KEY, OTEL_EXPORTER_OTLP_ENDPOINT")
        .says("build argument DB_HOST is the secret DB_HOST  ecr_deploy.sh:21")
        .says("region ap-south-1  ecr_deploy.sh:18")
        .says("wrote    deploy.yaml")
        .never_says("sk-0123456789abcdef")
        .never_says("ignored");
    project.shipit(&["check"]).exits(0).says("1 service in dev, beta, sandbox, prod");
    project.shipit(&["check", "--env", "dev"]).exits(0);
    let ran = project.shipit(&["deploy", "--env", "dev", "--local", "--output", "json"]).exits(0);
    assert_eq!(ran.finished()["services"][0]["verdict"], "deployed");
    project.shipit(&["local", "reset"]).exits(0);
    let text = deploy_yaml(&project);
    for line in [
        "  dev:     { branch: develop }",
        "    after: sandbox",
        "    approval: required",
        "    secrets: [DB_HOST, OPENAI_API_KEY, OTEL_EXPORTER_OTLP_ENDPOINT]",
        "      DB_HOST: ${DB_HOST}",
        "    repository: api-${env}\n",
        "      prod: { repository: api }",
        "  region: ap-south-1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

const BITBUCKET: &str = r#"image: atlassian/default-image:4

pipelines:
  branches:
    develop:
      - step:
          name: api to dev
          deployment: dev
          condition:
            changesets:
              includePaths: ["api/**", "libs/**"]
          script:
            - bash ecr_deploy.sh dev
            - python3 fargate_cluster_update.py dev-cluster api-svc
    main:
      - step:
          deployment: sandbox
          script:
            - bash ecr_deploy.sh sandbox
            - python3 fargate_cluster_update.py sandbox-cluster api-svc
      - step:
          deployment: production
          trigger: manual
          script:
            - bash ecr_deploy.sh prod
            - python3 fargate_cluster_update.py production api-svc
"#;

const HELPER: &str = "import sys\nimport boto3\n\ncluster = sys.argv[1]\nservice = sys.argv[2]\necs = boto3.client('ecs')\n\
                      ecs.update_service(\n    cluster=cluster,\n    service=service,\n    forceNewDeployment=True,\n)\n";

#[test]
fn a_pipeline_and_its_helper_tell_branches_clusters_and_paths() {
    with_base_image();
    let state = tempfile::tempdir().expect("a folder");
    let project = bash_pipeline().file("bitbucket-pipelines.yml", BITBUCKET).file("fargate_cluster_update.py", HELPER);
    let project = project
        .with_engine()
        .var("XDG_STATE_HOME", state.path().to_str().expect("UTF-8"))
        .var("DEV_DB_HOST", "db.internal.example")
        .var("DEV_OPENAI_API_KEY", "sk-0123456789abcdef")
        .var("DEV_OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel.internal:4317");
    project
        .shipit(&["init"])
        .exits(0)
        .says("`develop` goes to `dev`  bitbucket-pipelines.yml:5")
        .says("`prod` waits for a person  bitbucket-pipelines.yml:")
        .says("cluster `${env}-cluster`, `production` in prod")
        .says("kept     bitbucket-pipelines.yml")
        .says("+             - shipit deploy --env prod --approve")
        .says("steps of it deploy today");
    let text = deploy_yaml(&project);
    for line in [
        "    paths: [\"api/**\", \"libs/**\"]",
        "    cluster: ${env}-cluster",
        "    service: api-svc",
        "      prod: { repository: api, cluster: production }",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let kept = std::fs::read_to_string(project.path("bitbucket-pipelines.yml")).expect("the pipeline");
    assert_eq!(kept, BITBUCKET);
    project.shipit(&["check"]).exits(0);
    let ran = project.shipit(&["deploy", "--env", "dev", "--local", "--output", "json"]).exits(0);
    assert_eq!(ran.finished()["services"][0]["verdict"], "deployed");
    project.shipit(&["local", "reset"]).exits(0);
    // Asked for by name, it is a refusal; and it goes with `--force` only.
    project
        .shipit(&["init", "--ci", "bitbucket"])
        .exits(2)
        .says("bitbucket-pipelines.yml is there already")
        .says("--force");
    project.shipit(&["init", "--ci", "bitbucket", "--force"]).exits(0).says("wrote    bitbucket-pipelines.yml");
    let written = std::fs::read_to_string(project.path("bitbucket-pipelines.yml")).expect("the pipeline");
    assert!(written.contains("trigger: manual") && !written.contains("ecr_deploy.sh"), "{written}");
    // Bitbucket's variables and rules hang on the name that it knows.
    assert!(written.contains("name: prod\n          deployment: production\n"), "{written}");
    project.shipit(&["check"]).exits(0).says("bitbucket-pipelines.yml:1: `your-registry/shipit:1` is no image yet");
}

#[test]
fn what_is_there_is_never_overwritten_unasked() {
    let mine =
        "version: 1\n# mine\nenvironments: { dev: { branch: develop } }\nservices: { api: { repository: mine } }\n";
    let project = bash_pipeline().file("deploy.yaml", mine);
    project
        .shipit(&["init"])
        .exits(2)
        .says("deploy.yaml is there already and says something else")
        .says("- # mine")
        .says("+     repository: api-${env}");
    assert_eq!(deploy_yaml(&project), mine);
    project.shipit(&["init", "--dry-run", "--force"]).exits(0);
    assert_eq!(deploy_yaml(&project), mine, "a dry run writes nothing");
    project.shipit(&["init", "--force"]).exits(0).says("wrote    deploy.yaml");
    assert_ne!(deploy_yaml(&project), mine);
    project.shipit(&["init"]).exits(0).says("same     deploy.yaml");
}

#[test]
fn on_a_terminal_it_asks() {
    for (answer, overwritten) in [("n\r", false), ("y\r", true)] {
        let mine = "version: 1\nenvironments: { dev: { branch: x } }\nservices: { api: { repository: mine } }\n";
        let project = bash_pipeline().file("deploy.yaml", mine);
        let mut terminal = Terminal::run(&project, &["init"]);
        terminal.shows("Overwrite deploy.yaml? [y/N]");
        terminal.types(answer);
        let (code, screen) = terminal.ends();
        assert_eq!(code, Some(0), "{screen}");
        assert_eq!(deploy_yaml(&project) != mine, overwritten);
    }
}

#[test]
fn a_dry_run_prints_what_it_would_write() {
    let project = bash_pipeline();
    let ran = project.shipit(&["init", "--print", "--ci", "github"]).exits(0).says("would write deploy.yaml");
    assert!(!project.path("deploy.yaml").exists() && !project.path(".github").exists());
    for text in
        ["# deploy.yaml\nversion: 1\n", "# .github/workflows/shipit.yml\n", "DEV_DB_HOST: ${{ secrets.DEV_DB_HOST }}"]
    {
        assert!(ran.stdout.contains(text), "{text}\n{}", ran.stdout);
    }
    let ran = project.shipit(&["init", "--dry-run", "--output", "json"]).exits(0);
    let events = ran.events();
    let found = events.iter().find(|event| event["what"] == "environment `dev`").expect("the note");
    assert_eq!(
        (&found["event"], &found["basis"], &found["place"]),
        (&"note".into(), &"found".into(), &"ecr_deploy.sh:6".into())
    );
    let file = events.iter().find(|event| event["event"] == "file").expect("the file");
    assert_eq!((&file["path"], &file["fate"]), (&"deploy.yaml".into(), &"would-be-written".into()));
}

#[test]
fn several_services_and_no_script() {
    let project = Project::new()
        .branch("main")
        .file("services/api/Dockerfile", "FROM scratch\nRUN --mount=type=secret,id=NPM_TOKEN true\n")
        .file("services/web/Dockerfile", "FROM scratch\n")
        .file("services/web/Dockerfile.dev", "FROM scratch\n")
        .file("docker/worker.Dockerfile", "FROM scratch\nCOPY lib /lib\n")
        .file("lib/x", "x")
        .file("tests/Dockerfile", "FROM scratch\n")
        .file("docker-compose.yml", "services:\n  storefront:\n    build: ./services/web\n  db:\n    image: postgres\n")
        .committed();
    project
        .shipit(&["init", "--ci", "gitlab"])
        .exits(0)
        .says("service `storefront` is built from services/web/Dockerfile  docker-compose.yml:2")
        .says("left out a Dockerfile below `tests` is taken for no service  tests/Dockerfile")
        .says("left out a variant beside a Dockerfile")
        .says("guessed  `main` goes to `dev`");
    project.shipit(&["check"]).exits(0).says("3 services in dev, prod");
    let text = deploy_yaml(&project);
    for line in [
        "  storefront:\n    context: services/web\n",
        "  worker:\n    dockerfile: docker/worker.Dockerfile\n",
        "    build_secrets: [NPM_TOKEN]",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn of_many_services_the_defaults_are_told_at_once() {
    let services = (1..=30).fold(Project::new().branch("main"), |project, number| {
        let project = project.file(&format!("svc/s{number}/Dockerfile"), "FROM scratch\r\n");
        project.file(&format!("svc/s{number}/Dockerfile.prod"), "FROM scratch\n")
    });
    // The only one of its folder: its suffix says how it is built, so that the folder names it.
    let project = services.file("edge/Dockerfile.prod", "FROM scratch\n").committed();
    let ran = project.shipit(&["init"]).exits(0);
    ran.says("31 services run in the cluster `${env}`, the default: edge, s1, ")
        .says("31 services are the ECS services of their own names")
        .says("31 services go to repositories of their own names, `NAME-${env}`")
        .never_says("`s7` runs in");
    project.shipit(&["check"]).exits(0).says("31 services in dev, prod");
}

#[test]
fn what_runs_in_a_cluster_is_taken_over() {
    let running = "version: 1\naws: { region: eu-north-1, account: \"123456789012\" }\nenvironments: { staging: { branch: x } }\n\
                   services:\n  api: { repository: team/api-staging, cluster: acme-staging, service: api-svc, container: app }\n  \
                   cron: { repository: cron, cluster: acme-staging }\n";
    let project = Project::new()
        .branch("main")
        .file("deploy.yaml", running)
        .file("api/Dockerfile", "FROM scratch\n")
        .file("web/Dockerfile", "FROM scratch\n")
        .committed();
    let aws = StandIn::scripted(&project, "{}");
    let project = project.with_aws(&aws).var("AWS_REGION", "eu-north-1");
    std::fs::remove_file(project.path("deploy.yaml")).expect("it was there");
    project
        .shipit(&["init", "--from-ecs", "acme-staging"])
        .exits(0)
        .says("the cluster is `staging`, in account 123456789012 and eu-north-1  ECS cluster acme-staging")
        .says("`api` is the ECS service `api-svc`")
        .says("the ECS service `cron`: no Dockerfile here is called like it");
    let text = deploy_yaml(&project);
    for line in [
        "  region: eu-north-1\n  account: \"123456789012\"\n",
        "  staging:\n    branch: main\n    after: dev ",
        "    context: api\n    repository: team/api-${env}\n    cluster: acme-${env}\n    service: api-svc\n",
        "    context: web\n    repository: web-${env}",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    project.shipit(&["check"]).exits(0);
    project.shipit(&["doctor", "--env", "staging"]).says("service acme-staging/api-svc is ACTIVE");
    for change in ["UpdateService", "PutImage", "TagResource"] {
        assert!(aws.calls(change).is_empty(), "{change} was called by a look");
    }
    project.shipit(&["init", "--from-ecs", "nowhere", "--force"]).exits(7).says("ClusterNotFoundException");
    assert_eq!(deploy_yaml(&project), text);
}

#[test]
fn where_there_is_nothing_to_deploy_it_says_so() {
    Project::new().shipit(&["init"]).exits(2).says("there is no Dockerfile here");
    let project = Project::new().file("Dockerfile", "FROM scratch\n");
    project.shipit(&["init", "--config", "nowhere/deploy.yaml"]).exits(2).says("is in a folder that is not there");
}

#[test]
fn a_role_of_the_pipeline_goes_to_deploy_yaml_and_needs_no_line_in_the_step() {
    let role = "arn:aws:iam::210987654321:role/ci/deploy";
    let state = tempfile::tempdir().expect("a folder");
    let script = format!("export AWS_ROLE_ARN={role} AWS_WEB_IDENTITY_TOKEN_FILE=/tmp/token\n{SCRIPT}");
    let project = Project::new()
        .file("ecr_deploy.sh", &script)
        .file("Dockerfile", "FROM scratch\nCOPY app /app\n")
        .file("app", "one\n")
        .committed()
        .with_engine()
        .var("XDG_STATE_HOME", state.path().to_str().expect("UTF-8"))
        .var("DEV_DB_HOST", "db.internal.example")
        .var("DEV_OPENAI_API_KEY", "sk-0123456789abcdef")
        .var("DEV_OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel.internal:4317");
    project.shipit(&["init", "--ci", "bitbucket"]).exits(0);
    let text = deploy_yaml(&project);
    assert_eq!(text.matches(&format!("aws: {{ role: \"{role}\" }}")).count(), 4, "{text}");
    let pipeline = std::fs::read_to_string(project.path("bitbucket-pipelines.yml")).expect("a pipeline");
    assert!(pipeline.contains("oidc: true") && !pipeline.contains("export"), "{pipeline}");
    project.shipit(&["check"]).exits(0);
    // The stand-in has the role's account, although deploy.yaml names none.
    let plan = project.shipit(&["deploy", "--env", "dev", "--local", "--dry-run"]).exits(0);
    plan.says("arn:aws:sts::210987654321:assumed-role/deploy/shipit");
    project.shipit(&["local", "reset"]).exits(0);
}
