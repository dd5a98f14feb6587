//! `--report`: where a run is reported besides the terminal, and the way there. A report that cannot be made is a warning:
//! it never decides how the run ends.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Context;
use crate::ci::insights::Bitbucket;
use crate::ci::{self, Ci, Provider};
use crate::cli::{Config, ReportTo};
use crate::config::Lines;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::report::{Format, Review, github_commands, github_summary, insights, markdown};

/// The file that GitHub shows on the page of the run.
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

pub(super) struct Reports<'c> {
    to: Vec<ReportTo>,
    config: &'c Path,
    ci: Option<Ci>,
    context: &'c Context,
}

impl<'c> Reports<'c> {
    /// Before anything is done. Where Markdown is to be on stdout, nothing else will be.
    ///
    /// # Errors
    /// Two documents are wanted on stdout ([`Exit::Usage`]).
    pub(super) fn of(wanted: &[ReportTo], config: &'c Config, context: &'c Context) -> Result<Self> {
        let ci = ci::detect(&context.vars);
        let mut to: Vec<ReportTo> = Vec::new();
        for one in wanted {
            let one = match one {
                ReportTo::Auto => by_ci(ci.as_ref()).map_err(|why| context.console.note(&why)).ok(),
                other => Some(other.clone()),
            };
            to.extend(one.filter(|one| !to.contains(one)));
        }
        if to.contains(&ReportTo::Markdown(None)) {
            if context.console.format() == Format::Json {
                return Err(Error::new(Exit::Usage, "stdout cannot hold both JSON and a Markdown report")
                    .hint("give the report a file: `--report markdown=PATH`"));
            }
            context.console.step_aside();
        }
        Ok(Self { to, config: &config.config, ci, context })
    }

    /// Sends the review wherever it is wanted.
    pub(super) async fn publish(&self, review: Option<Review>, ended: &Result<Exit>) {
        let Some(mut review) = review.filter(|_| !self.to.is_empty()) else { return };
        review.exit = ended.as_ref().map_or_else(Error::exit, |exit| *exit);
        place(&mut review, self.config);
        let console = &self.context.console;
        review.clean(|text| console.clean(text));
        for to in &self.to {
            let sent = match to {
                ReportTo::Markdown(None) => console.document(&markdown(&review)),
                ReportTo::Markdown(Some(path)) => write(path, &markdown(&review)),
                ReportTo::GitHub => self.github(&review),
                ReportTo::Bitbucket => self.bitbucket(&review).await,
                ReportTo::Auto => Ok(()),
            };
            if let Err(error) = sent {
                console.warning(&error);
            }
        }
    }

    fn github(&self, review: &Review) -> Result<()> {
        for line in github_commands(review) {
            self.context.console.command(&line);
        }
        let Some(path) = self.context.vars.get(SUMMARY) else {
            return Err(Error::new(Exit::Usage, format!("{SUMMARY} is not set: the run has no page for a summary"))
                .hint("outside of GitHub Actions take `--report markdown`"));
        };
        let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(|error| cannot(path, &error))?;
        file.write_all(github_summary(review).as_bytes()).map_err(|error| cannot(path, &error))
    }

    async fn bitbucket(&self, review: &Review) -> Result<()> {
        let link = self.ci.as_ref().and_then(|ci| ci.run_url.as_deref());
        let to = Bitbucket::of(&self.context.vars, self.ci.as_ref(), review.commit())?;
        to.send(&insights(review, link)).await
    }
}

/// What `auto` means here; or why it means nothing.
fn by_ci(ci: Option<&Ci>) -> Result<ReportTo, String> {
    match ci.map(|ci| ci.provider) {
        Some(Provider::Bitbucket) => Ok(ReportTo::Bitbucket),
        Some(Provider::GitHub) => Ok(ReportTo::GitHub),
        Some(Provider::GitLab) => {
            Err("GitLab has no report of this kind: take `--report markdown=PATH` and keep it as an artifact"
                .to_owned())
        }
        None => Err("this is no pipeline that is known, so there is nobody to report to".to_owned()),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| cannot(path.display(), &error))
}

fn cannot(path: impl std::fmt::Display, error: &std::io::Error) -> Error {
    Error::new(Exit::Fault, format!("the report cannot be written to {path}")).because(error)
}

/// Every remark gets a line: its own, that of its service, that of the environment, or the file's first. Of a file that
/// cannot be read as YAML only the faults have one.
fn place(review: &mut Review, config: &Path) {
    let lines = Lines::read(config);
    let path = from_top(config);
    let of_service = |name: &str| lines.as_ref().and_then(|lines| lines.service(name));
    let of_environment = lines.as_ref().map(|lines| {
        let named = review.environment.as_deref();
        named.and_then(|name| lines.environment(name)).unwrap_or(1)
    });
    for remark in review.remarks_mut() {
        if remark.service.is_none()
            && let Some((name, text)) = remark.text.split_once(": ")
            && of_service(name).is_some()
        {
            (remark.service, remark.text) = (Some(name.to_owned()), text.to_owned());
        }
        remark.place = match remark.place.take() {
            Some((named, line)) if named.is_empty() || Path::new(&named) == config => Some((path.clone(), line)),
            Some(place) => Some(place),
            None => {
                let line = remark.service.as_deref().and_then(of_service).or(of_environment);
                line.map(|line| (path.clone(), line))
            }
        };
    }
}

/// The file as the repository names it, for that is how reviewers' tools do. The top is the nearest folder above it with
/// a `.git`; without one, the name stays as it was given.
fn from_top(config: &Path) -> String {
    let absolute: PathBuf = std::fs::canonicalize(config).unwrap_or_else(|_| config.to_owned());
    let top = absolute.ancestors().skip(1).find(|folder| folder.join(".git").exists());
    let inside = top.and_then(|top| absolute.strip_prefix(top).ok());
    inside.unwrap_or(config).display().to_string()
}
