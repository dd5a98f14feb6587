//! Puts a file into a bucket: a small one in one call, a large one in parts, each with its SHA-256, so that S3 refuses
//! what was changed on the way. The parts of an upload that does not come to its end are taken away again.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{ZIP, patient, place, refused};
use crate::aws::Clients;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::unless_cancelled;

/// Bytes of a part, and the size up to which a file goes in one call. With `AT_ONCE` it is what is held in memory.
const PART: u64 = 8 << 20;
const AT_ONCE: usize = 4;
/// How long the parts of an upload that was given up are tidied away.
const LAST_WORDS: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Upload<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) file: &'a Arc<File>,
    pub(crate) bytes: u64,
    pub(crate) metadata: &'a BTreeMap<String, String>,
}

/// Puts it whole, over whatever is there. `sent` is told the bytes that have arrived so far.
///
/// # Errors
/// AWS refuses ([`Exit::Aws`]), the file cannot be read, or the run is interrupted; then nothing is under the key that
/// was not there before.
pub(crate) async fn put(
    clients: &Clients,
    upload: Upload<'_>,
    cancel: &CancellationToken,
    sent: impl Fn(u64) + Sync,
) -> Result<()> {
    const SAID: &str = "interrupted during the upload";
    if upload.bytes <= PART {
        unless_cancelled(cancel, SAID, whole(clients, upload)).await?;
        sent(upload.bytes);
        return Ok(());
    }
    let begun = clients
        .s3()
        .create_multipart_upload()
        .bucket(upload.bucket)
        .key(upload.key)
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .checksum_type(ChecksumType::Composite)
        .content_type(ZIP)
        .set_metadata(Some(upload.metadata.clone().into_iter().collect()));
    // Its answer has the id: an upload that was begun without it could not be taken away again.
    let begun = begun.send().await.map_err(|error| upload.refused("s3:CreateMultipartUpload", &error))?;
    let id = begun.upload_id().unwrap_or_default();
    let done = unless_cancelled(cancel, SAID, parts(clients, upload, id, &sent)).await;
    if done.is_err() {
        let abort = clients.s3().abort_multipart_upload().bucket(upload.bucket).key(upload.key).upload_id(id);
        // What is left over is nobody's object; a lifecycle rule takes it away.
        let _ = tokio::time::timeout(LAST_WORDS, abort.send()).await;
    }
    done
}

impl Upload<'_> {
    fn refused<E>(&self, action: &str, error: &aws_sdk_s3::error::SdkError<E>) -> Error
    where
        E: std::error::Error + aws_sdk_s3::error::ProvideErrorMetadata + Send + Sync + 'static,
    {
        refused(action, "s3:PutObject", &place(self.bucket, self.key), error)
    }
}

async fn whole(clients: &Clients, upload: Upload<'_>) -> Result<()> {
    let body = read(upload.file, 0, upload.bytes).await?;
    let call = clients
        .s3()
        .put_object()
        .bucket(upload.bucket)
        .key(upload.key)
        .checksum_sha256(sha256(&body))
        .content_type(ZIP)
        .set_metadata(Some(upload.metadata.clone().into_iter().collect()))
        .body(ByteStream::from(body));
    let sent = call.customize().config_override(patient()).send().await;
    sent.map(|_| ()).map_err(|error| upload.refused("s3:PutObject", &error))
}

async fn parts(clients: &Clients, upload: Upload<'_>, id: &str, sent: &(impl Fn(u64) + Sync)) -> Result<()> {
    let arrived = std::sync::atomic::AtomicU64::new(0);
    let parts = stream::iter((1_i32..).zip(pieces(upload.bytes))).map(|(number, (offset, length))| {
        let arrived = &arrived;
        async move {
            let body = read(upload.file, offset, length).await?;
            let checksum = sha256(&body);
            let call = clients
                .s3()
                .upload_part()
                .bucket(upload.bucket)
                .key(upload.key)
                .upload_id(id)
                .part_number(number)
                .checksum_sha256(&checksum)
                .body(ByteStream::from(body));
            let part = call.customize().config_override(patient()).send().await;
            let part = part.map_err(|error| upload.refused("s3:UploadPart", &error))?;
            let before = arrived.fetch_add(length, std::sync::atomic::Ordering::Relaxed);
            sent(before + length);
            let part = CompletedPart::builder().part_number(number).checksum_sha256(checksum).set_e_tag(part.e_tag);
            Ok::<_, Error>(part.build())
        }
    });
    let parts: Vec<CompletedPart> = parts.buffered(AT_ONCE).try_collect().await?;
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let call = clients
        .s3()
        .complete_multipart_upload()
        .bucket(upload.bucket)
        .key(upload.key)
        .upload_id(id)
        .checksum_type(ChecksumType::Composite)
        .multipart_upload(parts);
    let done = call.customize().config_override(patient()).send().await;
    done.map(|_| ()).map_err(|error| upload.refused("s3:CompleteMultipartUpload", &error))
}

/// Offset and length of every part.
fn pieces(bytes: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..bytes.div_ceil(PART)).map(move |index| (index * PART, PART.min(bytes - index * PART)))
}

/// What S3 says is the checksum of a file that was put by `put`, where it has been put in parts; `None` where it was not.
///
/// # Errors
/// The file cannot be read.
pub(crate) async fn checksum_of_parts(file: &Arc<File>, bytes: u64) -> Result<Option<String>> {
    if bytes <= PART {
        return Ok(None);
    }
    let mut all = Sha256::new();
    let mut count = 0;
    for (offset, length) in pieces(bytes) {
        all.update(Sha256::digest(&read(file, offset, length).await?));
        count += 1;
    }
    Ok(Some(format!("{}-{count}", BASE64_STANDARD.encode(all.finalize()))))
}

fn sha256(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(bytes))
}

async fn read(file: &Arc<File>, offset: u64, length: u64) -> Result<Bytes> {
    let broken = |error: &std::io::Error| Error::new(Exit::Fault, "the packed zip cannot be read").because(error);
    let length = usize::try_from(length).map_err(|_| Error::new(Exit::Fault, "a part is larger than the memory"))?;
    let file = Arc::clone(file);
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset).map(|()| Bytes::from(bytes))
    });
    match read.await {
        Ok(read) => read.map_err(|error| broken(&error)),
        Err(ended) => Err(broken(&std::io::Error::other(ended))),
    }
}

#[cfg(test)]
mod tests {
    use super::{PART, pieces};

    #[test]
    fn the_parts_are_the_file() {
        for (bytes, expected) in [
            (PART + 1, vec![(0, PART), (PART, 1)]),
            (2 * PART, vec![(0, PART), (PART, PART)]),
            (2 * PART - 1, vec![(0, PART), (PART, PART - 1)]),
        ] {
            assert_eq!(pieces(bytes).collect::<Vec<_>>(), expected);
        }
    }
}
