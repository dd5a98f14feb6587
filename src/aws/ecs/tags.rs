//! The tags on a service: the record of what shipit put there.

use std::collections::BTreeMap;

use aws_sdk_ecs::types;

use crate::aws::Clients;
use crate::aws::error::aws;
use crate::error::Result;

/// The tag keys that shipit writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Revision,
    Digest,
    Base,
    /// The revision that a rollback took away: it is not deployed again by accident.
    Held,
    /// The digest that ran before the recorded one.
    Previous,
    DeployedAt,
    DeployedBy,
    ApprovedBy,
}

impl Tag {
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Revision => "shipit:revision",
            Self::Digest => "shipit:digest",
            Self::Base => "shipit:base",
            Self::Held => "shipit:held",
            Self::Previous => "shipit:previous",
            Self::DeployedAt => "shipit:deployed-at",
            Self::DeployedBy => "shipit:deployed-by",
            Self::ApprovedBy => "shipit:approved-by",
        }
    }
}

/// Those that came with the service.
pub(super) fn of(found: &types::Service) -> BTreeMap<String, String> {
    let pair = |tag: &types::Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    found.tags().iter().filter_map(pair).collect()
}

pub(crate) async fn write(clients: &Clients, service_arn: &str, tags: &[(Tag, String)]) -> Result<()> {
    let tags = tags.iter().map(|(tag, value)| types::Tag::builder().key(tag.key()).value(allowed(value)).build());
    clients
        .ecs
        .tag_resource()
        .resource_arn(service_arn)
        .set_tags(Some(tags.collect()))
        .send()
        .await
        .map_err(|error| aws("ecs:TagResource", &error))?;
    Ok(())
}

/// Takes tags off; one that is not there is no error.
pub(crate) async fn remove(clients: &Clients, service_arn: &str, tags: &[Tag]) -> Result<()> {
    let keys = tags.iter().map(|tag| tag.key().to_owned()).collect();
    clients
        .ecs
        .untag_resource()
        .resource_arn(service_arn)
        .set_tag_keys(Some(keys))
        .send()
        .await
        .map_err(|error| aws("ecs:UntagResource", &error))?;
    Ok(())
}

/// A tag's value: at most 256 characters, of letters, digits, spaces and `+ - = . _ : / @`.
fn allowed(value: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || " +-=._:/@".contains(c);
    value.chars().take(256).map(|c| if fits(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_tag_value_keeps_what_ecs_takes() {
        assert_eq!(super::allowed("sha256:ab/c@d (x)"), "sha256:ab/c@d _x_");
        assert_eq!(super::allowed(&"é".repeat(300)).chars().count(), 256);
    }
}
