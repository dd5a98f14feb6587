//! An image as a tar archive in the layout of `docker save`, streamed from the blobs into `docker load`.

use std::path::PathBuf;

use bollard::Docker;
use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use crate::local::shared::Shared;
use crate::local::wire::input::Input;

const BLOCK: usize = 512;

/// Loads the image and returns the name that it has in the engine then.
///
/// # Errors
/// What the engine says, or what cannot be read.
pub(super) async fn load(
    shared: &Shared,
    docker: &Docker,
    repository: &str,
    digest: &str,
    manifest: &Value,
) -> Result<String, String> {
    let short = digest.trim_start_matches("sha256:").get(..12).unwrap_or("image");
    let name = format!("shipit-local/{repository}:{short}");
    let config = manifest.pointer("/config/digest").and_then(Value::as_str).unwrap_or_default();
    let layers: Vec<&str> =
        Input(manifest).list("layers").iter().filter_map(|layer| Input(layer).text("digest")).collect();
    let file = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    let index = json!([{
        "Config": format!("{}.json", file(config)),
        "RepoTags": [name],
        "Layers": layers.iter().map(|layer| format!("{}/layer.tar", file(layer))).collect::<Vec<_>>(),
    }]);
    let mut parts = vec![Part::Text("manifest.json".to_owned(), index.to_string())];
    parts.push(Part::File(format!("{}.json", file(config)), shared.store.blob(config)));
    let mut seen = Vec::new();
    for layer in layers {
        if !seen.contains(&layer) {
            seen.push(layer);
            parts.push(Part::File(format!("{}/layer.tar", file(layer)), shared.store.blob(layer)));
        }
    }
    let options = ImportImageOptionsBuilder::default().quiet(true).build();
    let mut answers = std::pin::pin!(docker.import_image_stream(options, tar(parts), None));
    while let Some(answer) = answers.next().await {
        let answer = answer.map_err(|error| error.to_string())?;
        if let Some(message) = answer.error_detail.and_then(|detail| detail.message) {
            return Err(message);
        }
    }
    docker.inspect_image(&name).await.map(|_| name).map_err(|error| error.to_string())
}

enum Part {
    Text(String, String),
    File(String, PathBuf),
}

/// The archive, one part after the other; a layer is never in memory whole.
fn tar(parts: Vec<Part>) -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let bodies = stream::iter(parts).then(entry).flat_map(|entry| match entry {
        Ok(entry) => entry,
        Err(error) => stream::once(async { Err(error) }).boxed(),
    });
    bodies.chain(stream::once(async { Ok(Bytes::from_static(&[0; 2 * BLOCK])) }))
}

type Chunks = stream::BoxStream<'static, std::io::Result<Bytes>>;

async fn entry(part: Part) -> std::io::Result<Chunks> {
    let (name, length, body): (_, u64, Chunks) = match part {
        Part::Text(name, text) => {
            let length = text.len() as u64;
            (name, length, stream::once(async { Ok(Bytes::from(text)) }).boxed())
        }
        Part::File(name, path) => {
            let file = tokio::fs::File::open(path).await?;
            let length = file.metadata().await?.len();
            (name, length, ReaderStream::new(file).boxed())
        }
    };
    let block = BLOCK as u64;
    let padding = usize::try_from((block - length % block) % block).unwrap_or(0);
    let head = stream::once(async move { Ok(Bytes::copy_from_slice(&header(&name, length))) });
    let tail = stream::once(async move { Ok(Bytes::from(vec![0; padding])) });
    Ok(head.chain(body).chain(tail).boxed())
}

/// A ustar header of a plain file. The names here are shorter than the 100 bytes that it has room for; the size is octal
/// digits, or binary where those do not suffice (8 GiB).
fn header(name: &str, length: u64) -> [u8; BLOCK] {
    let mut block = [0_u8; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes().get(..100).unwrap_or(name.as_bytes()));
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if length < 1 << 33 {
        put(124, format!("{length:011o}\0").as_bytes());
    } else {
        put(124, &[0x80, 0, 0, 0]);
        put(128, &length.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::{Part, tar};

    #[tokio::test]
    async fn tar_itself_can_read_the_archive() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("blob"), vec![7; 1000]).unwrap();
        let parts = vec![
            Part::Text("manifest.json".into(), "[]".into()),
            Part::File("abc/layer.tar".into(), folder.path().join("blob")),
        ];
        let bytes: Vec<u8> =
            tar(parts).map(|chunk| chunk.unwrap().to_vec()).collect::<Vec<_>>().await.into_iter().flatten().collect();
        assert_eq!(bytes.len() % 512, 0);
        std::fs::write(folder.path().join("image.tar"), bytes).unwrap();
        let done =
            std::process::Command::new("tar").args(["-xf", "image.tar"]).current_dir(folder.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(std::fs::read(folder.path().join("abc/layer.tar")).unwrap(), vec![7; 1000]);
        assert_eq!(std::fs::read_to_string(folder.path().join("manifest.json")).unwrap(), "[]");
    }
}
