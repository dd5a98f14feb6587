//! Reviews for the tests of their formats.

use jiff::Timestamp;

use super::{Level, Remark, Review, Row, What, facts};
use crate::exit::Exit;
use crate::receipt::Receipt;
use crate::verdict::Verdict;

fn noted() -> Receipt {
    let mut noted = Receipt::begin("deploy", Timestamp::UNIX_EPOCH);
    noted.project = Some("storefront".to_owned());
    noted.environment = Some("dev".to_owned());
    noted.branch = Some("feature/a_b".to_owned());
    noted.revision = Some("1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d".to_owned());
    noted.subject = Some("Say <b>hello</b> to @team | #12".to_owned());
    noted
}

fn row(service: &str, verdict: Verdict) -> Row {
    Row {
        service: service.to_owned(),
        verdict: Some(verdict),
        before: Some("000000000000 (sha256:0123456789ab)".to_owned()),
        after: Some("1a2b3c4d5e6f".to_owned()),
        ..Row::default()
    }
}

/// A dry run with something in the way of one service of two.
pub(super) fn plan() -> Review {
    let steps = ["build the image for linux/amd64", "push git-1a2b3c4d5e6f, then latest"];
    let api = Row {
        before: None,
        image: Some("built: no image of these inputs".to_owned()),
        steps: steps.map(str::to_owned).to_vec(),
        ..row("api", Verdict::Refused)
    };
    let web = Row { why: Some("nothing changed".to_owned()), ..row("web_1", Verdict::Unchanged) };
    let remark = |level, service: Option<&str>, text: &str| Remark {
        level,
        service: service.map(str::to_owned),
        text: text.to_owned(),
        hint: None,
        place: None,
    };
    let missing = Remark {
        hint: Some("create it".to_owned()),
        place: Some(("deploy.yaml".to_owned(), 7)),
        ..remark(Level::Error, Some("api"), "the repository api-dev does not exist")
    };
    Review {
        environment: Some("dev".to_owned()),
        exit: Exit::Aws,
        facts: facts(&noted()),
        rows: vec![api, web],
        remarks: vec![
            missing,
            remark(Level::Warning, Some("web_1"), "versionConsistency is disabled"),
            remark(Level::Unchecked, None, "the Docker Engine: none is reachable"),
        ],
        ..Review::nothing(What::Plan)
    }
}

/// A deploy of two services, one of which crashed.
pub(super) fn failed() -> Review {
    let web = Row {
        digest: Some("sha256:fedcba987654".to_owned()),
        url: Some("http://127.0.0.1:32768".to_owned()),
        seconds: 12.3,
        ..row("web", Verdict::Deployed)
    };
    let api = Row { seconds: 65.0, ..row("api", Verdict::RolloutFailed) };
    let remark = Remark {
        level: Level::Error,
        service: Some("api".to_owned()),
        text: "rollout-failed: 3 tasks stopped\nEssential container in task exited\n| panicked at `x`".to_owned(),
        hint: Some("see `shipit status`".to_owned()),
        place: Some(("deploy.yaml".to_owned(), 7)),
    };
    Review {
        environment: Some("dev".to_owned()),
        exit: Exit::Rollout,
        facts: facts(&noted()),
        rows: vec![api, web],
        remarks: vec![remark],
        ..Review::nothing(What::Deploy)
    }
}
