//! A page of a service that was deployed. By hand: the tests need no HTTP library for this.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// The body at `http://HOST:PORT/`.
#[track_caller]
pub(crate) fn get(url: &str) -> String {
    let host = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).expect("an address with no path");
    let mut connection = TcpStream::connect(host).unwrap_or_else(|error| panic!("{url}: {error}"));
    write!(connection, "GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").expect("it takes a request");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    assert!(head.contains(" 200 "), "{answer}");
    body.to_owned()
}
