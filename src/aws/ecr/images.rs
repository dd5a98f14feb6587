//! What a repository holds: digests with their tags and the time of their push.

use aws_sdk_ecr::error::ProvideErrorMetadata;
use aws_sdk_ecr::types::{ImageDetail, ImageIdentifier};
use jiff::Timestamp;

use crate::aws::Clients;
use crate::aws::error::aws;
use crate::error::Result;

/// One image of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) digest: String,
    /// In the order of the alphabet; empty where only the digest leads to it.
    pub(crate) tags: Vec<String>,
    pub(crate) pushed_at: Option<Timestamp>,
}

impl Image {
    /// The commits that its tags `git-…` name, 12 hex digits each (`-dirty` behind them where the tree was not clean).
    /// Two commits that lead to the same bytes share one image.
    pub(crate) fn commits(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().filter_map(|tag| tag.strip_prefix("git-"))
    }
}

/// Every image of the repository, the one that was pushed last first.
pub(crate) async fn images(clients: &Clients, repository: &str) -> Result<Vec<Image>> {
    let mut pages = clients.ecr.describe_images().repository_name(repository).into_paginator().items().send();
    let mut images = Vec::new();
    while let Some(image) = pages.next().await {
        let image = image.map_err(|error| aws("ecr:DescribeImages", &error))?;
        images.extend(convert(&image));
    }
    // The digest decides between pushes of the same second, so that the order is the same each time.
    images.sort_by(|one, other| (other.pushed_at, &other.digest).cmp(&(one.pushed_at, &one.digest)));
    Ok(images)
}

/// The image with that digest; `None` when the repository does not have it (any more).
pub(crate) async fn image(clients: &Clients, repository: &str, digest: &str) -> Result<Option<Image>> {
    let id = ImageIdentifier::builder().image_digest(digest).build();
    match clients.ecr.describe_images().repository_name(repository).image_ids(id).send().await {
        Ok(answer) => Ok(answer.image_details().first().and_then(convert)),
        Err(error) if error.code() == Some("ImageNotFoundException") => Ok(None),
        Err(error) => Err(aws("ecr:DescribeImages", &error)),
    }
}

fn convert(image: &ImageDetail) -> Option<Image> {
    let mut tags = image.image_tags().to_vec();
    tags.sort();
    let pushed_at =
        image.image_pushed_at().and_then(|at| Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok());
    Some(Image { digest: image.image_digest()?.to_owned(), tags, pushed_at })
}
