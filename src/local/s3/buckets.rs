//! Buckets, and what is listed of them.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Asking;
use super::model::{Bucket, Object};
use super::xml::{self, element};
use crate::local::clock;
use crate::local::wire::fault::{Answered, Fault, respond};
use crate::local::wire::router;

/// `encoding-type=url`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*');
const MOST_KEYS: usize = 1000;

impl Asking<'_> {
    pub(super) fn list_buckets(&self) -> Response<Body> {
        let own = self.shared.read(|state| {
            let own = state.buckets.iter().filter(|(_, bucket)| bucket.place.account == self.place.account);
            let bucket = |(name, bucket): (&String, &Bucket)| {
                let (name, created) = (element("Name", name), element("CreationDate", &xml::time(bucket.created_at)));
                format!("<Bucket>{name}{created}{}</Bucket>", element("BucketRegion", &bucket.place.region))
            };
            own.map(bucket).collect::<String>()
        });
        let owner = element("ID", &self.place.account);
        xml::answer("ListAllMyBucketsResult", &format!("<Owner>{owner}</Owner><Buckets>{own}</Buckets>"))
    }

    pub(super) fn head_bucket(&self) -> Response<Body> {
        respond(StatusCode::OK, &[("x-amz-bucket-region", &self.place.region)], Body::empty())
    }

    pub(super) fn create_bucket(&self) -> Answered<Response<Body>> {
        let name = &self.asked.bucket;
        let owner = self.shared.write(|state| {
            let there = state.buckets.get(name).map(|bucket| bucket.place.account.clone());
            if there.is_none() {
                state.buckets.insert(name.clone(), Bucket::new(&self.place, clock::now()));
            }
            there
        });
        if let Some(owner) = owner {
            let (code, text) = if owner == self.place.account {
                let text = "Your previous request to create the named bucket succeeded and you already own it.";
                ("BucketAlreadyOwnedByYou", text)
            } else {
                ("BucketAlreadyExists", "The requested bucket name is not available.")
            };
            return Err(Fault::with_status(409, code, text));
        }
        Ok(respond(StatusCode::OK, &[("location", &format!("/{name}"))], Body::empty()))
    }

    pub(super) fn delete_bucket(&self) -> Answered<Response<Body>> {
        let name = &self.asked.bucket;
        let gone = self.shared.write(|state| {
            let empty = state.buckets.get(name).is_some_and(|bucket| bucket.objects.is_empty());
            empty && state.buckets.remove(name).is_some()
        });
        if !gone {
            return Err(Fault::with_status(409, "BucketNotEmpty", "The bucket you tried to delete is not empty"));
        }
        Ok(xml::empty(StatusCode::NO_CONTENT))
    }

    pub(super) fn bucket_location(&self) -> Response<Body> {
        // The oldest region has no name here.
        let region = if self.place.region == "us-east-1" { "" } else { &self.place.region };
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{region}</LocationConstraint>"
        );
        router::ok(&[("content-type", "application/xml")], body)
    }

    /// Both versions of it: the second goes on from a token, the first from the last key.
    pub(super) fn list_objects(&self) -> Response<Body> {
        let second = self.asked.operation == "ListObjectsV2";
        let parameter = |name| self.parameter(name).unwrap_or_default();
        let (prefix, delimiter) = (parameter("prefix"), parameter("delimiter"));
        let most = self.parameter("max-keys").and_then(|most| most.parse().ok()).unwrap_or(MOST_KEYS).min(MOST_KEYS);
        let token = self.parameter("continuation-token").and_then(|token| BASE64_STANDARD.decode(token).ok());
        let token = token.and_then(|token| String::from_utf8(token).ok());
        let after = match second {
            true => token.unwrap_or_else(|| parameter("start-after").to_owned()),
            false => parameter("marker").to_owned(),
        };
        let url = parameter("encoding-type") == "url";
        let shown = |key: &str| if url { utf8_percent_encode(key, ENCODED).to_string() } else { key.to_owned() };
        let (mut contents, mut folders, mut count, mut last, mut more) =
            (String::new(), BTreeSet::new(), 0, String::new(), false);
        self.shared.read(|state| {
            let objects = state.buckets.get(&self.asked.bucket).into_iter().flat_map(|bucket| &bucket.objects);
            for (key, object) in objects.filter(|(key, _)| key.starts_with(prefix) && **key > after) {
                let folder = key[prefix.len()..].find(delimiter).filter(|_| !delimiter.is_empty());
                let folder = folder.map(|at| key[..prefix.len() + at + delimiter.len()].to_owned());
                // What a page has told as a folder, the next does not tell again.
                if folder.as_ref().is_some_and(|folder| folders.contains(folder) || after.starts_with(&**folder)) {
                    last.clone_from(key);
                    continue;
                }
                if count == most {
                    more = true;
                    break;
                }
                count += 1;
                last.clone_from(key);
                match folder {
                    Some(folder) => drop(folders.insert(folder)),
                    None => contents.push_str(&row(&shown(key), object)),
                }
            }
        });
        let mut body = element("Name", &self.asked.bucket) + &element("Prefix", &shown(prefix));
        body += &element("MaxKeys", &most.to_string());
        body += &element("IsTruncated", if more { "true" } else { "false" });
        if !delimiter.is_empty() {
            body += &element("Delimiter", &shown(delimiter));
        }
        if url {
            body += &element("EncodingType", "url");
        }
        match (second, more) {
            (true, true) => body += &element("NextContinuationToken", &BASE64_STANDARD.encode(&last)),
            (false, true) => body += &element("NextMarker", &shown(&last)),
            _ => {}
        }
        if second {
            body += &element("KeyCount", &count.to_string());
        }
        body += &contents;
        for folder in folders {
            body += &format!("<CommonPrefixes>{}</CommonPrefixes>", element("Prefix", &shown(&folder)));
        }
        xml::answer("ListBucketResult", &body)
    }
}

fn row(key: &str, object: &Object) -> String {
    format!(
        "<Contents>{}{}{}{}{}{}</Contents>",
        element("Key", key),
        element("LastModified", &xml::time(object.modified)),
        element("ETag", &format!("\"{}\"", object.content.etag)),
        element("ChecksumAlgorithm", &object.content.checksum.algorithm.to_uppercase()),
        element("Size", &object.content.bytes.to_string()),
        element("StorageClass", "STANDARD"),
    )
}
