//! The images that a build takes from outside, each to what identifies its content.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::NoKey;
use super::dockerfile::Image;
use crate::docker::{Engine, RegistryAuth};

/// How many hex digits a digest has, by its algorithm.
const ALGORITHMS: [(&str, usize); 2] = [("sha256:", 64), ("sha512:", 128)];

/// Asks the engine for every image whose name does not pin it already. By name, with the platform where one is written.
pub(super) async fn identities(
    images: &[Image],
    platform: &str,
    engine: Option<&Engine>,
    logins: &[RegistryAuth],
) -> Result<BTreeMap<String, String>, NoKey> {
    let asked = images.iter().map(|image| async {
        let name = match &image.platform {
            Some(platform) => format!("{} for {platform}", image.name),
            None => image.name.clone(),
        };
        if let Some(digest) = pinned(&image.name) {
            return Ok((name, digest.to_owned()));
        }
        let engine =
            engine.ok_or_else(|| NoKey::new(format!("no Docker Engine tells which image `{}` is now", image.name)))?;
        let platform = image.platform.as_deref().unwrap_or(platform);
        match engine.identity_of(&image.name, platform, logins).await {
            Ok(identity) => Ok((name, identity)),
            Err(why) => Err(NoKey::new(format!("nobody tells which image `{}` is now: {why}", image.name))
                .hint("name it by its digest, NAME@sha256:…, where the registry cannot be asked")),
        }
    });
    join_all(asked).await.into_iter().collect()
}

/// The digest that is part of the name.
fn pinned(name: &str) -> Option<&str> {
    let (_, digest) = name.split_once('@')?;
    let is_digest = ALGORITHMS.iter().any(|(algorithm, length)| {
        digest
            .strip_prefix(algorithm)
            .is_some_and(|hex| hex.len() == *length && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
    });
    is_digest.then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::identities;
    use crate::content_key::dockerfile::Image;

    #[tokio::test]
    async fn what_is_pinned_needs_nobodys_answer_and_everything_else_does() {
        let image = |name: &str| Image { name: name.to_owned(), platform: None };
        let pinned = format!("node@sha256:{}", "a".repeat(64));
        let found = identities(&[image(&pinned)], "linux/amd64", None, &[]).await.unwrap();
        assert_eq!(found[&pinned], format!("sha256:{}", "a".repeat(64)));
        for name in ["node", "node@sha256:abc", "node:20"] {
            let error = identities(&[image(name)], "linux/amd64", None, &[]).await.unwrap_err();
            assert!(error.why.contains(&format!("`{name}`")), "{error}");
        }
    }
}
