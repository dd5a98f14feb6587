//! Docker contexts, as `docker context create` stores them: a folder per context, named by the digest of its name.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::config_file;
use super::endpoint::{Address, parse, tls_files};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::vars::Vars;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    #[serde(default)]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// The engine's address in the context `name`; `origin` says who chose that context.
pub(super) fn address(vars: &Vars, name: &str, origin: &str) -> Result<Address> {
    let fail = |why: String| {
        Error::new(Exit::Build, format!("the Docker context `{name}` that {origin} names cannot be used")).cause(why).hint(
            "see `docker context ls`; choose another with DOCKER_CONTEXT, or set DOCKER_HOST to the engine's address",
        )
    };
    let folder =
        config_file::directory(vars).ok_or_else(|| fail("neither DOCKER_CONFIG nor HOME is set".to_owned()))?;
    let id = hexadecimal(&Sha256::digest(name.as_bytes()));
    let path = folder.join("contexts/meta").join(&id).join("meta.json");
    let content = std::fs::read(&path).map_err(|error| fail(format!("{}: {error}", path.display())))?;
    let meta: Meta = serde_json::from_slice(&content).map_err(|error| fail(format!("{}: {error}", path.display())))?;
    let endpoint = meta.endpoints.docker.ok_or_else(|| fail("it has no Docker endpoint".to_owned()))?;
    if endpoint.host.is_empty() {
        return Ok(Address::Unix(PathBuf::from("/var/run/docker.sock")));
    }
    let material = folder.join("contexts/tls").join(&id).join("docker");
    let tls = (endpoint.skip_tls_verify || material.is_dir()).then(|| tls_files(&material, endpoint.skip_tls_verify));
    parse(&endpoint.host, tls).map_err(|why| fail(format!("its address is `{}`: {why}", endpoint.host)))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::hexadecimal;
    use crate::docker::endpoint::{Address, candidates};
    use crate::vars::Vars;
    use sha2::{Digest, Sha256};

    fn context(folder: &std::path::Path, name: &str, meta: &str) {
        let meta_folder = folder.join("contexts/meta").join(hexadecimal(&Sha256::digest(name.as_bytes())));
        std::fs::create_dir_all(&meta_folder).unwrap();
        std::fs::write(meta_folder.join("meta.json"), meta).unwrap();
    }

    #[test]
    fn the_current_context_and_docker_context_lead_to_an_address() {
        let folder = tempfile::tempdir().unwrap();
        context(
            folder.path(),
            "a",
            r#"{"Name":"a","Endpoints":{"docker":{"Host":"unix:///a.sock","SkipTLSVerify":false}}}"#,
        );
        context(folder.path(), "b", r#"{"Name":"b","Endpoints":{"docker":{"Host":"tcp://b:1","SkipTLSVerify":true}}}"#);
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"a"}"#).unwrap();
        let config = ("DOCKER_CONFIG", folder.path().to_str().unwrap());
        let found = candidates(&[config].into_iter().collect::<Vars>()).unwrap();
        assert_eq!(found[0].address.to_string(), "unix:///a.sock");
        assert_eq!(found[0].origin, "context `a` of Docker's configuration");
        let found = candidates(&[config, ("DOCKER_CONTEXT", "b")].into_iter().collect::<Vars>()).unwrap();
        assert!(matches!(&found[0].address, Address::Tcp { tls: Some(tls), .. } if tls.skip_verify));
        let error = candidates(&[config, ("DOCKER_CONTEXT", "gone")].into_iter().collect::<Vars>()).unwrap_err();
        assert!(error.message().contains("`gone`"), "{error}");
        let usual = candidates(&[config, ("DOCKER_CONTEXT", "default")].into_iter().collect::<Vars>()).unwrap();
        assert_eq!(usual[0].address.to_string(), "unix:///var/run/docker.sock");
    }
}
