//! A copy between registries that lead elsewhere, break off, alter what they have, and mount or do not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Method, Request, Response, header};
use futures_util::stream;
use serde_json::json;

use super::archive::digest;
use super::client::{OCI_MANIFEST, Registry};
use super::copy::Copy;
use super::parts::Image;
use crate::error::Result;
use crate::event::{Events, Kind, LayerState};
use crate::exit::Exit;
use crate::secret::Secret;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What a registry has and how it misbehaves.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a misbehaviour of its own")]
struct Shelf {
    blobs: BTreeMap<String, Vec<u8>>,
    /// By digest or tag.
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    /// Where blobs are read: an address before the digest.
    store: Option<String>,
    mounts: bool,
    /// So many reads of a blob break off half-way.
    broken: usize,
    /// Blobs are always given from their first byte on.
    no_ranges: bool,
    /// Blobs are delivered with another first byte.
    altered: bool,
    /// A manifest is called by another digest than it has.
    misnamed: bool,
    /// `METHOD PATH`, with ` login` behind it where one came along, and the range asked for.
    seen: Vec<String>,
}

type Shared = Arc<Mutex<Shelf>>;

async fn answer(shelf: Shared, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 24).await.map(|body| body.to_vec()).ok();
    let mut shelf = shelf.lock().unwrap();
    let text = |name| parts.headers.get(name).map(|value: &header::HeaderValue| value.to_str().unwrap().to_owned());
    let login = if parts.headers.contains_key(header::AUTHORIZATION) { " login" } else { "" };
    let range = text(header::RANGE);
    let line = format!("{} {}{login} {}", parts.method, parts.uri, range.clone().unwrap_or_default());
    shelf.seen.push(line.trim_end().to_owned());
    let path = parts.uri.path().to_owned();
    let last = path.rsplit('/').next().unwrap_or_default().to_owned();
    let say = |status: u16| Response::builder().status(status);
    let empty = Body::empty;
    let Some(body) = body else { return say(400).body(empty()).unwrap() };
    if path.contains("/manifests/") {
        if parts.method == Method::PUT {
            let kind = text(header::CONTENT_TYPE).unwrap();
            let name = digest(&body);
            shelf.manifests.insert(last, (kind.clone(), body.clone()));
            shelf.manifests.insert(name.clone(), (kind, body));
            return say(201).header("docker-content-digest", name).body(empty()).unwrap();
        }
        let Some((kind, bytes)) = shelf.manifests.get(&last).cloned() else { return say(404).body(empty()).unwrap() };
        let bytes = if shelf.misnamed { [bytes, b" ".to_vec()].concat() } else { bytes };
        return say(200).header("content-type", kind).body(Body::from(bytes)).unwrap();
    }
    if parts.method == Method::POST {
        let mounted = parts.uri.query().and_then(|query| query.split_once("mount=")).map(|(_, rest)| &rest[..71]);
        return match mounted.filter(|_| shelf.mounts) {
            Some(mounted) => {
                shelf.blobs.insert(mounted.to_owned(), Vec::new());
                say(201).body(empty()).unwrap()
            }
            None => say(202).header("location", format!("{path}1?state=x")).body(empty()).unwrap(),
        };
    }
    if parts.method == Method::PUT {
        let name = parts.uri.query().unwrap().split_once("digest=").unwrap().1.to_owned();
        let whole = digest(&body) == name;
        if whole {
            shelf.blobs.insert(name, body);
        }
        return say(if whole { 201 } else { 400 }).body(empty()).unwrap();
    }
    if parts.method == Method::DELETE {
        return say(204).body(empty()).unwrap();
    }
    let Some(blob) = shelf.blobs.get(&last).cloned() else { return say(404).body(empty()).unwrap() };
    if parts.method == Method::HEAD {
        return say(200).body(empty()).unwrap();
    }
    if let Some(store) = &shelf.store {
        return say(307).header("location", format!("{store}{last}")).body(empty()).unwrap();
    }
    deliver(&mut shelf, blob, range.as_deref())
}

fn deliver(shelf: &mut Shelf, mut blob: Vec<u8>, range: Option<&str>) -> Response<Body> {
    if shelf.altered {
        blob[0] ^= 1;
    }
    let range = range.filter(|_| !shelf.no_ranges);
    let from: usize = range.map_or(0, |range| range["bytes=".len()..].trim_end_matches('-').parse().unwrap());
    let bytes = Bytes::from(blob).slice(from..);
    let answer = Response::builder().status(if from > 0 { 206 } else { 200 }).header("content-length", bytes.len());
    if shelf.broken > 0 {
        shelf.broken -= 1;
        let half = bytes.slice(..bytes.len() / 2);
        let broken = stream::iter([Ok(half), Err(std::io::Error::other("broken off"))]);
        return answer.body(Body::from_stream(broken)).unwrap();
    }
    answer.body(Body::from(bytes)).unwrap()
}

async fn serve(shelf: Shelf) -> (Arc<Registry>, Shared) {
    let shelf = Arc::new(Mutex::new(shelf));
    let shared = Arc::clone(&shelf);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let app = Router::new().fallback(move |request| answer(Arc::clone(&shared), request));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (Arc::new(Registry::new(&host, "AWS", &Secret::new("password"))), shelf)
}

/// A registry with one image of a layer of 3 MB, behind an index; and the index's digest.
fn stocked() -> (Shelf, String, String) {
    let layer: Vec<u8> = (0..3_u32 << 20).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let config = br#"{"architecture":"amd64","os":"linux"}"#.to_vec();
    let (layer_name, config_name) = (digest(&layer), digest(&config));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "c", "digest": config_name, "size": config.len()},
        "layers": [{"mediaType": "l", "digest": layer_name, "size": layer.len()}],
    })
    .to_string();
    let child = digest(manifest.as_bytes());
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{
        "mediaType": OCI_MANIFEST, "digest": child, "size": manifest.len(),
        "platform": {"os": "linux", "architecture": "amd64"},
    }]})
    .to_string();
    let name = digest(index.as_bytes());
    let shelf = Shelf {
        blobs: [(layer_name.clone(), layer), (config_name, config)].into(),
        manifests: [
            (child, (OCI_MANIFEST.to_owned(), manifest.into_bytes())),
            (name.clone(), (INDEX.to_owned(), index.into_bytes())),
        ]
        .into(),
        ..Shelf::default()
    };
    (shelf, name, layer_name)
}

async fn copy(from: &Arc<Registry>, to: &Registry, digest: &str, same: bool, events: &Events) -> Result<String> {
    let image = Image::read(from, "api-sandbox", digest).await?;
    let from_repository = "api-sandbox";
    let copy = Copy { from, from_repository, to, to_repository: "api", same_registry: same, events };
    copy.parts(&image).await?;
    copy.tag(&image, "latest").await
}

fn seen(shelf: &Shared, start: &str) -> Vec<String> {
    shelf.lock().unwrap().seen.iter().filter(|line| line.starts_with(start)).cloned().collect()
}

#[tokio::test]
async fn blobs_come_from_where_the_source_leads_without_the_login_and_go_on_where_they_broke_off() {
    let (mut shelf, name, layer) = stocked();
    let kept = Shelf { blobs: shelf.blobs.clone(), broken: 2, ..Shelf::default() };
    let (store, kept) = serve(kept).await;
    shelf.store = Some(format!("http://{}/kept/", store.host()));
    let (from, source) = serve(shelf).await;
    let (to, target) = serve(Shelf::default()).await;
    let (events, mut said) = Events::channel();
    assert_eq!(copy(&from, &to, &name, false, &events).await.unwrap(), name);
    {
        let (source, target) = (source.lock().unwrap(), target.lock().unwrap());
        assert_eq!(source.blobs, target.blobs);
        assert_eq!(target.manifests["latest"], source.manifests[&name]);
        assert_eq!(target.manifests.len(), 3, "the child, the index and its tag");
    }
    let reads = seen(&kept, "GET");
    assert!(reads.iter().all(|line| !line.contains("login")), "{reads:?}");
    assert!(reads.iter().any(|line| line.contains("bytes=")), "nothing was taken up again: {reads:?}");
    assert!(seen(&source, "GET").iter().all(|line| line.contains("login")));
    // One place for each blob, and the index after its child.
    assert_eq!(seen(&target, "POST").len(), 2);
    let put = seen(&target, "PUT /v2/api/manifests/");
    assert!(put[0].contains("sha256:") && put[1].contains("latest"), "{put:?}");
    let mut last = None;
    while let Ok(message) = said.try_recv() {
        if let Kind::PushLayer { id, state, current, total } = message.into_kind() {
            assert!(current <= total && layer.contains(&id));
            last = Some((state, current));
        }
    }
    assert_eq!(last, Some((LayerState::Pushed, 3 << 20)));
}

#[tokio::test]
async fn what_the_target_has_is_not_read() {
    let (shelf, name, layer) = stocked();
    let there = [(layer.clone(), Vec::new())].into();
    let (from, source) = serve(shelf).await;
    let (to, target) = serve(Shelf { blobs: there, ..Shelf::default() }).await;
    copy(&from, &to, &name, false, &Events::channel().0).await.unwrap();
    assert!(seen(&source, "GET").iter().all(|line| !line.contains(&layer)));
    assert_eq!(seen(&target, "POST").len(), 1, "the config alone");
}

#[tokio::test]
async fn one_registry_mounts_where_it_may_and_is_sent_to_where_not() {
    for mounts in [true, false] {
        let (shelf, name, _) = stocked();
        let (from, source) = serve(shelf).await;
        let (to, target) = serve(Shelf { mounts, ..Shelf::default() }).await;
        copy(&from, &to, &name, true, &Events::channel().0).await.unwrap();
        let asked = seen(&target, "POST");
        assert_eq!(asked.len(), 2, "no second place is asked for: {asked:?}");
        assert!(asked.iter().all(|line| line.contains("?mount=sha256:") && line.contains("&from=api-sandbox")));
        assert_eq!(seen(&source, "GET /v2/api-sandbox/blobs").is_empty(), mounts);
    }
}

#[tokio::test]
async fn a_registry_that_knows_no_ranges_is_read_again_from_the_beginning() {
    let (shelf, name, layer) = stocked();
    let (from, source) = serve(Shelf { broken: 3, no_ranges: true, ..shelf }).await;
    let (to, target) = serve(Shelf::default()).await;
    copy(&from, &to, &name, false, &Events::channel().0).await.unwrap();
    assert_eq!(source.lock().unwrap().blobs[&layer], target.lock().unwrap().blobs[&layer]);
    // Whatever came twice was sent once.
    assert_eq!(seen(&target, "PUT /v2/api/blobs/").len(), 2);
}

/// Such layers come from their maker, and no registry has them.
#[tokio::test]
async fn foreign_layers_are_left_where_they_are() {
    let (mut shelf, _, layer) = stocked();
    let elsewhere = format!("sha256:{}", "f".repeat(64));
    let config = shelf.blobs.keys().find(|name| **name != layer).unwrap().clone();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "c", "digest": config, "size": shelf.blobs[&config].len()},
        "layers": [
            {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": elsewhere, "size": 9,
             "urls": ["https://example.com/layer"]},
            {"mediaType": "l", "digest": layer, "size": shelf.blobs[&layer].len()},
        ],
    })
    .to_string();
    let name = digest(manifest.as_bytes());
    shelf.manifests.insert(name.clone(), (OCI_MANIFEST.to_owned(), manifest.into_bytes()));
    let (from, source) = serve(shelf).await;
    let (to, target) = serve(Shelf::default()).await;
    copy(&from, &to, &name, false, &Events::channel().0).await.unwrap();
    assert!(
        target.lock().unwrap().seen.iter().chain(&source.lock().unwrap().seen).all(|line| !line.contains(&elsewhere))
    );
    assert!(target.lock().unwrap().manifests.contains_key(&name));
}

#[tokio::test]
async fn altered_bytes_never_arrive_whole() {
    let (shelf, name, layer) = stocked();
    let (from, _) = serve(Shelf { altered: true, ..shelf }).await;
    let (to, target) = serve(Shelf::default()).await;
    let error = copy(&from, &to, &name, false, &Events::channel().0).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Registry);
    assert!(error.line().contains(from.host()) && !error.line().contains(to.host()), "{error}");
    assert!(error.line().contains("other bytes than those of sha256:"), "{error}");
    assert!(error.hints()[0].contains("nothing of it is used"), "{error:?}");
    let target = target.lock().unwrap();
    assert!(!target.blobs.contains_key(&layer) && target.manifests.is_empty());
}

#[tokio::test]
async fn a_manifest_that_is_not_its_digest_is_refused() {
    let (shelf, name, _) = stocked();
    let (from, _) = serve(Shelf { misnamed: true, ..shelf }).await;
    let error = Image::read(&from, "api-sandbox", &name).await.unwrap_err();
    assert!(error.line().contains("other bytes than those of"), "{error}");
}

#[tokio::test]
async fn an_image_that_is_gone_or_for_another_platform_is_told() {
    let (shelf, name, _) = stocked();
    let (from, _) = serve(shelf).await;
    let image = Image::read(&from, "api-sandbox", &name).await.unwrap();
    assert!(image.config(&from, "api-sandbox", "amd64").await.unwrap().starts_with(b"{"));
    let error = image.config(&from, "api-sandbox", "arm64").await.unwrap_err();
    assert_eq!(error.exit(), Exit::Gate);
    assert!(error.line().contains("nothing for linux/arm64"), "{error}");
    let gone = format!("sha256:{}", "0".repeat(64));
    let error = Image::read(&from, "api-sandbox", &gone).await.unwrap_err();
    assert!(error.line().contains("no longer in the repository `api-sandbox`"), "{error}");
}
