//! The engines of a run: the one that Docker's own settings lead to, or those that `builder` of deploy.yaml names. Says
//! which of them takes a build, and takes out one that is lost. How one builds and pushes is `docker`'s.

mod choose;

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use tokio::sync::Notify;

use self::choose::{Choice, Seat, choose};
use crate::config::specification::{self, Platform};
use crate::docker::{Engine, EngineFacts};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::exit::Exit;
use crate::vars::Vars;

pub(crate) struct Builders {
    members: Vec<Member>,
    /// In the order of `members`.
    states: Mutex<Vec<State>>,
    /// A build ended, or an engine is lost: whoever waits looks again.
    changed: Notify,
    /// Those of deploy.yaml that could not be used from the start, in words.
    unusable: Vec<String>,
}

struct Member {
    engine: Engine,
    /// Builds at a time, where deploy.yaml says so.
    jobs: Option<usize>,
    /// Empty: any.
    platforms: Vec<Platform>,
}

#[derive(Default)]
struct State {
    running: usize,
    lost: Option<String>,
}

/// One build's place on an engine, until it is dropped.
pub(crate) struct Place<'a> {
    builders: &'a Builders,
    at: usize,
    freed: bool,
}

impl Builders {
    /// The one engine of a run without `builder`.
    pub(crate) fn only(engine: Engine) -> Self {
        Self::of(vec![Member { engine, jobs: None, platforms: Vec::new() }], Vec::new())
    }

    /// Looks for all of them side by side. One that cannot be used is told, and the others do its work.
    ///
    /// # Errors
    /// None can be used ([`Exit::Build`]); each is named with its reason.
    pub(crate) async fn connect(wanted: &[specification::Builder], vars: &Vars, events: &Events) -> Result<Self> {
        let reached = join_all(wanted.iter().map(|builder| {
            let specification::Builder { name, host, certs, .. } = builder;
            Engine::connect_to(name, host, certs.as_deref(), vars)
        }));
        let (mut members, mut refusals) = (Vec::new(), Vec::new());
        for (builder, reached) in wanted.iter().zip(reached.await) {
            match reached {
                Ok(engine) => {
                    if engine.is_in_the_clear() {
                        let text = format!(
                            "builder `{}` is reached without TLS: sources, build secrets and the",
                            builder.name
                        );
                        let hint = "use ssh://, or give the engine TLS and name its folder with `certs`".to_owned();
                        events.warn(format!("{text} registry's password can be read on the way"), Some(hint));
                    }
                    members.push(Member { engine, jobs: builder.jobs, platforms: builder.platforms.clone() });
                }
                Err(error) => refusals.push((builder, error)),
            }
        }
        if members.is_empty() {
            return Err(match <[_; 1]>::try_from(refusals) {
                Ok([(_, only)]) => only,
                Err(refusals) => refusals
                    .iter()
                    .fold(Error::new(Exit::Build, "no builder of deploy.yaml can be used"), |error, (builder, why)| {
                        error.cause(named(&builder.name, why))
                    })
                    .hint("start one of them, or take `builder` out of deploy.yaml to build where DOCKER_HOST says"),
            });
        }
        let mut unusable = Vec::new();
        for (builder, error) in &refusals {
            let why = named(&builder.name, error);
            events.warn(format!("builder {why}; the others build"), error.hints().first().cloned());
            unusable.push(why);
        }
        Ok(Self::of(members, unusable))
    }

    fn of(members: Vec<Member>, unusable: Vec<String>) -> Self {
        let states = Mutex::new(members.iter().map(|_| State::default()).collect());
        Self { members, states, changed: Notify::new(), unusable }
    }

    /// What is known of each, in the order of deploy.yaml.
    pub(crate) fn facts(&self) -> Vec<EngineFacts> {
        self.members.iter().map(|member| member.engine.facts().clone()).collect()
    }

    /// Whether a lost one could be replaced at all.
    pub(crate) fn are_several(&self) -> bool {
        self.members.len() > 1
    }

    /// The engine where this service is built as long as nothing stands against it.
    pub(crate) fn home(&self, service: &str, platform: Platform) -> Option<&Engine> {
        self.home_at(service, platform).map(|at| &self.members[at].engine)
    }

    fn home_at(&self, service: &str, platform: Platform) -> Option<usize> {
        let seats: Vec<Seat<'_>> = self.members.iter().map(|member| member.seat(platform, 0, 1, false)).collect();
        match choose(service, &seats) {
            Choice::Take(at) => Some(at),
            Choice::Wait | Choice::Nobody => None,
        }
    }

    /// Whether an engine is left that takes this platform.
    pub(crate) fn can_build(&self, platform: Platform) -> bool {
        self.members
            .iter()
            .zip(self.states().iter())
            .any(|(member, state)| state.lost.is_none() && member.takes(platform))
    }

    /// Waits until an engine is free for this service's build. `jobs` is how many builds one has at a time where
    /// deploy.yaml does not say.
    ///
    /// # Errors
    /// None is left ([`Exit::Build`]); each is named with its reason.
    pub(crate) async fn place(&self, service: &str, platform: Platform, jobs: usize) -> Result<Place<'_>> {
        loop {
            // Before the look: what changes after it is not missed.
            let changed = self.changed.notified();
            match self.try_place(service, platform, jobs) {
                Ok(Some(place)) => return Ok(place),
                Ok(None) => changed.await,
                Err(error) => return Err(error),
            }
        }
    }

    fn try_place(&self, service: &str, platform: Platform, jobs: usize) -> Result<Option<Place<'_>>> {
        let mut states = self.states();
        let seats: Vec<Seat<'_>> = self
            .members
            .iter()
            .zip(states.iter())
            .map(|(member, state)| {
                member.seat(platform, state.running, member.jobs.unwrap_or(jobs).max(1), state.lost.is_some())
            })
            .collect();
        match choose(service, &seats) {
            Choice::Take(at) => {
                states[at].running += 1;
                drop(states);
                Ok(Some(Place { builders: self, at, freed: false }))
            }
            Choice::Wait => Ok(None),
            Choice::Nobody => {
                let lost = states.iter().filter_map(|state| state.lost.clone());
                let left = states.iter().any(|state| state.lost.is_none());
                let what = if left {
                    format!("no builder that is left takes {platform}")
                } else {
                    "no builder is left".into()
                };
                let error = Error::new(Exit::Build, what);
                let error = self.unusable.iter().cloned().chain(lost).fold(error, Error::cause);
                Err(error.hint("bring one of them back and deploy again: what was done already is not done twice"))
            }
        }
    }

    fn states(&self) -> MutexGuard<'_, Vec<State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    fn seat(&self, platform: Platform, running: usize, limit: usize, lost: bool) -> Seat<'_> {
        let facts = self.engine.facts();
        Seat {
            name: facts.name.as_deref().unwrap_or(&facts.address),
            running,
            limit,
            lost,
            takes: self.takes(platform),
            native: facts.os == "linux" && facts.arch == platform.architecture(),
        }
    }

    fn takes(&self, platform: Platform) -> bool {
        self.platforms.is_empty() || self.platforms.contains(&platform)
    }
}

impl Place<'_> {
    pub(crate) fn engine(&self) -> &Engine {
        &self.builders.members[self.at].engine
    }

    pub(crate) fn is_home_of(&self, service: &str, platform: Platform) -> bool {
        self.builders.home_at(service, platform) == Some(self.at)
    }

    /// Makes room for another build; the engine stays known.
    pub(crate) fn free(&mut self) {
        if !std::mem::replace(&mut self.freed, true) {
            self.builders.states()[self.at].running -= 1;
            self.builders.changed.notify_waiters();
        }
    }

    /// Takes the engine out for the rest of the run. Returns it with its reason, in words.
    pub(crate) fn lose(self, error: &Error) -> String {
        let facts = self.engine().facts();
        let why = named(facts.name.as_deref().unwrap_or(&facts.address), error);
        self.builders.states()[self.at].lost.get_or_insert_with(|| why.clone());
        // Whoever waits for this one has to look elsewhere.
        self.builders.changed.notify_waiters();
        why
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.free();
    }
}

fn named(name: &str, error: &Error) -> String {
    format!("`{name}`: {}", error.line())
}
