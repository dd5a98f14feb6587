//! How a plan is printed: what would be done, by service, and then whatever stands in the way.

pub(super) mod archive;

use std::time::Duration;

use super::line::{Line, Tone};
use super::out::{Out, To};
use super::words;
use crate::changes::{Change, Work};
use crate::plan::{Finding, Plan, ServicePlan};
use crate::reuse::in_words;
use crate::scan::Severity;
use crate::source::{Promotion, Reuse, Source};

/// Columns that the names of facts take.
const LABEL: usize = 14;

/// The whole plan, as the answer of a dry run.
pub(crate) fn print(out: &Out, plan: &Plan) {
    for line in lines(plan) {
        out.line(To::Data, &line);
    }
}

/// The plan in a line or two a service, for a deploy that is about to act.
pub(super) fn in_short(plan: &Plan, verbose: u8) -> Vec<Line> {
    let mut lines: Vec<Line> = plan
        .services
        .iter()
        .flat_map(|service| [Some(service_in_short(service)), image_in_short(service, verbose)])
        .flatten()
        .collect();
    lines.extend(plan.archives.iter().map(archive::in_short));
    let warning =
        |text: &String| Line::new().toned(Tone::Warning, "warning").plain(": ").plain(text.clone()).hanging(4);
    lines.extend(plan.warnings.iter().map(warning));
    lines.extend(plan.findings.iter().flat_map(|finding| finding_lines("", finding)));
    lines
}

fn service_in_short(service: &ServicePlan) -> Line {
    let line = Line::new().strong(service.service.clone());
    let reason = &service.change.reason;
    if service.change.is_nothing() {
        return line.plain(format!(": {reason}"));
    }
    let running = match (service.running_revision.as_deref(), &service.running_digest) {
        (Some(revision), _) => format!("{} runs there; ", words::short_revision(revision)),
        (None, Some(_)) => "what runs there has no recorded revision; ".to_owned(),
        (None, None) if reason.ends_with("nothing runs there") => String::new(),
        (None, None) => "nothing runs there yet; ".to_owned(),
    };
    line.plain(format!(": service {} in cluster {}; {running}{reason}", service.ecs_service, service.cluster))
        .hanging(4)
}

/// Where the image comes from, if that is worth a line: it is reused, or there is something to compare it with, or more
/// is to be said.
fn image_in_short(service: &ServicePlan, verbose: u8) -> Option<Line> {
    let told = match &service.source {
        Source::Build(build) => verbose > 0 || !build.differs.is_empty() || build.without_cache,
        Source::Reuse(_) | Source::Promote(_) => true,
    };
    let image = image(&service.source).filter(|_| told)?;
    Some(Line::new().strong(service.service.clone()).plain(": image ").plain(image).hanging(4))
}

fn lines(plan: &Plan) -> Vec<Line> {
    let mut lines = vec![Line::new().strong(format!("plan for {}", plan.environment))];
    let facts = [
        ("revision", Some(revision(plan))),
        ("account", plan.account.clone()),
        ("region", Some(plan.region.clone())),
        ("identity", plan.identity.clone()),
        ("engine", plan.engine.clone()),
    ];
    lines.extend(facts.into_iter().filter_map(|(label, value)| Some(fact(label, value?))));
    for service in &plan.services {
        lines.push(Line::new());
        lines.extend(service_lines(service));
    }
    for zip in &plan.archives {
        lines.push(Line::new());
        lines.extend(archive::lines(zip));
    }
    if !plan.warnings.is_empty() {
        lines.push(Line::new());
        lines.push(Line::new().toned(Tone::Warning, "to know"));
        lines.extend(plan.warnings.iter().map(|text| Line::new().plain("  ").plain(text.clone()).hanging(4)));
    }
    if !plan.unchecked.is_empty() {
        lines.push(Line::new());
        lines.push(Line::new().toned(Tone::Warning, "not checked"));
        lines.extend(plan.unchecked.iter().map(|text| Line::new().plain("  ").plain(text.clone()).hanging(4)));
    }
    if !plan.findings.is_empty() {
        lines.push(Line::new());
        lines.push(Line::new().toned(Tone::Bad, "in the way"));
        lines.extend(plan.findings.iter().flat_map(|finding| finding_lines("  ", finding)));
    }
    lines.push(Line::new());
    lines
}

fn service_lines(service: &ServicePlan) -> Vec<Line> {
    let names = |names: &[String]| (!names.is_empty()).then(|| names.join(", "));
    let mut lines = vec![Line::new().strong(service.service.clone())];
    let tasks = service.desired.map(|desired| format!(", {}", words::count(desired, "task"))).unwrap_or_default();
    let facts = [
        ("repository", Some(service.repository.clone())),
        ("service", Some(format!("{} in cluster {}{tasks}", service.ecs_service, service.cluster))),
        ("changed", Some(changed(service))),
        ("platform", Some(service.platform.clone())),
        ("image", image(&service.source)),
        ("tags", names(&service.tags)),
        ("secrets", names(&service.secrets)),
        ("build args", names(&service.build_args)),
        ("build secrets", names(&service.build_secrets)),
        ("latest is", service.latest_digest.as_deref().map(words::short_digest)),
        ("running", running(service)),
    ];
    lines.extend(facts.into_iter().filter_map(|(label, value)| Some(fact(label, value?))));
    if service.change.is_nothing() {
        return lines;
    }
    for (at, action) in actions(service).into_iter().enumerate() {
        lines.push(Line::new().dim(format!("  {:>2}. ", at + 1)).plain(action).hanging(6));
    }
    lines
}

/// Whether there is anything to do, and why.
fn changed(service: &ServicePlan) -> String {
    let Change { work, reason, .. } = &service.change;
    match work {
        Work::Nothing => format!("no: {reason}"),
        Work::Deploy | Work::Build => reason.clone(),
    }
}

/// How the image comes to be; `None` where that was not looked at.
pub(super) fn image(source: &Source) -> Option<String> {
    match source {
        Source::Build(build) => {
            let why = build.why.as_deref()?;
            Some(match build.differs.as_slice() {
                [] => format!("to be built: {why}"),
                differs => format!("to be built: {why}; other than in latest: {}", differs.join(", ")),
            })
        }
        Source::Reuse(reuse) => Some(reused(reuse)),
        Source::Promote(promotion) => Some(promoted(promotion)),
    }
}

/// `promoted from sandbox sha256:… (git 1a2b3c4d5e6f)`
fn promoted(promotion: &Promotion) -> String {
    let from = format!("promoted from {}", promotion.from);
    match (&promotion.digest, &promotion.revision) {
        (Some(digest), Some(revision)) => format!("{from} {digest} (git {})", words::short_revision(revision)),
        (Some(digest), None) => format!("{from} {digest}"),
        (None, _) => format!("{from}, where nothing is live that could be"),
    }
}

/// `reused from ck1-… (built from 1a2b3c4d5e6f, 3 days ago)`
fn reused(reuse: &Reuse) -> String {
    let from = reuse.revision.as_deref().map(|revision| format!("built from {}", words::short_revision(revision)));
    let ago = reuse.age_seconds.map(|seconds| format!("{} ago", in_words(Duration::from_secs(seconds))));
    let told: Vec<String> = [from, ago].into_iter().flatten().collect();
    let short: String = reuse.tag.chars().take(16).collect();
    if told.is_empty() {
        format!("reused from {short}…")
    } else {
        format!("reused from {short}… ({})", told.join(", "))
    }
}

/// What will be done, in order.
pub(super) fn actions(service: &ServicePlan) -> Vec<String> {
    let tasks = match service.desired {
        Some(0) => "nothing to prove: no task is wanted".to_owned(),
        Some(desired) => format!(
            "prove that {} the pushed digest",
            if desired == 1 { "its task runs".to_owned() } else { format!("all {desired} tasks run") }
        ),
        None => "prove what runs".to_owned(),
    };
    let (mut steps, put) = match &service.source {
        Source::Build(build) => {
            let without = if build.without_cache { ", without any cache" } else { "" };
            (vec![format!("build the image for {}{without}", service.platform)], "push")
        }
        Source::Promote(promotion) => {
            let Promotion { repository, from, .. } = promotion;
            (vec![format!("copy the image from the repository {repository} of {from}: nothing is built")], "push")
        }
        Source::Reuse(_) => {
            (vec!["take the image of the same inputs: nothing is built".to_owned()], "put the tag on it:")
        }
    };
    match service.depends_on.as_slice() {
        [] => steps.push(format!("{put} {}", service.tags.join(", then "))),
        others => {
            steps.extend(service.tags.iter().filter(|tag| *tag != "latest").map(|tag| format!("{put} {tag}")));
            steps.push(format!(
                "wait until {} {} deployed",
                words::list(others),
                if others.len() == 1 { "is" } else { "are" }
            ));
            steps.push(format!("{put} latest"));
        }
    }
    if let Some(gate) = &service.scan {
        let timeout = humantime::format_duration(std::time::Duration::from_secs(gate.timeout));
        let push = steps.pop().unwrap_or_default();
        let first: Vec<&str> = service.tags.iter().map(String::as_str).filter(|tag| *tag != "latest").collect();
        // With the commit's tag in place already, a tag for the scan goes first.
        steps.push(if first.is_empty() { push } else { format!("push {}", first.join(", then ")) });
        steps.push(format!("wait for ECR's scan, up to {timeout}: {} stops it here", or_worse(gate.fail_on)));
        if !first.is_empty() {
            steps.push(format!("{put} latest"));
        }
    }
    if let Some(command) = &service.before_deploy {
        steps.push(format!("run a task of its own on it to its good end: {}", command.join(" ")));
    }
    steps.extend([format!("force a new deployment of {} in cluster {}", service.ecs_service, service.cluster), tasks]);
    steps
}

fn or_worse(severity: Severity) -> String {
    match severity {
        Severity::Critical => "a critical finding".to_owned(),
        other => format!("a finding that is {other} or worse"),
    }
}

/// The commit with its subject.
fn revision(plan: &Plan) -> String {
    match &plan.revision.subject {
        Some(subject) => format!("{} {subject}", plan.revision.short()),
        None => plan.revision.short(),
    }
}

/// The revision that runs, as far as it is recorded, and its digest.
pub(super) fn running(service: &ServicePlan) -> Option<String> {
    let digest = service.running_digest.as_deref().map(words::short_digest)?;
    Some(match service.running_revision.as_deref() {
        Some(revision) => format!("{} ({digest})", words::short_revision(revision)),
        None => digest,
    })
}

fn fact(label: &str, value: String) -> Line {
    Line::new().dim(format!("  {label:<LABEL$}")).plain(value).hanging(LABEL + 2)
}

fn finding_lines(margin: &str, finding: &Finding) -> Vec<Line> {
    let mut line = Line::new().plain(margin).toned(Tone::Bad, "✗ ");
    if let Some(service) = &finding.service {
        line = line.strong(service.clone()).plain(": ");
    }
    let code = format!(" (exit code {})", finding.exit_code.code());
    let mut texts = finding.text.lines();
    let mut lines = vec![line.plain(texts.next().unwrap_or_default()).dim(code).hanging(margin.len() + 2)];
    lines.extend(texts.map(|text| Line::new().plain(format!("{margin}  ")).plain(text).hanging(margin.len() + 4)));
    lines.extend(finding.hint.iter().flat_map(|hint| super::error::hint(&format!("{margin}  "), hint)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::report::SharedRedactor;
    use crate::revision::Revision;
    use crate::source::Build;

    fn plan() -> Plan {
        Plan {
            environment: "dev".to_owned(),
            branch: Some("develop".to_owned()),
            revision: Revision {
                commit: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d".to_owned(),
                dirty: false,
                subject: Some("Say hello".to_owned()),
                author: None,
            },
            account: Some("123456789012".to_owned()),
            region: "ap-south-1".to_owned(),
            identity: None,
            engine: None,
            approval: false,
            archives: Vec::new(),
            names: vec!["api".to_owned()],
            services: vec![ServicePlan {
                service: "api".to_owned(),
                repository: "api-dev".to_owned(),
                platform: "linux/amd64".to_owned(),
                change: Change::build("app changed since 000000000000"),
                source: Source::Build(Build::default()),
                secrets: Vec::new(),
                build_args: vec!["LOG_LEVEL".to_owned()],
                build_secrets: Vec::new(),
                tags: vec!["git-1a2b3c4d5e6f".to_owned(), "latest".to_owned()],
                before_deploy: Some(vec!["./migrate".to_owned(), "up".to_owned()]),
                scan: None,
                depends_on: Vec::new(),
                cluster: "dev".to_owned(),
                ecs_service: "api".to_owned(),
                service_arn: None,
                container: None,
                desired: Some(2),
                previous_deployment: None,
                running_digest: None,
                running_revision: None,
                latest_digest: Some("sha256:fedcba9876543210".to_owned()),
                recorded: std::collections::BTreeMap::new(),
            }],
            findings: vec![Finding {
                service: Some("api".to_owned()),
                exit_code: Exit::Aws,
                text: "the repository api-dev does not exist".to_owned(),
                hint: Some("create it".to_owned()),
            }],
            warnings: vec!["api: versionConsistency is disabled".to_owned()],
            unchecked: vec!["the Docker Engine: none is reachable".to_owned()],
        }
    }

    fn printed(width: Option<usize>) -> String {
        let (out, memory) = Out::to_memory(SharedRedactor::default(), width);
        print(&out, &plan());
        let lines = memory.lock().unwrap();
        lines.iter().map(|(_, line)| line.trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn a_plan_reads_from_top_to_bottom() {
        assert_eq!(
            printed(Some(160)),
            "plan for dev\n\
             \x20 revision      1a2b3c4d5e6f Say hello\n\
             \x20 account       123456789012\n\
             \x20 region        ap-south-1\n\
             \n\
             api\n\
             \x20 repository    api-dev\n\
             \x20 service       api in cluster dev, 2 tasks\n\
             \x20 changed       app changed since 000000000000\n\
             \x20 platform      linux/amd64\n\
             \x20 tags          git-1a2b3c4d5e6f, latest\n\
             \x20 build args    LOG_LEVEL\n\
             \x20 latest is     sha256:fedcba987654\n\
             \x20  1. build the image for linux/amd64\n\
             \x20  2. push git-1a2b3c4d5e6f, then latest\n\
             \x20  3. run a task of its own on it to its good end: ./migrate up\n\
             \x20  4. force a new deployment of api in cluster dev\n\
             \x20  5. prove that all 2 tasks run the pushed digest\n\
             \n\
             to know\n\
             \x20 api: versionConsistency is disabled\n\
             \n\
             not checked\n\
             \x20 the Docker Engine: none is reachable\n\
             \n\
             in the way\n\
             \x20 ✗ api: the repository api-dev does not exist (exit code 7)\n\
             \x20   hint: create it\n\
             \n"
        );
    }

    #[test]
    fn a_narrow_screen_wraps_under_the_text() {
        let text = printed(Some(40));
        assert!(text.contains("   4. force a new deployment of api in\n      cluster dev\n"), "{text}");
    }
}
