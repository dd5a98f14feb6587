//! The rates of calls to ECS: one token bucket for each of the account's, shared by everything in a run.
//!
//! ECS counts calls per account and region, so a deploy of two hundred services must not use up what others need: each
//! bucket here holds about half of what ECS grants. A caller waits for its turn; nothing is ever refused.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a call is counted as, by ECS's own grouping ("Request throttling" in its API reference).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    /// `DescribeServices`. ECS: 100 at once, 20 per second.
    ServiceRead,
    /// `UpdateService`. ECS: 50 at once, 5 per second.
    ServiceModify,
    /// `ListTasks`, `DescribeTasks`. ECS: 100 at once, 20 per second.
    TaskRead,
    /// `ListServiceDeployments`, `DescribeServiceDeployments`. ECS: 50 at once, 20 per second.
    ServiceDeployments,
    /// `DescribeTaskDefinition`. ECS: 50 at once, 20 per second.
    TaskDefinitionRead,
}

/// A cheap handle; all clones share the buckets.
#[derive(Clone, Debug)]
pub(crate) struct Pace(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    service_read: Mutex<Bucket>,
    service_modify: Mutex<Bucket>,
    task_read: Mutex<Bucket>,
    service_deployments: Mutex<Bucket>,
    task_definition_read: Mutex<Bucket>,
    crowd: AtomicUsize,
}

/// One watch, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Member(Arc<Buckets>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.crowd.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Pace {
    fn default() -> Self {
        let now = Instant::now();
        let bucket = |burst, per_second| Mutex::new(Bucket::new(burst, per_second, now));
        Self(Arc::new(Buckets {
            service_read: bucket(50.0, 10.0),
            service_modify: bucket(25.0, 3.0),
            task_read: bucket(60.0, 15.0),
            service_deployments: bucket(25.0, 8.0),
            task_definition_read: bucket(25.0, 10.0),
            crowd: AtomicUsize::new(0),
        }))
    }
}

impl Pace {
    /// Returns when the call may be made. Turns are given in the order of asking.
    pub(crate) async fn turn(&self, budget: Budget) {
        let bucket = match budget {
            Budget::ServiceRead => &self.0.service_read,
            Budget::ServiceModify => &self.0.service_modify,
            Budget::TaskRead => &self.0.task_read,
            Budget::ServiceDeployments => &self.0.service_deployments,
            Budget::TaskDefinitionRead => &self.0.task_definition_read,
        };
        let wait = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Counts one more that asks again and again, so that each can ask the less often.
    pub(crate) fn join(&self) -> Member {
        self.0.crowd.fetch_add(1, Ordering::Relaxed);
        Member(Arc::clone(&self.0))
    }

    /// How many there are.
    pub(crate) fn crowd(&self) -> usize {
        self.0.crowd.load(Ordering::Relaxed)
    }
}

/// Tokens may go below zero: then they are promised, and whoever took one waits until it is there.
#[derive(Debug)]
struct Bucket {
    burst: f64,
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    const fn new(burst: f64, per_second: f64, now: Instant) -> Self {
        Self { burst, per_second, tokens: burst, at: now }
    }

    /// Takes one token and says how long to wait for it.
    fn take(&mut self, now: Instant) -> Duration {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.at = self.at.max(now);
        self.tokens = (self.tokens + gained).min(self.burst) - 1.0;
        if self.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.tokens / self.per_second) }
    }
}

#[cfg(test)]
mod tests {
    use super::Bucket;
    use std::time::{Duration, Instant};

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3.0, 2.0, start);
        let waits: Vec<u128> = (0..7).map(|_| bucket.take(start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 500, 1000, 1500, 2000]);
        assert_eq!(
            bucket.take(start + Duration::from_secs(2)).as_millis(),
            500,
            "what was promised is paid back first"
        );
    }

    #[test]
    fn rest_fills_it_no_further_than_the_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(2.0, 1.0, start);
        let later = start + Duration::from_hours(1);
        let waits: Vec<u64> = (0..4).map(|_| bucket.take(later).as_secs()).collect();
        assert_eq!(waits, [0, 0, 1, 2]);
    }

    #[test]
    fn however_it_is_asked_the_calls_stay_within_burst_and_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(50.0, 10.0, start);
        let mut granted: Vec<Duration> = (0..2000_u32)
            .map(|n| {
                let asked = Duration::from_millis(u64::from(n * 7919 % 10_000));
                (asked, n)
            })
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .map(|(asked, _)| asked + bucket.take(start + asked))
            .collect();
        granted.sort_unstable();
        for (n, at) in granted.iter().enumerate() {
            let within = granted[n..].iter().take_while(|other| **other < *at + Duration::from_secs(5)).count();
            assert!(within <= 50 + 5 * 10 + 1, "{within} calls in the 5 s after {at:?}");
        }
    }
}
