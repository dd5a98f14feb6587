//! Which engine takes a build. Pure.
//!
//! A service has a home among the engines: the highest of the hashes of its name with each engine's (rendezvous hashing).
//! Its home holds its layers from last time, on every machine that deploys, and the loss of one engine moves only the
//! services that were at home there.

use sha2::{Digest, Sha256};

/// An engine as the choice sees it.
#[derive(Clone, Debug)]
pub(super) struct Seat<'a> {
    pub(super) name: &'a str,
    /// Builds that it has now.
    pub(super) running: usize,
    /// Builds that it may have.
    pub(super) limit: usize,
    pub(super) lost: bool,
    /// It may build for the platform at all.
    pub(super) takes: bool,
    /// The platform is its own.
    pub(super) native: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The index of its seat.
    Take(usize),
    /// All that come into question are busy.
    Wait,
    /// None that is left comes into question.
    Nobody,
}

/// The home of the service, as long as it is no more than one build busier than the least busy; else the least busy. An
/// engine of the wanted architecture is waited for: emulation takes many times as long.
pub(super) fn choose(service: &str, seats: &[Seat<'_>]) -> Choice {
    let possible = |seat: &Seat<'_>| !seat.lost && seat.takes;
    let native = seats.iter().any(|seat| possible(seat) && seat.native);
    let wanted: Vec<usize> =
        (0..seats.len()).filter(|&at| possible(&seats[at]) && (seats[at].native || !native)).collect();
    if wanted.is_empty() {
        return Choice::Nobody;
    }
    let free = wanted.iter().copied().filter(|&at| seats[at].running < seats[at].limit);
    let least = free.clone().map(|at| seats[at].running).min();
    // The home is that of all who may build it, so that it does not move with the load.
    let home = wanted.iter().copied().max_by_key(|&at| score(service, seats[at].name));
    match (least, home) {
        (None, _) => Choice::Wait,
        (Some(least), Some(home)) if free.clone().any(|at| at == home) && seats[home].running <= least + 1 => {
            Choice::Take(home)
        }
        _ => free
            .min_by_key(|&at| (seats[at].running, std::cmp::Reverse(score(service, seats[at].name))))
            .map_or(Choice::Wait, Choice::Take),
    }
}

fn score(service: &str, engine: &str) -> [u8; 32] {
    Sha256::new().chain_update(service).chain_update([0]).chain_update(engine).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::{Choice, Seat, choose};

    fn seats(rows: &[(&'static str, usize, usize)]) -> Vec<Seat<'static>> {
        let seat = |&(name, running, limit)| Seat { name, running, limit, lost: false, takes: true, native: true };
        rows.iter().map(seat).collect()
    }

    fn taken(service: &str, seats: &[Seat<'_>]) -> usize {
        match choose(service, seats) {
            Choice::Take(at) => at,
            other => panic!("{service}: {other:?}"),
        }
    }

    #[test]
    fn a_service_stays_at_home_and_only_those_of_a_lost_engine_move() {
        let mut seats = seats(&[("a", 0, 2), ("b", 0, 2), ("c", 0, 2)]);
        let services: Vec<String> = (0..60).map(|number| format!("service-{number}")).collect();
        let before: Vec<usize> = services.iter().map(|service| taken(service, &seats)).collect();
        for at in 0..3 {
            let share = before.iter().filter(|&&home| home == at).count();
            assert!((10..=30).contains(&share), "engine {at} is home to {share} of 60");
        }
        seats[1].lost = true;
        for (service, before) in services.iter().zip(&before) {
            let after = taken(service, &seats);
            assert!(after != 1 && (*before == 1 || after == *before), "{service}: {before} → {after}");
        }
    }

    #[test]
    fn the_least_busy_takes_what_home_has_no_room_for() {
        let mut seats = seats(&[("a", 0, 4), ("b", 0, 4)]);
        let home = taken("api", &seats);
        let other = 1 - home;
        for (at_home, elsewhere, expected) in
            [(1, 0, Choice::Take(home)), (2, 0, Choice::Take(other)), (4, 3, Choice::Take(other)), (4, 4, Choice::Wait)]
        {
            seats[home].running = at_home;
            seats[other].running = elsewhere;
            assert_eq!(choose("api", &seats), expected, "{at_home} and {elsewhere}");
        }
    }

    #[test]
    fn the_architecture_is_waited_for_and_a_foreign_one_is_better_than_none() {
        let mut seats = seats(&[("a", 2, 2), ("b", 0, 2)]);
        seats[1].native = false;
        assert_eq!(choose("api", &seats), Choice::Wait);
        seats[0].lost = true;
        assert_eq!(choose("api", &seats), Choice::Take(1));
        seats[1].takes = false;
        assert_eq!(choose("api", &seats), Choice::Nobody);
    }
}
