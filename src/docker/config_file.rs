//! The user's Docker configuration, `config.json`: which context is current and where registry credentials are. It is
//! only ever read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::secret::Secret;
use crate::vars::Vars;

/// The parts of `config.json` that matter here. Unknown keys are none of our business.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ConfigFile {
    pub(crate) current_context: String,
    pub(crate) auths: BTreeMap<String, StoredLogin>,
    /// Registry host to the name of the helper that holds its credentials.
    pub(crate) cred_helpers: BTreeMap<String, String>,
    /// The helper for all other registries.
    pub(crate) creds_store: String,
}

/// One login under `auths`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StoredLogin {
    /// Base64 of `user:password`.
    #[serde(deserialize_with = "secret")]
    pub(crate) auth: Option<Secret>,
    pub(crate) username: String,
    #[serde(deserialize_with = "secret")]
    pub(crate) password: Option<Secret>,
    #[serde(rename = "identitytoken", deserialize_with = "secret")]
    pub(crate) identity_token: Option<Secret>,
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let value = Option::<String>::deserialize(deserializer)?;
    Ok(value.filter(|value| !value.is_empty()).map(Secret::new))
}

/// `$DOCKER_CONFIG`, or `~/.docker`.
pub(crate) fn directory(vars: &Vars) -> Option<PathBuf> {
    vars.get("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(vars.home()?.join(".docker")))
}

/// A missing file is an empty one. One that cannot be read or understood is an error, because another engine or
/// another login than the user's would be taken silently.
pub(crate) fn read(vars: &Vars) -> Result<ConfigFile> {
    let Some(path) = directory(vars).map(|directory| directory.join("config.json")) else {
        return Ok(ConfigFile::default());
    };
    let content = match std::fs::read(&path) {
        Ok(content) => content,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(ConfigFile::default());
        }
        Err(error) => {
            return Err(Error::new(Exit::Build, format!("cannot read Docker's configuration {}", path.display()))
                .because(&error)
                .hint("make the file readable, or point DOCKER_CONFIG to another folder"));
        }
    };
    // serde_json's text may quote a value, and values here are credentials: only the place is told.
    serde_json::from_slice(&content).map_err(|error| {
        Error::new(Exit::Build, format!("Docker's configuration {} is not valid JSON", path.display()))
            .cause(format!("line {}, column {}", error.line(), error.column()))
            .hint("correct the file, or point DOCKER_CONFIG to another folder")
    })
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::vars::Vars;

    #[test]
    fn reads_what_matters_and_never_shows_a_credential() {
        let folder = tempfile::tempdir().unwrap();
        let vars: Vars = [("DOCKER_CONFIG", folder.path().to_str().unwrap())].into_iter().collect();
        assert_eq!(read(&vars).unwrap().current_context, "");
        let path = folder.path().join("config.json");
        std::fs::write(&path, r#"{"currentContext":"c","auths":{"r":{"auth":"c2VjcmV0"}},"credsStore":"x","q":1}"#)
            .unwrap();
        let config = read(&vars).unwrap();
        assert_eq!((config.current_context.as_str(), config.creds_store.as_str()), ("c", "x"));
        assert!(!format!("{config:?}").contains("c2VjcmV0"));
        std::fs::write(&path, r#"{"auths":{"r":{"auth":["hunter2"]}}}"#).unwrap();
        let error = read(&vars).unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("hunter2"), "{error}");
    }
}
