//! What the authorization plugin of Bitbucket's Docker (runtime v2) refuses, as far as it is known from its documents and
//! from what others have met. The wording of most reasons is not known; nothing may depend on it.

/// The reason, which is often empty. `None` lets the request pass.
pub(crate) fn refusal(method: &str, path: &str, query: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<String> {
    let refused = |reason: &str| Some(reason.to_owned());
    let path = without_version(path);
    if !is_known(method, path) {
        return refused("");
    }
    let header = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    if header("content-type") == Some("application/json") && header("content-length").is_none() {
        return refused("Invalid content length provided");
    }
    let asked = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    if path == "/build" && asked("platform").is_some() {
        return refused("--platform is not allowed");
    }
    if path == "/build" && asked("networkmode") == Some("host") {
        return refused("--network=host is not allowed");
    }
    let forwards_ssh = |(name, value): &(&str, &str)| {
        *name == "x-docker-expose-session-grpc-method" && value.contains("moby.sshforward")
    };
    if path == "/session" && headers.iter().any(forwards_ssh) {
        return refused("--ssh is not allowed");
    }
    if path == "/containers/create" {
        let wanted: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        return container_refusal(&wanted["HostConfig"]).map(str::to_owned);
    }
    None
}

fn container_refusal(host: &serde_json::Value) -> Option<&'static str> {
    let is_there = |key: &str| host[key].as_array().is_some_and(|values| !values.is_empty());
    if host["Privileged"] == true {
        return Some("--privileged=true is not allowed");
    }
    if is_there("SecurityOpt") {
        return Some("--security-opt is not allowed");
    }
    if is_there("Mounts") {
        return Some("--mount is not allowed");
    }
    is_there("Binds").then_some("-v only accepts $BITBUCKET_CLONE_DIR and its subdirectories")
}

/// `HEAD /_ping`, `/grpc` and `/plugins` are not among them.
fn is_known(method: &str, path: &str) -> bool {
    let begins =
        |names: &[&str]| names.iter().any(|name| path.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')));
    match method {
        "GET" => ["/_ping", "/version", "/info", "/images/json"].contains(&path) || begins(&["/images", "/containers"]),
        "POST" => {
            ["/auth", "/build", "/build/cancel", "/session", "/images/create", "/containers/create"].contains(&path)
                || begins(&["/images", "/containers"])
        }
        "DELETE" => begins(&["/images", "/containers"]),
        _ => false,
    }
}

fn without_version(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/v") else { return path };
    match rest.split_once('/') {
        Some((version, _)) if version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
            &rest[version.len()..]
        }
        _ => path,
    }
}
