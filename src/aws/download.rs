//! Reads what ECR gives an address for: a small blob, from S3. The address is good on its own, so no login is sent.
//! Proxies are not followed; whoever needs the blob can do without it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The most that is read; the configs of images are a few kilobytes.
const LARGEST: usize = 8 << 20;

type Http = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Made once: reading the system's certificates takes its time.
static HTTP: LazyLock<Result<Http, String>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
});

/// Reads it whole, with one more attempt when the first breaks off. The error is in words, and without the address, which
/// is a secret for as long as it is good.
pub(super) async fn read(address: &str) -> Result<Bytes, String> {
    match once(address).await {
        Ok(bytes) => Ok(bytes),
        Err(_) => once(address).await,
    }
}

async fn once(address: &str) -> Result<Bytes, String> {
    let http = HTTP.as_ref().map_err(Clone::clone)?;
    let request = Request::get(address).body(Empty::new()).map_err(|_| "the address cannot be used".to_owned())?;
    let read = async {
        let answer = http.request(request).await.map_err(|error| words(&error))?;
        if !answer.status().is_success() {
            return Err(format!("HTTP {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| words(error.as_ref()))
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| Err("it does not end".to_owned()))
}

/// The innermost cause says most.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
