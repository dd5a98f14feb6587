//! ECS's texts, as they were seen, and the cause that each has to lead to.

use super::Cause;

#[test]
fn the_reasons_of_tasks_without_image_or_secret() {
    let pull = |text: &str| format!("CannotPullContainerError: {text}");
    let secret = |text: &str| {
        format!(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: \
             {text}"
        )
    };
    let cases: Vec<(String, Option<i32>, Cause)> = vec![
        (
            pull("pull image manifest has been retried 5 time(s): failed to resolve ref r:latest: r:latest: not found"),
            None,
            Cause::ImageGone,
        ),
        (
            pull(
                "pull image manifest has been retried 1 time(s): image Manifest does not contain descriptor matching \
                 platform 'linux/amd64'",
            ),
            None,
            Cause::WrongPlatform,
        ),
        (
            pull("pulling from host r failed with status code [manifests latest]: 403 Forbidden"),
            None,
            Cause::PullDenied,
        ),
        (
            "The task can't pull the image. Check that the role has the permissions to pull images from the registry."
                .to_owned(),
            None,
            Cause::PullDenied,
        ),
        (pull("pull access denied for r, repository does not exist or may require login"), None, Cause::PullDenied),
        (pull("dial tcp 10.0.0.1:443: i/o timeout"), None, Cause::PullUnreachable),
        (
            "There is a connection issue between the task and Amazon ECR. Check your task network configuration."
                .to_owned(),
            None,
            Cause::PullUnreachable,
        ),
        (pull("context canceled"), None, Cause::PullUnreachable),
        (pull("toomanyrequests: You have reached your pull rate limit"), None, Cause::PullLimited),
        (pull("write /var/lib/x: no space left on device"), None, Cause::DiskFull),
        (pull("failed to copy: httpReaderSeeker: failed open: unexpected status code"), None, Cause::PullFailed),
        (
            secret(
                "unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError: send \
                 request failed: dial tcp 1.2.3.4:443: i/o timeout",
            ),
            None,
            Cause::PullUnreachable,
        ),
        (
            secret(
                "AccessDeniedException: User is not authorized to perform: ecr:GetAuthorizationToken on resource: *",
            ),
            None,
            Cause::PullDenied,
        ),
        (
            secret("unable to retrieve secret from asm: AccessDeniedException: not authorized, StatusCode: 400"),
            None,
            Cause::SecretDenied,
        ),
        (
            secret("unable to retrieve secret from asm: ResourceNotFoundException: can't find the secret"),
            None,
            Cause::SecretMissing,
        ),
        (secret("retrieved secret from asm did not contain json key password"), None, Cause::SecretMissing),
        (
            secret("fetching secret data from SSM Parameter Store in r: invalid parameters: x"),
            None,
            Cause::SecretMissing,
        ),
        (secret("unable to retrieve secret from asm: RequestCanceled, StatusCode: 0"), None, Cause::SecretUnreachable),
    ];
    check(&cases);
}

#[test]
fn the_reasons_of_tasks_that_got_further() {
    let cases: Vec<(String, Option<i32>, Cause)> = vec![
        (
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: \
             ResourceNotFoundException: The specified log group does not exist."
                .to_owned(),
            None,
            Cause::LogGroupMissing,
        ),
        ("ResourceInitializationError: failed to initialize logging driver: x".to_owned(), None, Cause::LogDriver),
        ("ResourceInitializationError: failed to invoke EFS utils commands".to_owned(), None, Cause::FileSystem),
        ("Timeout waiting for network interface provisioning to complete.".to_owned(), None, Cause::NetworkInterface),
        (
            "CannotStartContainerError: runc create failed: exec: \"x\": executable file not found in $PATH".to_owned(),
            Some(127),
            Cause::CommandNotFound,
        ),
        ("CannotStartContainerError: exec /app: permission denied".to_owned(), None, Cause::CommandNotExecutable),
        ("ContainerRuntimeTimeoutError: Could not transition to started".to_owned(), None, Cause::CannotStart),
        ("OutOfMemoryError: Container killed due to memory usage".to_owned(), Some(137), Cause::OutOfMemory),
        ("Task failed ELB health checks in (target-group arn:x)".to_owned(), Some(143), Cause::LoadBalancerHealth),
        ("Task failed container health checks".to_owned(), None, Cause::ContainerHealth),
        ("Capacity is unavailable at this time. Please try again later".to_owned(), None, Cause::Capacity),
    ];
    check(&cases);
}

fn check(cases: &[(String, Option<i32>, Cause)]) {
    for (text, exit_code, expected) in cases {
        assert_eq!(Cause::of(text, *exit_code), *expected, "{text}");
        assert!(expected.hint().is_some(), "{expected:?} has a remedy");
    }
}

#[test]
fn an_exit_code_alone() {
    let cases = [
        (Some(0), Cause::EndedByItself),
        (Some(1), Cause::Crashed),
        (Some(126), Cause::CommandNotExecutable),
        (Some(127), Cause::CommandNotFound),
        (Some(130), Cause::Crashed),
        (Some(137), Cause::Killed),
        (Some(139), Cause::Segfault),
        (Some(143), Cause::Terminated),
        (None, Cause::Unknown),
    ];
    for (code, expected) in cases {
        assert_eq!(Cause::of("Essential container in task exited", code), expected, "{code:?}");
    }
}

#[test]
fn only_the_log_tells_of_a_wrong_architecture() {
    let log = |line: &str| vec!["starting".to_owned(), line.to_owned()];
    let cases = [
        (Cause::Crashed, "exec /app: exec format error", Cause::WrongPlatform),
        (Cause::Crashed, "exec /entrypoint.sh: no such file or directory", Cause::CommandNotFound),
        (Cause::Crashed, "exec /entrypoint.sh: permission denied", Cause::CommandNotExecutable),
        (
            Cause::Crashed,
            "standard_init_linux.go:228: exec user process caused: exec format error",
            Cause::WrongPlatform,
        ),
        (Cause::Crashed, "could not open exec.log: no such file or directory", Cause::Crashed),
        (Cause::OutOfMemory, "exec /app: exec format error", Cause::OutOfMemory),
    ];
    for (cause, line, expected) in cases {
        assert_eq!(cause.refined_by_log(&log(line)), expected, "{line}");
    }
    assert_eq!(Cause::Crashed.refined_by_log(&[]), Cause::Crashed);
}

#[test]
fn service_events() {
    let cases = [
        (
            "(service web) was unable to place a task because no container instance met all of its requirements.",
            Some(Cause::Capacity),
        ),
        (
            "(service web) was unable to place a task. Reason: You've reached the limit on the number of vCPUs",
            Some(Cause::Capacity),
        ),
        (
            "(service web) (task t) (port 80) is unhealthy in (target-group a) due to (reason Health checks failed with \
             these codes: [404])",
            Some(Cause::LoadBalancerHealth),
        ),
        ("(service web) (task t) failed container health checks.", Some(Cause::ContainerHealth)),
        (
            "(service web) was unable to stop or start tasks during a deployment because of the service deployment \
             configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
            Some(Cause::DeploymentLimits),
        ),
        ("(service web) operations are being throttled. Will try again later.", Some(Cause::Throttled)),
        ("ECS was unable to assume the role arn:x", Some(Cause::ServiceRole)),
        ("(service web) is unable to consistently start tasks successfully.", None),
        ("(service web) has reached a steady state.", None),
    ];
    for (text, expected) in cases {
        assert_eq!(Cause::of_event(text), expected, "{text}");
    }
}
