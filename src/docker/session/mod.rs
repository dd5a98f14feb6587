//! Our side of a BuildKit session: the engine calls back over one upgraded connection, and finds here the files of the
//! build context, the secrets, and registry credentials. It lives as long as its value.

mod auth;
mod content;
mod fault;
mod filesync;
mod health;
mod metadata;
mod secrets;
mod transfer;

use std::convert::Infallible;
use std::path::Path;

use bollard_buildkit_proto::health::health_server::HealthServer;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::AuthServer;
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest, Sha256};
use tokio_util::task::AbortOnDropHandle;
use tonic::codegen::Service;

use super::context_store::hexadecimal;
use super::http::{Client, RequestError, empty};
pub(super) use auth::Auth;
pub(super) use fault::Fault;
pub(super) use filesync::{Directories, FileSync};
pub(super) use health::Health;
pub(super) use secrets::Secrets;
pub(super) use transfer::Transfer;

/// The methods that the engine is told of; it calls no others.
const METHODS: [&str; 3] = [
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
];

/// Patterns of a long `.dockerignore` come as headers, and so do the sources of a long COPY.
const LARGEST_HEADERS: u32 = 16 << 20;

/// What the engine may call.
#[derive(Clone)]
pub(super) struct Services {
    health: HealthServer<Health>,
    files: FileSyncServer<FileSync>,
    secrets: SecretsServer<Secrets>,
    auth: AuthServer<Auth>,
}

/// An open session. Dropping it ends it, and with it a build that still needs it.
pub(super) struct Session {
    pub(super) id: String,
    _serving: AbortOnDropHandle<()>,
}

impl Services {
    pub(super) fn new(files: FileSync, secrets: Secrets, auth: Auth) -> Self {
        Self {
            health: HealthServer::new(Health),
            files: FileSyncServer::new(files),
            secrets: SecretsServer::new(secrets),
            auth: AuthServer::new(auth),
        }
    }

    async fn call(mut self, request: Request<Incoming>) -> Result<Response<tonic::body::Body>, Infallible> {
        match request.uri().path().split('/').nth(1) {
            Some("grpc.health.v1.Health") => self.health.call(request).await,
            Some("moby.filesync.v1.FileSync") => self.files.call(request).await,
            Some("moby.buildkit.secrets.v1.Secrets") => self.secrets.call(request).await,
            Some("moby.filesync.v1.Auth") => self.auth.call(request).await,
            _ => Ok(tonic::Status::unimplemented("no such service in this session").into_http()),
        }
    }
}

impl Session {
    /// Opens a session with the engine. `context` is what the engine's copy of the files is kept under from build to
    /// build: without it nothing would be sent as a difference.
    pub(super) async fn open(
        client: &Client,
        id: String,
        context: &Path,
        services: Services,
    ) -> Result<Self, RequestError> {
        // The path is the one without a version, as the docker CLI has it.
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("http://docker/session")
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "h2c")
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "shipit")
            .header("X-Docker-Expose-Session-Sharedkey", shared_key(context));
        for method in METHODS {
            request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
        }
        let response = client.ask(request.body(empty())).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let message = "the engine did not switch to a BuildKit session".to_owned();
            return Err(RequestError::Refused { status: response.status(), message });
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|error| client.unanswered(&error))?;
        let serving = tokio::spawn(async move {
            let service = service_fn(move |request| services.clone().call(request));
            // How a session ends says nothing: the build's own answer tells how it went.
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .max_header_list_size(LARGEST_HEADERS)
                .serve_connection(upgraded, service)
                .await;
        });
        Ok(Self { id, _serving: AbortOnDropHandle::new(serving) })
    }
}

/// Hashed, because the path itself is no business of a remote engine.
fn shared_key(context: &Path) -> String {
    hexadecimal(&Sha256::digest(context.as_os_str().as_encoded_bytes()))
}
