//! The receipt: one JSON file that says who took what where, when, on whose word, and how it ended. It is made of what
//! the run knew; nothing is asked for it. Secret values are hidden in it as in every output.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::approval::Approved;
use crate::aws::Calls;
use crate::ci::Ci;
use crate::error::{Error, Result};
use crate::event::{Entered, Stage};
use crate::exit::Exit;
use crate::redact::Redactor;
use crate::scan::Report;
use crate::verdict::{Outcome, Verdict};

/// Grows while the run goes on; `null` is "not known" or "does not apply".
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Receipt {
    /// Of this format. A reader may rely on the keys of its number.
    version: u32,
    shipit: &'static str,
    pub(crate) command: &'static str,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    seconds: f64,
    pub(crate) project: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) branch: Option<String>,
    /// The commit that was deployed; a rollback has one for each service.
    pub(crate) revision: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) author: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) region: Option<String>,
    /// The ARN that AWS knew the run by.
    pub(crate) identity: Option<String>,
    pub(crate) approved_by: Option<String>,
    /// The manual step of the pipeline's file, or the terminal.
    approved_how: Option<String>,
    /// Why it was deployed although the environment was frozen.
    pub(crate) freeze_override: Option<String>,
    ci: Option<Pipeline>,
    exit_code: Option<Exit>,
    /// Why the run as a whole ended early.
    error: Option<String>,
    services: Vec<ServiceReceipt>,
    /// The requests that were made to AWS, `SERVICE:Operation` to how many; what was sent again counts again.
    calls: BTreeMap<String, u32>,
    /// Where they are counted.
    #[serde(skip)]
    pub(crate) counted: Calls,
    /// What ran before, by service.
    #[serde(skip)]
    pub(crate) before: Vec<Before>,
    /// How each image came to be, by service.
    #[serde(skip)]
    pub(crate) images: Vec<ImageNote>,
}

/// How the image of a service came to be.
#[derive(Clone, Debug)]
pub(crate) struct ImageNote {
    pub(crate) service: String,
    /// `built` or `reused`.
    pub(crate) how: &'static str,
    /// `v1:…`
    pub(crate) content_key: Option<String>,
}

/// The run of the CI, as it names itself.
#[derive(Clone, Debug, Serialize)]
struct Pipeline {
    provider: String,
    actor: Option<String>,
    run_url: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct ServiceReceipt {
    service: String,
    verdict: Verdict,
    exit_code: Exit,
    revision: Option<String>,
    digest: Option<String>,
    previous_revision: Option<String>,
    previous_digest: Option<String>,
    /// `built` or `reused`; a rollback makes no image.
    image: Option<&'static str>,
    content_key: Option<String>,
    deployment: Option<String>,
    /// The Docker Engine that built the image.
    builder: Option<String>,
    scan: Option<Box<Report>>,
    reason: Option<String>,
    seconds: f64,
    /// In the order in which they were entered.
    stages: Vec<StageReceipt>,
}

#[derive(Clone, Debug, Serialize)]
struct StageReceipt {
    stage: Stage,
    seconds: f64,
}

/// What a service ran before.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    pub(crate) service: String,
    pub(crate) revision: Option<String>,
    pub(crate) digest: Option<String>,
}

impl Receipt {
    pub(crate) fn begin(command: &'static str, now: Timestamp) -> Self {
        Self {
            version: 1,
            shipit: env!("CARGO_PKG_VERSION"),
            command,
            started_at: now,
            finished_at: None,
            seconds: 0.0,
            project: None,
            environment: None,
            branch: None,
            revision: None,
            subject: None,
            author: None,
            account: None,
            region: None,
            identity: None,
            approved_by: None,
            approved_how: None,
            freeze_override: None,
            ci: None,
            exit_code: None,
            error: None,
            services: Vec::new(),
            calls: BTreeMap::new(),
            counted: Calls::default(),
            before: Vec::new(),
            images: Vec::new(),
        }
    }

    pub(crate) fn approved(&mut self, approved: Option<&Approved>) {
        self.approved_by = approved.map(|approved| approved.by.clone());
        self.approved_how = approved.map(|approved| approved.how.clone());
    }

    pub(crate) fn in_ci(&mut self, ci: Option<&Ci>) {
        self.ci = ci.map(|ci| Pipeline {
            provider: ci.provider.to_string(),
            actor: ci.actor.clone(),
            run_url: ci.run_url.clone(),
        });
    }

    /// Writes the end in.
    pub(crate) fn end(&mut self, now: Timestamp, exit: Exit, ended: Result<&[Outcome], &Error>, entered: &[Entered]) {
        self.finished_at = Some(now);
        self.seconds = now.duration_since(self.started_at).as_secs_f64();
        self.exit_code = Some(exit);
        self.calls = self.counted.made();
        match ended {
            Ok(outcomes) => self.services = outcomes.iter().map(|outcome| self.service(outcome, entered)).collect(),
            Err(error) => self.error = Some(error.line()),
        }
    }

    fn service(&self, outcome: &Outcome, entered: &[Entered]) -> ServiceReceipt {
        let before = self.before.iter().find(|before| before.service == outcome.service);
        let image = self.images.iter().find(|image| image.service == outcome.service);
        ServiceReceipt {
            service: outcome.service.clone(),
            verdict: outcome.verdict,
            exit_code: outcome.exit_code,
            revision: outcome.revision.clone(),
            digest: outcome.digest.clone(),
            previous_revision: before.and_then(|before| before.revision.clone()),
            previous_digest: before.and_then(|before| before.digest.clone()),
            image: image.map(|image| image.how),
            content_key: image.and_then(|image| image.content_key.clone()),
            deployment: outcome.deployment.clone(),
            builder: outcome.builder.clone(),
            scan: outcome.scan.clone(),
            reason: outcome.reason.clone(),
            seconds: outcome.seconds,
            stages: stages(&outcome.service, entered),
        }
    }

    fn to_json(&self, redactor: &Redactor) -> serde_json::Result<String> {
        let mut value = serde_json::to_value(self)?;
        hide(&mut value, redactor);
        serde_json::to_string_pretty(&value)
    }
}

/// How long one service was in each stage. The last one it entered has no length unless its end is known.
fn stages(service: &str, entered: &[Entered]) -> Vec<StageReceipt> {
    let own: Vec<&Entered> = entered.iter().filter(|one| *one.service == *service).collect();
    let lengths = own.windows(2).filter_map(|pair| {
        let seconds = pair[1].at.duration_since(pair[0].at).as_secs_f64();
        Some(StageReceipt { stage: pair[0].stage?, seconds: (seconds * 1000.0).round() / 1000.0 })
    });
    lengths.collect()
}

/// Before anything is done: a run whose receipt could not be written is not begun.
///
/// # Errors
/// The file's folder is not there ([`Exit::Usage`]).
pub(crate) fn check(path: &Path) -> Result<()> {
    if folder(path).is_dir() {
        return Ok(());
    }
    Err(Error::new(Exit::Usage, format!("the folder of the receipt does not exist: {}", folder(path).display()))
        .hint("create it, or give another path after --receipt"))
}

/// Writes the whole file or none: a reader never sees half of it.
///
/// # Errors
/// It cannot be written ([`Exit::Fault`]).
pub(crate) fn write(receipt: &Receipt, path: &Path, redactor: &Redactor) -> Result<()> {
    let failed = |error: &dyn std::error::Error| {
        Error::new(Exit::Fault, format!("the receipt cannot be written to {}", path.display())).cause(error.to_string())
    };
    let json = receipt.to_json(redactor).map_err(|error| failed(&error))?;
    let mode = std::fs::Permissions::from_mode(0o644);
    let file = tempfile::Builder::new().permissions(mode).tempfile_in(folder(path)).map_err(|error| failed(&error))?;
    std::fs::write(file.path(), format!("{json}\n")).map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn hide(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => *text = redactor.redact(text).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(|value| hide(value, redactor)),
        Value::Object(members) => members.values_mut().for_each(|value| hide(value, redactor)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Before, Receipt, check, write};
    use crate::error::Error;
    use crate::event::{Entered, Stage};
    use crate::exit::Exit;
    use crate::redact::Redactor;
    use crate::secret::Secret;
    use crate::verdict::{Outcome, Verdict};
    use jiff::Timestamp;
    use std::path::Path;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_receipt_says_who_what_and_how_it_ended_and_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("receipt.json");
        let mut receipt = Receipt::begin("deploy", time(100));
        receipt.identity = Some("arn:aws:iam::123456789012:user/ann".to_owned());
        receipt.before.push(Before {
            service: "api".to_owned(),
            revision: Some("r0".to_owned()),
            digest: Some("sha256:0".to_owned()),
        });
        let mut outcome = Outcome::ended("api", Verdict::RolloutFailed, Exit::Rollout);
        outcome.reason = Some("it said hunter2hunter2".to_owned());
        let entered = [(Some(Stage::Build), 101), (Some(Stage::Push), 105), (None, 111)];
        let entered = entered.map(|(stage, at)| Entered { service: "api".into(), stage, at: time(at) });
        receipt.end(time(112), Exit::Rollout, Ok(&[outcome]), &entered);
        let secret = Secret::new("hunter2hunter2");
        write(&receipt, &path, &Redactor::new([&secret])).expect("it is written");
        write(&receipt, &path, &Redactor::new([&secret])).expect("and written anew");
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(!text.contains("hunter2"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json["version"], 1);
        assert_eq!(json["exit_code"], 8);
        assert_eq!(json["seconds"], 12.0);
        assert_eq!(json["identity"], "arn:aws:iam::123456789012:user/ann");
        assert_eq!(json["services"][0]["verdict"], "rollout-failed");
        assert_eq!(json["services"][0]["previous_digest"], "sha256:0");
        assert_eq!(json["services"][0]["reason"], "it said ***");
        let stages = serde_json::json!([{"stage": "build", "seconds": 4.0}, {"stage": "push", "seconds": 6.0}]);
        assert_eq!(json["services"][0]["stages"], stages);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_run_that_never_began_has_a_receipt_too() {
        let mut receipt = Receipt::begin("deploy", time(100));
        receipt.end(time(101), Exit::Usage, Err(&Error::new(Exit::Usage, "no such environment")), &[]);
        let json = receipt.to_json(&Redactor::new([])).expect("JSON");
        assert!(json.contains("\"error\": \"no such environment\"") && json.contains("\"services\": []"), "{json}");
    }

    #[test]
    fn its_folder_is_looked_for_first() {
        assert!(check(Path::new("receipt.json")).is_ok());
        assert_eq!(check(Path::new("/nowhere/at/all/receipt.json")).expect_err("no folder").exit(), Exit::Usage);
    }
}
