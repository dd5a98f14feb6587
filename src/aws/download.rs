//! Reads what ECR gives an address for: a small blob, from S3. The address is good on its own, so no login is sent.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::registry::{Connector, Proxies};

/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The most that is read; the configs of images are a few kilobytes.
const LARGEST: usize = 8 << 20;

/// Reads it whole, with one more attempt when the first breaks off. The error is in words, and without the address, which
/// is a secret for as long as it is good.
pub(super) async fn read(address: &str, proxies: &Proxies) -> Result<Bytes, String> {
    match once(address, proxies).await {
        Ok(bytes) => Ok(bytes),
        Err(_) => once(address, proxies).await,
    }
}

async fn once(address: &str, proxies: &Proxies) -> Result<Bytes, String> {
    let connector = Connector::with_tls(proxies).map_err(|error| error.line())?;
    let http = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
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
