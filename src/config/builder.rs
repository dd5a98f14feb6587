//! `builder` as written: one engine or several, each an address or a map with more to say. What an address may look like
//! is known to `docker`; that it is one is for `check` to say.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::config::specification::{self, Platform};
use crate::config::tree::{Path, steps};

/// The engines that build.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Builders {
    /// A single one.
    One(Builder),
    /// Several; the services are spread over them.
    Several(#[schemars(length(min = 1))] Vec<Builder>),
}

/// One engine.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Builder {
    /// Its address: `unix:///path/to.sock`, `tcp://host:port` or `ssh://user@host`.
    Address(String),
    /// Its address, and what else is to be known of it.
    Described(Described),
}

/// An engine, and what is to be known of it.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with `host`")]
pub(crate) struct Described {
    /// Its address: `unix:///path/to.sock`, `tcp://host:port` or `ssh://user@host`.
    pub(crate) host: String,
    /// What it is called in all that is said of it. Default: its address.
    pub(crate) name: Option<String>,
    /// The folder with `ca.pem`, `cert.pem` and `key.pem` for TLS to a `tcp://` address, relative to this file. Default:
    /// what DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say, as for DOCKER_HOST.
    pub(crate) certs: Option<String>,
    /// How many images it builds at a time. Default: `--jobs`.
    #[schemars(range(min = 1, max = 255))]
    pub(crate) jobs: Option<u64>,
    /// The platforms that it is to build for. Default: any, its own before others.
    pub(crate) platforms: Option<Vec<Platform>>,
}

/// One engine and the way to it in the file.
pub(super) struct Written<'b> {
    pub(super) builder: &'b Builder,
    pub(super) path: Path,
}

impl Builders {
    pub(super) fn all(&self) -> Vec<Written<'_>> {
        match self {
            Self::One(builder) => vec![Written { builder, path: steps!["builder"].to_vec() }],
            Self::Several(builders) => builders
                .iter()
                .enumerate()
                .map(|(index, builder)| Written { builder, path: steps!["builder", index].to_vec() })
                .collect(),
        }
    }
}

impl Written<'_> {
    pub(super) fn host(&self) -> &str {
        match self.builder {
            Builder::Address(host) => host,
            Builder::Described(described) => &described.host,
        }
    }

    /// Where the address stands.
    pub(super) fn host_path(&self) -> Path {
        match self.builder {
            Builder::Address(_) => self.path.clone(),
            Builder::Described(_) => self.under("host"),
        }
    }

    pub(super) fn under(&self, key: &str) -> Path {
        let mut path = self.path.clone();
        path.push(key.into());
        path
    }

    pub(super) fn described(&self) -> Option<&Described> {
        match self.builder {
            Builder::Address(_) => None,
            Builder::Described(described) => Some(described),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.described().and_then(|described| described.name.as_deref()).unwrap_or_else(|| self.host())
    }

    /// With every default settled. `root` is the folder of deploy.yaml.
    pub(super) fn resolve(&self, root: &std::path::Path) -> specification::Builder {
        let described = self.described();
        let said = described.and_then(|described| described.platforms.clone());
        specification::Builder {
            name: self.name().to_owned(),
            host: self.host().to_owned(),
            certs: described.and_then(|described| described.certs.as_deref()).map(|folder| root.join(folder)),
            jobs: described.and_then(|described| described.jobs).and_then(|jobs| usize::try_from(jobs).ok()),
            platforms: said.unwrap_or_default(),
        }
    }
}

impl<'de> Deserialize<'de> for Builders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral)
    }
}

struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = Builders;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address, a map with `host`, or a list of them")
    }

    fn visit_str<E>(self, host: &str) -> Result<Builders, E> {
        Ok(Builders::One(Builder::Address(host.to_owned())))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Builders, M::Error> {
        Described::deserialize(MapAccessDeserializer::new(map)).map(|one| Builders::One(Builder::Described(one)))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Builders, S::Error> {
        let mut builders = Vec::new();
        while let Some(builder) = items.next_element()? {
            builders.push(builder);
        }
        Ok(Builders::Several(builders))
    }
}

impl<'de> Deserialize<'de> for Builder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AddressOrMap)
    }
}

struct AddressOrMap;

impl<'de> Visitor<'de> for AddressOrMap {
    type Value = Builder;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address, or a map with `host`")
    }

    fn visit_str<E>(self, host: &str) -> Result<Builder, E> {
        Ok(Builder::Address(host.to_owned()))
    }

    /// What stands here was found faulty before, and is reported.
    fn visit_unit<E>(self) -> Result<Builder, E> {
        Ok(Builder::Address(String::new()))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Builder, M::Error> {
        Described::deserialize(MapAccessDeserializer::new(map)).map(Builder::Described)
    }
}
