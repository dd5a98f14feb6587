//! The listener and the protocols over it: JSON 1.1, query/XML, OCI distribution, all on one loopback port.

pub(crate) mod caller;
pub(crate) mod context;
mod control;
pub(crate) mod fault;
pub(crate) mod injected;
pub(crate) mod input;
pub(crate) mod journal;
mod json11;
mod rates;
pub(crate) mod router;
pub(crate) mod sts_query;

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped by the script")]
pub(crate) struct Dropped;

/// Answers until `stop`; connections that are open then are closed.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // An accept fails when file descriptors run out, or a client is gone already: neither ends the server.
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| router::answer(Arc::clone(&shared), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = stop.cancelled() => {}
                // What a client does wrong on its connection concerns that connection only.
                _ = connection => {}
            }
        });
    }
}
