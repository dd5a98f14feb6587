//! Paths under `/v2/`. A repository's name may hold slashes, so that a path is read from its end.

use axum::http::Method;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    Base,
    Uploads { repository: &'a str },
    Upload { repository: &'a str, id: &'a str },
    Blob { repository: &'a str, digest: &'a str },
    Manifest { repository: &'a str, reference: &'a str },
    Tags { repository: &'a str },
    Referrers { repository: &'a str },
    Nowhere,
}

impl<'a> Route<'a> {
    pub(crate) fn of(path: &'a str) -> Self {
        let path = path.strip_prefix("/v2").unwrap_or(path).trim_start_matches('/');
        if path.is_empty() {
            return Self::Base;
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return Self::Tags { repository };
        }
        if let Some((repository, id)) = path.rsplit_once("/blobs/uploads") {
            return match id.trim_matches('/') {
                "" => Self::Uploads { repository },
                id => Self::Upload { repository, id },
            };
        }
        let Some((head, last)) = path.rsplit_once('/') else { return Self::Nowhere };
        match head.rsplit_once('/') {
            Some((repository, "blobs")) => Self::Blob { repository, digest: last },
            Some((repository, "manifests")) => Self::Manifest { repository, reference: last },
            Some((repository, "referrers")) => Self::Referrers { repository },
            _ => Self::Nowhere,
        }
    }

    pub(crate) const fn repository(&self) -> Option<&'a str> {
        match self {
            Self::Base | Self::Nowhere => None,
            Self::Uploads { repository }
            | Self::Upload { repository, .. }
            | Self::Blob { repository, .. }
            | Self::Manifest { repository, .. }
            | Self::Tags { repository }
            | Self::Referrers { repository } => Some(repository),
        }
    }

    /// The IAM action that ECR asks for.
    pub(crate) fn action(&self, method: &Method) -> Option<&'static str> {
        Some(match self {
            Self::Base | Self::Nowhere => return None,
            Self::Uploads { .. } => "InitiateLayerUpload",
            Self::Upload { .. } if *method == Method::PUT => "CompleteLayerUpload",
            Self::Upload { .. } => "UploadLayerPart",
            Self::Blob { .. } if *method == Method::HEAD => "BatchCheckLayerAvailability",
            Self::Blob { .. } => "GetDownloadUrlForLayer",
            Self::Manifest { .. } if *method == Method::PUT => "PutImage",
            Self::Manifest { .. } | Self::Referrers { .. } => "BatchGetImage",
            Self::Tags { .. } => "ListImages",
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::Route;

    #[test]
    fn names_may_hold_slashes() {
        let table = [
            ("/v2", Route::Base),
            ("/v2/", Route::Base),
            ("/v2/team/api/manifests/latest", Route::Manifest { repository: "team/api", reference: "latest" }),
            ("/v2/api/blobs/sha256:ab", Route::Blob { repository: "api", digest: "sha256:ab" }),
            ("/v2/a/b/blobs/uploads/", Route::Uploads { repository: "a/b" }),
            ("/v2/a/b/blobs/uploads/7", Route::Upload { repository: "a/b", id: "7" }),
            ("/v2/api/tags/list", Route::Tags { repository: "api" }),
            ("/v2/_catalog", Route::Nowhere),
        ];
        for (path, route) in table {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn a_look_at_a_blob_is_a_layer_check() {
        assert_eq!(Route::of("/v2/a/blobs/x").action(&Method::HEAD), Some("BatchCheckLayerAvailability"));
        assert_eq!(Route::of("/v2/").action(&Method::GET), None);
    }
}
