//! What a key was made of, for the answer to "why is it another one?": a digest for each record and for each folder of the
//! context, kept in a label of the image.
//!
//! The label has short digests of names too, so that it tells nobody what a folder is called; whoever has the checkout
//! knows the names. It has no values, and its length is bounded.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::context::Hashed;
use crate::docker::hexadecimal;

/// Records beyond this many are not told apart: the label holds 17 bytes of each.
const MOST: usize = 200;

/// How many differences are worth reading.
const SHOWN: usize = 5;

/// The label's whole context, whatever else it has of it.
const CONTEXT: &str = "context";

/// What makes up a key, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// How many levels of folders are told apart.
    depth: u8,
    /// Name to the first 4 bytes of its digest, in hex.
    by_name: BTreeMap<String, String>,
}

/// The name of a record, for people.
pub(super) fn label(kind: &str, name: &str) -> String {
    match kind {
        "dockerfile" => "Dockerfile".to_owned(),
        "base" => format!("base image {name}"),
        "secret" => format!("build secret {name}"),
        _ if name.is_empty() => kind.to_owned(),
        _ => format!("{kind} {name}"),
    }
}

impl Parts {
    pub(super) fn new(records: Vec<(String, [u8; 32])>, context: &Hashed) -> Self {
        let mut by_name: BTreeMap<String, String> =
            records.into_iter().map(|(name, digest)| (name, short(&digest))).collect();
        by_name.insert(CONTEXT.to_owned(), short(&context.digest));
        if by_name.len() > MOST {
            by_name.retain(|name, _| name == CONTEXT || name == "Dockerfile");
        }
        let (depth, folders) = context.folders();
        by_name.extend(folders.iter().map(|(name, digest)| (format!("{CONTEXT} {name}"), short(digest))));
        Self { depth, by_name }
    }

    /// The value of the label: `v1`, the depth, and `NAME=DIGEST` of each part, names as digests.
    pub(crate) fn to_label(&self) -> String {
        let mut label = format!("v1 {}", self.depth);
        for (name, digest) in &self.by_name {
            label.push_str(&format!(" {}={digest}", short_name(name)));
        }
        label
    }
}

/// What differs from the image with this label, in words; `None` where the label cannot be read, and empty where nothing
/// is known to differ.
pub(crate) fn differences(now: &Parts, then: &str) -> Option<Vec<String>> {
    let mut words = then.split(' ');
    if words.next() != Some("v1") {
        return None;
    }
    let depth: u8 = words.next()?.parse().ok()?;
    let then: BTreeMap<&str, &str> = words.filter_map(|word| word.split_once('=')).collect();
    let known: BTreeMap<String, &String> = now.by_name.keys().map(|name| (short_name(name), name)).collect();
    // Folders of another depth are not the same folders: then only the whole can be compared.
    let of_folder = |name: &str| name.starts_with("context ");
    let comparable = |name: &&String| depth == now.depth || !of_folder(name);
    let mut differing: Vec<String> = now
        .by_name
        .iter()
        .filter(|(name, digest)| comparable(name) && then.get(short_name(name).as_str()) != Some(&digest.as_str()))
        .map(|(name, _)| name.clone())
        .collect();
    let gone = then.keys().collect::<BTreeSet<_>>().into_iter().filter(|name| !known.contains_key(**name)).count();
    let folders_told = differing.iter().any(|name| of_folder(name)) || (depth == now.depth && gone > 0);
    if folders_told {
        differing.retain(|name| name != CONTEXT);
    }
    if depth == now.depth && gone > 0 {
        differing.push(match gone {
            1 => "one part that is gone".to_owned(),
            _ => format!("{gone} parts that are gone"),
        });
    }
    let more = differing.len().saturating_sub(SHOWN);
    differing.truncate(SHOWN);
    if more > 0 {
        differing.push(format!("{more} more"));
    }
    Some(differing)
}

fn short(digest: &[u8; 32]) -> String {
    hexadecimal(&digest[..4])
}

fn short_name(name: &str) -> String {
    hexadecimal(&Sha256::digest(name.as_bytes())[..4])
}
