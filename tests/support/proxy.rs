//! The tests' Docker Engine at another address: TCP on loopback, with mutual TLS or with the rules of Bitbucket's Docker
//! in front of it, and with a plug that can be pulled. It counts what it is sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Certificates, pipelines};

pub(crate) struct EngineProxy {
    at: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// Where the engine is.
    engine: String,
    tls: Option<TlsAcceptor>,
    /// Whether Bitbucket's authorization plugin stands in the way.
    filtered: bool,
    plug: CancellationToken,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// `METHOD TARGET`
    requests: Vec<String>,
    /// What the plugin refused, with its reason.
    refused: Vec<String>,
    /// From the client, heads and bodies, without TLS.
    bytes: u64,
    /// The plug is pulled when a request for this comes.
    cut_at: Option<String>,
    /// The plugin refuses this, too.
    also_refused: Option<String>,
}

/// One request: its head as it came, and what of its body was read to look at it.
struct Request {
    method: String,
    target: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl EngineProxy {
    /// As the engine is: Bitbucket's runtime v3.
    pub(crate) fn open() -> Self {
        Self::start(None, false)
    }

    /// Bitbucket's runtime v2.
    pub(crate) fn pipelines() -> Self {
        Self::start(None, true)
    }

    pub(crate) fn with_tls(certificates: &Certificates) -> Self {
        Self::start(Some(certificates.acceptor()), false)
    }

    fn start(tls: Option<TlsAcceptor>, filtered: bool) -> Self {
        let plug = CancellationToken::new();
        let shared = Arc::new(Shared { engine: super::engine(), tls, filtered, plug, seen: Mutex::default() });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let at = listener.local_addr().expect("its address");
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = serving.plug.cancelled() => {}
                    () = accept(&listener, &serving) => {}
                }
            });
            // With the runtime go the listener and every connection.
        });
        Self { at, shared }
    }

    /// `tcp://127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        format!("tcp://{}", self.at)
    }

    /// From now on nobody is there, and whoever was connected is not any more.
    pub(crate) fn cut(&self) {
        self.shared.plug.cancel();
    }

    /// The same as soon as a request comes that has this in it.
    pub(crate) fn cut_at(&self, target: &str) {
        self.shared.seen.lock().unwrap().cut_at = Some(target.to_owned());
    }

    /// Requests that have this in them are refused as well.
    pub(crate) fn refuse(&self, target: &str) {
        self.shared.seen.lock().unwrap().also_refused = Some(target.to_owned());
    }

    /// The requests that have this in their `METHOD TARGET`.
    pub(crate) fn requests(&self, with: &str) -> Vec<String> {
        let seen = self.shared.seen.lock().unwrap();
        seen.requests.iter().filter(|request| request.contains(with)).cloned().collect()
    }

    /// What the plugin refused.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().refused.clone()
    }

    /// How many bytes the client has sent so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.seen.lock().unwrap().bytes
    }
}

impl Drop for EngineProxy {
    fn drop(&mut self) {
        self.cut();
    }
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            match &shared.tls {
                None => serve(Box::new(client), &shared).await,
                // A client that the handshake refuses is told so by it.
                Some(tls) => match tls.accept(client).await {
                    Ok(client) => serve(Box::new(client), &shared).await,
                    Err(_) => Some(()),
                },
            }
        });
    }
}

/// One request a connection, so that each is looked at. `None` where either side is gone.
async fn serve(mut client: Box<dyn Duplex>, shared: &Shared) -> Option<()> {
    let request = Request::read(&mut client).await?;
    let line = format!("{} {}", request.method, request.target);
    let mut refusal = if shared.filtered { refusal(&request) } else { None };
    {
        let mut seen = shared.seen.lock().unwrap();
        seen.requests.push(line.clone());
        if seen.cut_at.as_ref().is_some_and(|target| line.contains(target)) {
            shared.plug.cancel();
            return None;
        }
        if seen.also_refused.as_ref().is_some_and(|target| line.contains(target)) {
            refusal = Some(String::new());
        }
        if let Some(reason) = &refusal {
            seen.refused.push(format!("{line}: {reason}"));
        }
    }
    if let Some(reason) = refusal {
        let message = format!("authorization denied by plugin pipelines: {reason}");
        let body = serde_json::json!({ "message": message }).to_string();
        let body = if request.method == "HEAD" { "" } else { &body };
        let head = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close";
        client.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.ok()?;
        return client.shutdown().await.ok();
    }
    let mut engine: Box<dyn Duplex> = match shared.engine.split_once("://")? {
        ("unix", path) => Box::new(UnixStream::connect(path).await.ok()?),
        (_, host) => Box::new(TcpStream::connect(host).await.ok()?),
    };
    let sent = request.to_bytes();
    shared.seen.lock().unwrap().bytes += sent.len() as u64;
    engine.write_all(&sent).await.ok()?;
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_engine, mut to_engine) = tokio::io::split(engine);
    let upload = async {
        let mut piece = [0; 16 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut piece).await {
            shared.seen.lock().unwrap().bytes += count as u64;
            if to_engine.write_all(&piece[..count]).await.is_err() {
                break;
            }
        }
        let _ = to_engine.shutdown().await;
    };
    let download = async {
        let _ = copy(&mut from_engine, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    // The answer's end is the end; a client that hangs up first has the engine stop what it does.
    tokio::select! {
        () = download => {}
        () = upload => {}
    }
    Some(())
}

fn refusal(request: &Request) -> Option<String> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pipelines::refusal(&request.method, path, query, &headers, &request.body)
}

impl Request {
    async fn read(client: &mut Box<dyn Duplex>) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.ok()?);
            // TLS, where none is spoken: dockerd's answer is that of Go.
            if head == [0x16] {
                client.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await.ok()?;
                return None;
            }
        }
        let head = String::from_utf8(head).ok()?;
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut request = Self { method, target, headers, body: Vec::new() };
        // As moby does it: only JSON is shown to a plugin.
        if let Some(length) = request.header("content-length").and_then(|length| length.parse().ok()) {
            request.body = vec![0; length];
            client.read_exact(&mut request.body).await.ok()?;
        }
        Some(request)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// What the engine is sent: with the connection closed after the answer, unless it is to become another protocol.
    fn to_bytes(&self) -> Vec<u8> {
        let upgrades = self.header("upgrade").is_some();
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in self.headers.iter().filter(|(name, _)| upgrades || name != "connection") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !upgrades {
            head.push_str("connection: close\r\n");
        }
        [format!("{head}\r\n").as_bytes(), &self.body].concat()
    }
}
