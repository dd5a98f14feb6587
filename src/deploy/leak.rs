//! The leak gate: a built image is pushed only when no secret is in plain sight in it. A pure judgement over what
//! `docker inspect` and `docker history` say; the files of the layers are not looked into.

use std::collections::BTreeMap;

use crate::config::specification::Service;
use crate::docker::Image;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::secret::Secret;

/// Shorter values are found by chance in any image, so they are not looked for.
const SHORTEST: usize = 6;

/// # Errors
/// A secret's value is in the image's config, history or labels ([`Exit::Gate`]): named with its places, never shown.
/// A secret that `build_args` names is meant to be readable, and is not looked for.
pub(crate) fn check(image: &Image, service: &Service, secrets: &BTreeMap<String, Secret>) -> Result<()> {
    let mut found = Vec::new();
    for (name, secret) in secrets {
        let value = secret.expose();
        if value.len() < SHORTEST || service.readable_secrets.contains(name) {
            continue;
        }
        let holds = |text: &String| text.contains(value);
        let labels = image.labels.iter().find(|(_, text)| holds(text)).map(|(key, _)| format!("label `{key}`"));
        let config = image
            .env
            .iter()
            .find(|text| holds(text))
            .map(|text| format!("environment variable `{}`", text.split('=').next().unwrap_or_default()));
        let command =
            image.entrypoint.iter().chain(&image.command).any(holds).then(|| "entrypoint or command".to_owned());
        let history = image.history.iter().any(holds).then(|| "history".to_owned());
        for place in [config, labels, command, history].into_iter().flatten() {
            found.push(format!("{name} in its {place}"));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::new(Exit::Gate, format!("a secret is readable in the image: {}", found.join(", "))).hint(
        "take it by `RUN --mount=type=secret` and `build_secrets`; if it may be read, name it under `build_args`",
    ))
}
