//! What lies behind a failure, and what to do about it: from ECS's words, an exit code, a log or a service event to one
//! cause with one hint. Pure.
//!
//! The texts are ECS's own and vary with the platform version, so they are matched by keyword, and whoever prints a
//! cause prints the raw text beside it.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cause {
    WrongPlatform,
    ImageGone,
    PullDenied,
    PullUnreachable,
    PullLimited,
    PullFailed,
    SecretDenied,
    SecretMissing,
    SecretUnreachable,
    SecretFailed,
    LogGroupMissing,
    LogDriver,
    FileSystem,
    NetworkInterface,
    DiskFull,
    CommandNotFound,
    CommandNotExecutable,
    CannotStart,
    OutOfMemory,
    Killed,
    Terminated,
    Segfault,
    EndedByItself,
    Crashed,
    LoadBalancerHealth,
    ContainerHealth,
    Capacity,
    Throttled,
    ServiceRole,
    DeploymentLimits,
    Alarm,
    Unknown,
}

const UNREACHABLE: [&str; 10] = [
    "connection issue",
    "i/o timeout",
    "dial tcp",
    "no such host",
    "TLS handshake",
    "context canceled",
    "context deadline exceeded",
    "request canceled",
    "connection refused",
    "StatusCode: 0",
];

const DENIED: [&str; 7] = [
    "AccessDenied",
    "not authorized",
    "403 Forbidden",
    "access denied",
    "no basic auth",
    "has the permissions",
    "unauthorized",
];

const GONE: [&str; 4] = ["not found", "manifest unknown", "does not exist", "no such image"];

impl Cause {
    /// From a task's or container's reason and the container's exit code.
    pub(crate) fn of(text: &str, exit_code: Option<i32>) -> Self {
        Self::of_words(text).or_else(|| exit_code.map(Self::of_exit_code)).unwrap_or(Self::Unknown)
    }

    fn of_words(text: &str) -> Option<Self> {
        let has = |word: &str| text.contains(word);
        let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
        Some(if any(&["matching platform", "image's platform", "exec format error"]) {
            Self::WrongPlatform
        } else if any(&["toomanyrequests", "pull rate limit"]) {
            Self::PullLimited
        } else if has("no space left on device") {
            Self::DiskFull
        } else if any(&["log group does not exist", "log group not found"]) {
            Self::LogGroupMissing
        } else if any(&["logging driver", "logger args", "log stream"]) {
            Self::LogDriver
        } else if any(&["CannotPull", "can't pull", "ecr registry auth", "ecr:GetAuthorizationToken"]) {
            Self::of_pull(&any)
        } else if has("ResourceInitializationError") && any(&["secret", "ssm", "asm", "registry auth"]) {
            Self::of_secret(&any)
        } else if any(&["EFS", "file system", "CannotCreateVolume"]) {
            Self::FileSystem
        } else if has("network interface") {
            Self::NetworkInterface
        } else if has("OutOfMemory") {
            Self::OutOfMemory
        } else if has("ELB health check") {
            Self::LoadBalancerHealth
        } else if has("health check") {
            Self::ContainerHealth
        } else if has("executable file not found") || (has("exec") && has("no such file or directory")) {
            Self::CommandNotFound
        } else if any(&["CannotStart", "CannotCreate", "exec "]) && has("permission denied") {
            Self::CommandNotExecutable
        } else if any(&["CannotStart", "CannotCreate", "CannotInspect", "TimeoutError"]) {
            Self::CannotStart
        } else if any(&["Capacity is unavailable", "unable to place a task", "reached the limit on"]) {
            Self::Capacity
        } else if any(&UNREACHABLE) {
            Self::PullUnreachable
        } else {
            return None;
        })
    }

    /// Why the image could not be pulled. The network comes last: ECS quotes addresses in other failures as well.
    fn of_pull(any: &impl Fn(&[&str]) -> bool) -> Self {
        if any(&DENIED) {
            Self::PullDenied
        } else if any(&UNREACHABLE) {
            Self::PullUnreachable
        } else if any(&GONE) {
            Self::ImageGone
        } else {
            Self::PullFailed
        }
    }

    fn of_secret(any: &impl Fn(&[&str]) -> bool) -> Self {
        if any(&DENIED) {
            Self::SecretDenied
        } else if any(&["ResourceNotFound", "ParameterNotFound", "invalid parameters", "json key", "can't find"]) {
            Self::SecretMissing
        } else if any(&UNREACHABLE) {
            Self::SecretUnreachable
        } else {
            Self::SecretFailed
        }
    }

    fn of_exit_code(code: i32) -> Self {
        match code {
            0 => Self::EndedByItself,
            126 => Self::CommandNotExecutable,
            127 => Self::CommandNotFound,
            137 => Self::Killed,
            139 => Self::Segfault,
            143 => Self::Terminated,
            _ => Self::Crashed,
        }
    }

    /// What the log of a container that ended adds: an image of another architecture starts, and only its log tells.
    pub(crate) fn refined_by_log(self, lines: &[String]) -> Self {
        if !matches!(self, Self::Crashed | Self::CommandNotFound | Self::CommandNotExecutable | Self::Unknown) {
            return self;
        }
        let said = lines.iter().rev().find_map(|line| {
            let line = line.trim();
            let started = line.starts_with("exec ") || line.contains("standard_init_linux");
            started.then(|| Self::of_words(line)).flatten()
        });
        said.unwrap_or(self)
    }

    /// From a service event; `None` where it tells of no trouble that has a remedy.
    pub(crate) fn of_event(text: &str) -> Option<Self> {
        let has = |word: &str| text.contains(word);
        Some(if has("unable to place a task") || has("reached the limit") || has("Capacity is unavailable") {
            Self::Capacity
        } else if has("unhealthy in (target-group") {
            Self::LoadBalancerHealth
        } else if has("failed container health checks") {
            Self::ContainerHealth
        } else if has("minimumHealthyPercent") {
            Self::DeploymentLimits
        } else if has("unable to assume") {
            Self::ServiceRole
        } else if has("being throttled") {
            Self::Throttled
        } else if has("alarm") {
            Self::Alarm
        } else {
            return None;
        })
    }

    /// What to do about it: an imperative without a final period. `None` where nothing is known that helps as a rule.
    pub(crate) const fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::WrongPlatform => {
                "the image is built for another architecture than the task runs on: compare `platform` in deploy.yaml, \
                 the FROM lines and the task definition's runtimePlatform"
            }
            Self::ImageGone => {
                "the image is not in the registry (any more): look at the repository's lifecycle policy, then deploy \
                 again"
            }
            Self::PullDenied => {
                "the task's execution role may not pull the image: allow ecr:GetAuthorizationToken, ecr:BatchGetImage \
                 and ecr:GetDownloadUrlForLayer; across accounts the repository's policy must allow it too"
            }
            Self::PullUnreachable => {
                "the task does not reach the registry: check its subnets, public IP or NAT, the VPC endpoints (ecr.api, \
                 ecr.dkr, s3, logs) and port 443 in its security group"
            }
            Self::PullLimited => "the registry limits how often it is pulled from: wait, or serve the image from ECR",
            Self::PullFailed => "the registry did not give the image out whole: deploy again, and look at it in ECR",
            Self::SecretDenied => {
                "the execution role may not read a secret that the task definition names: allow \
                 secretsmanager:GetSecretValue or ssm:GetParameters on it, and kms:Decrypt on its key"
            }
            Self::SecretMissing => {
                "a secret, or a key in it, that the task definition names is not there: create it, or correct `valueFrom`"
            }
            Self::SecretUnreachable => {
                "the task does not reach Secrets Manager or SSM: check its subnets, NAT or VPC endpoints, and port 443 \
                 in its security group"
            }
            Self::SecretFailed => {
                "a secret that the task definition names cannot be read: check its ARN and the execution role"
            }
            Self::LogGroupMissing => "create the log group that the task definition names, or set awslogs-create-group",
            Self::LogDriver => {
                "the log driver cannot start: check the task definition's logConfiguration, and allow \
                 logs:CreateLogStream and logs:PutLogEvents to the execution role"
            }
            Self::FileSystem => "a volume cannot be mounted: check the file system, its mount targets and port 2049",
            Self::NetworkInterface => {
                "ECS gives the task no network interface: check free addresses in its subnets and the account's limits"
            }
            Self::DiskFull => "the image does not fit on the task's disk: make it smaller, or raise ephemeralStorage",
            Self::CommandNotFound => {
                "the start command is not in the image: check ENTRYPOINT, CMD and the task definition's `command`"
            }
            Self::CommandNotExecutable => {
                "the start command is not executable for the image's user: check its mode and USER in the Dockerfile"
            }
            Self::CannotStart => {
                "the container does not start: check its command, user and volumes in the task definition"
            }
            Self::OutOfMemory => {
                "the container ran out of memory: raise it in the task definition, or see why it needs more"
            }
            Self::Killed => {
                "the container was killed (SIGKILL): it used too much memory, or did not end within stopTimeout"
            }
            Self::Terminated => "the container was told to stop (SIGTERM): see in the events who told it",
            Self::Segfault => {
                "the application crashed in native code: look for a library of another libc or architecture"
            }
            Self::EndedByItself => "the process ended by itself: a service has to keep running in the foreground",
            Self::Crashed => "the application ended by itself: read its last log lines, then deploy the fix",
            Self::LoadBalancerHealth => {
                "the load balancer finds the task unhealthy: check the health check's path, port and codes, the grace \
                 period, and that the security group lets it in"
            }
            Self::ContainerHealth => {
                "the container's health check fails: try its command in the image, and give it a longer startPeriod"
            }
            Self::Capacity => {
                "there is no room for the task: check the capacity provider or instances, the Fargate quota and the \
                 task's size"
            }
            Self::Throttled => "AWS throttles the account, and ECS goes on by itself: start fewer rollouts at a time",
            Self::ServiceRole => "ECS may not use its role: check the service-linked role AWSServiceRoleForECS",
            Self::DeploymentLimits => {
                "minimumHealthyPercent and maximumPercent leave no room to replace a task: raise the one or lower the \
                 other"
            }
            Self::Alarm => "an alarm of the deployment went off: look at its metric before you deploy again",
            Self::Unknown => return None,
        })
    }
}

#[cfg(test)]
mod tests;
