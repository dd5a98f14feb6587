//! Uploads in parts. The parts are files until all of them become an object.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use tokio::io::AsyncWriteExt as _;

use super::Asking;
use super::model::{Checksum, Content, Upload};
use super::objects::describe;
use super::receive::receive;
use super::sums::{ALGORITHMS, DEFAULT, of_parts};
use super::xml::{self, element};
use crate::local::clock;
use crate::local::ids;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::router;

/// Of every part but the last.
const SMALLEST: u64 = 5 << 20;

impl Asking<'_> {
    pub(super) fn begin_upload(&self) -> Answered<Response<Body>> {
        let algorithm = self.header("x-amz-checksum-algorithm").unwrap_or(DEFAULT).to_ascii_lowercase();
        if !ALGORITHMS.contains(&&*algorithm) {
            return Err(Fault::client("InvalidRequest", "Checksum algorithm provided is unsupported."));
        }
        let whole = match self.header("x-amz-checksum-type") {
            Some(kind) => kind.eq_ignore_ascii_case("FULL_OBJECT"),
            None => algorithm == DEFAULT,
        };
        let id = ids::token();
        let key = self.asked.key.clone();
        let upload = Upload {
            key: key.clone(),
            begun_at: clock::now(),
            about: self.about(),
            algorithm,
            whole,
            parts: std::collections::BTreeMap::new(),
        };
        self.shared.write(|state| {
            let bucket = state.buckets.get_mut(&self.asked.bucket);
            bucket.map(|bucket| bucket.uploads.insert(id.clone(), upload))
        });
        let body = element("Bucket", &self.asked.bucket) + &element("Key", &key) + &element("UploadId", &id);
        Ok(xml::answer("InitiateMultipartUploadResult", &body))
    }

    fn upload(&self) -> Answered<Upload> {
        let id = self.parameter("uploadId").unwrap_or_default();
        let upload = self.shared.read(|state| state.buckets.get(&self.asked.bucket)?.uploads.get(id).cloned());
        upload.filter(|upload| upload.key == self.asked.key).ok_or_else(no_such_upload)
    }

    pub(super) async fn put_part(&self, body: Body) -> Answered<Response<Body>> {
        let upload = self.upload()?;
        let number = self.parameter("partNumber").and_then(|number| number.parse::<u32>().ok());
        let number = number.filter(|number| (1..=10_000).contains(number)).ok_or_else(|| {
            Fault::client("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
        })?;
        let content = receive(self.shared, &self.headers, body, Some(&upload.algorithm)).await?;
        let headers = describe(&content);
        let id = self.parameter("uploadId").unwrap_or_default();
        let kept = self.shared.write(|state| {
            let upload = state.buckets.get_mut(&self.asked.bucket)?.uploads.get_mut(id)?;
            Some(upload.parts.insert(number, content.clone()))
        });
        let Some(before) = kept else {
            // It was given up meanwhile.
            self.forget(Some(&content)).await;
            return Err(no_such_upload());
        };
        self.forget(before.as_ref()).await;
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        Ok(router::ok(&headers, Body::empty()))
    }

    pub(super) async fn complete_upload(&self, body: Body) -> Answered<Response<Body>> {
        let upload = self.upload()?;
        let body = router::body(body).await?;
        let parts = chosen(&upload, &String::from_utf8_lossy(&body))?;
        let content = self.joined(&upload, &parts).await?;
        let (etag, checksum) = (content.etag.clone(), content.checksum.clone());
        self.keep(&upload.key, content, upload.about.clone()).await?;
        self.end().await;
        let body = [
            element("Bucket", &self.asked.bucket),
            element("Key", &upload.key),
            element("ETag", &format!("\"{etag}\"")),
            element(&format!("Checksum{}", checksum.algorithm.to_uppercase()), &checksum.value),
            element("ChecksumType", if upload.whole { "FULL_OBJECT" } else { "COMPOSITE" }),
        ];
        Ok(xml::answer("CompleteMultipartUploadResult", &body.concat()))
    }

    /// All parts in one file.
    async fn joined(&self, upload: &Upload, parts: &[Content]) -> Answered<Content> {
        let id = ids::uuid();
        let broken = |error: std::io::Error| Fault::server(&error);
        let mut whole = tokio::fs::File::create(self.shared.store.object(&id)).await.map_err(broken)?;
        for part in parts {
            let mut file = tokio::fs::File::open(self.shared.store.object(&part.id)).await.map_err(broken)?;
            tokio::io::copy(&mut file, &mut whole).await.map_err(broken)?;
        }
        whole.flush().await.map_err(broken)?;
        let value = match upload.whole {
            true => self.sum(&id, &upload.algorithm).await?,
            false => of_parts(&upload.algorithm, parts.iter().map(|part| part.checksum.value.as_str()))
                .ok_or_else(|| Fault::client("InvalidPart", "A part has no checksum of this algorithm"))?,
        };
        let first = parts.first().map(|part| part.etag.clone()).unwrap_or_default();
        Ok(Content {
            id,
            bytes: parts.iter().map(|part| part.bytes).sum(),
            etag: format!("{first}-{}", parts.len()),
            checksum: Checksum { algorithm: upload.algorithm.clone(), value },
        })
    }

    pub(super) fn abort_upload(&self) -> Answered<Response<Body>> {
        let upload = self.upload()?;
        let id = self.parameter("uploadId").unwrap_or_default();
        self.shared.write(|state| state.buckets.get_mut(&self.asked.bucket)?.uploads.remove(id));
        for part in upload.parts.values() {
            let _ = std::fs::remove_file(self.shared.store.object(&part.id));
        }
        Ok(xml::empty(StatusCode::NO_CONTENT))
    }

    /// The upload has become an object.
    async fn end(&self) {
        let id = self.parameter("uploadId").unwrap_or_default();
        let upload = self.shared.write(|state| state.buckets.get_mut(&self.asked.bucket)?.uploads.remove(id));
        for part in upload.iter().flat_map(|upload| upload.parts.values()) {
            self.forget(Some(part)).await;
        }
    }

    async fn forget(&self, content: Option<&Content>) {
        if let Some(content) = content {
            let _ = tokio::fs::remove_file(self.shared.store.object(&content.id)).await;
        }
    }

    pub(super) fn list_parts(&self) -> Answered<Response<Body>> {
        let upload = self.upload()?;
        let part = |(number, part): (&u32, &Content)| {
            let number = element("PartNumber", &number.to_string());
            let (etag, size) =
                (element("ETag", &format!("\"{}\"", part.etag)), element("Size", &part.bytes.to_string()));
            format!("<Part>{number}{etag}{size}{}</Part>", element("LastModified", &xml::time(upload.begun_at)))
        };
        let parts: String = upload.parts.iter().map(part).collect();
        let id = self.parameter("uploadId").unwrap_or_default();
        let head = element("Bucket", &self.asked.bucket) + &element("Key", &upload.key) + &element("UploadId", id);
        Ok(xml::answer("ListPartsResult", &(head + &element("IsTruncated", "false") + &parts)))
    }

    pub(super) fn list_uploads(&self) -> Response<Body> {
        let row = |(id, upload): (&String, &Upload)| {
            let (key, id) = (element("Key", &upload.key), element("UploadId", id));
            format!("<Upload>{key}{id}{}</Upload>", element("Initiated", &xml::time(upload.begun_at)))
        };
        let uploads = self.shared.read(|state| {
            let uploads = state.buckets.get(&self.asked.bucket).into_iter().flat_map(|bucket| &bucket.uploads);
            uploads.map(row).collect::<String>()
        });
        let head = element("Bucket", &self.asked.bucket) + &element("IsTruncated", "false");
        xml::answer("ListMultipartUploadsResult", &(head + &uploads))
    }
}

/// The parts that the client names, which have to be there, in order, as it says.
fn chosen(upload: &Upload, xml: &str) -> Answered<Vec<Content>> {
    let mut chosen: Vec<Content> = Vec::new();
    let mut before = 0;
    for part in xml::inside(xml, "Part") {
        let number = xml::text(part, "PartNumber").and_then(|number| number.parse::<u32>().ok()).unwrap_or_default();
        if number <= before {
            let text = "The list of parts was not in ascending order.";
            return Err(Fault::client("InvalidPartOrder", text));
        }
        before = number;
        let etag = xml::text(part, "ETag").unwrap_or_default();
        let same = |content: &&Content| {
            let name = format!("Checksum{}", content.checksum.algorithm.to_uppercase());
            content.etag == etag.trim_matches('"')
                && xml::text(part, &name).is_none_or(|checksum| checksum == content.checksum.value)
        };
        let content = upload.parts.get(&number).filter(same).ok_or_else(|| {
            Fault::client("InvalidPart", "One or more of the specified parts could not be found or did not match.")
        })?;
        chosen.push(content.clone());
    }
    let small = chosen.iter().rev().skip(1).any(|content| content.bytes < SMALLEST);
    match (chosen.is_empty(), small) {
        (true, _) => Err(Fault::client("MalformedXML", "You must specify at least one part")),
        (_, true) => {
            Err(Fault::client("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"))
        }
        _ => Ok(chosen),
    }
}

fn no_such_upload() -> Fault {
    Fault::with_status(404, "NoSuchUpload", "The specified multipart upload does not exist.")
}
