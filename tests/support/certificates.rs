//! A certificate authority of the tests' own, a server's certificate for 127.0.0.1, and a client's folder as
//! `DOCKER_CERT_PATH` has it. They are made anew by `openssl`, and are good for two days.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

pub(crate) struct Certificates(tempfile::TempDir);

impl Certificates {
    pub(crate) fn make() -> Self {
        let made = Self(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(made.folder()).expect("a folder");
        made.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca-key.pem \
                      -out client/ca.pem -days 2 -subj /CN=authority",
        );
        made.sign("server-key.pem", "server.pem", "subjectAltName=IP:127.0.0.1");
        made.sign("client/key.pem", "client/cert.pem", "extendedKeyUsage=clientAuth");
        made
    }

    /// The client's folder: `ca.pem`, `cert.pem`, `key.pem`.
    pub(crate) fn folder(&self) -> PathBuf {
        self.path("client")
    }

    /// Takes only clients with a certificate of this authority.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for root in certificates(&self.path("client/ca.pem")) {
            roots.add(root).expect("an authority");
        }
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let key = PrivateKeyDer::from_pem_file(self.path("server-key.pem")).expect("a key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_client_cert_verifier(clients.expect("a verifier"))
            .with_single_cert(certificates(&self.path("server.pem")), key);
        TlsAcceptor::from(Arc::new(config.expect("a server")))
    }

    fn sign(&self, key: &str, certificate: &str, extension: &str) {
        std::fs::write(self.path("extension"), extension).expect("a file");
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {key} -out request -subj /CN=test"
        ));
        self.openssl(&format!(
            "x509 -req -in request -CA client/ca.pem -CAkey ca-key.pem -CAcreateserial -out {certificate} -days 2 \
             -extfile extension"
        ));
    }

    fn openssl(&self, words: &str) {
        let mut openssl = Command::new("openssl");
        let output = openssl.args(words.split_whitespace()).current_dir(&self.0).output().expect("openssl");
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(file).expect("a file");
    read.map(|certificate| certificate.expect("a certificate")).collect()
}
