//! Which of the changed files concern which service. Pure.

use super::index::Index;
use super::pattern::Pattern;
use super::scope::{Context, Scope};
use crate::git::diff::Changed;

/// The files that concern one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) count: usize,
    /// The first of them, each with the pattern that it fits.
    pub(super) files: Vec<(String, String)>,
}

#[derive(Clone, Copy)]
enum Role {
    Include,
    Exclude,
    Context,
}

/// What the patterns of one scope say of the file that is being looked at.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// The file that this is about.
    of: usize,
    include: Option<usize>,
    excluded: bool,
    context: bool,
}

/// For each service, given by its scopes, the files that concern it by any of them. `manifest` is deploy.yaml, which is
/// compared by its meaning: as a file it counts only where `paths` names it. At most `keep` files are named.
///
/// # Errors
/// The patterns are too many to be compiled.
pub(super) fn touched(
    services: &[Vec<&Scope>],
    changed: &[Changed],
    manifest: Option<&str>,
    keep: usize,
) -> Result<Vec<Touched>, globset::Error> {
    let mut answer = vec![Touched::default(); services.len()];
    let scopes: Vec<(usize, &Scope)> = services
        .iter()
        .enumerate()
        .flat_map(|(service, scopes)| scopes.iter().map(move |scope| (service, *scope)))
        .collect();
    let (index, owners) = index(&scopes)?;
    let mut seen = vec![Seen::default(); scopes.len()];
    let mut counted = vec![0; services.len()];
    let (mut hits, mut asked) = (Vec::new(), Vec::new());
    for (file, changed) in changed.iter().enumerate() {
        let of = file + 1;
        if changed.opaque {
            index.reaching(changed, |pattern| !matches!(owners[pattern].1, Role::Exclude), &mut hits);
        } else {
            index.matching(&changed.path, &mut hits);
        }
        let is_manifest = manifest.is_some_and(|path| path.as_bytes() == changed.path);
        asked.clear();
        for hit in hits.drain(..) {
            let (scope, role) = owners[hit];
            if seen[scope].of != of {
                seen[scope] = Seen { of, ..Seen::default() };
                asked.push(scope);
            }
            match role {
                Role::Include if is_manifest && index.pattern(hit).literal() != manifest => {}
                Role::Include => seen[scope].include = seen[scope].include.or(Some(hit)),
                Role::Exclude => seen[scope].excluded = true,
                Role::Context => seen[scope].context = !is_manifest,
            }
        }
        asked.sort_unstable();
        for scope in asked.drain(..) {
            let Seen { include, excluded, context, .. } = seen[scope];
            let (service, scope) = scopes[scope];
            let kept = |context: &Context| context.keeps(&changed.path, changed.opaque);
            if excluded || !(include.is_some() || (context && scope.context.as_ref().is_some_and(kept))) {
                continue;
            }
            // By the other scope of this service it may count already.
            if std::mem::replace(&mut counted[service], of) == of {
                continue;
            }
            let told = &mut answer[service];
            told.count += 1;
            if told.files.len() < keep {
                let by = include.map_or("the build context", |hit| index.pattern(hit).written.as_str());
                told.files.push((changed.shown(), by.to_owned()));
            }
        }
    }
    Ok(answer)
}

fn index(scopes: &[(usize, &Scope)]) -> Result<(Index, Vec<(usize, Role)>), globset::Error> {
    let (mut patterns, mut owners) = (Vec::new(), Vec::new());
    for (at, (_, scope)) in scopes.iter().enumerate() {
        let context = scope.context.iter().map(|context| Pattern::exactly(&context.folder));
        let all = scope.include.iter().cloned().map(|pattern| (pattern, Role::Include));
        let all = all.chain(scope.exclude.iter().cloned().map(|pattern| (pattern, Role::Exclude)));
        for (pattern, role) in all.chain(context.map(|pattern| (pattern, Role::Context))) {
            patterns.push(pattern);
            owners.push((at, role));
        }
    }
    Ok((Index::new(patterns)?, owners))
}
