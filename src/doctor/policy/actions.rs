//! Every action that shipit calls: what it is for, when it is needed, and on which resources. A table; nothing is decided
//! here.

/// Which resources a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// Everything that containers need and that knows no resource.
    Anything,
    Repositories,
    /// The same, and those that `cache` names.
    Images,
    Services,
    /// The services with the records of their deployments and revisions.
    Records,
    Tasks,
    /// Anything, in these clusters.
    Clusters,
    Logs,
    TaskDefinitions,
    TaskRoles,
    Buckets,
    /// The zips in them.
    Objects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// The same, and the environment that has to run a commit first is read so, too.
    AlsoBefore,
    Deploy,
    /// What a scan found is told after a deploy; where it is a gate, the plan looks as well.
    Scan,
    /// A scan is a gate.
    Gate,
    /// The same, of a deploy alone.
    GatedDeploy,
    Run,
    Init,
}

pub(super) struct Group {
    pub(super) sid: &'static str,
    pub(super) when: When,
    pub(super) on: On,
    pub(super) actions: &'static [&'static str],
}

/// Every statement there can be. A call that is added to `aws` has to be added here; a test holds the two together.
pub(super) const GROUPS: &[Group] = &[
    Group { sid: "Login", when: When::AlsoBefore, on: On::Anything, actions: &["ecr:GetAuthorizationToken"] },
    Group {
        sid: "Repositories",
        when: When::Always,
        on: On::Images,
        actions: &["ecr:DescribeRepositories", "ecr:DescribeImages"],
    },
    Group {
        sid: "Images",
        when: When::AlsoBefore,
        on: On::Images,
        actions: &["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    },
    Group {
        sid: "Push",
        when: When::Deploy,
        on: On::Images,
        actions: &[
            "ecr:BatchCheckLayerAvailability",
            "ecr:InitiateLayerUpload",
            "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload",
            "ecr:PutImage",
        ],
    },
    Group { sid: "Scans", when: When::Scan, on: On::Repositories, actions: &["ecr:DescribeImageScanFindings"] },
    Group { sid: "StartScan", when: When::GatedDeploy, on: On::Repositories, actions: &["ecr:StartImageScan"] },
    Group { sid: "ScanRules", when: When::Gate, on: On::Anything, actions: &["ecr:GetRegistryScanningConfiguration"] },
    Group { sid: "SharedLayers", when: When::Deploy, on: On::Anything, actions: &["ecr:GetAccountSetting"] },
    Group {
        sid: "Services",
        when: When::AlsoBefore,
        on: On::Services,
        actions: &["ecs:DescribeServices", "ecs:ListTagsForResource"],
    },
    Group { sid: "Rollouts", when: When::Always, on: On::Services, actions: &["ecs:ListServiceDeployments"] },
    Group { sid: "Roll", when: When::Deploy, on: On::Services, actions: &["ecs:UpdateService"] },
    Group { sid: "Record", when: When::Deploy, on: On::Services, actions: &["ecs:TagResource", "ecs:UntagResource"] },
    Group {
        sid: "Past",
        when: When::Always,
        on: On::Records,
        actions: &["ecs:DescribeServiceDeployments", "ecs:DescribeServiceRevisions"],
    },
    Group { sid: "StopRollout", when: When::Deploy, on: On::Records, actions: &["ecs:StopServiceDeployment"] },
    Group { sid: "Tasks", when: When::AlsoBefore, on: On::Tasks, actions: &["ecs:DescribeTasks"] },
    Group { sid: "ListTasks", when: When::AlsoBefore, on: On::Clusters, actions: &["ecs:ListTasks"] },
    Group { sid: "TaskDefinition", when: When::Always, on: On::Anything, actions: &["ecs:DescribeTaskDefinition"] },
    Group { sid: "Logs", when: When::Always, on: On::Logs, actions: &["logs:GetLogEvents"] },
    Group { sid: "RunTask", when: When::Run, on: On::TaskDefinitions, actions: &["ecs:RunTask"] },
    Group { sid: "StopTask", when: When::Run, on: On::Tasks, actions: &["ecs:StopTask"] },
    Group { sid: "TaskRoles", when: When::Run, on: On::TaskRoles, actions: &["iam:PassRole"] },
    Group { sid: "ListServices", when: When::Init, on: On::Clusters, actions: &["ecs:ListServices"] },
    Group { sid: "Buckets", when: When::AlsoBefore, on: On::Buckets, actions: &["s3:ListBucket"] },
    Group { sid: "Zips", when: When::AlsoBefore, on: On::Objects, actions: &["s3:GetObject"] },
    Group {
        sid: "PutZips",
        when: When::Deploy,
        on: On::Objects,
        actions: &["s3:PutObject", "s3:AbortMultipartUpload"],
    },
];
