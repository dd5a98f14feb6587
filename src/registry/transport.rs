//! Connections to a registry, or to whatever else speaks HTTP: plain TCP, or TLS with the system's roots, through a
//! proxy where the environment names one for that host.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::vars::Vars;

/// How long a connection may take to come about, TLS included.
const CONNECT: Duration = Duration::from_secs(15);

/// The proxies of the environment (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, in either case).
#[derive(Clone, Default)]
pub(crate) struct Proxies(Option<Arc<Matcher>>);

impl Proxies {
    pub(crate) fn of(vars: &Vars) -> Self {
        let either = |name: &str| vars.get(name).or_else(|| vars.get(&name.to_ascii_lowercase())).map(str::to_owned);
        let Some(https) = either("HTTPS_PROXY").or_else(|| either("ALL_PROXY")) else { return Self(None) };
        let matcher = Matcher::builder().https(https).no(either("NO_PROXY").unwrap_or_default()).build();
        Self(Some(Arc::new(matcher)))
    }
}

/// A proxy's address may hold its password.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Proxies(set)" } else { "Proxies(none)" })
    }
}

/// Whether `HOST[:PORT]` names this machine's loopback.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// Made once: reading the system's certificates takes its time, and a run with many services asks for many connections.
static SYSTEM: LazyLock<Result<Arc<ClientConfig>>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    // What the system has and cannot be read is not needed by anybody else either.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    client_config(roots)
});

/// Opens the connections of hyper's pooling client. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: Option<Arc<ClientConfig>>,
    proxies: Proxies,
}

impl Connector {
    /// For plain HTTP alone.
    pub(crate) fn plain() -> Self {
        Self { tcp: tcp(), tls: None, proxies: Proxies::default() }
    }

    /// With the system's roots.
    ///
    /// # Errors
    /// `Exit::Fault` when TLS cannot be set up.
    pub(crate) fn with_tls(proxies: &Proxies) -> Result<Self> {
        Ok(Self { tcp: tcp(), tls: Some(SYSTEM.clone()?), proxies: proxies.clone() })
    }

    #[cfg(test)]
    pub(super) fn trusting(roots: RootCertStore, proxies: &Proxies) -> Self {
        Self { tcp: tcp(), tls: Some(client_config(roots).unwrap()), proxies: proxies.clone() }
    }

    async fn connect(mut self, to: Uri) -> io::Result<Stream> {
        if to.scheme() != Some(&Scheme::HTTPS) {
            return Ok(Stream(Box::new(self.tcp.call(to).await.map_err(io::Error::other)?)));
        }
        let tls = self.tls.ok_or_else(|| io::Error::other("HTTPS was not expected here"))?;
        let name = ServerName::try_from(to.host().unwrap_or_default().to_owned()).map_err(io::Error::other)?;
        let stream = match self.proxies.0.as_ref().and_then(|proxies| proxies.intercept(&to)) {
            None => self.tcp.call(to).await.map_err(io::Error::other)?,
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.tcp);
                if let Some(login) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(login.clone());
                }
                let through =
                    |error| io::Error::other(format!("the proxy of HTTPS_PROXY does not let us through: {error}"));
                tunnel.call(to).await.map_err(through)?
            }
        };
        let stream = TlsConnector::from(tls).connect(name, stream.into_inner()).await?;
        Ok(Stream(Box::new(TokioIo::new(stream))))
    }
}

fn client_config(roots: RootCertStore) -> Result<Arc<ClientConfig>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Exit::Fault, "TLS cannot be set up").because(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.clone().connect(to);
        Box::pin(async move {
            let timed_out =
                |_| io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {} s", CONNECT.as_secs()));
            tokio::time::timeout(CONNECT, connecting).await.map_err(timed_out)?
        })
    }
}

trait Duplex: Read + Write + Send + Unpin {}
impl<T: Read + Write + Send + Unpin> Duplex for T {}

/// An open connection, in the terms of hyper.
pub(crate) struct Stream(Box<dyn Duplex>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{Proxies, is_loopback};
    use crate::vars::Vars;

    #[test]
    fn only_loopback_is_spoken_to_in_plain() {
        for (host, expected) in [
            ("127.0.0.1:4510", true),
            ("127.9.9.9", true),
            ("localhost:5000", true),
            ("123456789012.dkr.ecr.ap-south-1.amazonaws.com", false),
            ("localhost.example.com:5000", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }

    #[test]
    fn a_proxy_is_taken_for_https_unless_the_host_is_an_exception() {
        let to = |proxies: &Proxies, url: &str| {
            let proxy = proxies.0.as_ref()?.intercept(&url.parse().unwrap())?;
            Some(proxy.uri().to_string())
        };
        let vars: Vars =
            [("https_proxy", "http://me:hidden@proxy:3128"), ("NO_PROXY", ".internal")].into_iter().collect();
        let proxies = Proxies::of(&vars);
        assert_eq!(to(&proxies, "https://1.dkr.ecr.eu-west-1.amazonaws.com/").as_deref(), Some("http://proxy:3128/"));
        assert_eq!(to(&proxies, "https://registry.internal/"), None);
        assert!(!format!("{proxies:?}").contains("hidden"));
        assert!(Proxies::of(&Vars::default()).0.is_none());
    }
}
