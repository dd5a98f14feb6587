//! The upload against a registry that misbehaves: breaks off, leads elsewhere, refuses.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response};

use super::archive::{Archive, Blob, digest};
use super::client::Registry;
use super::upload::{put, upload};
use crate::event::{Events, Kind, LayerState};
use crate::exit::Exit;
use crate::secret::Secret;

/// What arrived: method, path with query, and body.
type Arrived = Arc<Mutex<Vec<(Method, String, Vec<u8>)>>>;

/// A registry that has nothing; `location` is where an upload goes on, and the first `broken` blobs are refused with a
/// fault of its own after their first bytes.
async fn registry(location: &'static str, broken: usize) -> (Registry, Arrived) {
    let arrived = Arrived::default();
    let left = Arc::new(AtomicUsize::new(broken));
    let kept = Arc::clone(&arrived);
    let answer = move |request: Request<Body>| {
        let (kept, left) = (Arc::clone(&kept), Arc::clone(&left));
        async move {
            let (parts, body) = request.into_parts();
            let is_blob = parts.method == Method::PUT && parts.uri.query().is_some();
            let count_down = |left: usize| left.checked_sub(1);
            if is_blob && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count_down).is_ok() {
                return Response::builder().status(500).body(Body::from("no space left on device")).unwrap();
            }
            let body = to_bytes(body, 1 << 24).await.unwrap().to_vec();
            let status = match parts.method {
                Method::HEAD => 404,
                Method::POST => 202,
                _ => 201,
            };
            kept.lock().unwrap().push((parts.method, parts.uri.to_string(), body));
            Response::builder().status(status).header("location", location).body(Body::empty()).unwrap()
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let app = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (Registry::new(&host, "AWS", &Secret::new("password")), arrived)
}

/// An archive with one layer of `size` bytes, a little into the file.
fn archive(size: usize) -> (Archive, Vec<u8>) {
    let layer: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"before").unwrap();
    file.write_all(&layer).unwrap();
    file.write_all(b"after").unwrap();
    let blob = Blob {
        offset: 6,
        size: size as u64,
        digest: digest(&layer),
        media_type: "application/vnd.oci.image.layer.v1.tar",
    };
    (Archive { file: Arc::new(file), config: b"{}".to_vec(), layers: vec![blob] }, layer)
}

#[tokio::test]
async fn what_breaks_off_is_sent_again_from_its_beginning() {
    let (registry, arrived) = registry("/v2/api/blobs/uploads/1?state=x", 2).await;
    let (archive, layer) = archive(3 << 20);
    let name = digest(&layer);
    let (events, mut said) = Events::channel();
    let sent = upload(archive, &registry, "api", "git-1", &events).await.unwrap();
    let all = arrived.lock().unwrap().clone();
    let blobs: Vec<_> = all.iter().filter(|(method, path, _)| *method == Method::PUT && path.contains('?')).collect();
    // The layer, once whole, and the config.
    assert_eq!(blobs.len(), 2);
    assert_eq!(blobs[0].1, format!("/v2/api/blobs/uploads/1?state=x&digest={name}"));
    assert!(blobs[0].2 == layer, "the layer arrived changed");
    let (_, path, manifest) = all.last().unwrap();
    assert_eq!((path.as_str(), digest(manifest)), ("/v2/api/manifests/git-1", sent.digest.clone()));
    // A further tag is the same bytes, and nothing else goes over.
    let before = all.len();
    let again = put(&registry, "api", "latest", sent.manifest.clone()).await.unwrap();
    assert_eq!((again.digest, arrived.lock().unwrap().len()), (sent.digest, before + 1));
    let mut last = None;
    while let Ok(message) = said.try_recv() {
        if let Kind::PushLayer { state, current, total, .. } = message.into_kind() {
            assert!(current <= total);
            last = Some((state, current));
        }
    }
    assert_eq!(last, Some((LayerState::Pushed, 3 << 20)));
}

#[tokio::test]
async fn it_gives_up_in_words() {
    let (registry, _arrived) = registry("/v2/api/blobs/uploads/1", usize::MAX).await;
    let (events, _said) = Events::channel();
    let error = upload(archive(10).0, &registry, "api", "git-1", &events).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Registry);
    assert!(error.message().starts_with("cannot send layer "), "{error}");
    assert!(error.line().contains("no space left on device"), "{error}");
    assert!(error.hints()[0].contains("disk may be full"));
}

#[tokio::test]
async fn the_login_and_the_layer_go_to_no_other_host() {
    let (registry, arrived) = registry("http://127.0.0.1:1/v2/api/blobs/uploads/1", 0).await;
    let (events, _said) = Events::channel();
    let error = upload(archive(10).0, &registry, "api", "git-1", &events).await.unwrap_err();
    assert!(error.line().contains("http://127.0.0.1:1"), "{error}");
    assert!(arrived.lock().unwrap().iter().all(|(method, ..)| *method != Method::PUT));
}
