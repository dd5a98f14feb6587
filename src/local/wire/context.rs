//! What a JSON operation works with: the state, whose call it is, and the time. The runtime's orders are collected, so
//! that an operation itself never waits for anything.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::local::clock::Millis;
use crate::local::ecs::scheduler::Order;
use crate::local::place::Place;
use crate::local::registry::auth::Tokens;
use crate::local::registry::elsewhere::Elsewhere;
use crate::local::script::ScanScript;
use crate::local::state::{Holdings, State};

#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) place: Place,
    pub(crate) now: Millis,
    /// `127.0.0.1:PORT` of the registry.
    pub(crate) host: &'a str,
    /// The registry, where it is not the stand-in's own.
    pub(crate) elsewhere: Option<&'a Elsewhere>,
    /// What opens the registry.
    pub(crate) tokens: &'a Mutex<Tokens>,
    /// What the script says about scans, by repository.
    pub(crate) scans: BTreeMap<String, ScanScript>,
    /// How many times faster than the clock scripted time passes.
    pub(crate) speed: Millis,
    /// Filled by the operation.
    pub(crate) orders: Vec<Order>,
}

impl Context<'_> {
    pub(crate) fn holdings(&mut self) -> &mut Holdings {
        self.state.at(&self.place)
    }
}
