//! A run as whoever reviews a change sees it: what would be done or was done, by service, and every remark beside the line
//! that it is about. Pure: what is sent where is decided in `commands/review.rs`.
//!
//! All texts are cleaned of secrets and control characters here, before any format escapes them.

mod github;
mod insights;
mod markdown;
#[cfg(test)]
mod testdata;

use super::{plan, words};
use crate::archive::place;
use crate::error::Error;
use crate::exit::Exit;
use crate::plan::{Finding, Plan, ServicePlan};
use crate::receipt::Receipt;
use crate::verdict::{Outcome, Verdict};

pub(crate) use github::{commands as github_commands, summary as github_summary};
pub(crate) use insights::{Insights, insights};
pub(crate) use markdown::markdown;

/// What was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Check,
    Plan,
    Deploy,
}

impl What {
    /// As it stands in titles and in the key of a report.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Plan => "plan",
            Self::Deploy => "deploy",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Review {
    pub(crate) what: What,
    pub(crate) environment: Option<String>,
    /// With what the process ends.
    pub(crate) exit: Exit,
    commit: Option<String>,
    /// What is the same for all services: a name and a value, in the order of showing.
    facts: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    remarks: Vec<Remark>,
}

/// One service.
#[derive(Clone, Debug, Default)]
struct Row {
    service: String,
    verdict: Option<Verdict>,
    /// What changed, or why it is so, where the remarks do not say it.
    why: Option<String>,
    /// What runs, or ran before.
    before: Option<String>,
    /// The revision that would run, or runs.
    after: Option<String>,
    image: Option<String>,
    digest: Option<String>,
    url: Option<String>,
    seconds: f64,
    /// What would be done, in order.
    steps: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error,
    Warning,
    /// It could not be looked at.
    Unchecked,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) level: Level,
    pub(crate) service: Option<String>,
    pub(crate) text: String,
    pub(crate) hint: Option<String>,
    /// From the top of the repository, with the line, counted from 1.
    pub(crate) place: Option<(String, usize)>,
}

impl Review {
    /// Of `shipit check`.
    pub(crate) fn of_check(environment: Option<&str>, errors: &[Error], warnings: &[Error]) -> Self {
        let remarks = errors.iter().flat_map(|error| of_error(Level::Error, error));
        let remarks = remarks.chain(warnings.iter().flat_map(|error| of_error(Level::Warning, error))).collect();
        let environment = environment.map(str::to_owned);
        Self { environment, remarks, ..Self::nothing(What::Check) }
    }

    /// Of a deploy, or of its dry run. `plan` is absent when the run ended before it had one.
    pub(crate) fn of_deploy(
        what: What,
        noted: &Receipt,
        plan: Option<&Plan>,
        ended: Result<&[Outcome], &Error>,
    ) -> Self {
        let mut remarks: Vec<Remark> = plan.into_iter().flat_map(of_plan).collect();
        let outcomes = ended.unwrap_or_default();
        for outcome in outcomes.iter().filter(|outcome| outcome.exit_code != Exit::Success) {
            let told = |finding: &Finding| finding.service.as_deref().is_none_or(|name| name == outcome.service);
            if outcome.verdict == Verdict::Refused && plan.is_some_and(|plan| plan.findings.iter().any(told)) {
                continue;
            }
            remarks.push(of_outcome(outcome));
        }
        if let Err(error) = ended {
            remarks.extend(of_error(Level::Error, error));
        }
        remarks.sort_by_key(|remark| remark.level);
        Self {
            environment: noted.environment.clone(),
            commit: noted.revision.clone(),
            facts: facts(noted),
            rows: rows(plan, outcomes),
            remarks,
            ..Self::nothing(what)
        }
    }

    fn nothing(what: What) -> Self {
        let (facts, rows, remarks) = (Vec::new(), Vec::new(), Vec::new());
        Self { what, environment: None, exit: Exit::Success, commit: None, facts, rows, remarks }
    }

    /// The full hash, with `-dirty` where the tree was not clean.
    pub(crate) fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    pub(crate) fn remarks_mut(&mut self) -> &mut [Remark] {
        &mut self.remarks
    }

    /// `clean` takes out what nobody may read.
    pub(crate) fn clean(&mut self, clean: impl Fn(&str) -> String) {
        let some = |text: &mut Option<String>| {
            if let Some(text) = text {
                *text = clean(text);
            }
        };
        some(&mut self.environment);
        for (_, value) in &mut self.facts {
            *value = clean(value);
        }
        for row in &mut self.rows {
            let Row { service, verdict: _, why, before, after, image, digest, url, seconds: _, steps } = row;
            *service = clean(service);
            [why, before, after, image, digest, url].into_iter().for_each(some);
            for step in steps {
                *step = clean(step);
            }
        }
        for Remark { level: _, service, text, hint, place } in &mut self.remarks {
            *text = clean(text);
            [service, hint].into_iter().for_each(some);
            if let Some((path, _)) = place {
                *path = clean(path);
            }
        }
    }

    /// `plan for dev`
    fn title(&self) -> String {
        match &self.environment {
            Some(environment) => format!("{} for {environment}", self.what.word()),
            None => self.what.word().to_owned(),
        }
    }

    /// How it ended, in a sentence without its period.
    fn sentence(&self) -> String {
        let found = words::count(self.count(Level::Error) as u64, "finding");
        let code = self.exit.code();
        match (self.what, self.exit) {
            (What::Check, Exit::Success) => "nothing is wrong".to_owned(),
            (What::Plan, Exit::Success) if self.rows.iter().all(|row| row.verdict == Some(Verdict::Unchanged)) => {
                "there is nothing to do".to_owned()
            }
            (What::Plan, Exit::Success) => "nothing is in the way of this deploy; nothing was changed".to_owned(),
            (What::Deploy, Exit::Success) => {
                let verdicts = self.rows.iter().filter_map(|row| Some(format!("{}: {}", row.service, row.verdict?)));
                verdicts.collect::<Vec<_>>().join(", ")
            }
            (What::Check, _) => format!("{found} (exit code {code})"),
            (What::Plan, _) => format!("{found} in the way of this deploy (exit code {code})"),
            (What::Deploy, Exit::Interrupted) => "interrupted".to_owned(),
            (What::Deploy, _) => {
                let good = |row: &&Row| row.verdict.is_some_and(Verdict::is_good);
                let bad = self.rows.iter().filter(|row| !good(row)).map(|row| row.service.as_str());
                let bad = bad.collect::<Vec<_>>();
                match bad.as_slice() {
                    [] => format!("failed (exit code {code})"),
                    names => format!("failed: {} (exit code {code})", words::list(names)),
                }
            }
        }
    }

    fn count(&self, level: Level) -> usize {
        self.remarks.iter().filter(|remark| remark.level == level).count()
    }
}

/// What is known of the run as a whole.
fn facts(noted: &Receipt) -> Vec<(&'static str, String)> {
    let revision = noted.revision.as_deref().map(|revision| {
        let revision = words::short_revision(revision);
        noted.subject.as_ref().map_or_else(|| revision.clone(), |subject| format!("{revision} {subject}"))
    });
    let facts = [
        ("project", noted.project.clone()),
        ("revision", revision),
        ("author", noted.author.clone()),
        ("branch", noted.branch.clone()),
        ("account", noted.account.clone()),
        ("region", noted.region.clone()),
        ("approved by", noted.approved_by.clone()),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A row for each service of the plan, and for each that has a verdict without being in it.
fn rows(plan: Option<&Plan>, outcomes: &[Outcome]) -> Vec<Row> {
    let revision = plan.map(|plan| plan.revision.short());
    let planned: Vec<&ServicePlan> = plan.iter().flat_map(|plan| &plan.services).collect();
    let mut rows: Vec<Row> = planned
        .iter()
        .map(|service| Row {
            service: service.service.clone(),
            before: plan::running(service),
            after: revision.clone(),
            image: plan::image(&service.source),
            why: Some(service.change.reason.clone()),
            steps: plan::actions(service),
            ..Row::default()
        })
        .collect();
    rows.extend(plan.iter().flat_map(|plan| &plan.archives).map(|zip| Row {
        service: zip.service.clone(),
        before: plan::archive::live(zip),
        after: revision.clone(),
        image: Some(format!("a zip, to {}", place(&zip.bucket, &zip.key))),
        why: Some(zip.change.reason.clone()),
        steps: plan::archive::actions(zip),
        ..Row::default()
    }));
    for outcome in outcomes {
        let at = rows.iter().position(|row| row.service == outcome.service).unwrap_or_else(|| {
            rows.push(Row { service: outcome.service.clone(), ..Row::default() });
            rows.len() - 1
        });
        let row = &mut rows[at];
        row.verdict = Some(outcome.verdict);
        row.why = outcome.reason.clone().filter(|_| outcome.exit_code == Exit::Success).or_else(|| row.why.take());
        row.after = outcome.revision.as_deref().map(words::short_revision).or_else(|| row.after.take());
        row.digest = outcome.digest.as_deref().map(words::short_digest);
        row.url.clone_from(&outcome.url);
        row.seconds = outcome.seconds;
        if outcome.verdict == Verdict::Unchanged {
            row.steps.clear();
        }
    }
    rows
}

fn of_plan(plan: &Plan) -> Vec<Remark> {
    let findings = plan.findings.iter().map(|finding| Remark {
        level: Level::Error,
        service: finding.service.clone(),
        text: finding.text.clone(),
        hint: finding.hint.clone(),
        place: None,
    });
    let is_service = |name: &str| {
        let zips = plan.archives.iter().map(|zip| &zip.service);
        plan.services.iter().map(|one| &one.service).chain(zips).any(|one| one == name)
    };
    // A text about one service begins with its name.
    let told = |level: Level, text: &String| {
        let named = text.split_once(": ").filter(|(name, _)| is_service(name));
        let (service, text) = named.map_or((None, text.as_str()), |(name, text)| (Some(name.to_owned()), text));
        Remark { level, service, text: text.to_owned(), hint: None, place: None }
    };
    let warnings = plan.warnings.iter().map(|text| told(Level::Warning, text));
    let unchecked = plan.unchecked.iter().map(|text| told(Level::Unchecked, text));
    findings.chain(warnings).chain(unchecked).collect()
}

fn of_outcome(outcome: &Outcome) -> Remark {
    let reason = outcome.reason.as_deref().unwrap_or("no reason was given");
    let log = outcome.log.iter().map(|line| format!("\n{line}")).collect::<String>();
    Remark {
        level: Level::Error,
        service: Some(outcome.service.clone()),
        text: format!("{}: {reason}{log}", outcome.verdict),
        hint: outcome.hint.clone(),
        place: None,
    }
}

/// An error, or each of the faults of the file that it is made of.
fn of_error(level: Level, error: &Error) -> Vec<Remark> {
    let remark =
        |text: &str, hint: Option<String>, place| Remark { level, service: None, text: text.to_owned(), hint, place };
    if !error.in_file().is_empty() {
        let of_file = error.in_file().iter();
        return of_file
            .map(|place| remark(&place.text, place.help.clone(), Some((String::new(), place.line))))
            .collect();
    }
    let line = error.line();
    let hint = (!error.hints().is_empty()).then(|| error.hints().join("; "));
    match placed(&line) {
        Some((path, at, text)) => vec![remark(text, hint, Some((path.to_owned(), at)))],
        None => vec![remark(&line, hint, None)],
    }
}

/// `PATH:LINE: text` or `PATH:LINE:COLUMN: text`, as the faults of pipeline files are worded.
fn placed(text: &str) -> Option<(&str, usize, &str)> {
    let (place, rest) = text.split_once(": ")?;
    let mut parts = place.split(':');
    let (path, line) = (parts.next()?, parts.next()?.parse().ok()?);
    let is_file = [".yml", ".yaml"].iter().any(|end| path.ends_with(end));
    is_file.then_some((path, line, rest))
}

#[cfg(test)]
mod tests {
    use super::{Level, Review, What, placed};
    use crate::error::{Error, Place};
    use crate::exit::Exit;

    #[test]
    fn a_place_is_taken_from_where_it_is_said() {
        assert_eq!(placed("ci/a.yml:12: no step"), Some(("ci/a.yml", 12, "no step")));
        assert_eq!(placed("deploy.yaml:3:7: the byte"), Some(("deploy.yaml", 3, "the byte")));
        assert_eq!(placed("api: 12: x"), None);
        assert_eq!(placed("deploy.yaml: no"), None);
    }

    #[test]
    fn each_fault_of_the_file_is_a_remark_and_nothing_hidden_is_left() {
        let place = |line, text: &str| Place { line, text: text.to_owned(), help: Some("a hunter2".to_owned()) };
        let error = Error::rendered(Exit::Usage, "laid out").places(vec![place(3, "one"), place(4, "hunter2")]);
        let warning = Error::new(Exit::Usage, "bitbucket-pipelines.yml:9: hm").hint("do").hint("or do");
        let mut review = Review::of_check(Some("dev"), &[error], &[warning]);
        review.exit = Exit::Usage;
        review.clean(|text| text.replace("hunter2", "***"));
        let told: Vec<_> = review.remarks.iter().map(|one| (one.level, one.text.as_str(), one.place.clone())).collect();
        assert_eq!(
            told,
            [
                (Level::Error, "one", Some((String::new(), 3))),
                (Level::Error, "***", Some((String::new(), 4))),
                (Level::Warning, "hm", Some(("bitbucket-pipelines.yml".to_owned(), 9))),
            ]
        );
        assert!(!format!("{review:?}").contains("hunter2"));
        assert_eq!((review.what, review.sentence().as_str()), (What::Check, "2 findings (exit code 2)"));
        assert_eq!(review.remarks[2].hint.as_deref(), Some("do; or do"));
    }
}
