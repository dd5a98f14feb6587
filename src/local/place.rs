//! An account in a region: the unit in which AWS keeps repositories, clusters and task definitions apart.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Twelve digits.
    pub(crate) account: String,
    pub(crate) region: String,
}

impl Place {
    pub(crate) fn new(account: impl Into<String>, region: impl Into<String>) -> Self {
        Self { account: account.into(), region: region.into() }
    }

    /// The key under which the state keeps what is in this place.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.account, self.region)
    }

    /// `arn:aws:SERVICE:REGION:ACCOUNT:REST`.
    pub(crate) fn arn(&self, service: &str, rest: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{rest}", self.region, self.account)
    }
}

/// The last segment of an ARN, or the text itself: ECS takes names and ARNs alike.
pub(crate) fn short_name(name_or_arn: &str) -> &str {
    name_or_arn.rsplit('/').next().unwrap_or(name_or_arn)
}

#[cfg(test)]
mod tests {
    use super::{Place, short_name};

    #[test]
    fn an_arn_and_a_name_lead_to_the_same_service() {
        let arn = Place::new("123456789012", "eu-west-1").arn("ecs", "service/dev/api");
        assert_eq!(arn, "arn:aws:ecs:eu-west-1:123456789012:service/dev/api");
        assert_eq!(short_name(&arn), "api");
        assert_eq!(short_name("api"), "api");
    }
}
