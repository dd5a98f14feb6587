//! Credentials for registries: those of this run, and for other registries (private base images) those that the user
//! has in Docker's configuration, asked for by host when BuildKit needs them.
//!
//! Failing to find some is never an error here: the registry then says what it thinks of an anonymous request.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::config_file::{self, ConfigFile, StoredLogin};
use crate::secret::Secret;
use crate::vars::{self, Vars};

/// How long a credential helper may take; some of them ask a person or a network service.
const HELPER: Duration = Duration::from_secs(20);
/// What the helpers that keep logins on this machine read: whose keyring it is and where, and how to ask for its key.
const FOR_HELPERS: [&str; 9] = [
    "DOCKER_CONFIG",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "GNUPGHOME",
    "GPG_",
    "PASSWORD_STORE_",
    "SSH_AUTH_SOCK",
];
/// What those read besides that ask a cloud for a login, proxies apart.
const FOR_CLOUDS: [&str; 2] = ["SSL_CERT_", "REQUESTS_CA_BUNDLE"];
/// How Docker's configuration names Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A login to one registry.
#[derive(Clone, Debug)]
pub(crate) struct RegistryAuth {
    /// `host[:port]`, with no scheme.
    pub(crate) host: String,
    pub(crate) username: String,
    pub(crate) password: Secret,
}

impl RegistryAuth {
    /// The value of `X-Registry-Auth`: JSON in URL-safe base64, which is what dockerd decodes.
    pub(super) fn header(&self) -> String {
        BASE64_URL_SAFE.encode(self.json().to_string())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        json!({ "username": self.username, "password": self.password.expose(), "serveraddress": self.host })
    }
}

/// What BuildKit is told: a user and a password, or an identity token and no user.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) secret: Secret,
}

/// The user's own logins, read when they are needed.
#[derive(Clone, Debug)]
pub(super) struct Credentials(Vars);

impl Credentials {
    pub(super) fn new(vars: &Vars) -> Self {
        Self(vars.clone())
    }

    /// The login that Docker's configuration has for a registry, in the docker CLI's order.
    pub(super) async fn find(&self, host: &str) -> Option<Login> {
        let config = config_file::read(&self.0).ok()?;
        let key = if is_docker_hub(host) { DOCKER_HUB } else { host };
        if let Some(helper) = helper(&config, key) {
            return ask_helper(helper, key).await;
        }
        config.auths.iter().find(|(server, _)| same_registry(server, key)).and_then(|(_, login)| stored(login))
    }
}

fn helper<'a>(config: &'a ConfigFile, key: &str) -> Option<&'a str> {
    let specific = config.cred_helpers.iter().find(|(server, _)| same_registry(server, key)).map(|(_, name)| name);
    specific.or(Some(&config.creds_store)).map(String::as_str).filter(|name| !name.is_empty())
}

fn is_docker_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "registry-1.docker.io" | "index.docker.io")
}

/// Old configurations have whole URLs for keys.
fn same_registry(server: &str, key: &str) -> bool {
    fn host(text: &str) -> &str {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        text.split('/').next().unwrap_or(text)
    }
    server == key || host(server) == host(key)
}

fn stored(login: &StoredLogin) -> Option<Login> {
    if let Some(token) = &login.identity_token {
        return Some(Login { username: String::new(), secret: token.clone() });
    }
    if let Some(auth) = &login.auth {
        let text = String::from_utf8(BASE64_STANDARD.decode(auth.expose().trim()).ok()?).ok()?;
        let (username, password) = text.split_once(':')?;
        return Some(Login { username: username.to_owned(), secret: Secret::new(password.trim_end_matches('\0')) });
    }
    let password = login.password.clone()?;
    (!login.username.is_empty()).then(|| Login { username: login.username.clone(), secret: password })
}

/// The variables that a helper gets. Credentials of a cloud go to that cloud's own helper alone, which has no other way to
/// them in a pipeline; the secrets of the environments go to none.
fn environment(helper: &str) -> Vec<&'static str> {
    let cloud: &[&str] = match helper {
        "ecr-login" => &["AWS_"],
        "gcloud" | "gcr" => &["CLOUDSDK_", "GOOGLE_APPLICATION_CREDENTIALS"],
        "acr-env" => &["AZURE_"],
        _ => return FOR_HELPERS.to_vec(),
    };
    [&FOR_HELPERS[..], &FOR_CLOUDS, &vars::PROXIES, cloud].concat()
}

/// Runs `docker-credential-NAME get`, with the registry on its standard input and no shell in between.
async fn ask_helper(name: &str, server: &str) -> Option<Login> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return None;
    }
    let run = async {
        let mut child = Command::new(format!("docker-credential-{name}"))
            .arg("get")
            .env_clear()
            .envs(vars::for_program(&environment(name)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        child.stdin.take()?.write_all(server.as_bytes()).await.ok()?;
        let output = child.wait_with_output().await.ok()?;
        if !output.status.success() {
            return None;
        }
        let answer: Answer = serde_json::from_slice(&output.stdout).ok()?;
        let username = if answer.username == "<token>" { String::new() } else { answer.username };
        Some(Login { username, secret: Secret::new(answer.secret) })
    };
    tokio::time::timeout(HELPER, run).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE;

    use super::{Credentials, RegistryAuth};
    use crate::secret::Secret;
    use crate::vars::Vars;

    #[tokio::test]
    async fn logins_are_found_by_host_whatever_form_the_key_has() {
        let folder = tempfile::tempdir().unwrap();
        let config = r#"{"auths":{
            "https://r.example/v2/":{"auth":"dTpwOnc="},
            "https://index.docker.io/v1/":{"auth":"aHViOnB3"},
            "t.example":{"identitytoken":"tok","auth":"dTpwdw=="},
            "broken.example":{"auth":"***"}},
            "credHelpers":{"bad.example":"../x","none.example":"is-not-installed-here"}}"#;
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let vars: Vars = [("DOCKER_CONFIG", folder.path().to_str().unwrap())].into_iter().collect();
        let credentials = Credentials::new(&vars);
        for (host, expected) in [
            ("r.example", Some(("u", "p:w"))),
            ("registry-1.docker.io", Some(("hub", "pw"))),
            ("t.example", Some(("", "tok"))),
            ("broken.example", None),
            ("bad.example", None),
            ("none.example", None),
            ("other.example", None),
        ] {
            let found = credentials.find(host).await;
            let found = found.as_ref().map(|login| (login.username.as_str(), login.secret.expose()));
            assert_eq!(found, expected, "{host}");
        }
    }

    #[test]
    fn the_header_survives_any_password() {
        let password = "a?b?c?d~~~>>>e?f~g>h";
        let auth = RegistryAuth { host: "h:1".into(), username: "AWS".into(), password: Secret::new(password) };
        let header = auth.header();
        assert!(!header.contains(['+', '/']), "{header}");
        let back: serde_json::Value = serde_json::from_slice(&BASE64_URL_SAFE.decode(header).unwrap()).unwrap();
        assert_eq!(back["password"], password);
        assert!(!format!("{auth:?}").contains(password));
    }
}
