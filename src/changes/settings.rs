//! deploy.yaml compared by what it means for one service in one environment. Pure.
//!
//! What decides the image, or where it goes, makes a build; what only decides how ECS runs it makes a deploy. A key that
//! is not known here counts as one that decides the image.

use crate::config::specification::{Archive, Service};

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Settings {
    Same,
    /// Only how it is run: the keys that differ.
    Runtime(Vec<&'static str>),
    Build(Vec<&'static str>),
}

/// Both were resolved for the same environment, branch and commit, with the names of the secrets' variables in place of
/// their values.
pub(super) fn compare(before: &Service, now: &Service) -> Settings {
    let runtime = differing(&[
        ("cluster", before.cluster != now.cluster),
        ("service", before.service != now.service),
        ("container", before.container != now.container),
        ("before_deploy", before.before_deploy != now.before_deploy),
    ]);
    // The patterns are both asked; `secrets` alone is a list of what has to be set; the order, the cache,
    // the age of an image and its scan are no change of it.
    let same_but_for_the_image = Service {
        cluster: now.cluster.clone(),
        service: now.service.clone(),
        container: now.container.clone(),
        before_deploy: now.before_deploy.clone(),
        paths: now.paths.clone(),
        ignore: now.ignore.clone(),
        secrets: now.secrets.clone(),
        depends_on: now.depends_on.clone(),
        cache: now.cache.clone(),
        rebuild_after: now.rebuild_after,
        scan: now.scan.clone(),
        ..before.clone()
    };
    if same_but_for_the_image == *now {
        return if runtime.is_empty() { Settings::Same } else { Settings::Runtime(runtime) };
    }
    Settings::Build(differing(&[
        ("context", before.context != now.context),
        ("dockerfile", before.dockerfile != now.dockerfile),
        ("target", before.target != now.target),
        ("platform", before.platform != now.platform),
        ("build_args", before.build_args != now.build_args),
        ("build_secrets", before.build_secrets != now.build_secrets),
        ("rebuild_token", before.rebuild_token != now.rebuild_token),
        ("repository", before.repository != now.repository),
    ]))
}

/// The same for a zip: whatever decides its bytes or its place makes another one of it.
pub(super) fn compare_zips(before: &Archive, now: &Archive) -> Settings {
    let keys = differing(&[
        ("context", before.context != now.context),
        ("exclude", before.exclude != now.exclude),
        ("bucket", before.bucket != now.bucket),
        ("key", before.key != now.key),
        ("latest_key", before.latest_key != now.latest_key),
    ]);
    if keys.is_empty() { Settings::Same } else { Settings::Build(keys) }
}

fn differing(keys: &[(&'static str, bool)]) -> Vec<&'static str> {
    keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect()
}
