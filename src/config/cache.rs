//! `cache:` of a service: a word, or a map that names a repository.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// Where a build on a machine that never built this service takes its layers from.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum Cache {
    /// From the repository's own images, which hold what a build has to know of them.
    #[default]
    Inline,
    /// From nowhere: only what the engine has by itself counts.
    Off,
    /// From the service's image in this ECR repository of the same account and region; each build is pushed there too.
    Repository(String),
}

const WORDS: &[&str] = &["inline", "off"];
const KEYS: &[&str] = &["repository"];

impl<'de> Deserialize<'de> for Cache {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Cache;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`inline`, `off` or a map with `repository`")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Cache, E> {
        match word {
            "inline" => Ok(Cache::Inline),
            "off" => Ok(Cache::Off),
            _ => Err(E::unknown_variant(word, WORDS)),
        }
    }

    /// YAML 1.1 calls `off` a truth value, and so may a reader of it.
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Cache, E> {
        if value { Err(E::unknown_variant("true", WORDS)) } else { Ok(Cache::Off) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cache, A::Error> {
        let mut repository = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "repository" {
                return Err(de::Error::unknown_field(&key, KEYS));
            }
            repository = Some(map.next_value()?);
        }
        repository.map(Cache::Repository).ok_or_else(|| de::Error::missing_field("repository"))
    }
}
