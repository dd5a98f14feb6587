//! The config of an image as a registry keeps it (OCI's image configuration), in the words of [`Image`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::Image;

/// An image of a registry, known by its config alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageConfig {
    pub(crate) image: Image,
    /// When its last layer was made. Builds that are reproducible set a fixed time long ago: that is no time.
    pub(crate) created: Option<Timestamp>,
}

/// Nobody had containers before this second; what claims to be older has a made-up time.
const FIRST_TIME: i64 = 1_000_000_000;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: String,
    created: Option<Timestamp>,
    config: Option<serde_json::Value>,
    #[serde(default)]
    rootfs: RootFs,
    #[serde(default)]
    history: Vec<Layer>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Config {
    env: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RootFs {
    diff_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Layer {
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    comment: String,
}

impl ImageConfig {
    /// `digest`: of these bytes, which is the image's id.
    pub(crate) fn parse(digest: &str, bytes: &[u8]) -> serde_json::Result<Self> {
        let answer: Answer = serde_json::from_slice(bytes)?;
        let raw = answer.config.unwrap_or_default();
        let config = Option::<Config>::deserialize(&raw)?.unwrap_or_default();
        let history = answer.history.into_iter().rev().flat_map(|layer| [layer.created_by, layer.comment]);
        Ok(Self {
            created: answer.created.filter(|created| created.as_second() > FIRST_TIME),
            image: Image {
                id: digest.to_owned(),
                architecture: answer.architecture,
                os: answer.os,
                variant: answer.variant,
                env: config.env.unwrap_or_default(),
                labels: config.labels.unwrap_or_default(),
                history: history.filter(|text| !text.is_empty()).collect(),
                entrypoint: config.entrypoint.unwrap_or_default(),
                command: config.cmd.unwrap_or_default(),
                config: raw,
                layers: answer.rootfs.diff_ids,
                size: 0,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ImageConfig;

    #[test]
    fn a_config_says_what_docker_inspect_would() {
        let text = br#"{"architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05.123456789Z",
            "config":{"Env":["A=b"],"Labels":{"k":"v"},"Cmd":["x"],"Entrypoint":null},
            "history":[{"created_by":"first"},{"created_by":"last","comment":"buildkit"}],"rootfs":{}}"#;
        let ImageConfig { image, created } = ImageConfig::parse("sha256:c", text).unwrap();
        assert_eq!((image.id.as_str(), image.architecture.as_str(), image.os.as_str()), ("sha256:c", "amd64", "linux"));
        assert_eq!(
            (image.env, image.command, image.entrypoint),
            (vec!["A=b".to_owned()], vec!["x".to_owned()], vec![])
        );
        assert_eq!((image.labels["k"].as_str(), image.history.join(",").as_str()), ("v", "last,buildkit,first"));
        assert_eq!(created.unwrap().to_string(), "2026-01-02T03:04:05.123456789Z");
        let long_ago = ImageConfig::parse("sha256:c", br#"{"created":"1970-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(long_ago.created, None);
        assert!(ImageConfig::parse("sha256:c", b"<html>").is_err());
    }
}
