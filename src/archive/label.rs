//! What shipit writes on an object, as the user's metadata of S3: of which commit it is, what its bytes are, and, on the
//! live one, the record that a container has in the tags of its ECS service. Pure.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::aws::ecs::Tag;
use crate::aws::s3::Object;

/// Metadata travels in HTTP headers: what is not ASCII is percent-encoded.
const UNSENDABLE: &AsciiSet = &CONTROLS.add(b'%');

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Label {
    /// Full commit, `-dirty` appended where the tree was not clean.
    pub(crate) revision: Option<String>,
    /// Of the zip, hexadecimal.
    pub(crate) sha256: Option<String>,
    /// RFC 3339.
    pub(crate) at: Option<String>,
    /// The identity's ARN.
    pub(crate) by: Option<String>,
    pub(crate) approved_by: Option<String>,
    /// What a change is measured from; after a rollback it is not the revision.
    pub(crate) base: Option<String>,
    /// The revision that a rollback took away.
    pub(crate) held: Option<String>,
    /// The revision that was live before.
    pub(crate) previous: Option<String>,
}

impl Label {
    pub(crate) fn of(object: &Object) -> Self {
        let value = |name: &str| {
            let text = object.metadata.get(name).filter(|text| !text.is_empty())?;
            Some(percent_decode_str(text).decode_utf8_lossy().into_owned())
        };
        Self {
            revision: value("revision"),
            sha256: value("sha256"),
            at: value("at"),
            by: value("by"),
            approved_by: value("approved-by"),
            base: value("base"),
            held: value("held"),
            previous: value("previous"),
        }
    }

    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        let pairs = [
            ("revision", &self.revision),
            ("sha256", &self.sha256),
            ("at", &self.at),
            ("by", &self.by),
            ("approved-by", &self.approved_by),
            ("base", &self.base),
            ("held", &self.held),
            ("previous", &self.previous),
        ];
        let encoded = |text: &String| utf8_percent_encode(text, UNSENDABLE).to_string();
        pairs.into_iter().filter_map(|(name, text)| Some((name.to_owned(), encoded(text.as_ref()?)))).collect()
    }

    /// What a change is measured from.
    pub(crate) fn base(&self) -> Option<&str> {
        self.base.as_deref().or(self.revision.as_deref())
    }

    /// `sha256:…`, as digests are shown everywhere.
    pub(crate) fn digest(&self) -> Option<String> {
        self.sha256.as_ref().map(|sha256| format!("sha256:{sha256}"))
    }

    /// As the tags of an ECS service would say it, for the gates that ask those.
    pub(crate) fn recorded(&self) -> BTreeMap<String, String> {
        let pairs = [(Tag::Held, &self.held), (Tag::Revision, &self.revision)];
        pairs.into_iter().filter_map(|(tag, value)| Some((tag.key().to_owned(), value.clone()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Label;
    use crate::aws::s3::Object;

    #[test]
    fn what_is_written_is_read_again_whatever_it_holds() {
        let label = Label {
            revision: Some("0123".to_owned()),
            sha256: Some("ab".to_owned()),
            by: Some("arn:aws:iam::123456789012:user/zoë 100%".to_owned()),
            ..Label::default()
        };
        let metadata = label.metadata();
        assert!(metadata.values().all(|text| text.is_ascii()), "{metadata:?}");
        let object =
            Object { etag: String::new(), bytes: 0, modified: None, metadata: metadata.clone(), checksum: None };
        assert_eq!(Label::of(&object), label);
        assert_eq!(label.base(), Some("0123"));
        assert_eq!(label.digest().as_deref(), Some("sha256:ab"));
        assert_eq!(Label::of(&Object { metadata: BTreeMap::new(), ..object }), Label::default(), "somebody else's");
    }
}
