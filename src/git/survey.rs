//! What git knows of a folder that shipit meets for the first time: its files, its branches and its remote.
//!
//! Nothing here is an error: a folder that git does not answer for is looked at without it.

use std::path::Path;

use super::program::ask;

/// The files under `folder`, relative to it: tracked ones, and new ones that `.gitignore` does not exclude. `None` where
/// git does not answer.
pub(crate) async fn files(folder: &Path) -> Option<Vec<String>> {
    let listed = ask(folder, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).await?;
    let mut files: Vec<String> = listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    files.sort();
    files.dedup();
    Some(files)
}

/// The names of the branches, those of this clone first, then those that only the remote has.
pub(crate) async fn branches(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (side, parts) in [("refs/heads", 2), ("refs/remotes", 3)] {
        let format = format!("--format=%(refname:lstrip={parts})");
        let told = ask(folder, &["for-each-ref", &format, side]).await.unwrap_or_default();
        for name in told.lines().filter(|name| !name.is_empty() && *name != "HEAD") {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// The branch that is checked out, also where it has no commit yet.
pub(crate) async fn current_branch(folder: &Path) -> Option<String> {
    let told = ask(folder, &["symbolic-ref", "--quiet", "HEAD"]).await?;
    told.trim().strip_prefix("refs/heads/").map(str::to_owned)
}

/// The host of the remote `origin`, as in `bitbucket.org`. The rest of its address may hold a login, and stays here.
pub(crate) async fn remote_host(folder: &Path) -> Option<String> {
    host(ask(folder, &["remote", "get-url", "origin"]).await?.trim())
}

/// The host of `https://user@host/path`, `ssh://git@host:22/path` or `git@host:path`.
fn host(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    (host.contains('.') && !host.starts_with('.')).then(|| host.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn the_host_of_a_remote_without_its_login() {
        for (url, expected) in [
            ("https://x-token:secret@bitbucket.org/team/shop.git", Some("bitbucket.org")),
            ("git@github.com:team/shop.git", Some("github.com")),
            ("ssh://git@GitLab.example.com:2222/shop", Some("gitlab.example.com")),
            ("../shop.git", None),
            ("/srv/shop.git", None),
        ] {
            assert_eq!(host(url).as_deref(), expected, "{url}");
        }
    }
}
