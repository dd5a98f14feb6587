//! The exit codes of the process: the one enum that the help, the README and scripts rely on.

use serde::Serialize;

/// What the process says to whoever started it. The numbers are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Exit {
    /// Deployed, or nothing to do, or the dry run found nothing in the way.
    Success,
    /// A fault in shipit itself.
    Fault,
    /// The command line or deploy.yaml is wrong.
    Usage,
    /// A required secret is missing or empty.
    Secret,
    /// A gate refused.
    Gate,
    /// The build failed.
    Build,
    /// The registry refused: login, push, tag.
    Registry,
    /// AWS refused or cannot be reached.
    Aws,
    /// The rollout failed or was rolled back.
    Rollout,
    /// The time ran out while the rollout was still under way.
    TimedOut,
    /// The rollout finished, but something else runs.
    NotProven,
    /// Interrupted by a person or the system.
    Interrupted,
    /// What the container of a one-off task ended with (`shipit run`); not 0.
    Task(u8),
}

impl Exit {
    /// Every code of our own with its meaning, in the order of the numbers.
    pub(crate) const ALL: [(Self, &'static str); 12] = [
        (Self::Success, "deployed, or nothing to do, or the dry run found nothing in the way"),
        (Self::Fault, "a fault in shipit"),
        (Self::Usage, "the command line or deploy.yaml is wrong"),
        (Self::Secret, "a required secret is missing or empty"),
        (
            Self::Gate,
            "a gate refused: branch, approval, `after`, older than what runs, another rollout in flight, wrong account, \
             dirty tree, a secret found in the image, wrong architecture, what a scan found",
        ),
        (Self::Build, "the build failed"),
        (Self::Registry, "the registry refused: login, push, tag"),
        (Self::Aws, "AWS refused or cannot be reached: credentials, permission, missing service or repository"),
        (Self::Rollout, "the rollout failed or was rolled back"),
        (Self::TimedOut, "the time ran out while the rollout was still under way"),
        (Self::NotProven, "the rollout finished, but something else runs: superseded, or the digest is another"),
        (Self::Interrupted, "interrupted"),
    ];

    /// The number that the process ends with.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Fault => 1,
            Self::Usage => 2,
            Self::Secret => 3,
            Self::Gate => 4,
            Self::Build => 5,
            Self::Registry => 6,
            Self::Aws => 7,
            Self::Rollout => 8,
            Self::TimedOut => 9,
            Self::NotProven => 10,
            Self::Interrupted => 130,
            Self::Task(code) => code,
        }
    }

    /// The worse of two: what touched the running service outranks what stopped before it, and an interruption or a
    /// fault outranks both.
    pub(crate) fn worst(self, other: Self) -> Self {
        if other.severity() > self.severity() { other } else { self }
    }

    const fn severity(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Usage => 1,
            Self::Secret => 2,
            Self::Gate => 3,
            Self::Build => 4,
            Self::Registry => 5,
            Self::Aws => 6,
            Self::TimedOut => 7,
            Self::NotProven => 8,
            Self::Rollout | Self::Task(_) => 9,
            Self::Fault => 10,
            Self::Interrupted => 11,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Serialize for Exit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn all_is_in_order_of_the_numbers() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130]);
    }

    #[test]
    fn a_failed_rollout_outranks_a_failed_build() {
        assert_eq!(Exit::Build.worst(Exit::Rollout), Exit::Rollout);
        assert_eq!(Exit::Rollout.worst(Exit::Success), Exit::Rollout);
        assert_eq!(Exit::Rollout.worst(Exit::Interrupted), Exit::Interrupted);
    }
}
