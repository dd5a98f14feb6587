//! A review as a Code Insights report of Bitbucket Cloud: the report, and annotations beside the lines. Texts are shown
//! there as they are, so nothing is escaped; all have a greatest length. Sending is `ci/insights.rs`.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Level, Remark, Review, What};

/// Bitbucket takes this many annotations for a report.
const MOST: usize = 1000;
/// Characters of a report's or an annotation's details.
const DETAILS: usize = 2000;
/// Characters of an annotation's summary.
const SUMMARY: usize = 450;

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Insights {
    /// The report's key on the commit: a second run replaces the first.
    pub(crate) id: String,
    pub(crate) report: Value,
    pub(crate) annotations: Vec<Annotation>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Annotation {
    external_id: String,
    #[serde(rename = "annotation_type")]
    kind: &'static str,
    summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
    severity: &'static str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
}

/// `link` is where the run can be looked at.
pub(crate) fn insights(review: &Review, link: Option<&str>) -> Insights {
    let id = match &review.environment {
        Some(environment) => format!("shipit-{}-{environment}", review.what.word()),
        None => format!("shipit-{}", review.what.word()),
    };
    let good = review.exit == crate::exit::Exit::Success;
    let mut report = json!({
        "title": format!("shipit: {}", review.title()),
        "details": cut(&details(review), DETAILS),
        "report_type": "TEST",
        "reporter": "shipit",
        "result": if good { "PASSED" } else { "FAILED" },
        "data": data(review),
    });
    if let Some(link) = link {
        report["link"] = json!(link);
    }
    let annotations = review.remarks.iter().take(MOST).enumerate();
    Insights { annotations: annotations.map(|(at, remark)| annotation(&id, at, remark)).collect(), report, id }
}

fn annotation(id: &str, at: usize, remark: &Remark) -> Annotation {
    let about = remark.service.as_ref().map(|service| format!("{service}: ")).unwrap_or_default();
    let (first, rest) = remark.text.split_once('\n').unwrap_or((&remark.text, ""));
    let hint = remark.hint.as_ref().map(|hint| format!("hint: {hint}"));
    let more: Vec<&str> = [Some(rest).filter(|rest| !rest.is_empty()), hint.as_deref()].into_iter().flatten().collect();
    let (severity, result) = match remark.level {
        Level::Error => ("HIGH", "FAILED"),
        Level::Warning => ("LOW", "PASSED"),
        Level::Unchecked => ("LOW", "SKIPPED"),
    };
    Annotation {
        external_id: format!("{id}-{}", at + 1),
        kind: if remark.level == Level::Error { "BUG" } else { "CODE_SMELL" },
        summary: cut(&format!("{about}{first}"), SUMMARY),
        details: (!more.is_empty()).then(|| cut(&more.join("\n"), DETAILS)),
        severity,
        result,
        path: remark.place.as_ref().map(|(path, _)| path.clone()),
        line: remark.place.as_ref().map(|(_, line)| *line),
    }
}

/// How it ended, and a line for each service.
fn details(review: &Review) -> String {
    let mut lines = vec![review.sentence()];
    for row in &review.rows {
        let before = row.before.as_deref().unwrap_or("nothing recorded");
        let after = row.after.as_deref().unwrap_or("nothing");
        let verdict = row.verdict.map(|verdict| format!(" {verdict},")).unwrap_or_default();
        let image = row.image.as_ref().filter(|_| review.what == What::Plan);
        let image = image.map(|image| format!("; image {image}")).unwrap_or_default();
        lines.push(format!("{}:{verdict} {before} to {after}{image}", row.service));
    }
    lines.join("\n")
}

/// At most ten fields are shown; these are fewer.
fn data(review: &Review) -> Vec<Value> {
    let mut data = Vec::new();
    let mut add = |title: &str, kind: &str, value: Value| {
        data.push(json!({"title": title, "type": kind, "value": value}));
    };
    if let Some(environment) = &review.environment {
        add("Environment", "TEXT", json!(environment));
    }
    for (name, value) in review.facts.iter().filter(|(name, _)| matches!(*name, "revision" | "branch" | "approved by"))
    {
        let mut title = (*name).to_owned();
        title[..1].make_ascii_uppercase();
        add(&title, "TEXT", json!(cut(value, 100)));
    }
    if !review.rows.is_empty() {
        add("Services", "NUMBER", json!(review.rows.len()));
    }
    add("Findings", "NUMBER", json!(review.count(Level::Error)));
    add("Warnings", "NUMBER", json!(review.count(Level::Warning)));
    if review.what != What::Deploy {
        add("Not checked", "NUMBER", json!(review.count(Level::Unchecked)));
    }
    data
}

/// As many characters as there is room for, and a sign that more was said.
fn cut(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    text.chars().take(characters - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::insights;
    use crate::report::review::testdata;

    #[test]
    fn a_plan_is_a_report_with_its_findings_beside_the_lines() {
        let sent = insights(&testdata::plan(), Some("https://bitbucket.org/team/shop/pipelines/results/7"));
        assert_eq!(sent.id, "shipit-plan-dev");
        assert_eq!(sent.report["result"], "FAILED");
        assert_eq!(sent.report["title"], "shipit: plan for dev");
        assert_eq!(sent.report["link"], "https://bitbucket.org/team/shop/pipelines/results/7");
        let details = sent.report["details"].as_str().unwrap();
        assert!(details.starts_with("1 finding in the way of this deploy (exit code 7)\napi: refused,"), "{details}");
        assert!(sent.report["data"].as_array().unwrap().len() <= 10);
        assert_eq!(
            json!(sent.annotations[0]),
            json!({
                "external_id": "shipit-plan-dev-1", "annotation_type": "BUG", "severity": "HIGH", "result": "FAILED",
                "summary": "api: the repository api-dev does not exist", "details": "hint: create it",
                "path": "deploy.yaml", "line": 7,
            })
        );
        assert_eq!(json!(sent.annotations[1])["result"], "PASSED");
    }

    #[test]
    fn nothing_is_longer_or_more_than_bitbucket_takes() {
        let mut review = testdata::plan();
        review.remarks_mut()[0].text = format!("{}\n{}", "é".repeat(600), "x".repeat(3000));
        let first = review.remarks[0].clone();
        review.remarks.extend(std::iter::repeat_n(first, 1200));
        let sent = insights(&review, None);
        assert_eq!(sent.annotations.len(), 1000);
        let first = json!(sent.annotations[0]);
        assert_eq!(first["summary"].as_str().unwrap().chars().count(), 450);
        assert_eq!(first["details"].as_str().unwrap().chars().count(), 2000);
        assert!(sent.report.get("link").is_none());
    }
}
