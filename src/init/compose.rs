//! Docker Compose files: the services with a `build:` have a name, a context and a Dockerfile. Their arguments and
//! variables are for a developer's machine and are not taken over.

use serde_yaml::Value;

use super::evidence::Place;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ComposeService {
    pub(super) name: String,
    /// From the project's folder.
    pub(super) context: String,
    /// From the project's folder.
    pub(super) dockerfile: String,
    pub(super) target: Option<String>,
    pub(super) at: Place,
}

pub(super) fn is_compose(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    matches!(name, "docker-compose.yml" | "docker-compose.yaml" | "compose.yml" | "compose.yaml")
}

/// The services that are built; none of a file that cannot be read.
pub(super) fn read(path: &str, text: &str) -> Vec<ComposeService> {
    let Ok(Value::Mapping(top)) = serde_yaml::from_str::<Value>(text) else { return Vec::new() };
    let Some(Value::Mapping(services)) = top.get("services") else { return Vec::new() };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    for (name, service) in services {
        let (Some(name), Some(build)) = (name.as_str(), service.get("build")) else { continue };
        let of = |key: &str| build.get(key).and_then(Value::as_str).map(str::to_owned);
        let context = build.as_str().map(str::to_owned).or_else(|| of("context")).unwrap_or_else(|| ".".to_owned());
        if context.contains("://") || context.contains('$') {
            continue;
        }
        let Some(context) = join(folder, &context) else { continue };
        let Some(dockerfile) = join(&context, of("dockerfile").as_deref().unwrap_or("Dockerfile")) else { continue };
        let line = text.lines().position(|line| line.trim().trim_matches(['"', '\'']).strip_suffix(':') == Some(name));
        found.push(ComposeService {
            name: name.to_owned(),
            context: if context.is_empty() { ".".to_owned() } else { context },
            dockerfile,
            target: of("target").filter(|target| !target.contains('$')),
            at: Place { file: path.to_owned(), line: line.map(|index| index + 1) },
        });
    }
    found
}

/// `path` as seen from the folder, without `.` and `..`; `None` where it leads out of the project.
pub(super) fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    let all = folder.split('/').chain(path.split('/'));
    for part in all.filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    (!path.starts_with('/')).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::{join, read};

    #[test]
    fn services_that_are_built() {
        let text = "services:\n  db:\n    image: postgres\n  web:\n    build: ./web\n  api:\n    build:\n      context: ..\n      dockerfile: docker/api.Dockerfile\n      target: run\n";
        let found = read("deploy/compose.yml", text);
        let shown: Vec<String> =
            found.iter().map(|one| format!("{} {} {} {}", one.name, one.context, one.dockerfile, one.at)).collect();
        assert_eq!(
            shown,
            [
                "web deploy/web deploy/web/Dockerfile deploy/compose.yml:4",
                "api . docker/api.Dockerfile deploy/compose.yml:6"
            ]
        );
        assert!(read("compose.yml", ":").is_empty());
        assert_eq!((join("", "../x"), join("a", "../b/./c"), join("a", "/b")), (None, Some("b/c".to_owned()), None));
    }
}
