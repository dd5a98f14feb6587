//! What is in the buckets of the stand-in, asked by hand: the tests need no SDK for this.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::StandIn;

/// An answer of S3.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Object {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl StandIn {
    /// The object under that key; it has to be there.
    #[track_caller]
    pub(crate) fn object(&self, bucket: &str, key: &str) -> Object {
        let object = self.s3("GET", &format!("/{bucket}/{key}"), &[], b"");
        assert_eq!(object.status, 200, "{bucket}/{key}: {object:?}");
        object
    }

    /// The keys that begin so.
    pub(crate) fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let listed = self.s3("GET", &format!("/{bucket}?list-type=2&prefix={prefix}"), &[], b"");
        let body = String::from_utf8(listed.body).expect("XML");
        let keys = body.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned()));
        keys.collect()
    }

    /// Puts an object there, as somebody else would.
    pub(crate) fn put_object(&self, bucket: &str, key: &str, body: &[u8]) {
        assert_eq!(self.s3("PUT", &format!("/{bucket}/{key}"), &[], body).status, 200);
    }

    pub(crate) fn s3(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Object {
        let host = self.endpoint().strip_prefix("http://").expect("an address");
        let mut connection = TcpStream::connect(host).expect("the stand-in answers");
        let scope = format!("{}/20260101/ap-south-1/s3/aws4_request", self.access_key());
        let signed = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00");
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        write!(
            connection,
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: {signed}\r\n{headers}Content-Length: {length}\r\n\r\n"
        )
        .and_then(|()| connection.write_all(body))
        .expect("it takes a request");
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).expect("it answers");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an end of the headers");
        let head = String::from_utf8(answer[..end].to_vec()).expect("ASCII");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Object { status, head, body: answer[end + 4..].to_vec() }
    }
}

/// Bytes that do not become fewer when they are packed.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..bytes / 8).flat_map(|_| next()).collect()
}
