//! Circles in `depends_on`. Whether the services exist is `check`'s to say.

use std::collections::HashSet;

use crate::config::manifest::Manifest;

/// `a → b → a`, if `start` depends on `next` and something that `next` depends on leads back to `start`.
pub(super) fn circle<'m>(manifest: &'m Manifest, start: &'m str, next: &'m str) -> Option<String> {
    let mut seen = HashSet::new();
    let mut way = vec![start, next];
    leads_back(manifest, start, &mut way, &mut seen)
        .then(|| way.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" → "))
}

/// Goes on from the end of the way, each service once; the way ends in `start` where there is one.
fn leads_back<'m>(manifest: &'m Manifest, start: &str, way: &mut Vec<&'m str>, seen: &mut HashSet<&'m str>) -> bool {
    let here = way.last().and_then(|name| manifest.services.get(*name));
    for other in here.into_iter().flat_map(|service| &service.depends_on) {
        if !seen.insert(other) {
            continue;
        }
        way.push(other);
        if other == start || leads_back(manifest, start, way, seen) {
            return true;
        }
        way.pop();
    }
    false
}
