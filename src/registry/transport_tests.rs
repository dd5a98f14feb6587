//! A registry behind TLS, reached directly and through a proxy; the certificate is made by `openssl` for the test.

use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::crypto::aws_lc_rs;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::client::Registry;
use super::transport::{Connector, Proxies};
use crate::secret::Secret;
use crate::vars::Vars;

/// A certificate for `localhost` and `registry.test`, and its key.
fn certificate() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=registry.test", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", "subjectAltName=DNS:localhost,DNS:registry.test"])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (CertificateDer::from_pem_file(&certificate).unwrap(), PrivateKeyDer::from_pem_file(&key).unwrap())
}

/// Lets everybody in who says who they are. Returns its port, and the roots that trust it.
async fn serve() -> (u16, RootCertStore) {
    let (certificate, key) = certificate();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = Router::new().fallback(|headers: HeaderMap| async move {
        if headers.contains_key("authorization") { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(app.clone()));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                }
            });
        }
    });
    (port, roots)
}

/// A proxy that leads every CONNECT to that port, and what it was asked.
async fn proxy(port: u16) -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            kept.lock().unwrap().push_str(&String::from_utf8(head).unwrap());
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut there = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
        }
    });
    (own, asked)
}

fn registry(host: &str, roots: RootCertStore, proxies: &Proxies) -> Registry {
    Registry::over("https", Connector::trusting(roots, proxies), host, "AWS", &Secret::new("password"))
}

#[tokio::test]
async fn a_registry_is_trusted_by_its_certificate() {
    let (port, roots) = serve().await;
    let host = format!("localhost:{port}");
    registry(&host, roots, &Proxies::default()).log_in().await.unwrap();
    let stranger = registry(&host, RootCertStore::empty(), &Proxies::default());
    let error = stranger.log_in().await.unwrap_err().during(&stranger, "log in");
    assert!(error.line().to_ascii_lowercase().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_proxy_leads_there_and_sees_nothing_but_the_name() {
    let (port, roots) = serve().await;
    let (proxy, asked) = proxy(port).await;
    let address = format!("http://me:hidden@127.0.0.1:{proxy}");
    let vars: Vars = [("HTTPS_PROXY", address.as_str())].into_iter().collect();
    registry("registry.test", roots, &Proxies::of(&vars)).log_in().await.unwrap();
    let asked = asked.lock().unwrap().to_ascii_lowercase();
    assert!(asked.starts_with("connect registry.test:443 http/1.1\r\n"), "{asked}");
    assert!(asked.contains("proxy-authorization: basic "), "{asked}");
    assert!(!asked.contains("\r\nauthorization"), "{asked}");
}
