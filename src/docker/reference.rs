//! Image references, as far as they have to be taken apart here.

/// Repository and tag; `latest` when there is none. A port is not a tag.
pub(super) fn split_tag(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::split_tag;

    #[test]
    fn a_port_is_not_a_tag() {
        for (reference, expected) in [
            ("127.0.0.1:5000/a/b:t", ("127.0.0.1:5000/a/b", "t")),
            ("127.0.0.1:5000/a", ("127.0.0.1:5000/a", "latest")),
            ("a", ("a", "latest")),
        ] {
            assert_eq!(split_tag(reference), expected);
        }
    }
}
