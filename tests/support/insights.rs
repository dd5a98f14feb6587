//! The proxy that runs beside every step of Bitbucket Pipelines, as far as reports need it: it takes requests that name
//! the whole address, and answers as Bitbucket does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A request: its method, its whole address, its headers in lower case, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) address: String,
    pub(crate) headers: String,
    pub(crate) body: Value,
}

pub(crate) struct InsightsProxy {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl InsightsProxy {
    /// Answers every PUT and POST with this status.
    pub(crate) fn answering(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let request = answer(connection, status);
                heard.lock().expect("no test panics here").push(request);
            }
        });
        Self { address, asked }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics here").clone()
    }
}

fn answer(connection: TcpStream, status: &str) -> Asked {
    let mut reader = BufReader::new(connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let headers = lines[1..].join("\n").to_lowercase();
    let length = headers
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    let mut words = lines[0].split(' ').map(str::to_owned);
    let (method, address) = (words.next().expect("a method"), words.next().expect("an address"));
    // Nothing to delete is told so.
    let status = if method == "DELETE" { "404 Not Found" } else { status };
    let said = r#"{"type": "error", "error": {"message": "as the test wants it"}}"#;
    let length = said.len();
    write!(reader.get_mut(), "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{said}")
        .expect("it takes an answer");
    Asked { method, address, headers, body: serde_json::from_slice(&body).unwrap_or_default() }
}
