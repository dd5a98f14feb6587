//! The values of `RUN --mount=type=secret,id=NAME`. They go to the engine when a step asks for them, and nowhere else.

use std::collections::BTreeMap;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use tonic::{Request, Response, Status};

use crate::secret::Secret;

pub(in crate::docker) struct Secrets(BTreeMap<String, Secret>);

impl Secrets {
    pub(in crate::docker) fn new(values: &BTreeMap<String, Secret>) -> Self {
        Self(values.clone())
    }
}

#[tonic::async_trait]
impl secrets_server::Secrets for Secrets {
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        // The status decides whether a mount that is not `required` goes on without it.
        let secret = self.0.get(&id).ok_or_else(|| Status::not_found(format!("secret {id}: not found")))?;
        Ok(Response::new(GetSecretResponse { data: secret.expose().as_bytes().to_vec() }))
    }
}
