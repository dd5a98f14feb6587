//! The draft as the text of deploy.yaml: short where a default does, with a comment where a person has to decide.

use std::fmt::Write as _;

use super::draft::{Draft, EnvironmentDraft, ServiceDraft};
use super::scope::ENV;
use super::spread::Spread;

/// Where comments begin.
const COLUMN: usize = 36;

pub(super) fn render(draft: &Draft) -> String {
    let mut text = String::from("version: 1\n");
    aws(&mut text, draft);
    environments(&mut text, draft);
    text.push_str("\nservices:\n");
    for service in &draft.services {
        self::service(&mut text, service);
    }
    text
}

fn aws(text: &mut String, draft: &Draft) {
    text.push('\n');
    let open = draft.region.is_some() || draft.account.is_some();
    let mark = if open { "" } else { "# " };
    let _ = writeln!(text, "{mark}aws:");
    match &draft.region {
        Some(region) => {
            let _ = writeln!(text, "  region: {region}");
        }
        None => commented(
            text,
            &format!("{}region: eu-west-1", if open { "  # " } else { "#   " }),
            "decide: where ECR and ECS are",
        ),
    }
    if let Some(account) = &draft.account {
        let _ = writeln!(text, "  account: \"{account}\"");
    } else {
        let today = draft.account_hint.as_ref().map_or(String::new(), |today| format!(" ({today})"));
        let lead = if open { "  # " } else { "#   " };
        commented(
            text,
            &format!("{lead}account: \"123456789012\""),
            &format!("decide: any other account is then refused{today}"),
        );
    }
}

fn environments(text: &mut String, draft: &Draft) {
    text.push('\n');
    commented(text, "environments:", "in the order of promotion");
    let width = draft.environments.iter().map(|environment| scalar(&environment.name).len()).max().unwrap_or(0);
    for environment in &draft.environments {
        let EnvironmentDraft { name, branch, after, approval, deployment: _ } = environment;
        let prefix = if draft.bare { ", secret_prefix: \"\"" } else { "" };
        if after.is_none() && !approval && draft.role.is_none() {
            let name = format!("{}:", scalar(name));
            let _ = writeln!(text, "  {name:<0$} {{ branch: {1}{prefix} }}", width + 1, scalar(branch));
            continue;
        }
        let _ = writeln!(text, "  {}:\n    branch: {}", scalar(name), scalar(branch));
        if let Some(after) = after {
            commented(text, &format!("    after: {}", scalar(after)), &format!("only a commit that runs in {after}"));
        }
        if *approval {
            commented(text, "    approval: required", "a person says yes, each time");
        }
        if draft.bare {
            text.push_str("    secret_prefix: \"\"\n");
        }
        if let Some(role) = &draft.role {
            // A role of another account than the one above would be refused: then a person has to say which is right.
            let fits = draft.account.as_ref().is_none_or(|account| role.contains(&format!("::{account}:")));
            let (lead, why) = match fits {
                true => ("    ", "opened by the pipeline's OIDC token"),
                false => ("    # ", "decide: it is of another account"),
            };
            commented(text, &format!("{lead}aws: {{ role: \"{role}\" }}"), why);
        }
    }
}

fn service(text: &mut String, service: &ServiceDraft) {
    let _ = writeln!(text, "  {}:", scalar(&service.name));
    let mut key = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "    {name}: {value}");
        }
    };
    key("context", (service.context != ".").then(|| scalar(&service.context)));
    key("dockerfile", (service.dockerfile != "Dockerfile").then(|| scalar(&service.dockerfile)));
    key("target", service.target.as_deref().map(scalar));
    key("platform", service.platform.clone());
    key("secrets", list(&service.secrets));
    if !service.build_args.is_empty() {
        commented(text, "    build_args:", "baked in: readable in the image by whoever can pull it");
        for (name, value) in &service.build_args {
            let _ = writeln!(text, "      {name}: {}", scalar(value));
        }
    }
    if let Some(mounts) = list(&service.build_secrets) {
        let _ = writeln!(text, "    build_secrets: {mounts}");
    }
    if let Some(paths) = list(&service.paths) {
        let _ = writeln!(text, "    paths: {paths}");
    }
    let repository = format!("    repository: {}", scalar(&service.repository.common));
    if service.repository_guessed {
        commented(text, &repository, "decide: is the ECR repository called so?");
    } else {
        let _ = writeln!(text, "{repository}");
    }
    for (name, spread) in [("cluster", &service.cluster), ("service", &service.service)] {
        if let Some(spread) = spread {
            let _ = writeln!(text, "    {name}: {}", scalar(&spread.common));
        }
    }
    if let Some(container) = &service.container {
        let _ = writeln!(text, "    container: {}", scalar(container));
    }
    own(text, service);
}

/// What differs by environment.
fn own(text: &mut String, service: &ServiceDraft) {
    let all: [(&str, Option<&Spread>); 3] = [
        ("repository", Some(&service.repository)),
        ("cluster", service.cluster.as_ref()),
        ("service", service.service.as_ref()),
    ];
    let mut environments: Vec<&str> = Vec::new();
    for (environment, _) in all.iter().filter_map(|(_, spread)| *spread).flat_map(|spread| &spread.own) {
        if !environments.contains(&environment.as_str()) {
            environments.push(environment);
        }
    }
    if environments.is_empty() {
        return;
    }
    text.push_str("    environments:\n");
    for environment in environments {
        let keys: Vec<String> = all
            .iter()
            .filter_map(|(name, spread)| {
                let (_, value) = (*spread)?.own.iter().find(|(own, _)| own == environment)?;
                Some(format!("{name}: {}", scalar(value)))
            })
            .collect();
        let _ = writeln!(text, "      {}: {{ {} }}", scalar(environment), keys.join(", "));
    }
}

fn list(items: &[String]) -> Option<String> {
    let items: Vec<String> = items.iter().map(|item| scalar(item)).collect();
    (!items.is_empty()).then(|| format!("[{}]", items.join(", ")))
}

fn commented(text: &mut String, line: &str, comment: &str) {
    let _ = writeln!(text, "{line:<COLUMN$}# {comment}");
}

/// A scalar that is read back as this text: plain where it can be no other, quoted otherwise.
pub(super) fn scalar(text: &str) -> String {
    // `${NAME}` alone is plain YAML outside of a flow map; a list or a map in one line takes it in quotes.
    let whole =
        text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).is_some_and(crate::init::shell::is_name);
    let rest = text.replace(ENV, "x");
    let safe = rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_' || c == '.')
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    let word =
        matches!(rest.to_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n");
    let numeric = rest.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit())
        || matches!(rest.to_lowercase().as_str(), ".inf" | ".nan");
    if whole || safe && !word && !numeric {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t"))
}
