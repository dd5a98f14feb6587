//! The canonical form of the inputs: records of a kind, a name and a value, each with its length before it, so that no
//! two lists of records have the same bytes. Pure; the order is fixed here and not by the caller.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{ContentKey, Keyed, Parts, Snapshot, parts};

/// What every key begins with. A change of anything that enters the key needs another version here.
const PREFIX: &[u8] = b"shipit-content-key\0v1\0";

/// Takes values of any bytes, each with its length before it.
#[derive(Clone, Default)]
pub(super) struct Framed(Sha256);

impl Framed {
    pub(super) fn field(&mut self, value: &[u8]) {
        self.0.update((value.len() as u64).to_be_bytes());
        self.0.update(value);
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Everything that decides an image. There is no field for the values of `build_secrets`, on purpose: a short value could
/// be guessed from the key.
pub(super) struct Records<'r> {
    pub(super) dockerfile: &'r [u8],
    pub(super) target: Option<&'r str>,
    pub(super) platform: &'r str,
    /// `rebuild_token` of deploy.yaml.
    pub(super) token: Option<&'r str>,
    /// Name to value, after everything is filled in.
    pub(super) args: BTreeMap<&'r str, &'r str>,
    /// Their ids.
    pub(super) secrets: Vec<&'r str>,
    /// Images from outside, as the Dockerfile comes to name them, to what identifies their content.
    pub(super) bases: &'r BTreeMap<String, String>,
    pub(super) context: &'r super::context::Hashed,
}

impl Records<'_> {
    pub(super) fn key(&self) -> Keyed {
        let mut key = Sha256::new_with_prefix(PREFIX);
        let mut groups = Vec::new();
        let mut record = |kind: &str, name: &str, value: &[u8]| {
            let mut framed = Framed::default();
            for field in [kind.as_bytes(), name.as_bytes(), value] {
                framed.field(field);
            }
            let digest = framed.finish();
            key.update(digest);
            groups.push((parts::label(kind, name), digest));
        };
        record("dockerfile", "", self.dockerfile);
        record("target", "", self.target.unwrap_or_default().as_bytes());
        record("platform", "", self.platform.as_bytes());
        if let Some(token) = self.token {
            record("rebuild_token", "", token.as_bytes());
        }
        for (name, value) in &self.args {
            record("arg", name, value.as_bytes());
        }
        let mut secrets = self.secrets.clone();
        secrets.sort_unstable();
        for id in secrets {
            record("secret", id, b"");
        }
        for (name, identity) in self.bases {
            record("base", name, identity.as_bytes());
        }
        let mut framed = Framed::default();
        framed.field(b"context");
        framed.field(&self.context.digest);
        key.update(framed.finish());
        let parts = Parts::new(groups, self.context);
        Keyed { key: ContentKey::new(&key.finalize()), parts, snapshot: Snapshot::clone(&self.context.snapshot) }
    }
}
