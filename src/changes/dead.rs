//! Patterns that no file of the commit fits: most often a folder that was renamed, or letters of another form. A
//! warning, because a filter that means nothing hides changes.

use super::index::Index;
use super::pattern::Pattern;
use crate::config::specification::Specification;
use crate::error::Result;
use crate::git::Repository;
use crate::git::diff::Changed;

/// A sentence for each pattern of `paths` and `ignore` that no file of the commit fits.
///
/// # Errors
/// git cannot list the files.
pub(crate) async fn dead_patterns(
    repository: &Repository,
    head: &str,
    specification: &Specification,
) -> Result<Vec<String>> {
    let services = specification.services.iter().map(|service| (&service.paths, &service.ignore));
    let archives = specification.archives.iter().map(|archive| (&archive.paths, &archive.ignore));
    let written = services.chain(archives).flat_map(|(paths, ignore)| paths.iter().flatten().chain(ignore));
    let patterns: Vec<Pattern> = written.filter_map(|written| Pattern::new(written).ok()).collect();
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    let tracked = repository.tracked(head).await?;
    // Of a hundred thousand files this takes a while, and others are read meanwhile.
    let dead = tokio::task::spawn_blocking(move || dead(patterns, &tracked)).await.unwrap_or_default();
    let sentence = |pattern| format!("the pattern `{pattern}` of deploy.yaml fits no file of this commit");
    Ok(dead.into_iter().map(sentence).collect())
}

fn dead(patterns: Vec<Pattern>, tracked: &[Changed]) -> Vec<String> {
    let Ok(index) = Index::new(patterns.clone()) else { return Vec::new() };
    let mut alive = vec![false; patterns.len()];
    let mut open = patterns.len();
    let mut hits = Vec::new();
    for file in tracked {
        if file.opaque {
            index.reaching(file, |_| true, &mut hits);
        } else {
            index.matching(&file.path, &mut hits);
        }
        for hit in hits.drain(..) {
            open -= usize::from(!std::mem::replace(&mut alive[hit], true));
        }
        if open == 0 {
            break;
        }
    }
    let mut dead: Vec<String> = Vec::new();
    for (pattern, alive) in patterns.into_iter().zip(alive) {
        if !alive && !dead.contains(&pattern.written) {
            dead.push(pattern.written);
        }
    }
    dead
}

#[cfg(test)]
mod tests {
    use super::dead;
    use crate::changes::pattern::Pattern;
    use crate::git::diff::Changed;

    #[test]
    fn a_pattern_is_dead_when_no_file_fits_it() {
        let patterns = ["api/**", "lib", "vend/src/**", "*.md", "lib"].map(|written| Pattern::new(written).unwrap());
        let file = |path: &str, opaque| Changed { path: path.as_bytes().to_owned(), opaque };
        let tracked = [file("api/a", false), file("docs/b.md", false), file("vend", true)];
        assert_eq!(dead(patterns.to_vec(), &tracked), ["lib", "*.md"]);
    }
}
