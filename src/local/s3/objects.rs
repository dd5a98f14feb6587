//! Objects: read, put, copied, deleted.

use std::io::SeekFrom;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::Asking;
use super::conditions::Conditions;
use super::model::{About, Checksum, Content, Object};
use super::receive::receive;
use super::sums::{ALGORITHMS, Sum};
use super::xml::{self, element};
use crate::local::clock;
use crate::local::ids;
use crate::local::wire::fault::{Answered, Fault, respond};
use crate::local::wire::router;

impl Asking<'_> {
    pub(super) fn object(&self, bucket: &str, key: &str) -> Option<Object> {
        self.shared.read(|state| state.buckets.get(bucket)?.objects.get(key).cloned())
    }

    /// What the client says of the object that it is about to make.
    pub(super) fn about(&self) -> About {
        let metadata = self.headers.iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-amz-meta-")?;
            Some((name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        });
        About { content_type: self.header("content-type").map(str::to_owned), metadata: metadata.collect() }
    }

    pub(super) async fn get_object(&self) -> Answered<Response<Body>> {
        let head = self.asked.operation == "HeadObject";
        let object = self.object(&self.asked.bucket, &self.asked.key).ok_or_else(no_such_key)?;
        let etag = object.content.etag.as_str();
        let conditions = self.conditions();
        Conditions { if_none_match: None, ..conditions }.check(Some(etag))?;
        if !conditions.hold(Some(etag)) {
            return Ok(xml::empty(StatusCode::NOT_MODIFIED));
        }
        let bytes = object.content.bytes;
        let range = self.header("range").map(|range| span(range, bytes)).transpose()?.flatten();
        let (from, length) = range.map_or((0, bytes), |(from, to)| (from, to - from + 1));
        let quoted = format!("\"{etag}\"");
        let (modified, length_text) = (xml::date(object.modified), length.to_string());
        let mut headers: Vec<(String, String)> = vec![
            ("etag".to_owned(), quoted),
            ("last-modified".to_owned(), modified),
            ("accept-ranges".to_owned(), "bytes".to_owned()),
            ("content-length".to_owned(), length_text),
            (
                "content-type".to_owned(),
                object.about.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned()),
            ),
        ];
        headers.extend(object.about.metadata.iter().map(|(name, text)| (format!("x-amz-meta-{name}"), text.clone())));
        if range.is_none()
            && self.header("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"))
        {
            let Checksum { algorithm, value } = &object.content.checksum;
            headers.push((format!("x-amz-checksum-{algorithm}"), value.clone()));
            headers.push(("x-amz-checksum-type".to_owned(), kind(value).to_owned()));
        }
        if let Some((from, to)) = range {
            headers.push(("content-range".to_owned(), format!("bytes {from}-{to}/{bytes}")));
        }
        let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let body = if head { Body::empty() } else { self.part_of(&object.content, from, length).await? };
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        Ok(respond(status, &headers, body))
    }

    async fn part_of(&self, content: &Content, from: u64, length: u64) -> Answered<Body> {
        let path = self.shared.store.object(&content.id);
        let mut file = tokio::fs::File::open(path).await.map_err(|error| Fault::server(&error))?;
        file.seek(SeekFrom::Start(from)).await.map_err(|error| Fault::server(&error))?;
        Ok(Body::from_stream(ReaderStream::new(file.take(length))))
    }

    pub(super) async fn put_object(&self, body: Body) -> Answered<Response<Body>> {
        let content = receive(self.shared, &self.headers, body, None).await?;
        let headers = describe(&content);
        self.keep(&self.asked.key, content, self.about()).await?;
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        Ok(router::ok(&headers, Body::empty()))
    }

    /// Puts the object in its place, if the conditions hold now, and takes the file of the one before away.
    pub(super) async fn keep(&self, key: &str, content: Content, about: About) -> Answered<()> {
        let id = content.id.clone();
        let kept = self.shared.write(|state| {
            let bucket = state.buckets.get_mut(&self.asked.bucket);
            let objects = &mut bucket.ok_or_else(|| Fault::with_status(404, "NoSuchBucket", "gone"))?.objects;
            self.conditions().check(objects.get(key).map(|object| object.content.etag.as_str()))?;
            Ok(objects.insert(key.to_owned(), Object { content, modified: clock::now(), about }))
        });
        let no_longer = match &kept {
            Ok(before) => before.as_ref().map(|before| before.content.id.clone()),
            Err(_) => Some(id),
        };
        if let Some(id) = no_longer {
            let _ = tokio::fs::remove_file(self.shared.store.object(&id)).await;
        }
        kept.map(|_| ())
    }

    pub(super) async fn copy_object(&self) -> Answered<Response<Body>> {
        let source = self.header("x-amz-copy-source").unwrap_or_default().trim_start_matches('/');
        let source = percent_decode_str(source).decode_utf8_lossy().into_owned();
        let (from, key) = source.split_once('/').unwrap_or((&source, ""));
        let object = self.object(from, key).ok_or_else(no_such_key)?;
        self.conditions_on_source().check(Some(&object.content.etag))?;
        let replaces = self.header("x-amz-metadata-directive").is_some_and(|word| word.eq_ignore_ascii_case("replace"));
        if from == self.asked.bucket && key == self.asked.key && !replaces {
            let text = "This copy request is illegal because it is trying to copy an object to itself without \
                        changing the object's metadata.";
            return Err(Fault::client("InvalidRequest", text));
        }
        let wanted = self.header("x-amz-checksum-algorithm").map(str::to_ascii_lowercase);
        let algorithm = wanted.unwrap_or_else(|| object.content.checksum.algorithm.clone());
        let content = self.copied(&object.content, &algorithm).await?;
        let (etag, checksum) = (content.etag.clone(), content.checksum.clone());
        let about = if replaces { self.about() } else { object.about };
        self.keep(&self.asked.key, content, about).await?;
        let checksum = element(&format!("Checksum{}", checksum.algorithm.to_uppercase()), &checksum.value);
        let body = format!(
            "{}{}{checksum}{}",
            element("LastModified", &xml::time(clock::now())),
            element("ETag", &format!("\"{etag}\"")),
            element("ChecksumType", "FULL_OBJECT")
        );
        Ok(xml::answer("CopyObjectResult", &body))
    }

    /// The same bytes in a file of their own, with the checksum of all of them.
    async fn copied(&self, content: &Content, algorithm: &str) -> Answered<Content> {
        let id = ids::uuid();
        let (from, to) = (self.shared.store.object(&content.id), self.shared.store.object(&id));
        if tokio::fs::hard_link(&from, &to).await.is_err() {
            tokio::fs::copy(&from, &to).await.map_err(|error| Fault::server(&error))?;
        }
        let value = self.sum(&id, algorithm).await?;
        let checksum = Checksum { algorithm: algorithm.to_owned(), value };
        Ok(Content { id, bytes: content.bytes, etag: content.etag.clone(), checksum })
    }

    /// The checksum of a whole file.
    pub(super) async fn sum(&self, id: &str, algorithm: &str) -> Answered<String> {
        let known = ALGORITHMS.contains(&algorithm).then(|| Sum::of(algorithm)).flatten();
        let mut sum =
            known.ok_or_else(|| Fault::client("InvalidRequest", "Checksum algorithm provided is unsupported."))?;
        let path = self.shared.store.object(id);
        let mut file = tokio::fs::File::open(path).await.map_err(|error| Fault::server(&error))?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer).await.map_err(|error| Fault::server(&error))? {
                0 => return Ok(sum.finish()),
                count => sum.update(&buffer[..count]),
            }
        }
    }

    pub(super) fn delete_object(&self) -> Response<Body> {
        self.delete(&self.asked.key);
        xml::empty(StatusCode::NO_CONTENT)
    }

    /// What is not there is deleted as well.
    fn delete(&self, key: &str) {
        let gone = self.shared.write(|state| state.buckets.get_mut(&self.asked.bucket)?.objects.remove(key));
        if let Some(object) = gone {
            let _ = std::fs::remove_file(self.shared.store.object(&object.content.id));
        }
    }

    pub(super) async fn delete_objects(&self, body: Body) -> Answered<Response<Body>> {
        let body = router::body(body).await?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let keys: Vec<String> =
            xml::inside(&body, "Object").into_iter().filter_map(|one| xml::text(one, "Key")).collect();
        let mut deleted = String::new();
        for key in keys {
            self.delete(&key);
            deleted += &format!("<Deleted>{}</Deleted>", element("Key", &key));
        }
        Ok(xml::answer("DeleteResult", &deleted))
    }
}

/// The headers that say what was received.
pub(super) fn describe(content: &Content) -> Vec<(String, String)> {
    let Checksum { algorithm, value } = &content.checksum;
    vec![
        ("etag".to_owned(), format!("\"{}\"", content.etag)),
        (format!("x-amz-checksum-{algorithm}"), value.clone()),
        ("x-amz-checksum-type".to_owned(), kind(value).to_owned()),
    ]
}

/// Whether a checksum is that of parts.
fn kind(value: &str) -> &'static str {
    if value.contains('-') { "COMPOSITE" } else { "FULL_OBJECT" }
}

fn no_such_key() -> Fault {
    Fault::with_status(404, "NoSuchKey", "The specified key does not exist.")
}

/// First and last byte of `bytes=A-B`, `bytes=A-` or `bytes=-N`; anything else is not minded.
fn span(range: &str, bytes: u64) -> Answered<Option<(u64, u64)>> {
    let Some((from, to)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Ok(None);
    };
    let (from, to) = match (from.parse::<u64>().ok(), to.parse::<u64>().ok()) {
        (Some(from), to) => (from, to.unwrap_or(u64::MAX).min(bytes.saturating_sub(1))),
        (None, Some(last)) => (bytes.saturating_sub(last), bytes.saturating_sub(1)),
        (None, None) => return Ok(None),
    };
    if from >= bytes || to < from {
        return Err(Fault::with_status(416, "InvalidRange", "The requested range is not satisfiable"));
    }
    Ok(Some((from, to)))
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn ranges_of_bytes() {
        for (range, expected) in [
            ("bytes=0-3", Some((0, 3))),
            ("bytes=8-", Some((8, 9))),
            ("bytes=8-99", Some((8, 9))),
            ("bytes=-4", Some((6, 9))),
            ("lines=1-2", None),
        ] {
            assert_eq!(span(range, 10).unwrap(), expected, "{range}");
        }
        assert_eq!(span("bytes=10-", 10).unwrap_err().status, 416);
    }
}
