//! S3: whether a bucket can be used, and objects: looked at, put, copied and listed. Nothing is ever deleted.

mod owner;
mod put;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, MetadataDirective};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Clients;
use super::error::aws;
use crate::error::{Error, Result};
use crate::exit::Exit;

pub(super) use owner::Owner;
pub(crate) use put::{Upload, checksum_of_parts, put};

/// `x-amz-copy-source` is percent-encoded but for what stands between names.
const COPY_SOURCE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// An attempt to send or copy may take as long as a slow line needs for a part.
const PATIENCE: Duration = Duration::from_secs(300);

/// `ListObjectsV2` gives 1000 keys a call; beyond this many calls the rest is left out.
const PAGES: usize = 20;

/// An object as `HeadObject` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// With its quotes, as S3 says it.
    pub(crate) etag: String,
    pub(crate) bytes: u64,
    pub(crate) modified: Option<Timestamp>,
    /// The user's metadata, without `x-amz-meta-`.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The SHA-256 that S3 computed, base64; `-N` at its end where it is one of N parts' checksums.
    pub(crate) checksum: Option<String>,
}

/// One row of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) modified: Option<Timestamp>,
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    Done,
    /// The object at the target, or the one to copy, is not the one that was expected.
    Moved,
}

/// What a copy is to find: nothing is overwritten that nobody has looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) from: &'a str,
    /// ETag of what is copied.
    pub(crate) from_etag: &'a str,
    pub(crate) to: &'a str,
    /// ETag of what is there now; `None`: nothing.
    pub(crate) to_etag: Option<&'a str>,
}

/// # Errors
/// The bucket is not there, is in another region, or may not be used ([`Exit::Aws`]).
pub(crate) async fn bucket(clients: &Clients, name: &str) -> Result<()> {
    let Err(error) = clients.s3().head_bucket().bucket(name).send().await else { return Ok(()) };
    let answer = error.raw_response();
    let region = answer.and_then(|answer| answer.headers().get("x-amz-bucket-region")).map(str::to_owned);
    let status = answer.map(|answer| answer.status().as_u16());
    let elsewhere = region.filter(|region| *region != clients.region);
    Err(match (status, elsewhere) {
        (Some(301 | 400), Some(region)) => {
            Error::new(Exit::Aws, format!("bucket `{name}` is in {region}, not in {}", clients.region))
                .hint("set `aws.region` of the environment to the bucket's, or name a bucket of this region")
        }
        (Some(404), _) => Error::new(Exit::Aws, format!("bucket `{name}` does not exist"))
            .hint("create it in this account and region, or correct `bucket` in deploy.yaml"),
        (Some(403), elsewhere) => {
            let mut hint =
                "allow s3:ListBucket on it for this identity; a policy of the bucket may refuse it, too".to_owned();
            if let Some(account) = &clients.account {
                hint += &format!(", and S3 does where the bucket is not that of account {account}");
            }
            if let Some(region) = elsewhere {
                hint += &format!("; it is in {region}, not in {}", clients.region);
            }
            Error::new(Exit::Aws, format!("AWS refused s3:HeadBucket on bucket `{name}`")).cause("HTTP 403").hint(hint)
        }
        _ => refused("s3:HeadBucket", "s3:ListBucket", &format!("bucket `{name}`"), &error),
    })
}

/// `None`: there is no such object.
pub(crate) async fn head(clients: &Clients, bucket: &str, key: &str) -> Result<Option<Object>> {
    let sent = clients.s3().head_object().bucket(bucket).key(key).checksum_mode(ChecksumMode::Enabled).send().await;
    match sent {
        Ok(found) => Ok(Some(Object {
            etag: found.e_tag().unwrap_or_default().to_owned(),
            bytes: found.content_length().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
            modified: found.last_modified().and_then(time),
            metadata: found.metadata().into_iter().flatten().map(|(name, text)| (name.clone(), text.clone())).collect(),
            checksum: found.checksum_sha256().map(str::to_owned),
        })),
        Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404) => Ok(None),
        Err(error) => Err(refused("s3:HeadObject", "s3:GetObject", &place(bucket, key), &error)),
    }
}

/// Copies within a bucket, with other metadata, and lets S3 compute the SHA-256 of the copy. The target changes as a
/// whole or not at all.
pub(crate) async fn copy(clients: &Clients, copy: Copy<'_>, metadata: &BTreeMap<String, String>) -> Result<Copied> {
    let source = format!("{}/{}", copy.bucket, copy.from);
    let call = clients
        .s3()
        .copy_object()
        .bucket(copy.bucket)
        .key(copy.to)
        .copy_source(utf8_percent_encode(&source, COPY_SOURCE).to_string())
        .copy_source_if_match(copy.from_etag)
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .metadata_directive(MetadataDirective::Replace)
        .content_type(ZIP)
        .set_metadata(Some(metadata.clone().into_iter().collect()));
    let call = match copy.to_etag {
        Some(etag) => call.if_match(etag),
        None => call.if_none_match("*"),
    };
    match call.customize().config_override(patient()).send().await {
        Ok(_) => Ok(Copied::Done),
        // 409: another conditional write to the same key was under way.
        Err(error) if error.raw_response().is_some_and(|answer| matches!(answer.status().as_u16(), 409 | 412)) => {
            Ok(Copied::Moved)
        }
        Err(error) => Err(refused("s3:CopyObject", "s3:PutObject", &place(copy.bucket, copy.to), &error)),
    }
}

/// The objects whose keys begin so, in the order of the keys, and whether that is all of them.
pub(crate) async fn list(clients: &Clients, bucket: &str, prefix: &str) -> Result<(Vec<Listed>, bool)> {
    let mut listed = Vec::new();
    let mut after = None;
    for _ in 0..PAGES {
        let call = clients.s3().list_objects_v2().bucket(bucket).prefix(prefix).set_continuation_token(after);
        let place = place(bucket, &format!("{prefix}*"));
        let page = call.send().await.map_err(|error| refused("s3:ListObjectsV2", "s3:ListBucket", &place, &error))?;
        listed.extend(page.contents().iter().filter_map(|object| {
            Some(Listed { key: object.key()?.to_owned(), modified: object.last_modified().and_then(time) })
        }));
        after = page.next_continuation_token().map(str::to_owned);
        if after.is_none() {
            return Ok((listed, true));
        }
    }
    Ok((listed, false))
}

const ZIP: &str = "application/zip";

fn patient() -> Builder {
    Builder::default().timeout_config(TimeoutConfig::builder().operation_attempt_timeout(PATIENCE).build())
}

/// `s3://BUCKET/KEY`.
pub(crate) fn place(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

fn time(at: &aws_sdk_s3::primitives::DateTime) -> Option<Timestamp> {
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}

/// The answer to a HEAD has no body, so its status is all that it says. `permission` is what IAM calls it.
fn refused<E>(action: &str, permission: &str, place: &str, error: &SdkError<E>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    let denied = format!(
        "allow {permission} for this identity, and s3:ListBucket on the bucket; a policy of the bucket may refuse it, too"
    );
    let told = Error::new(Exit::Aws, format!("AWS refused {action} on {place}"));
    match (error.code(), error.message(), status) {
        (Some(code @ "AccessDenied"), words, _) => {
            let words = words.unwrap_or_default();
            let key = words.split("not authorized to perform: ").nth(1).filter(|action| action.starts_with("kms:"));
            let key = key.and_then(|action| action.split_whitespace().next());
            let on_key =
                |action| format!("allow {action} for this identity on the key that the bucket is encrypted with");
            told.cause(format!("{code}: {words}")).hint(key.map_or(denied, on_key))
        }
        (code, None, Some(status @ 400..=499)) => {
            let told =
                told.cause(code.map_or_else(|| format!("HTTP {status}"), |code| format!("{code}, HTTP {status}")));
            let other = "the credentials may have expired, or the region may be another than the bucket's";
            told.hint(if status == 403 { denied } else { other.to_owned() })
        }
        _ => aws(action, error),
    }
}
