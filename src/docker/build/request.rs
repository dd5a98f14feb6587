//! What to build, and the query that says so to the engine.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::config::specification::Platform;
use crate::docker::credentials::RegistryAuth;
use crate::docker::engine::EngineFacts;
use crate::docker::http::Query;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::secret::Secret;

/// One build. All values are settled.
#[derive(Clone, Debug)]
pub(crate) struct BuildRequest<'a> {
    /// Absolute.
    pub(crate) context: &'a Path,
    /// Absolute; it may lie outside the context.
    pub(crate) dockerfile: &'a Path,
    pub(crate) target: Option<&'a str>,
    pub(crate) platform: Platform,
    pub(crate) build_args: &'a BTreeMap<String, Secret>,
    /// `RUN --mount=type=secret,id=NAME`. They reach the engine through the session only.
    pub(crate) build_secrets: &'a BTreeMap<String, Secret>,
    pub(crate) labels: &'a BTreeMap<String, String>,
    /// `repository:tag`, each set on the image when the build succeeds.
    pub(crate) tags: &'a [String],
    pub(crate) no_cache: bool,
    /// The image holds what a later build has to know to take its layers from it.
    pub(crate) inline_cache: bool,
    /// Images to take layers from, `HOST/REPOSITORY@DIGEST`. One that cannot be read is passed over by the engine.
    pub(crate) cache_from: &'a [String],
    /// Logins of this run for base images, before those in Docker's configuration.
    pub(crate) registry_auth: &'a [RegistryAuth],
}

pub(super) struct DockerfileParts<'a> {
    pub(super) directory: &'a Path,
    pub(super) name: &'a str,
}

impl BuildRequest<'_> {
    /// The Dockerfile's folder and name, once it is sure that both it and the context are there: the engine would name
    /// neither.
    pub(super) fn dockerfile_parts(&self) -> Result<DockerfileParts<'_>> {
        if !self.context.is_dir() {
            let what = format!("the build context {} is not a folder", self.context.display());
            return Err(Error::new(Exit::Build, what).hint("correct `context` of the service in deploy.yaml"));
        }
        let unusable = |error: &std::io::Error| {
            Error::new(Exit::Build, format!("cannot read the Dockerfile {}", self.dockerfile.display()))
                .because(error)
                .hint("correct `dockerfile` of the service in deploy.yaml; it is relative to the context")
        };
        let metadata = self.dockerfile.metadata().map_err(|error| unusable(&error))?;
        if !metadata.is_file() {
            return Err(unusable(&std::io::Error::other("it is not a file")));
        }
        match (self.dockerfile.parent(), self.dockerfile.file_name().and_then(|name| name.to_str())) {
            (Some(directory), Some(name)) => Ok(DockerfileParts { directory, name }),
            _ => Err(unusable(&std::io::Error::other("its name is not UTF-8"))),
        }
    }

    /// The query of `/build`. It holds the values of the build arguments, and is never shown.
    pub(super) fn query(&self, engine: &EngineFacts, dockerfile: &str, session: &str, build: &str) -> String {
        let mut query = Query::default()
            .with("version", "2")
            .with("remote", "client-session")
            .with("session", session)
            .with("buildid", build)
            .with("dockerfile", dockerfile)
            .with("rm", "1");
        for tag in self.tags {
            query = query.with("t", tag);
        }
        if let Some(target) = self.target {
            query = query.with("target", target);
        }
        // Bitbucket's Docker refuses the option; the built image's architecture is checked in any case.
        if (engine.os.as_str(), engine.arch.as_str()) != ("linux", self.platform.architecture()) {
            query = query.with("platform", self.platform.as_str());
        }
        let mut values: BTreeMap<&str, &str> =
            self.build_args.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        if self.inline_cache {
            // The only kind of cache that `/build` can write. No step sees this argument.
            values.entry("BUILDKIT_INLINE_CACHE").or_insert("1");
        }
        if !values.is_empty() {
            query = query.with("buildargs", &json!(values).to_string());
        }
        if !self.labels.is_empty() {
            query = query.with("labels", &json!(self.labels).to_string());
        }
        if !self.cache_from.is_empty() {
            query = query.with("cachefrom", &json!(self.cache_from).to_string());
        }
        if self.no_cache {
            query = query.with("nocache", "1");
        }
        query.into_string()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::BuildRequest;
    use crate::config::specification::Platform;
    use crate::docker::engine::EngineFacts;
    use crate::secret::Secret;

    pub(in crate::docker::build) fn engine(arch: &str) -> EngineFacts {
        EngineFacts {
            name: None,
            version: "20.10.24".into(),
            api_version: "1.41".into(),
            os: "linux".into(),
            arch: arch.into(),
            buildkit: true,
            containerd_store: false,
            address: "unix:///var/run/docker.sock".into(),
            more_memory: "give the engine more",
            on_this_host: true,
        }
    }

    #[test]
    fn the_platform_is_sent_where_it_is_not_the_native_one_and_secrets_never() {
        let args = BTreeMap::from([("A".to_owned(), Secret::new("x y"))]);
        let secrets = BTreeMap::from([("S".to_owned(), Secret::new("hunter2"))]);
        let labels = BTreeMap::new();
        let tags = ["r:1".to_owned(), "r:2".to_owned()];
        let request = BuildRequest {
            context: Path::new("/c"),
            dockerfile: Path::new("/c/Dockerfile"),
            target: Some("t"),
            platform: Platform::LinuxAmd64,
            build_args: &args,
            build_secrets: &secrets,
            labels: &labels,
            tags: &tags,
            no_cache: true,
            inline_cache: false,
            cache_from: &[],
            registry_auth: &[],
        };
        let native = request.query(&engine("amd64"), "Dockerfile", "s", "b");
        assert_eq!(
            native,
            "version=2&remote=client%2Dsession&session=s&buildid=b&dockerfile=Dockerfile&rm=1&t=r%3A1&t=r%3A2&target=t\
             &buildargs=%7B%22A%22%3A%22x%20y%22%7D&nocache=1"
        );
        let foreign = request.query(&engine("arm64"), "Dockerfile", "s", "b");
        assert!(foreign.contains("&platform=linux%2Famd64&"), "{foreign}");
        assert!(!foreign.contains("hunter2") && !format!("{request:?}").contains("x y"));
    }
}
