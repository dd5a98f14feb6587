//! One connection to an engine, whatever its address: a unix socket, TCP, TLS over TCP, or `docker system dial-stdio`
//! on the far side of `ssh`. What is spoken over it is not known here.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::ReadBufCursor;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_rustls::TlsConnector;

use super::endpoint::{Address, Ssh};
use super::tls;
use crate::error::Result;
use crate::vars;

/// What `ssh` reads beside its files: the agent.
const FOR_SSH: [&str; 1] = ["SSH_"];

/// How long it may take to connect; `ssh` has a handshake and perhaps a jump host before it.
const CONNECT: Duration = Duration::from_secs(10);
const CONNECT_SSH: Duration = Duration::from_secs(30);

/// Connects again and again to one address. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector {
    address: Arc<Address>,
    tls: Option<Arc<ClientConfig>>,
    /// What `ssh` said last, because its exit looks like nothing but a closed connection.
    complaint: Arc<Mutex<String>>,
}

impl Connector {
    /// Reads the TLS files, if there are any.
    pub(super) fn new(address: Address) -> Result<Self> {
        let tls = match &address {
            Address::Tcp { tls: Some(tls), .. } => Some(tls::client_config(tls)?),
            _ => None,
        };
        Ok(Self { address: Arc::new(address), tls, complaint: Arc::default() })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// What `ssh` wrote to its standard error; empty for other addresses.
    pub(super) fn complaint(&self) -> String {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned()
    }

    pub(super) async fn connect(&self) -> io::Result<Stream> {
        let limit = if matches!(*self.address, Address::Ssh(_)) { CONNECT_SSH } else { CONNECT };
        let timed_out =
            |_| io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {} s", limit.as_secs()));
        tokio::time::timeout(limit, self.connect_in_time()).await.map_err(timed_out)?
    }

    async fn connect_in_time(&self) -> io::Result<Stream> {
        let duplex: Box<dyn Duplex> = match &*self.address {
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Address::Tcp { host, port, .. } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                match &self.tls {
                    None => Box::new(stream),
                    Some(config) => {
                        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                        Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?)
                    }
                }
            }
            Address::Ssh(ssh) => Box::new(self.dial(ssh)?),
        };
        Ok(Stream(TokioIo::new(duplex)))
    }

    fn dial(&self, ssh: &Ssh) -> io::Result<Dialled> {
        let mut child = Command::new("ssh")
            .args(arguments(ssh))
            .env_clear()
            .envs(vars::for_program(&FOR_SSH))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot run `ssh`: {error}")))?;
        let missing = || io::Error::other("ssh has no standard streams");
        let (input, output) = (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        if let Some(mut errors) = child.stderr.take() {
            let complaint = Arc::clone(&self.complaint);
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = errors.read(&mut buffer).await {
                    *complaint.lock().unwrap_or_else(PoisonError::into_inner) =
                        String::from_utf8_lossy(&buffer[..count]).into_owned();
                }
            });
        }
        Ok(Dialled { input, output, _child: child })
    }
}

/// The words after `ssh`. It asks nobody for anything: a question about a host's key or a passphrase would stand in the
/// middle of the live view, or be waited for where nobody is. `--` ends its options; what follows the host is read by the
/// far side's shell, and consists of fixed words and a path of harmless characters.
fn arguments(ssh: &Ssh) -> Vec<String> {
    let mut words: Vec<String> = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"].map(str::to_owned).into();
    if let Some(user) = &ssh.user {
        words.extend(["-l".to_owned(), user.clone()]);
    }
    if let Some(port) = ssh.port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    words.extend(["--".to_owned(), ssh.host.clone(), "docker".to_owned()]);
    if let Some(socket) = &ssh.socket {
        words.extend(["--host".to_owned(), format!("unix://{socket}")]);
    }
    words.extend(["system", "dial-stdio"].map(str::to_owned));
    words
}

/// What helps where `ssh` did not get through. The texts are OpenSSH's, and those of the far side's shell.
pub(super) fn ssh_hint(address: &Address, why: &str) -> Option<&'static str> {
    if !matches!(address, Address::Ssh(_)) {
        return None;
    }
    let rows: [(&[&str], &str); 4] = [
        (
            &["Host key verification failed"],
            "log in there by hand once, so that ssh knows the host; in a pipeline, put its key into known_hosts",
        ),
        (
            &["Permission denied", "Too many authentication failures"],
            "give ssh a key that this host takes, without a question: by an agent (ssh-add), or `IdentityFile` in ~/.ssh/config",
        ),
        (
            &["command not found", "docker: not found", "No such file or directory"],
            "install the docker CLI on that host: `docker system dial-stdio` is run there",
        ),
        (&["Could not resolve hostname"], "correct the host's name, or give it an address in ~/.ssh/config"),
    ];
    rows.into_iter().find(|(texts, _)| texts.iter().any(|text| why.contains(text))).map(|(_, hint)| hint)
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open connection, in the terms of hyper.
pub(super) struct Stream(TokioIo<Box<dyn Duplex>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// So that hyper's pooling client can open connections; the address of the request plays no part.
impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect().await })
    }
}

/// The two ends of a running `ssh`, which ends with it.
struct Dialled {
    input: ChildStdin,
    output: ChildStdout,
    _child: Child,
}

impl AsyncRead for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::arguments;
    use crate::docker::endpoint::{Address, parse};

    #[test]
    fn ssh_gets_its_host_behind_the_end_of_options() {
        let Ok(Address::Ssh(ssh)) = parse("ssh://me@h:2222/run/d.sock", None) else { panic!() };
        assert_eq!(
            arguments(&ssh).join(" "),
            "-T -o BatchMode=yes -o ConnectTimeout=20 -l me -p 2222 -- h docker --host unix:///run/d.sock system dial-stdio"
        );
    }
}
