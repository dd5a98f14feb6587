//! How often ECS is asked. Pure, but for the dice.
//!
//! Quick while a rollout is young, for that is when it fails; then gently, for the rates are shared by the whole account.
//! With many rollouts at a time the calls also wait for their turn (`aws::pace`), so these are the shortest intervals.

use std::time::Duration;

/// The wait between two rounds of questions.
pub(super) fn between_rounds(elapsed: Duration, errors: u32) -> Duration {
    let base = match elapsed.as_secs() {
        0..15 => Duration::from_millis(700),
        15..90 => Duration::from_secs(2),
        90..900 => Duration::from_secs(5),
        _ => Duration::from_secs(10),
    };
    if errors == 0 {
        return base;
    }
    // Whoever is throttled, or whose network is away, is not helped by asking more often.
    (base * 2_u32.saturating_pow(errors.min(5))).clamp(Duration::from_secs(1), Duration::from_secs(30))
}

/// The wait between two looks at the stopped tasks while nothing hints at a new one: two calls a look.
pub(super) fn between_task_looks(elapsed: Duration, crowd: usize) -> Duration {
    let alone: f64 = if elapsed < Duration::from_secs(90) { 3.0 } else { 10.0 };
    // All watches together stay below six calls a second.
    let together = f64::from(u32::try_from(crowd).unwrap_or(u32::MAX)) / 3.0;
    Duration::from_secs_f64(alone.max(together).min(120.0))
}

/// Up to 15 % more or less, which keeps the watches of one run apart. `dice` is 0 to 1.
pub(super) fn jittered(wait: Duration, dice: f64) -> Duration {
    wait.mul_f64(0.85 + 0.3 * dice.clamp(0.0, 1.0))
}

/// 0 to 1, good enough to spread polls.
pub(super) fn dice() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    f64::from(u16::try_from(random & 0xffff).unwrap_or_default()) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::{between_rounds, between_task_looks, jittered};
    use std::time::Duration;

    #[test]
    fn it_slows_down_with_age_and_with_errors() {
        let at = |seconds, errors| between_rounds(Duration::from_secs(seconds), errors).as_millis();
        let cases = [
            (0, 0, 700),
            (20, 0, 2_000),
            (100, 0, 5_000),
            (3600, 0, 10_000),
            (0, 1, 1_400),
            (20, 2, 8_000),
            (100, 9, 30_000),
        ];
        for (seconds, errors, expected) in cases {
            assert_eq!(at(seconds, errors), expected, "after {seconds} s and {errors} errors");
        }
    }

    #[test]
    fn two_hundred_watches_look_at_their_tasks_in_turn() {
        let early = Duration::from_secs(5);
        assert_eq!(between_task_looks(early, 1).as_secs(), 3);
        let crowded = between_task_looks(early, 200).as_secs_f64();
        assert!(2.0 * 200.0 / crowded <= 6.0 + 1e-9, "{crowded}");
        assert_eq!(between_task_looks(Duration::from_secs(200), 1).as_secs(), 10);
    }

    #[test]
    fn jitter_stays_within_its_bounds() {
        let wait = Duration::from_secs(10);
        assert_eq!(jittered(wait, 0.0).as_millis(), 8_500);
        assert_eq!(jittered(wait, 1.0).as_millis(), 11_500);
        assert_eq!(jittered(wait, f64::INFINITY).as_millis(), 11_500);
    }
}
