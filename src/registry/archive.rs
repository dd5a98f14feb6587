//! The archive that an engine exports (`docker save`), in both of its shapes: one folder a layer (before 25), and an
//! OCI layout (since then). Only places are read out of it; the bytes stay in the file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::failed;
use crate::docker::hexadecimal;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// A config is JSON of a few kilobytes; whatever is larger is no config.
const CONFIG_AT_MOST: u64 = 8 << 20;

/// The image's parts in the spooled file.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) file: Arc<File>,
    pub(super) config: Vec<u8>,
    pub(super) layers: Vec<Blob>,
}

/// One layer: where it is, and what it is called in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) offset: u64,
    pub(super) size: u64,
    /// `sha256:…`.
    pub(super) digest: String,
    pub(super) media_type: &'static str,
}

/// `manifest.json` of the archive.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

pub(super) async fn spool(mut export: impl Stream<Item = std::io::Result<Bytes>> + Unpin) -> Result<Archive> {
    let broken = |error: std::io::Error| {
        let folder = std::env::temp_dir();
        failed("the exported image could not be kept on disk", &error)
            .hint(format!("make room in {}, or name another folder with TMPDIR", folder.display()))
    };
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(broken)?);
    while let Some(bytes) = export.next().await {
        let bytes = bytes.map_err(|error| {
            failed("the engine broke the export of the image off", &error)
                .transient()
                .hint("look into the engine's log, and run it again")
        })?;
        file.write_all(&bytes).await.map_err(broken)?;
    }
    file.flush().await.map_err(broken)?;
    let file = file.into_std().await;
    tokio::task::spawn_blocking(move || read(file))
        .await
        .map_err(|error| failed("the exported image could not be read", &error))?
}

pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(&Sha256::digest(bytes)))
}

fn read(mut file: File) -> Result<Archive> {
    let broken = |error: std::io::Error| failed("the exported image could not be read", &error);
    let strange = |what: &str| {
        Error::new(Exit::Registry, format!("the engine's export has no {what}"))
            .hint("the engine gave half of an image, or one of a shape that is not known: see what `docker save` gives")
    };
    file.rewind().map_err(broken)?;
    let mut places: HashMap<String, (u64, u64)> = HashMap::new();
    let mut links: HashMap<String, String> = HashMap::new();
    for entry in tar::Archive::new(&file).entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.to_string_lossy().trim_start_matches("./").to_owned();
        if let Some(target) = entry.link_name().map_err(broken)? {
            // `../OTHER/layer.tar`: a layer that occurs twice.
            links.insert(name, target.to_string_lossy().trim_start_matches("../").to_owned());
        } else {
            places.insert(name, (entry.raw_file_position(), entry.size()));
        }
    }
    let place = |name: &str| {
        let name = links.get(name).map_or(name, String::as_str);
        places.get(name).copied().ok_or_else(|| strange(name))
    };
    let listed: Vec<Listed> = json(&load(&file, place("manifest.json")?)?)?;
    let listed = listed.into_iter().next().ok_or_else(|| strange("image"))?;
    let config = load(&file, place(&listed.config)?)?;
    let diff_ids = json::<Config>(&config)?.rootfs.diff_ids;
    if diff_ids.len() != listed.layers.len() {
        return Err(strange("layer for each of its diff_ids"));
    }
    let layers = listed.layers.iter().zip(diff_ids).map(|(name, diff_id)| {
        let (offset, size) = place(name)?;
        let media_type = media_type(&file, offset).map_err(broken)?;
        // An OCI layout names each blob by its digest; otherwise the layer is the plain tar that the diff_id is of.
        let digest = name.strip_prefix("blobs/sha256/").map_or(diff_id, |hex| format!("sha256:{hex}"));
        Ok(Blob { offset, size, digest, media_type })
    });
    let layers = layers.collect::<Result<Vec<_>>>()?;
    Ok(Archive { file: Arc::new(file), config, layers })
}

fn load(mut file: &File, (offset, size): (u64, u64)) -> Result<Vec<u8>> {
    let broken = |error: std::io::Error| failed("the exported image could not be read", &error);
    if size > CONFIG_AT_MOST {
        return Err(Error::new(
            Exit::Registry,
            format!("a config of {size} bytes in the engine's export is no config"),
        ));
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset)).map_err(broken)?;
    file.take(size).read_to_end(&mut bytes).map_err(broken)?;
    Ok(bytes)
}

fn json<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| failed("the engine's export is not understood", &error))
}

fn media_type(mut file: &File, offset: u64) -> std::io::Result<&'static str> {
    let mut magic = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(4).read_to_end(&mut magic)?;
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => "application/vnd.oci.image.layer.v1.tar+gzip",
        [0x28, 0xb5, 0x2f, 0xfd] => "application/vnd.oci.image.layer.v1.tar+zstd",
        _ => "application/vnd.oci.image.layer.v1.tar",
    })
}

#[cfg(test)]
mod tests {
    use super::{digest, read};
    use std::io::Write as _;

    fn archive(entries: &[(&str, &[u8])], link: Option<(&str, &str)>) -> std::fs::File {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        if let Some((name, target)) = link {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, target).unwrap();
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&builder.into_inner().unwrap()).unwrap();
        file
    }

    #[test]
    fn the_old_shape_with_a_layer_that_occurs_twice() {
        let layer = digest(b"layer");
        let config = format!(r#"{{"rootfs":{{"diff_ids":["{layer}","{layer}"]}}}}"#);
        let listed = br#"[{"Config":"c.json","Layers":["a/layer.tar","b/layer.tar"]}]"#;
        let file = archive(
            &[("a/layer.tar", b"layer"), ("c.json", config.as_bytes()), ("manifest.json", listed)],
            Some(("b/layer.tar", "../a/layer.tar")),
        );
        let archive = read(file).unwrap();
        assert_eq!(archive.config, config.as_bytes());
        assert_eq!(archive.layers[0], archive.layers[1]);
        assert_eq!((archive.layers[0].size, archive.layers[0].digest.as_str()), (5, layer.as_str()));
    }

    #[test]
    fn an_oci_layout_with_a_compressed_layer() {
        let listed = br#"[{"Config":"blobs/sha256/cc","Layers":["blobs/sha256/aa"]}]"#;
        let config = br#"{"rootfs":{"diff_ids":["sha256:dd"]}}"#;
        let entries: [(&str, &[u8]); 3] =
            [("blobs/sha256/aa", b"\x1f\x8b\x08\x00"), ("blobs/sha256/cc", config), ("manifest.json", listed)];
        let archive = read(archive(&entries, None)).unwrap();
        assert_eq!(archive.layers[0].digest, "sha256:aa");
        assert!(archive.layers[0].media_type.ends_with("+gzip"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = read(archive(&[("x", b"")], None)).unwrap_err();
        assert!(error.line().contains("manifest.json"), "{error}");
    }
}
