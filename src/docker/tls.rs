//! TLS to an engine, from the PEM files that Docker uses. Without a CA file the system's roots count.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::endpoint::{Address, Tls};
use crate::error::{Error, Result};
use crate::exit::Exit;

/// Errors name the file at fault.
pub(super) fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Exit::Fault, "TLS cannot be set up").because(&error))?;
    let builder = if tls.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
    } else {
        builder.with_root_certificates(roots(tls)?)
    };
    let config = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
            builder
                .with_client_auth_cert(certificates(certificate)?, key_der)
                .map_err(|error| unusable(certificate, &error))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// What helps where a handshake failed. The texts are rustls', and Go's for an engine that wants TLS and gets none.
pub(super) fn hint(address: &Address, why: &str) -> Option<&'static str> {
    let Address::Tcp { tls, .. } = address else { return None };
    if tls.is_none() {
        let wants_tls = why.contains("HTTP request to an HTTPS server") || why.contains("invalid HTTP version");
        return wants_tls.then_some(
            "the engine speaks TLS: name the folder with ca.pem, cert.pem and key.pem (`certs`, DOCKER_CERT_PATH)",
        );
    }
    if why.contains("CertificateRequired") || why.contains("BadCertificate") || why.contains("UnknownCA") {
        return Some(
            "the engine wants a client's certificate of its own authority: cert.pem and key.pem of the folder",
        );
    }
    if why.contains("invalid peer certificate") {
        return Some(
            "the engine's certificate is not for this address, or not of the authority in ca.pem of the folder",
        );
    }
    why.contains("corrupt message").then_some("the engine speaks no TLS: take `certs` out, or DOCKER_TLS_VERIFY")
}

fn roots(tls: &Tls) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &tls.ca {
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| unusable(ca, &error))?;
        }
    } else {
        // What the system has and cannot be read is not needed by anybody else either.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error: rustls_pki_types::pem::Error| unusable(path, &error))
}

fn unusable(path: &Path, error: &(dyn std::error::Error + 'static)) -> Error {
    Error::new(Exit::Build, format!("cannot use {} for TLS to the Docker Engine", path.display()))
        .because(error)
        .hint("check DOCKER_CERT_PATH, the TLS files of the Docker context, or `certs` of the builder")
}

/// Takes any certificate, for a context with `SkipTLSVerify`. Signatures are still checked.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
