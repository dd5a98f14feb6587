//! Registry credentials for base images and caches, asked for by host when the engine needs them.

use bollard_buildkit_proto::moby::filesync::v1::auth_server;
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse, GetTokenAuthorityRequest,
    GetTokenAuthorityResponse, VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
};
use tonic::{Request, Response, Status};

use crate::docker::credentials::{Credentials, RegistryAuth};

pub(in crate::docker) struct Auth {
    /// The logins of this run come first.
    own: Vec<RegistryAuth>,
    user: Credentials,
}

impl Auth {
    pub(in crate::docker) fn new(own: &[RegistryAuth], user: &Credentials) -> Self {
        Self { own: own.to_vec(), user: user.clone() }
    }
}

#[tonic::async_trait]
impl auth_server::Auth for Auth {
    /// An empty answer lets the engine try without a login.
    async fn credentials(&self, request: Request<CredentialsRequest>) -> Result<Response<CredentialsResponse>, Status> {
        let host = request.into_inner().host;
        if let Some(own) = self.own.iter().find(|auth| auth.host == host) {
            let (username, secret) = (own.username.clone(), own.password.expose().to_owned());
            return Ok(Response::new(CredentialsResponse { username, secret }));
        }
        let found = self.user.find(&host).await;
        Ok(Response::new(found.map_or_else(CredentialsResponse::default, |login| CredentialsResponse {
            username: login.username,
            secret: login.secret.expose().to_owned(),
        })))
    }

    // The engine fetches tokens itself when a session offers none of these.

    async fn fetch_token(&self, _: Request<FetchTokenRequest>) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unavailable("tokens are not fetched here"))
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unavailable("tokens are not fetched here"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unavailable("tokens are not fetched here"))
    }
}
