//! The filter of a deploy: which services it is about, what they are compared with, and what else has to be known of
//! them before anything is decided.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::base::by_object;
use super::{Asked, Base, Change, Judge, Order, Origin, Running, running};
use crate::archive::{Label, ObservedArchive};
use crate::aws::Clients;
use crate::aws::ecs::Tag;
use crate::config::specification::Specification;
use crate::error::{Error, Result};
use crate::git::past::{Ancestry, is_full_hash};
use crate::observe::ObservedService;
use crate::revision::short;

/// What the command line says about it.
pub(crate) struct Filter<'a> {
    /// `--all`
    pub(crate) all: bool,
    /// `--rebuild`
    pub(crate) rebuild: bool,
    /// Services named on the command line: they are meant, whatever changed.
    pub(crate) named: &'a [String],
    /// `--base`
    pub(crate) base: Option<&'a str>,
    /// `--release-hold`
    pub(crate) release_hold: bool,
}

/// What is known of one service when the plan is made.
#[derive(Clone, Debug)]
pub(crate) struct Judgement {
    pub(crate) change: Change,
    pub(crate) order: Order,
    /// What keeps the base from being read.
    pub(crate) error: Option<Error>,
    /// Somebody meant this service, so a hold on it is released.
    pub(crate) meant: bool,
    /// What runs was put there by somebody else, and need not be newer than what shipit recorded: in words.
    pub(crate) by_hand: Option<String>,
}

/// Nobody looked: then it counts as changed.
impl Default for Judgement {
    fn default() -> Self {
        Self {
            change: Change::build("it was not looked at"),
            order: Order::Onward,
            error: None,
            meant: false,
            by_hand: None,
        }
    }
}

/// One service or zip that may have changed.
pub(crate) struct Candidate<'a> {
    name: &'a str,
    running: Running,
    /// A rollback took something away here, and nobody has brought it back.
    held: bool,
}

/// Those of a specification: its services, then its zips.
pub(crate) async fn candidates<'a>(
    clients: &Clients,
    specification: &'a Specification,
    services: &[ObservedService],
    archives: &[ObservedArchive],
) -> Vec<Candidate<'a>> {
    let services = specification.services.iter().zip(services).map(async |(service, seen)| Candidate {
        name: &service.name,
        running: running(clients, service, seen).await,
        held: seen.tag(Tag::Held).is_some_and(|held| !held.is_empty()),
    });
    let mut all = join_all(services).await;
    all.extend(specification.archives.iter().zip(archives).map(|(archive, seen)| {
        let label = seen.latest.as_ref().map(|latest| latest.as_ref().map(Label::of).unwrap_or_default());
        Candidate {
            name: &archive.name,
            held: label.as_ref().is_ok_and(|label| label.held.as_ref().is_some_and(|held| !held.is_empty())),
            running: Running {
                revision: label.as_ref().ok().and_then(|label| label.revision.clone()),
                base: label.map(|label| by_object(&label)).map_err(Clone::clone),
                not_ours: None,
            },
        }
    }));
    all
}

impl Filter<'_> {
    /// For each of the candidates, in their order. Without a `judge` there is no git to ask.
    ///
    /// # Errors
    /// `--base` names no commit ([`crate::exit::Exit::Usage`]), or git cannot be run.
    pub(crate) async fn judge(
        &self,
        judge: Option<&Judge<'_>>,
        candidates: &[Candidate<'_>],
    ) -> Result<Vec<Judgement>> {
        let given = match (judge, self.base) {
            (Some(judge), Some(name)) => {
                Some(Base::Known { revision: judge.named(name).await?, origin: Origin::CommandLine })
            }
            _ => None,
        };
        let mut judgements = Vec::new();
        let mut open = Vec::new();
        for candidate in candidates {
            let meant = self.meant(candidate);
            let base = given.clone().map_or_else(|| candidate.running.base.clone(), Ok);
            let (change, error) = match (meant, base, judge) {
                (Some(why), ..) => (Change::build(why), None),
                (None, Err(error), _) => (Change::build("what runs there cannot be read"), Some(error)),
                (None, Ok(_), None) => {
                    (Change::build("this is no git checkout, so nobody can tell what changed"), None)
                }
                (None, Ok(base), Some(_)) => {
                    open.push((judgements.len(), Asked { name: candidate.name, base }));
                    (Change::build("it was not looked at"), None)
                }
            };
            judgements.push(Judgement {
                change,
                order: Order::Onward,
                error,
                meant: given.is_some()
                    || self.named.iter().any(|named| named == candidate.name)
                    || (meant.is_some() && !self.all && !self.rebuild),
                by_hand: None,
            });
        }
        let Some(judge) = judge else { return Ok(judgements) };
        let (places, asked): (Vec<usize>, Vec<Asked<'_>>) = open.into_iter().unzip();
        for (at, change) in places.into_iter().zip(judge.changes(&asked).await?) {
            judgements[at].change = change;
        }
        let changed = judgements.iter_mut().zip(candidates).filter(|(one, _)| !one.change.is_nothing());
        // Most services run the same commit, and git is asked once for each.
        let mut orders: BTreeMap<Option<&str>, Order> = BTreeMap::new();
        for (judgement, Candidate { running, .. }) in changed {
            let revision = running.revision.as_deref();
            judgement.order = match orders.get(&revision) {
                Some(order) => order.clone(),
                None => judge.order(revision).await?,
            };
            orders.insert(revision, judgement.order.clone());
            judgement.by_hand = judge.by_hand(running).await?;
        }
        Ok(judgements)
    }

    /// Why this service is deployed whatever changed.
    fn meant(&self, candidate: &Candidate<'_>) -> Option<&'static str> {
        if self.named.iter().any(|named| named == candidate.name) && self.base.is_none() {
            return Some("it is named on the command line");
        }
        if self.all {
            return Some("--all deploys every service");
        }
        if self.rebuild && self.base.is_none() {
            return Some("--rebuild builds every service");
        }
        (self.release_hold && candidate.held).then_some("its hold is released")
    }
}

impl Judge<'_> {
    /// A rollback by somebody else looks like this: what runs is not what was recorded, and not newer either.
    pub(crate) async fn by_hand(&self, running: &Running) -> Result<Option<String>> {
        let Some(recorded) = &running.not_ours else { return Ok(None) };
        let text =
            |runs: &str| format!("shipit put {} there, but {runs} runs: somebody else rolled it", short(recorded));
        let Some(runs) = running.revision.as_deref() else { return Ok(Some(text("another image"))) };
        if is_full_hash(runs)
            && is_full_hash(recorded)
            && self.repository.has(runs).await?
            && self.repository.has(recorded).await?
            && self.repository.ancestry(recorded, runs).await? == Ancestry::Yes
        {
            return Ok(None);
        }
        Ok(Some(text(short(runs))))
    }
}
