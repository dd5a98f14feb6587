//! The rates that ECS grants an account in a region, enforced when the script asks for it: a token bucket for each of the
//! groups that ECS documents ("Request throttling for the Amazon ECS API"). What is over the rate is refused, as ECS does.

use std::collections::HashMap;
use std::time::Instant;

use super::fault::Fault;

/// Group, calls at once, calls per second.
type Rate = (&'static str, f64, f64);

const SERVICE_MODIFY: Rate = ("service modify", 50.0, 5.0);
const SERVICE_READ: Rate = ("service read", 100.0, 20.0);
const CLUSTER_RESOURCE_READ: Rate = ("cluster resource read", 100.0, 20.0);
const SERVICE_DEPLOYMENTS: Rate = ("service deployments", 50.0, 20.0);
const SERVICE_REVISIONS: Rate = ("service revisions", 50.0, 20.0);
const TASK_DEFINITION_READ: Rate = ("task definition read", 50.0, 20.0);
const CLUSTER_READ: Rate = ("cluster read", 50.0, 20.0);
const TASK_RUN: Rate = ("task run and stop", 100.0, 40.0);

#[derive(Debug, Default)]
pub(crate) struct Rates(HashMap<&'static str, Bucket>);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rates {
    /// Counts the call of an ECS operation; an error when its group has used up its rate.
    pub(crate) fn count(&mut self, operation: &str, now: Instant) -> Result<(), Fault> {
        let Some((group, burst, per_second)) = rate(operation) else { return Ok(()) };
        let bucket = self.0.entry(group).or_insert(Bucket { tokens: burst, at: now });
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * per_second;
        bucket.tokens = (bucket.tokens + gained).min(burst);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(Fault::client("ThrottlingException", "Rate exceeded".to_owned()));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

fn rate(operation: &str) -> Option<Rate> {
    Some(match operation {
        "CreateService" | "UpdateService" | "DeleteService" => SERVICE_MODIFY,
        "DescribeServices" | "ListServices" => SERVICE_READ,
        "DescribeTasks" | "ListTasks" | "ListTagsForResource" => CLUSTER_RESOURCE_READ,
        "ListServiceDeployments" | "DescribeServiceDeployments" | "StopServiceDeployment" => SERVICE_DEPLOYMENTS,
        "DescribeServiceRevisions" => SERVICE_REVISIONS,
        "DescribeTaskDefinition" | "ListTaskDefinitions" => TASK_DEFINITION_READ,
        "DescribeClusters" | "ListClusters" => CLUSTER_READ,
        "RunTask" | "StopTask" => TASK_RUN,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Rates;

    #[test]
    fn a_burst_is_granted_and_then_the_rate() {
        let start = Instant::now();
        let mut rates = Rates::default();
        let granted = |rates: &mut Rates, after: u64| {
            let at = start + Duration::from_millis(after);
            (0..200).filter(|_| rates.count("UpdateService", at).is_ok()).count()
        };
        assert_eq!(granted(&mut rates, 0), 50);
        assert_eq!(granted(&mut rates, 2000), 10);
        assert_eq!(granted(&mut rates, 100_000), 50);
        assert!(rates.count("DescribeServices", start).is_ok(), "another group has its own");
        assert!((0..1000).all(|_| rates.count("TagResource", start).is_ok()), "not documented, not enforced");
    }
}
