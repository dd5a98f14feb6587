//! A failed build in words: which step, with which exit code, what it wrote last, and what usually helps. Pure but for
//! one look at the context, to tell an ignored file from a missing one.

use regex::Regex;

use super::log::plain;
use super::progress::FailedStep;
use super::request::BuildRequest;
use crate::docker::engine::EngineFacts;
use crate::docker::http::{RequestError, plugin_hint};
use crate::docker::ignore::{Matcher, locate};
use crate::error::Error;
use crate::exit::Exit;

/// `message` is what the engine says of the build as a whole.
pub(super) fn explain(
    message: &str,
    step: Option<FailedStep>,
    request: &BuildRequest<'_>,
    engine: &EngineFacts,
) -> Error {
    let message = plain(&message.replace('\n', " "));
    let ran = step.as_ref().is_some_and(|step| step.error.contains("exit code: "));
    let usual =
        ran.then(|| "nothing was pushed: mend that step and run it again; -v shows all that it wrote".to_owned());
    let hint = hint(&message, step.as_ref(), request, engine).or(usual);
    let error = match step {
        Some(step) => {
            let what = match capture(r"exit code: (\d+)", &step.error) {
                Some(code) => format!("the build failed at `{}` with exit code {code}", step.name),
                None => format!("the build failed at `{}`", step.name),
            };
            let error = Error::new(Exit::Build, what);
            // The exit code says it already; the sentence around it repeats the command.
            let error = if step.error.contains("exit code: ") { error } else { error.cause(reason(&message)) };
            error.excerpt(step.last_lines)
        }
        None => Error::new(Exit::Build, "the build failed").cause(reason(&message)),
    };
    hint.into_iter().fold(error, Error::hint)
}

/// The engine did not even begin.
pub(super) fn refused(error: RequestError, request: &BuildRequest<'_>, engine: &EngineFacts) -> Error {
    const WHAT: &str = "the Docker Engine refused the build";
    match error {
        RequestError::Refused { message, .. }
            if plugin_hint(&message).is_some() && engine.arch != request.platform.architecture() =>
        {
            let own = format!("{}/{}", engine.os, engine.arch);
            Error::new(Exit::Build, WHAT).cause(message).hint(format!(
                "Bitbucket's Docker builds for {own} alone: use a step or a runner of that architecture, `runtime: cloud: \
                 version: \"3\"`, or an engine of it as `builder:`; or take `platform: {}` out",
                request.platform
            ))
        }
        error => error.during(Exit::Build, WHAT),
    }
}

/// Whether the step's own program ended it. One that was killed may have been killed with its engine.
pub(super) fn ended_by_itself(error: &str) -> bool {
    capture(r"exit code: (\d+)", error).is_some_and(|code| code != "137" && code != "143")
}

/// The engine's sentence without the layers of Go functions in front of it.
fn reason(message: &str) -> String {
    const LAYERS: [&str; 9] = [
        "failed to solve with frontend dockerfile.v0: ",
        "failed to solve with frontend gateway.v0: ",
        "failed to solve: ",
        "rpc error: code = Unknown desc = ",
        "rpc error: code = NotFound desc = ",
        "rpc error: code = FailedPrecondition desc = ",
        "failed to create LLB definition: ",
        "failed to compute cache key: ",
        "failed to load cache key: ",
    ];
    let mut rest = message;
    while let Some(shorter) = LAYERS.iter().find_map(|layer| rest.strip_prefix(layer)) {
        rest = shorter;
    }
    // The reference is an internal id that nobody can look up.
    capture("^failed to calculate checksum of ref [^ ]+: (.+)$", rest).unwrap_or_else(|| rest.to_owned())
}

fn hint(message: &str, step: Option<&FailedStep>, request: &BuildRequest<'_>, engine: &EngineFacts) -> Option<String> {
    let lines = step.map(|step| step.last_lines.join("\n")).unwrap_or_default();
    let said = |text: &str| message.contains(text) || lines.contains(text);
    let platform = request.platform;
    if let Some(hint) = plugin_hint(message) {
        return Some(hint);
    }
    if said("exec format error") {
        let foreign = engine.arch != platform.architecture();
        return Some(if foreign {
            format!(
                "this engine is {} and has no emulation for {platform}: run `docker run --privileged --rm tonistiigi/binfmt \
                 --install {}` once",
                engine.arch,
                platform.architecture()
            )
        } else {
            format!("the base image or a program in it is not for {platform}: take one that is")
        });
    }
    if let Some(name) = capture(r"secret (\S+?):? not found", message) {
        return Some(format!("name `{name}` under `build_secrets` of the service: the Dockerfile mounts it"));
    }
    if said("no space left on device") {
        return Some("make room on the engine: `docker system df`, then `docker builder prune`".to_owned());
    }
    if message.contains("exit code: 137") || said("signal: killed") {
        return Some(format!("the step was killed, most likely for want of memory: {}", engine.more_memory));
    }
    if message.contains("SSH key") || message.contains("no ssh handler") {
        return Some(
            "no ssh agent is forwarded: take `--mount=type=ssh` out of that step, and mount a key or a token with \
             `build_secrets` and `--mount=type=secret`"
                .to_owned(),
        );
    }
    if message.contains("network.host") || message.contains("security.insecure") {
        return Some(
            "the engine gives builds no such right: take `--network=host` or `--security=insecure` out".to_owned(),
        );
    }
    if let Some(source) = capture(r#""/?([^"]+)":? not found"#, message) {
        return Some(missing_source(&source, request));
    }
    if let Some(name) = capture(r"/run/secrets/([A-Za-z0-9_.-]+)", &lines)
        && !request.build_secrets.contains_key(&name)
    {
        return Some(format!("name `{name}` under `build_secrets` of the service: the step reads it"));
    }
    if message.contains("illegal exclusion pattern") || message.contains("syntax error in pattern") {
        return Some("correct that line of the ignore file (.dockerignore, or the Dockerfile's own)".to_owned());
    }
    if message.contains("failed to parse") || message.contains("parse error") || message.contains("Unknown flag") {
        return Some(syntax(request, engine));
    }
    if message.contains("no match for platform") {
        return Some(format!("the base image does not exist for {platform}: choose another"));
    }
    if ["no such host", "i/o timeout", "connection refused", "TLS handshake timeout"]
        .iter()
        .any(|text| message.contains(text))
    {
        return Some("the engine could not reach that address: check its network, proxy and DNS settings".to_owned());
    }
    if ["Temporary failure in name resolution", "Could not resolve host", "bad address"]
        .iter()
        .any(|text| lines.contains(text))
    {
        return Some("the step found no DNS: check the network of the engine's containers".to_owned());
    }
    if said("pull access denied") || said("authorization failed") || said("401 Unauthorized") || said("403 Forbidden") {
        return Some(
            "the base image does not exist or needs a login: check its name, and log in with `docker login` to its registry"
                .to_owned(),
        );
    }
    if message.contains("manifest unknown") || message.contains(": not found") {
        return Some("check the name and the tag of the base image".to_owned());
    }
    if message.contains("could not be found") || message.contains("failed to reach build target") {
        return Some("correct `target` of the service: it is a stage (`FROM … AS NAME`) of the Dockerfile".to_owned());
    }
    None
}

fn syntax(request: &BuildRequest<'_>, engine: &EngineFacts) -> String {
    let dockerfile = request.dockerfile.display();
    // The frontend inside these engines is from 2020.
    if ["18.", "19.", "20."].iter().any(|old| engine.version.starts_with(old)) {
        return format!(
            "correct {dockerfile}; heredocs and `RUN --network` need `# syntax=docker/dockerfile:1` as its first line, or a \
             newer engine than {}",
            engine.version
        );
    }
    format!("correct {dockerfile}")
}

/// Why a COPY found nothing: the file is ignored, or not there.
fn missing_source(source: &str, request: &BuildRequest<'_>) -> String {
    if !request.context.join(source).exists() {
        return format!("there is no `{source}` in the build context {}", request.context.display());
    }
    let ignored_by = locate(request.context, request.dockerfile)
        .ok()
        .flatten()
        .filter(|ignore| Matcher::new(&ignore.patterns).and_then(|matcher| matcher.matches(source)).unwrap_or(false));
    match ignored_by {
        Some(ignore) => {
            format!("`{source}` is there, but {} excludes it: add the line `!{source}`", ignore.path.display())
        }
        None => format!("`{source}` is there, but it is not what the Dockerfile copies from: check its stages"),
    }
}

fn capture(expression: &str, text: &str) -> Option<String> {
    let found = Regex::new(expression).ok()?.captures(text)?;
    Some(found.get(1)?.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::{FailedStep, explain};
    use crate::config::specification::Platform;
    use crate::docker::build::request::BuildRequest;
    use crate::docker::build::request::tests::engine;

    fn with_request<T>(context: &Path, ask: impl FnOnce(&BuildRequest<'_>) -> T) -> T {
        let (args, labels) = (BTreeMap::new(), BTreeMap::new());
        ask(&BuildRequest {
            context,
            dockerfile: &context.join("Dockerfile"),
            target: None,
            platform: Platform::LinuxAmd64,
            build_args: &args,
            build_secrets: &args,
            labels: &labels,
            tags: &[],
            no_cache: false,
            inline_cache: false,
            cache_from: &[],
            registry_auth: &[],
        })
    }

    #[test]
    fn a_failing_step_is_named_with_its_exit_code_and_last_lines() {
        let step = FailedStep {
            name: "[2/2] RUN make".into(),
            error: "executor failed running [/bin/sh -c make]: exit code: 2".into(),
            last_lines: vec!["make: no rule".into()],
        };
        let error = with_request(Path::new("/nowhere"), |request| {
            explain("executor failed running [/bin/sh -c make]: exit code: 2", Some(step), request, &engine("amd64"))
        });
        assert_eq!(error.message(), "the build failed at `[2/2] RUN make` with exit code 2");
        assert_eq!(error.shown_excerpt(), ["make: no rule"]);
        assert!(error.causes().is_empty() && error.hints()[0].starts_with("nothing was pushed"), "{error:?}");
    }

    #[test]
    fn a_step_that_reads_an_unnamed_secret_is_told_its_name() {
        let step = FailedStep {
            name: "RUN x".into(),
            error: "exit code: 1".into(),
            last_lines: vec!["cat: can't open '/run/secrets/NPM': No such file or directory".into()],
        };
        let error = with_request(Path::new("/nowhere"), |request| {
            explain("exit code: 1", Some(step), request, &engine("amd64"))
        });
        assert!(error.hints()[0].contains("name `NPM` under `build_secrets`"), "{error:?}");
    }

    #[test]
    fn the_engines_sentence_loses_its_layers() {
        for (message, expected) in [
            (
                "failed to solve: failed to compute cache key: failed to calculate checksum of ref a::b: \"/x\": not found",
                "\"/x\": not found",
            ),
            (
                "failed to solve with frontend dockerfile.v0: failed to create LLB definition: target stage x",
                "target stage x",
            ),
        ] {
            assert_eq!(super::reason(message), expected);
        }
    }

    #[test]
    fn the_usual_failures_have_a_hint() {
        let context = tempfile::tempdir().unwrap();
        std::fs::write(context.path().join("kept"), "").unwrap();
        std::fs::write(context.path().join("dropped"), "").unwrap();
        std::fs::write(context.path().join(".dockerignore"), "dropped\n").unwrap();
        for (message, hint) in [
            ("failed to compute cache key: \"/dropped\" not found: not found", "excludes it: add the line `!dropped`"),
            (
                "failed to solve: failed to calculate checksum of ref a::b: \"/gone\": not found",
                "no `gone` in the build",
            ),
            ("secret npm not found: not found", "`npm` under `build_secrets`"),
            ("failed to solve: secret npm: not found", "`npm` under `build_secrets`"),
            ("exec /bin/sh: exec format error", "is not for linux/amd64"),
            ("pull access denied, repository does not exist or may require authorization", "`docker login`"),
            ("write /x: no space left on device", "docker builder prune"),
            ("dockerfile parse error line 2: unknown instruction: RUNN", "correct "),
            ("failed to do request: dial tcp: lookup r: no such host", "network"),
            ("illegal exclusion pattern: \"!\"", "ignore file"),
            ("docker.io/library/x:9: not found", "tag of the base image"),
            ("target stage x could not be found", "`target`"),
            ("authorization denied by plugin pipelines: no", "Bitbucket"),
            ("no SSH key \"default\" forwarded from the client", "`build_secrets`"),
            ("failed to load LLB: network.host is not allowed", "--network=host"),
            ("executor failed running [/bin/sh -c make]: exit code: 137", "give the engine more"),
        ] {
            let error = with_request(context.path(), |request| explain(message, None, request, &engine("amd64")));
            assert!(error.hints()[0].contains(hint), "{message}: {:?}", error.hints());
        }
        let error =
            with_request(context.path(), |request| explain("exec format error", None, request, &engine("arm64")));
        assert!(error.hints()[0].contains("binfmt --install amd64"), "{:?}", error.hints());
    }
}
