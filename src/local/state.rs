//! What the stand-in knows, as it is saved: plain data, no behaviour beyond finding things.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::clock::Millis;
use super::ecr::scan;
use super::ecs::model::Cluster;
use super::ids;
use super::place::Place;
use super::s3::model::Bucket;

pub(crate) type Tags = BTreeMap<String, String>;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// Names this state on the containers that belong to it.
    pub(crate) id: String,
    /// `127.0.0.1:PORT` of the last run's registry: references to its images begin with it.
    pub(crate) host: String,
    /// The registry that keeps the images, where it is not the stand-in's own. It is what `host` says then, too.
    #[serde(default)]
    pub(crate) elsewhere: Option<String>,
    /// Those of earlier runs, whose names are still on images of the engine.
    #[serde(default)]
    pub(crate) former_hosts: BTreeSet<String>,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    /// By `Place::key`.
    pub(crate) holdings: BTreeMap<String, Holdings>,
    /// By name.
    #[serde(default)]
    pub(crate) buckets: BTreeMap<String, Bucket>,
}

/// What one account has in one region.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Holdings {
    pub(crate) place: Place,
    #[serde(default)]
    pub(crate) repositories: BTreeMap<String, Repository>,
    #[serde(default)]
    pub(crate) clusters: BTreeMap<String, Cluster>,
    /// Family to revisions, the first revision first.
    #[serde(default)]
    pub(crate) task_definitions: BTreeMap<String, Vec<TaskDefinition>>,
    #[serde(default)]
    pub(crate) scanning: scan::Registry,
    /// ECR's account settings that were put, by name.
    #[serde(default)]
    pub(crate) account_settings: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Repository {
    pub(crate) name: String,
    pub(crate) created_at: Millis,
    /// `MUTABLE`, `IMMUTABLE`, `IMMUTABLE_WITH_EXCLUSION` or `MUTABLE_WITH_EXCLUSION`.
    pub(crate) mutability: String,
    /// Wildcards of the tags that are the exception.
    #[serde(default)]
    pub(crate) exclusions: Vec<String>,
    #[serde(default)]
    pub(crate) scan_on_push: bool,
    #[serde(default)]
    pub(crate) tags: Tags,
    /// By manifest digest.
    #[serde(default)]
    pub(crate) images: BTreeMap<String, Image>,
    /// Image tag to manifest digest.
    #[serde(default)]
    pub(crate) image_tags: BTreeMap<String, String>,
    /// Digests of the blobs that were uploaded or mounted here.
    #[serde(default)]
    pub(crate) blobs: BTreeSet<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Image {
    /// Byte for byte as it was pushed; its SHA-256 is the image's digest.
    pub(crate) manifest: String,
    pub(crate) media_type: String,
    pub(crate) pushed_at: Millis,
    /// Sum of the layers and the config, in bytes.
    pub(crate) size: u64,
    /// When its scan was asked for.
    #[serde(default)]
    pub(crate) scan_began: Option<Millis>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TaskDefinition {
    pub(crate) arn: String,
    pub(crate) active: bool,
    /// The description as `DescribeTaskDefinition` gives it.
    pub(crate) document: Value,
    #[serde(default)]
    pub(crate) tags: Tags,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            id: ids::hex::<6>(),
            host: String::new(),
            elsewhere: None,
            former_hosts: BTreeSet::new(),
            access_key: ids::access_key("AKIA"),
            secret_key: ids::token(),
            holdings: BTreeMap::new(),
            buckets: BTreeMap::new(),
        }
    }

    /// What is in a place; an account has every region, so that an empty one comes into being when it is asked for.
    pub(crate) fn at(&mut self, place: &Place) -> &mut Holdings {
        self.holdings.entry(place.key()).or_insert_with(|| Holdings {
            place: place.clone(),
            repositories: BTreeMap::new(),
            clusters: BTreeMap::new(),
            task_definitions: BTreeMap::new(),
            scanning: scan::Registry::default(),
            account_settings: BTreeMap::new(),
        })
    }

    /// Whether anything is kept for this account.
    pub(crate) fn has_account(&self, account: &str) -> bool {
        self.holdings.values().any(|holdings| holdings.place.account == account)
    }

    /// Takes up a new address: images of the registry of this stand-in are known by the host that they are pulled from,
    /// which changes when the port does.
    pub(crate) fn move_to(&mut self, host: &str) {
        if self.host == host {
            return;
        }
        let old = format!("{}/", self.host);
        let new = format!("{host}/");
        if !self.host.is_empty() {
            self.former_hosts.insert(self.host.clone());
            for holdings in self.holdings.values_mut() {
                for definition in holdings.task_definitions.values_mut().flatten() {
                    rewrite_images(&mut definition.document, &old, &new);
                }
                for task in holdings.clusters.values_mut().flat_map(|cluster| cluster.services.values_mut()) {
                    for container in task.tasks.iter_mut().flat_map(|task| &mut task.containers) {
                        if let Some(rest) = container.image.strip_prefix(&old) {
                            container.image = format!("{new}{rest}");
                        }
                    }
                }
            }
        }
        host.clone_into(&mut self.host);
    }
}

fn rewrite_images(document: &mut Value, old: &str, new: &str) {
    let containers = document.get_mut("containerDefinitions").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        if let Some(image) = container.get_mut("image")
            && let Some(rest) = image.as_str().and_then(|image| image.strip_prefix(old))
        {
            *image = Value::from(format!("{new}{rest}"));
        }
    }
}

impl Repository {
    pub(crate) fn new(name: &str, now: Millis) -> Self {
        Self {
            name: name.to_owned(),
            created_at: now,
            mutability: "MUTABLE".to_owned(),
            exclusions: Vec::new(),
            scan_on_push: false,
            tags: Tags::new(),
            images: BTreeMap::new(),
            image_tags: BTreeMap::new(),
            blobs: BTreeSet::new(),
        }
    }

    /// The manifest digest that a tag or a digest leads to.
    pub(crate) fn resolve(&self, tag_or_digest: &str) -> Option<&str> {
        if let Some((digest, _)) = self.images.get_key_value(tag_or_digest) {
            return Some(digest);
        }
        self.image_tags.get(tag_or_digest).map(String::as_str)
    }

    /// The tags of an image, in alphabetical order.
    pub(crate) fn tags_of(&self, digest: &str) -> Vec<&str> {
        self.image_tags.iter().filter(|(_, of)| *of == digest).map(|(tag, _)| tag.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{State, Tags, TaskDefinition};
    use crate::local::place::Place;

    #[test]
    fn a_new_port_moves_the_images_of_the_own_registry_and_no_others() {
        let mut state = State::new();
        state.move_to("127.0.0.1:4510");
        let place = Place::new("123456789012", "eu-west-1");
        let document = json!({"containerDefinitions": [
            {"name": "api", "image": "127.0.0.1:4510/api:latest"},
            {"name": "proxy", "image": "public.example/proxy:1"},
        ]});
        let definition = TaskDefinition { arn: String::new(), active: true, document, tags: Tags::new() };
        state.at(&place).task_definitions.insert("api".into(), vec![definition]);
        state.move_to("127.0.0.1:5000");
        let containers = &state.at(&place).task_definitions["api"][0].document["containerDefinitions"];
        assert_eq!(containers[0]["image"], "127.0.0.1:5000/api:latest");
        assert_eq!(containers[1]["image"], "public.example/proxy:1");
    }
}
