//! Promotion by digest (`image: promote`): what was tested is what ships. Which image it is, and whether it is the one
//! that this environment would have had built. Pure; the copying is `carry`'s.

mod carry;

use crate::after::{Before, Release};
use crate::config::specification::{Environment, Service, Specification};
use crate::exit::Exit;
use crate::plan::Finding;
use crate::secret::Secret;
use crate::source::{Promotion, Source};

pub(crate) use carry::Route;

/// The image of a service in an environment that takes its images from the one before it.
pub(crate) fn source(environment: &Environment, service: &Service, before: Option<&Before>) -> Option<Source> {
    let from = environment.after.as_ref().filter(|_| environment.promote)?;
    Some(Source::Promote(promotion(from, service, before)))
}

fn promotion(from: &str, service: &Service, before: Option<&Before>) -> Promotion {
    let theirs = before.and_then(|before| Some((before.service(&service.name)?, before.release(&service.name)?)));
    let live = |release: &Release| release.unproven.is_none();
    let release = theirs.map(|(_, release)| release).filter(|release| live(release));
    Promotion {
        from: from.to_owned(),
        repository: theirs.map(|(theirs, _)| theirs.repository.clone()).unwrap_or_default(),
        digest: release.and_then(|release| release.digest.clone()),
        revision: release.and_then(|release| release.revision.clone()),
    }
}

/// An image that would have been built in another way here is not promoted: it says so, service by service, and names
/// what differs without its value.
pub(crate) fn gate(specification: &Specification, before: &Before) -> Vec<Finding> {
    let from = &before.specification.environment.name;
    let differing = specification.services.iter().filter_map(|ours| {
        let (differs, unknown) = differences(ours, before.service(&ours.name)?);
        let text = match (differs.as_slice(), unknown.as_slice()) {
            ([], []) => return None,
            ([], unknown) => format!(
                "whether the image of `{from}` may be promoted cannot be told: the secret behind {} has no value there",
                quoted(unknown)
            ),
            (differs, _) => format!(
                "the image of `{from}` is not what `{}` would have had built: {} {}",
                specification.environment.name,
                quoted(differs),
                if differs.len() == 1 { "differs" } else { "differ" }
            ),
        };
        let hint = if differs.is_empty() {
            format!("set the secrets of `{from}` for this run as well; or read the value when the container starts")
        } else {
            "make them the same in both, and read what differs when the container starts; or leave `image: promote` out"
                .to_owned()
        };
        let mut finding = Finding::new(Exit::Gate, text, hint);
        finding.service = Some(ours.name.clone());
        Some(finding)
    });
    differing.collect()
}

/// What goes into the image and is another here than there; and the arguments of which that cannot be told, because
/// their value there is not known. The values of `build_secrets` are in no layer, so they may differ.
fn differences(ours: &Service, theirs: &Service) -> (Vec<String>, Vec<String>) {
    let plain = [
        ("context", ours.context != theirs.context),
        ("dockerfile", ours.dockerfile != theirs.dockerfile),
        ("target", ours.target != theirs.target),
        ("platform", ours.platform != theirs.platform),
    ];
    let mut differs: Vec<String> =
        plain.iter().filter(|(_, differs)| *differs).map(|(name, _)| (*name).to_owned()).collect();
    let mut unknown = Vec::new();
    let mut names: Vec<&String> = ours.build_args.keys().chain(theirs.build_args.keys()).collect();
    names.extend(ours.unknown_args.iter().chain(&theirs.unknown_args));
    names.sort();
    names.dedup();
    for name in names {
        let shown = format!("build_args.{name}");
        if ours.unknown_args.contains(name) || theirs.unknown_args.contains(name) {
            unknown.push(shown);
        } else if ours.build_args.get(name).map(Secret::expose) != theirs.build_args.get(name).map(Secret::expose) {
            differs.push(shown);
        }
    }
    (differs, unknown)
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Before {
    /// What deploy.yaml says of a service there.
    pub(crate) fn service(&self, name: &str) -> Option<&Service> {
        self.specification.services.iter().find(|service| service.name == name)
    }
}
