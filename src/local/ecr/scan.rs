//! Scans of images: `DescribeImageScanFindings`, `StartImageScan`, `PutImageScanningConfiguration`,
//! `GetRegistryScanningConfiguration`, `PutRegistryScanningConfiguration`.
//!
//! Nothing is scanned: a scan goes through the states of the script and finds what the script says, which without one is
//! nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::images::find;
use super::manifest::OCI_INDEX;
use super::repository;
use crate::local::clock::{self, Millis};
use crate::local::script::{ScanFinding, ScanScript, ScanState};
use crate::local::state::{Holdings, Image, Repository};
use crate::local::wire::context::Context;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// An image may be scanned once within this.
const A_DAY: Millis = 24 * 3_600_000;
/// How long a scan without a script takes.
const TAKES: Millis = 600;

/// How the registry of a place is scanned.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Registry {
    enhanced: bool,
    /// As they were given.
    rules: Vec<Value>,
}

impl Registry {
    fn scans_on_push(&self, repository: &str) -> bool {
        let covers = |rule: &Value| {
            let rule = Input(rule);
            let filters = rule.list("repositoryFilters").iter().filter_map(|filter| Input(filter).text("filter"));
            rule.text("scanFrequency") != Some("MANUAL")
                && filters.into_iter().any(|filter| match filter.contains('*') {
                    true => super::manifest::matches_wildcard(filter, repository),
                    false => repository.contains(filter),
                })
        };
        self.rules.iter().any(covers)
    }

    fn shown(&self) -> Value {
        json!({"scanType": if self.enhanced { "ENHANCED" } else { "BASIC" }, "rules": self.rules})
    }
}

/// A manifest came in: its scan begins, where the repository or the registry says so.
pub(crate) fn pushed(holdings: &mut Holdings, name: &str, digest: &str, now: Millis) {
    let by_rule = holdings.scanning.scans_on_push(name);
    let by_itself = !holdings.scanning.enhanced;
    if let Some(repository) = holdings.repositories.get_mut(name)
        && (by_rule || (by_itself && repository.scan_on_push))
        && let Some(image) = repository.images.get_mut(digest)
        && !is_index(image)
    {
        image.scan_began.get_or_insert(now);
    }
}

fn is_index(image: &Image) -> bool {
    matches!(image.media_type.as_str(), OCI_INDEX | DOCKER_INDEX)
}

pub(crate) fn put_configuration(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let place = context.place.clone();
    let on_push =
        input.pointer("/imageScanningConfiguration/scanOnPush").and_then(Value::as_bool).ok_or_else(|| {
            Fault::invalid_parameter("Parameter validation failed: imageScanningConfiguration is required.")
        })?;
    let repository = repository(context, input)?;
    repository.scan_on_push = on_push;
    Ok(json!({
        "registryId": place.account,
        "repositoryName": repository.name,
        "imageScanningConfiguration": {"scanOnPush": on_push},
    }))
}

pub(crate) fn registry(context: &mut Context<'_>) -> Value {
    let account = context.place.account.clone();
    json!({"registryId": account, "scanningConfiguration": context.holdings().scanning.shown()})
}

pub(crate) fn put_registry(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let request = Input(input);
    let scanning = &mut context.holdings().scanning;
    match request.text("scanType") {
        None => {}
        Some("BASIC") => scanning.enhanced = false,
        Some("ENHANCED") => scanning.enhanced = true,
        Some(other) => {
            return Err(Fault::invalid_parameter(format!(
                "Invalid parameter at 'scanType' failed to satisfy constraint: '{other}' is not one of [BASIC, ENHANCED]"
            )));
        }
    }
    scanning.rules = request.list("rules").to_vec();
    Ok(json!({"registryScanningConfiguration": scanning.shown()}))
}

pub(crate) fn start(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let (place, now) = (context.place.clone(), context.now);
    let enhanced = context.holdings().scanning.enhanced;
    let (repository, digest, id) = image(context, input)?;
    if enhanced {
        return Err(Fault::client("ValidationException", "This feature is disabled"));
    }
    let name = repository.name.clone();
    let Some(image) = repository.images.get_mut(&digest) else {
        return Err(Fault::server(&"an image without a manifest"));
    };
    if is_index(image) {
        return Err(Fault::client(
            "UnsupportedImageTypeException",
            format!("An artifact with media type '{}' cannot be scanned", image.media_type),
        ));
    }
    if image.scan_began.is_some_and(|began| now - began < A_DAY) {
        let words = "The scan quota per image has been exceeded. Wait and try again.";
        return Err(Fault::client("LimitExceededException", words));
    }
    image.scan_began = Some(now);
    Ok(json!({
        "registryId": place.account, "repositoryName": name, "imageId": id,
        "imageScanStatus": {"status": "IN_PROGRESS"},
    }))
}

pub(crate) fn describe(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let (place, now, speed) = (context.place.clone(), context.now, context.speed);
    let enhanced = context.holdings().scanning.enhanced;
    let script =
        Input(input).text("repositoryName").and_then(|name| context.scans.get(name)).cloned().unwrap_or_default();
    let (repository, digest, id) = image(context, input)?;
    let began = repository.images.get(&digest).and_then(|image| image.scan_began);
    let state = began.and_then(|began| state_at(&script, enhanced, (now - began) * speed));
    let (Some(began), Some(state)) = (began, state.filter(|state| state.status != "NONE")) else {
        return Err(Fault::client(
            "ScanNotFoundException",
            format!(
                "Image scan does not exist for the image with '{{imageDigest:'{digest}', imageTag:'{}'}}' in the repository \
                 with name '{}' in the registry with id '{}'",
                Input(&id).text("imageTag").unwrap_or("null"),
                repository.name,
                place.account
            ),
        ));
    };
    let mut answer = json!({
        "registryId": place.account, "repositoryName": repository.name, "imageId": id,
        "imageScanStatus": {"status": state.status, "description": state.description},
    });
    if state.has_results() {
        let all: Vec<Value> =
            script.findings.iter().map(|finding| if enhanced { finding.enhanced() } else { finding.basic() }).collect();
        let (page, next) = Input(input).page(&all, 1000)?;
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        script.findings.iter().for_each(|finding| *counts.entry(&finding.severity).or_default() += 1);
        answer["imageScanFindings"] = json!({
            "imageScanCompletedAt": clock::seconds(began),
            "vulnerabilitySourceUpdatedAt": clock::seconds(began),
            "findingSeverityCounts": counts,
        });
        answer["imageScanFindings"][if enhanced { "enhancedFindings" } else { "findings" }] = json!(page);
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

/// The repository, the digest, and the image's identifier with it.
fn image<'c>(context: &'c mut Context<'_>, input: &Value) -> Answered<(&'c mut Repository, String, Value)> {
    let place = context.place.clone();
    let asked = Input(input)
        .member("imageId")
        .cloned()
        .ok_or_else(|| Fault::invalid_parameter("Parameter validation failed: imageId is required."))?;
    let repository = repository(context, input)?;
    let digest = find(repository, &place, Input(&asked))?;
    let mut id = asked;
    id["imageDigest"] = json!(digest);
    Ok((repository, digest, id))
}

/// The state after that time, in milliseconds; the last one stays.
fn state_at(script: &ScanScript, enhanced: bool, elapsed: Millis) -> Option<ScanState> {
    let (working, done) = if enhanced { ("PENDING", "ACTIVE") } else { ("IN_PROGRESS", "COMPLETE") };
    let usual = [(working, TAKES), (done, 0)].map(|(status, lasts_ms)| ScanState {
        status: status.to_owned(),
        lasts_ms,
        ..ScanState::default()
    });
    let states = if script.states.is_empty() { &usual[..] } else { &script.states };
    let mut end = 0;
    let current = states.iter().find(|state| {
        end += state.lasts_ms;
        elapsed < end
    });
    current.or(states.last()).cloned()
}

impl ScanState {
    fn has_results(&self) -> bool {
        matches!(self.status.as_str(), "COMPLETE" | "ACTIVE") && !self.no_results
    }
}

impl ScanFinding {
    fn basic(&self) -> Value {
        json!({
            "name": self.id, "severity": self.severity, "uri": self.url(), "description": "",
            "attributes": [
                {"key": "package_name", "value": self.package},
                {"key": "package_version", "value": self.installed},
            ],
        })
    }

    fn enhanced(&self) -> Value {
        let package = json!({"name": self.package, "version": self.installed, "fixedInVersion": self.fixed});
        json!({
            "severity": self.severity, "status": "ACTIVE", "type": "PACKAGE_VULNERABILITY",
            "title": format!("{} - {}", self.id, self.package),
            "fixAvailable": if self.fixed.is_some() { "YES" } else { "NO" },
            "packageVulnerabilityDetails": {
                "vulnerabilityId": self.id, "sourceUrl": self.url(), "vulnerablePackages": [package],
            },
        })
    }

    fn url(&self) -> String {
        format!("https://vulnerabilities.example/{}", self.id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Registry, state_at};
    use crate::local::script::ScanScript;

    #[test]
    fn states_follow_one_another_and_the_last_one_stays() {
        let at = |script: &ScanScript, enhanced, elapsed| state_at(script, enhanced, elapsed).unwrap().status;
        let usual = ScanScript::default();
        assert_eq!([at(&usual, false, 0), at(&usual, false, 99_999)], ["IN_PROGRESS", "COMPLETE"]);
        assert_eq!([at(&usual, true, 0), at(&usual, true, 99_999)], ["PENDING", "ACTIVE"]);
        let script: ScanScript = serde_json::from_value(
            json!({"states": [{"status": "NONE", "lasts_ms": 100}, {"status": "PENDING", "lasts_ms": 50}, {"status": "FAILED"}]}),
        )
        .unwrap();
        assert_eq!(
            [at(&script, true, 99), at(&script, true, 100), at(&script, true, 150)],
            ["NONE", "PENDING", "FAILED"]
        );
    }

    #[test]
    fn rules_choose_repositories_by_filter_and_frequency() {
        let rule = |frequency: &str, filter: &str| json!({"scanFrequency": frequency, "repositoryFilters": [{"filter": filter, "filterType": "WILDCARD"}]});
        for (frequency, filter, expected) in [
            ("SCAN_ON_PUSH", "*", true),
            ("CONTINUOUS_SCAN", "api", true),
            ("MANUAL", "*", false),
            ("SCAN_ON_PUSH", "web*", false),
        ] {
            let registry = Registry { enhanced: false, rules: vec![rule(frequency, filter)] };
            assert_eq!(registry.scans_on_push("api-dev"), expected, "{frequency} {filter}");
        }
    }
}
