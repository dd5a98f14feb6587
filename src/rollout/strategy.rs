//! What ECS's own record of a deployment says about it. For a blue/green, linear or canary deployment it is the only
//! correct source: there "steady" and "complete" mean little while traffic moves, bakes, or waits for a person.
//!
//! Pure. Which record is mine is a matter of time: nothing else links it to my deployment's id.

use jiff::{SignedDuration, Timestamp};

use crate::aws::ecs::{DeploymentRecord, Hook, RecordStatus};

/// `UpdateService` makes the deployment and its record at the same moment; clocks inside ECS may differ a little.
const SAME_MOMENT: SignedDuration = SignedDuration::from_secs(30);

/// What a record comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    GoesOn,
    Successful,
    RolledBack { to: Option<String>, reason: String },
    Failed { reason: String },
    Stopped { reason: String },
}

/// The record of the deployment that was created then.
pub(super) fn record_of(records: &[DeploymentRecord], created_at: Option<Timestamp>) -> Option<&DeploymentRecord> {
    let created_at = created_at?;
    let distance = |record: &DeploymentRecord| record.created_at.map(|at| at.duration_since(created_at).abs());
    let near = records.iter().filter_map(|record| Some((distance(record)?, record)));
    near.filter(|(distance, _)| *distance <= SAME_MOMENT)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, record)| record)
}

/// Whether another deployment began after this one.
pub(super) fn has_successor(records: &[DeploymentRecord], mine: &DeploymentRecord) -> bool {
    records.iter().any(|other| other.arn != mine.arn && other.created_at > mine.created_at)
}

pub(super) fn word(record: &DeploymentRecord) -> Word {
    let reason = |otherwise: &str| {
        let given = record.rollback_reason.as_ref().or(record.reason.as_ref());
        given.filter(|reason| !reason.is_empty()).map_or_else(|| otherwise.to_owned(), Clone::clone)
    };
    match record.status {
        RecordStatus::Pending | RecordStatus::InProgress | RecordStatus::StopRequested | RecordStatus::Other(_) => {
            Word::GoesOn
        }
        RecordStatus::Successful => Word::Successful,
        RecordStatus::RollbackRequested | RecordStatus::RollbackInProgress | RecordStatus::RollbackSuccessful => {
            Word::RolledBack { to: record.rollback_to.clone(), reason: reason("ECS goes back to the revision before") }
        }
        RecordStatus::RollbackFailed => {
            Word::Failed { reason: format!("the way back failed as well: {}", reason("ECS gives no reason")) }
        }
        RecordStatus::Stopped => Word::Stopped { reason: reason("somebody stopped the deployment") },
    }
}

/// A hook that holds the deployment up until somebody says how it goes on.
pub(super) fn waiting_hook(hook: &Hook) -> Option<String> {
    if !(hook.is_pause && hook.status == "AWAITING_ACTION") {
        return None;
    }
    let until = hook.expires_at.map_or_else(String::new, |at| format!(" until {}", at.strftime("%F %H:%M UTC")));
    let then = hook.then.as_deref().map_or_else(String::new, |then| format!(", then ECS will {then}"));
    Some(format!("waits for a person at the PAUSE hook {}{until}{then}", hook.id))
}

/// How a person lets it go on.
pub(super) fn how_to_continue(record: &DeploymentRecord, hook: &Hook) -> String {
    format!(
        "look at the new tasks, then: aws ecs continue-service-deployment --service-deployment-arn {} --hook-id {} \
         --action CONTINUE (or ROLLBACK)",
        record.arn, hook.id
    )
}

#[cfg(test)]
mod tests {
    use super::{Word, has_successor, record_of, waiting_hook, word};
    use crate::aws::ecs::{DeploymentRecord, Hook, RecordStatus};
    use jiff::Timestamp;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    fn record(arn: &str, created: i64) -> DeploymentRecord {
        DeploymentRecord { arn: arn.to_owned(), created_at: at(created), ..DeploymentRecord::default() }
    }

    #[test]
    fn the_record_of_the_same_moment_is_mine() {
        let records = [record("later", 1100), record("mine", 1002), record("before", 400)];
        assert_eq!(record_of(&records, at(1000)).map(|found| found.arn.as_str()), Some("mine"));
        assert_eq!(record_of(&records[..1], at(1000)), None, "another one's record is not taken for mine");
        assert_eq!(record_of(&records, None), None);
        assert!(has_successor(&records, &records[1]));
        assert!(!has_successor(&records, &records[0]));
    }

    #[test]
    fn every_status_has_its_meaning() {
        let goes_back = |reason: &str| Word::RolledBack { to: None, reason: reason.to_owned() };
        let cases = [
            (RecordStatus::Pending, Word::GoesOn),
            (RecordStatus::InProgress, Word::GoesOn),
            (RecordStatus::StopRequested, Word::GoesOn),
            (RecordStatus::Other("NEW".to_owned()), Word::GoesOn),
            (RecordStatus::Successful, Word::Successful),
            (RecordStatus::RollbackRequested, goes_back("said ECS")),
            (RecordStatus::RollbackInProgress, goes_back("said ECS")),
            (RecordStatus::RollbackSuccessful, goes_back("said ECS")),
            (RecordStatus::RollbackFailed, Word::Failed { reason: "the way back failed as well: said ECS".to_owned() }),
            (RecordStatus::Stopped, Word::Stopped { reason: "said ECS".to_owned() }),
        ];
        for (status, expected) in cases {
            let record = DeploymentRecord { status, reason: Some("said ECS".to_owned()), ..record("mine", 1) };
            assert_eq!(word(&record), expected, "{}", record.status.as_str());
        }
    }

    #[test]
    fn only_a_pause_that_waits_is_told() {
        let hook = |is_pause, status: &str| Hook {
            id: "approve".to_owned(),
            is_pause,
            status: status.to_owned(),
            expires_at: at(0),
            then: Some("ROLLBACK".to_owned()),
        };
        let told = waiting_hook(&hook(true, "AWAITING_ACTION"));
        assert_eq!(
            told.as_deref(),
            Some("waits for a person at the PAUSE hook approve until 1970-01-01 00:00 UTC, then ECS will ROLLBACK")
        );
        assert_eq!(waiting_hook(&hook(true, "SUCCEEDED")), None);
        assert_eq!(waiting_hook(&hook(false, "AWAITING_ACTION")), None, "a function answers by itself");
    }
}
