//! A build by the engine's BuildKit, in the way the docker CLI 20.10 has it: a session of ours for files, secrets and
//! logins, and `POST /build` that refers to it. `/grpc` is not used, because Bitbucket's Docker very likely refuses it.

mod failure;
mod log;
mod messages;
mod progress;
mod request;

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use self::messages::{Lines, Message};
use self::progress::{FailedStep, Progress};
pub(crate) use self::request::BuildRequest;
use super::engine::Engine;
use super::http::{Query, RequestError, chain, empty};
use super::session::{Auth, Directories, Fault, FileSync, Secrets, Services, Session, Transfer};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::exit::Exit;

/// How long the engine is asked to stop a build; closing the connection tells it the same.
const FAREWELL: Duration = Duration::from_secs(1);

/// A finished build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Built {
    /// `sha256:…`: the image's config with a graph driver, its manifest with the containerd store.
    pub(crate) image_id: String,
    /// The images that its stages begin with, as BuildKit names them; some may be there without being in the image.
    pub(crate) bases: Vec<String>,
}

impl Engine {
    /// Builds the image and tags it. Progress goes out as events. A failure names the step, its exit code and its last
    /// lines. When `cancel` fires, the engine stops within a second, and the error is `Exit::Interrupted`.
    pub(crate) async fn build(
        &self,
        request: &BuildRequest<'_>,
        events: &Events,
        cancel: &CancellationToken,
    ) -> Result<Built> {
        self.require_buildkit()?;
        let dockerfile = request.dockerfile_parts()?;
        let directories =
            Directories { context: request.context.to_owned(), dockerfile: dockerfile.directory.to_owned() };
        let (transfer, fault) = (Transfer::new(events), Fault::default());
        let services = Services::new(
            FileSync::new(directories, transfer.clone(), fault.clone()),
            Secrets::new(request.build_secrets),
            Auth::new(request.registry_auth, &self.credentials),
        );
        let build_id = random_id()?;
        let mut progress = Progress::default();
        let run = async {
            let session =
                Session::open(&self.client, random_id()?, request.context, services).await.map_err(session_refused)?;
            let query = request.query(self.facts(), dockerfile.name, &session.id, &build_id);
            let post = self.client.request(Method::POST, "/build", &query).header("Content-Type", "application/x-tar");
            let response = self
                .client
                .ask(post.body(empty()))
                .await
                .map_err(|error| failure::refused(error, request, self.facts()))?;
            follow_answer(response.into_body(), &mut progress, events).await
        };
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                self.cancel_build(&build_id).await;
                return Err(Error::new(Exit::Interrupted, "interrupted during the build"));
            }
            outcome = run => outcome,
        };
        transfer.finish();
        progress.flush(events);
        match outcome {
            Ok(Answer::Built(image_id)) => Ok(Built { image_id, bases: progress.bases() }),
            // Our own fault is the cause; what the engine says of it is an echo.
            Ok(Answer::Failed(message)) => Err(match fault.take() {
                Some(own) => own,
                None => self.why_failed(&message, progress.failed_step(), request).await,
            }),
            Ok(Answer::Broken(why)) => Err(fault
                .take()
                .unwrap_or_else(|| self.lost("the Docker Engine ended the build without an answer", why))),
            Err(error) => Err(error),
        }
    }

    /// An engine that is being stopped ends its builds with a failure before it goes.
    async fn why_failed(&self, message: &str, step: Option<FailedStep>, request: &BuildRequest<'_>) -> Error {
        let by_itself = step.as_ref().is_some_and(|step| failure::ended_by_itself(&step.error));
        if by_itself || self.is_there().await {
            return failure::explain(message, step, request, self.facts());
        }
        self.lost("the Docker Engine went away during the build", vec![message.to_owned()])
    }

    async fn cancel_build(&self, id: &str) {
        let query = Query::default().with("id", id).into_string();
        let request = self.client.request(Method::POST, "/build/cancel", &query).body(empty());
        // The connection is closed as well; whichever comes first ends the build.
        let _ = tokio::time::timeout(FAREWELL, self.client.ask(request)).await;
    }
}

enum Answer {
    Built(String),
    Failed(String),
    /// The answer ended with neither an image nor a failure.
    Broken(Vec<String>),
}

async fn follow_answer(mut body: Incoming, progress: &mut Progress, events: &Events) -> Result<Answer> {
    let mut lines = Lines::default();
    let mut image = None;
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Ok(Answer::Broken(chain(&error))),
        };
        let Ok(data) = frame.into_data() else { continue };
        for message in lines.feed(&data) {
            match message {
                Message::Trace(status) => progress.apply(*status, events),
                Message::Image(id) => image = Some(id),
                Message::Failed(text) => return Ok(Answer::Failed(text)),
                Message::Other => {}
            }
        }
    }
    Ok(image.map_or_else(|| Answer::Broken(Vec::new()), Answer::Built))
}

fn session_refused(error: RequestError) -> Error {
    let missing = error.is_missing();
    let error = error.during(Exit::Build, "the Docker Engine refused a BuildKit session");
    if missing { error.hint("use an engine with BuildKit: Docker 18.09 or newer") } else { error }
}

fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(Exit::Fault, "the system has no random numbers").because(&error))?;
    Ok(super::context_store::hexadecimal(&bytes))
}
