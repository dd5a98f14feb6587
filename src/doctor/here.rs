//! This machine: deploy.yaml, git, the engine. Pure; what they answered comes in.

use std::path::Path;

use super::Check;
use crate::config::specification::{Platform, Specification};
use crate::docker::EngineFacts;
use crate::error::Result;
use crate::exit::Exit;
use crate::git::Head;
use crate::revision::short;
use crate::standing::Standing;

/// Where the kernel lists what runs foreign programs.
const EMULATORS: &str = "/proc/sys/fs/binfmt_misc";

pub(super) fn manifest(standing: &Standing, specifications: &[Specification]) -> Check {
    let services = specifications.first().map_or(0, |specification| specification.names.len());
    let services = if services == 1 { "1 service".to_owned() } else { format!("{services} services") };
    Check::works("deploy.yaml", format!("{services} in {}", standing.environments().join(", ")))
}

/// `None`: no repository.
pub(super) fn git(head: Option<&Result<Head>>, standing: Option<&Standing>) -> Check {
    match head {
        None => Check::fails(
            "git",
            Exit::Usage,
            "this is no git repository, and what runs is named by its commit",
            "run it in a clone; in a pipeline, let the step clone the repository",
        ),
        Some(Err(error)) => Check::of_error("git", error),
        Some(Ok(head)) => {
            let commit = short(&head.revision);
            let Some(branch) = &head.branch else {
                return Check::works("git", format!("{commit}, no branch is checked out: name one with --branch"));
            };
            let environments = standing.map(|standing| &standing.manifest.environments);
            let lead: Vec<&str> = environments
                .into_iter()
                .flatten()
                .filter(|(_, environment)| environment.branch == *branch)
                .map(|(name, _)| name.as_str())
                .collect();
            let goes = match (lead.as_slice(), standing) {
                (_, None) => String::new(),
                ([], _) => ", which goes to no environment".to_owned(),
                (names, _) => format!(", which goes to {}", names.join(", then ")),
            };
            Check::works("git", format!("{commit} on `{branch}`{goes}"))
        }
    }
}

/// One engine that builds: the process's own, or a `builder` of deploy.yaml, which may be kept for some platforms.
pub(super) struct Builder {
    /// `engine`, or the builder's name.
    pub(super) name: String,
    pub(super) facts: Result<EngineFacts>,
    /// Empty: any.
    pub(super) platforms: Vec<Platform>,
}

pub(super) fn engine(builder: &Builder, specifications: &[Specification]) -> Vec<Check> {
    let facts = match &builder.facts {
        Ok(facts) => facts,
        Err(error) => return vec![Check::of_error(&builder.name, error)],
    };
    let mut checks = vec![
        Check::works(&builder.name, facts.to_string()),
        buildkit(facts.buildkit, &facts.version, &facts.api_version),
    ];
    let mut wanted: Vec<Platform> = Vec::new();
    for service in specifications.iter().flat_map(|specification| &specification.services) {
        let takes = builder.platforms.is_empty() || builder.platforms.contains(&service.platform);
        if takes && !wanted.contains(&service.platform) {
            wanted.push(service.platform);
        }
    }
    for platform in wanted {
        checks.push(match platform.architecture() == facts.arch {
            true => Check::works("architecture", format!("{platform} is built on {} itself", facts.arch)),
            false => emulated(platform, &facts.arch, facts.on_this_host, Path::new(EMULATORS)),
        });
    }
    checks
}

fn buildkit(there: bool, version: &str, api: &str) -> Check {
    match there {
        true => Check::works("BuildKit", format!("behind API {api}")),
        false => Check::fails(
            "BuildKit",
            Exit::Build,
            format!("the engine ({version}) has none"),
            "use Docker Engine 18.09 or newer; podman's Docker API has no BuildKit sessions",
        ),
    }
}

/// Whether the engine can run programs of another architecture.
fn emulated(platform: Platform, arch: &str, on_this_host: bool, emulators: &Path) -> Check {
    let name = match platform {
        Platform::LinuxAmd64 => "qemu-x86_64",
        Platform::LinuxArm64 => "qemu-aarch64",
    };
    let what = format!("the engine is {arch}, and {platform} is built under emulation");
    let install = format!("docker run --privileged --rm tonistiigi/binfmt --install {}", platform.architecture());
    if !on_this_host {
        return Check::unknown("architecture", format!("{what}: whether it emulates, its host knows"))
            .fix(format!("Docker Desktop and colima do; otherwise run `{install}` there, or use a native engine"));
    }
    if emulators.join(name).exists() || emulators.join("rosetta").exists() {
        return Check::works("architecture", format!("{what}, which takes several times as long"));
    }
    Check::fails(
        "architecture",
        Exit::Build,
        format!("{what}, which this kernel is not set up for"),
        format!("run `{install}`, or use a native engine"),
    )
}

#[cfg(test)]
mod tests {
    use super::{Builder, Exit, Platform, buildkit, emulated, engine};
    use crate::doctor::State;
    use crate::error::Error;

    #[test]
    fn emulation_is_told_where_it_can_be() {
        let empty = tempfile::tempdir().unwrap();
        let set_up = tempfile::tempdir().unwrap();
        std::fs::write(set_up.path().join("qemu-x86_64"), "").unwrap();
        for (here, folder, state) in
            [(true, &set_up, State::Works), (true, &empty, State::Fails), (false, &empty, State::Unknown)]
        {
            let check = emulated(Platform::LinuxAmd64, "arm64", here, folder.path());
            assert_eq!(check.state, state, "{check:?}");
            assert_eq!(check.fix.is_some(), state != State::Works);
        }
    }

    #[test]
    fn an_engine_without_buildkit_builds_nothing() {
        assert_eq!(buildkit(true, "28.5.2", "1.51").state, State::Works);
        let without = buildkit(false, "4.9.3", "1.41");
        assert_eq!((without.state, without.exit_code), (State::Fails, Exit::Build));
        let facts = Err(Error::new(Exit::Build, "no Docker Engine answers").hint("start it"));
        let none = engine(&Builder { name: "engine".to_owned(), facts, platforms: Vec::new() }, &[]);
        assert_eq!((none.len(), none[0].fix.as_deref()), (1, Some("start it")));
    }
}
