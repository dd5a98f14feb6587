//! An AWS on loopback for the tests of this crate: one function answers every call, and every call is written down.
//!
//! It knows nothing of ECS. What a rollout is like is the stand-in's matter; here a test says each answer itself.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Clients, Settings};
use crate::config::specification::Environment;

/// An answer, or the name of the exception.
pub(crate) type Answer = Result<Value, &'static str>;

pub(crate) struct Fake {
    pub(crate) clients: Clients,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Fake {
    /// `answer` takes the operation's name and its input.
    pub(crate) async fn start(answer: impl Fn(&str, &Value) -> Answer + Clone + Send + Sync + 'static) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&calls);
        let router = axum::Router::new().fallback(async move |headers: HeaderMap, body: Bytes| {
            let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let input: Value = serde_json::from_slice(&body).unwrap_or_default();
            written.lock().unwrap_or_else(PoisonError::into_inner).push((operation.clone(), input.clone()));
            respond(answer(&operation, &input))
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let settings = Settings {
            endpoint_url: Some(url),
            credentials: Some(aws_sdk_ecs::config::Credentials::new("key", "secret", None, None, "test")),
            ..Settings::default()
        };
        let environment = Environment {
            name: "dev".to_owned(),
            branch: "develop".to_owned(),
            after: None,
            soak: std::time::Duration::ZERO,
            promote: false,
            approval: false,
            region: Some("ap-south-1".to_owned()),
            account: None,
            role: None,
            restore_latest: true,
            freeze: Vec::new(),
        };
        Self { clients: Clients::connect(&environment, &settings).await.unwrap(), calls }
    }

    /// The inputs of every call of that operation so far.
    pub(crate) fn calls(&self, operation: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|(name, _)| name == operation).map(|(_, input)| input.clone()).collect()
    }
}

fn respond(answer: Answer) -> Response {
    let json = (header::CONTENT_TYPE, "application/x-amz-json-1.1");
    match answer {
        Ok(body) => ([json], body.to_string()).into_response(),
        Err(exception) => {
            let body = json!({"__type": exception, "message": format!("{exception} on purpose")}).to_string();
            (StatusCode::BAD_REQUEST, [json], body).into_response()
        }
    }
}
