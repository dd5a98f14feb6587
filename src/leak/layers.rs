//! Looks through the layers of an image as `docker save` gives them, in both shapes: a folder a layer (before Docker
//! 25), and an OCI layout. It reads the stream once, from front to back, and keeps no layer.
//!
//! A file that a later layer deletes is still in the layer that brought it, and is found there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use super::known::Looked;
use super::needles::{Hit, Needles};

/// A document larger than this is no manifest and no config, in bytes.
const LARGEST_DOCUMENT: u64 = 8 << 20;
/// Files that are named for each secret and layer; more say nothing new.
const FILES: usize = 3;
/// What tells the kind of a blob: tar has its magic at 257.
const HEAD: usize = 512;

/// What the search came to.
#[derive(Debug, Default)]
pub(super) struct Searched {
    /// By layer, the lowest first.
    pub(super) layers: Vec<Layer>,
    /// In the raw config: what is found there and nowhere else is in a member that the engine does not show.
    pub(super) config: BTreeSet<Hit>,
    /// Bytes of the files that were looked through.
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layer {
    /// Its name in the export, which depends on what is in it and in the layers below.
    pub(super) entry: String,
    pub(super) diff_id: String,
    /// The command of the history that made it.
    pub(super) made_by: String,
    pub(super) files: Vec<(String, Hit)>,
    /// Why its files could not be looked through.
    pub(super) unread: Option<String>,
}

/// `manifest.json` of the export.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: String,
    layers: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    rootfs: RootFs,
    history: Vec<Step>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RootFs {
    diff_ids: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Step {
    created_by: String,
    empty_layer: bool,
}

/// One blob of the export.
#[derive(Default)]
struct Blob {
    files: Vec<(String, Hit)>,
    unread: Option<String>,
}

/// `skip`: names of layers that were looked through before, and found clean.
///
/// # Errors
/// The stream breaks off, or is not what `docker save` gives.
pub(super) fn search(export: impl Read, needles: &Needles, skip: impl Fn(&str) -> bool) -> io::Result<Searched> {
    let mut reader = Reader { needles, buffer: Vec::new(), bytes: 0 };
    let (mut blobs, mut documents, mut links) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for entry in tar::Archive::new(export).entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        if let Some(target) = entry.link_name_bytes() {
            // A layer that occurs twice: `../OTHER/layer.tar`.
            links.insert(name, String::from_utf8_lossy(&target).trim_start_matches("../").to_owned());
            continue;
        }
        if !entry.header().entry_type().is_file() || skip(&name) {
            continue;
        }
        let size = entry.size();
        let mut head = Vec::with_capacity(HEAD);
        entry.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
        match Kind::of(&head) {
            Kind::Document if size <= LARGEST_DOCUMENT => {
                let mut document = head;
                entry.read_to_end(&mut document)?;
                documents.insert(name, document);
            }
            kind => {
                let blob = reader.blob(kind, head.chain(entry))?;
                blobs.insert(name, blob);
            }
        }
    }
    let strange = |what: &str| io::Error::other(format!("the engine's export has no {what}"));
    let listed: Vec<Manifest> = documents
        .get("manifest.json")
        .and_then(|document| serde_json::from_slice(document).ok())
        .ok_or_else(|| strange("readable manifest.json"))?;
    let listed = listed.into_iter().next().ok_or_else(|| strange("image"))?;
    let raw = documents.get(&listed.config).ok_or_else(|| strange("config"))?;
    let config: Config = serde_json::from_slice(raw).map_err(io::Error::other)?;
    if config.rootfs.diff_ids.len() != listed.layers.len() {
        return Err(strange("layer for each of its diff_ids"));
    }
    let mut made_by = config.history.iter().filter(|step| !step.empty_layer).map(|step| step.created_by.as_str());
    let mut layers = Vec::new();
    for (name, diff_id) in listed.layers.iter().zip(&config.rootfs.diff_ids) {
        let entry = links.get(name).unwrap_or(name);
        let blob = match blobs.get(entry) {
            Some(blob) => blob,
            None if skip(entry) => &Blob::default(),
            None => return Err(strange(entry)),
        };
        layers.push(Layer {
            entry: entry.clone(),
            diff_id: diff_id.clone(),
            made_by: made_by.next().unwrap_or_default().to_owned(),
            files: blob.files.clone(),
            unread: blob.unread.clone(),
        });
    }
    Ok(Searched { layers, config: needles.find(raw), bytes: reader.bytes })
}

/// One layer by itself, as a registry gives it out. It is read to its end, wherever its archive ends.
///
/// # Errors
/// It breaks off, or is no layer.
pub(super) fn one(mut content: impl Read, needles: &Needles) -> io::Result<Looked> {
    let mut reader = Reader { needles, buffer: Vec::new(), bytes: 0 };
    let mut head = Vec::with_capacity(HEAD);
    content.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    let blob = reader.blob(Kind::of(&head), head.as_slice().chain(&mut content))?;
    io::copy(&mut content, &mut io::sink())?;
    Ok(Looked { bytes: reader.bytes, unread: blob.unread, files: blob.files })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tar,
    Gzip,
    Zstd,
    Document,
    /// Looked through as one run of bytes.
    Other,
}

impl Kind {
    fn of(head: &[u8]) -> Self {
        match head {
            // A layer with nothing in it is two blocks of zeros.
            _ if head.get(257..262) == Some(b"ustar") || head.iter().all(|byte| *byte == 0) => Self::Tar,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [b'{' | b'[', ..] => Self::Document,
            _ => Self::Other,
        }
    }
}

struct Reader<'n> {
    needles: &'n Needles,
    buffer: Vec<u8>,
    bytes: u64,
}

impl Reader<'_> {
    fn blob(&mut self, kind: Kind, content: impl Read) -> io::Result<Blob> {
        match kind {
            Kind::Tar => self.layer(content),
            // What is broken inside of a compressed layer is that layer's matter; a stream that ends is the export's.
            Kind::Gzip => Ok(self.layer(MultiGzDecoder::new(content)).unwrap_or_else(|error| Blob {
                unread: Some(format!("it cannot be unpacked: {error}")),
                ..Blob::default()
            })),
            Kind::Zstd => Ok(Blob { unread: Some("it is packed with zstd".to_owned()), ..Blob::default() }),
            Kind::Document | Kind::Other => {
                let found = self.content(content)?;
                Ok(Blob { files: found.into_iter().map(|hit| (String::new(), hit)).collect(), unread: None })
            }
        }
    }

    fn layer(&mut self, tar: impl Read) -> io::Result<Blob> {
        let mut files = Vec::new();
        let mut seen: BTreeMap<Hit, usize> = BTreeMap::new();
        for entry in tar::Archive::new(tar).entries()? {
            let mut entry = entry?;
            let path = entry.path_bytes().into_owned();
            let mut found = self.needles.find(&path);
            if let Some(target) = entry.link_name_bytes() {
                found.extend(self.needles.find(&target));
            }
            for attribute in entry.pax_extensions()?.into_iter().flatten().flatten() {
                found.extend(self.needles.find(attribute.value_bytes()));
            }
            found.extend(self.content(&mut entry)?);
            for hit in found {
                let files_of_it = seen.entry(hit).or_default();
                *files_of_it += 1;
                if *files_of_it <= FILES {
                    files.push((String::from_utf8_lossy(&path).trim_start_matches("./").to_owned(), hit));
                }
            }
        }
        Ok(Blob { files, unread: None })
    }

    fn content(&mut self, content: impl Read) -> io::Result<BTreeSet<Hit>> {
        let (found, bytes) = self.needles.find_in(content, &mut self.buffer)?;
        self.bytes += bytes;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::{Searched, search};
    use crate::leak::needles::Needles;

    const VALUE: &str = "s3cr3t-value";

    fn tar_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// An export of three layers, of which the last one is the first one again.
    fn export(layers: [&[u8]; 2], more: &str) -> Vec<u8> {
        let config = format!(
            r#"{{"rootfs":{{"diff_ids":["sha256:a","sha256:b","sha256:a"]}},"history":[{{"created_by":"COPY a /"}},
               {{"created_by":"ENV x","empty_layer":true}},{{"created_by":"RUN make"}},{{"created_by":"COPY a /"}}]{more}}}"#
        );
        let listed = br#"[{"Config":"c.json","RepoTags":null,"Layers":["1/layer.tar","2/layer.tar","3/layer.tar"]}]"#;
        let mut builder = tar::Builder::new(Vec::new());
        let entries: [(&str, &[u8]); 4] = [
            ("1/layer.tar", layers[0]),
            ("2/layer.tar", layers[1]),
            ("c.json", config.as_bytes()),
            ("manifest.json", listed),
        ];
        for (name, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, bytes).unwrap();
        }
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "3/layer.tar", "../1/layer.tar").unwrap();
        builder.into_inner().unwrap()
    }

    fn searched(export: &[u8], skip: &str) -> std::io::Result<Searched> {
        search(export, &Needles::new([(0, VALUE)]).unwrap(), |name| name == skip)
    }

    fn files(searched: &Searched) -> Vec<Vec<&str>> {
        searched.layers.iter().map(|layer| layer.files.iter().map(|(path, _)| path.as_str()).collect()).collect()
    }

    #[test]
    fn files_names_and_deleted_files_are_found_in_their_layer() {
        let encoded = b"x=s3cr3t%2Dvalue czNjcjN0LXZhbHVl";
        let first = tar_of(&[("app/.env", b"TOKEN=s3cr3t-value"), ("app/s3cr3t-value.txt", b""), ("ok", b"nothing")]);
        let second = tar_of(&[("app/.wh..env", b""), ("b64", encoded)]);
        for (first, second) in [(first.clone(), second.clone()), (gzip(&first), gzip(&second))] {
            let found = searched(&export([&first, &second], ""), "").unwrap();
            let of_first = vec!["app/.env", "app/s3cr3t-value.txt"];
            assert_eq!(files(&found), [of_first.clone(), vec!["b64"], of_first]);
            assert_eq!(found.layers[1].made_by, "RUN make");
            assert!(found.config.is_empty() && found.bytes > 0);
        }
    }

    #[test]
    fn a_layer_that_was_clean_before_is_not_read() {
        let (first, second) = (tar_of(&[("a", b"s3cr3t-value")]), tar_of(&[]));
        let found = searched(&export([&first, &second], ""), "1/layer.tar").unwrap();
        assert_eq!((files(&found), found.bytes), (vec![vec![], vec![], vec![]], 0));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let (tar, zstd) = (tar_of(&[]), [0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3]);
        let found = searched(&export([&tar, &zstd], ""), "").unwrap();
        assert!(found.layers[1].unread.as_deref().is_some_and(|why| why.contains("zstd")));
        let mut broken = gzip(&tar_of(&[("a", &[7; 5000])]));
        broken.truncate(40);
        let found = searched(&export([&tar, &broken], ""), "").unwrap();
        assert!(found.layers[1].unread.is_some());
    }

    #[test]
    fn the_raw_config_is_looked_through() {
        let tar = tar_of(&[]);
        let found = searched(&export([&tar, &tar], r#","x":"s3cr3t-value""#), "").unwrap();
        assert_eq!(found.config.len(), 1);
    }

    #[test]
    fn an_export_that_ends_early_is_an_error() {
        let first = tar_of(&[("a", &[1; 4000])]);
        let whole = export([&first, &first], "");
        for end in [100, 1000, 3000, whole.len() / 2] {
            assert!(searched(&whole[..end], "").is_err(), "{end}");
        }
    }
}
