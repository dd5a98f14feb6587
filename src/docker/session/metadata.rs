//! What a `DiffCopy` call asks for. It comes as gRPC metadata, which newer engines encode when it is not ASCII and older
//! ones send as raw UTF-8.

use percent_encoding::percent_decode;
use tonic::metadata::MetadataMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// `context` or `dockerfile`.
    pub(super) directory: String,
    pub(super) include: Vec<String>,
    pub(super) exclude: Vec<String>,
    pub(super) follow: Vec<String>,
}

impl Wanted {
    pub(super) fn read(metadata: &MetadataMap) -> Self {
        Self {
            directory: values(metadata, "dir-name").into_iter().next().unwrap_or_default(),
            include: values(metadata, "include-patterns"),
            exclude: values(metadata, "exclude-patterns"),
            follow: values(metadata, "followpaths"),
        }
    }
}

fn values(metadata: &MetadataMap, key: &str) -> Vec<String> {
    let flag = metadata.get(format!("{key}-encoded")).map(|value| value.as_bytes().to_vec());
    let encoded = matches!(flag.as_deref(), Some(b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True"));
    let decode = |raw: &[u8]| {
        if encoded {
            let spaced: Vec<u8> = raw.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
            percent_decode(&spaced).decode_utf8_lossy().into_owned()
        } else {
            String::from_utf8_lossy(raw).into_owned()
        }
    };
    metadata.get_all(key).iter().map(|value| decode(value.as_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use tonic::metadata::MetadataMap;

    use super::Wanted;

    #[test]
    fn values_are_read_raw_and_encoded() {
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: &str| {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        };
        add("dir-name", "context");
        add("exclude-patterns", "a+b%20");
        add("exclude-patterns", "ünï");
        add("followpaths", "%C3%BCn+x%2By");
        add("followpaths-encoded", "1");
        let wanted = Wanted::read(&MetadataMap::from_headers(headers));
        assert_eq!(wanted.directory, "context");
        assert_eq!(wanted.exclude, ["a+b%20", "ünï"]);
        assert_eq!(wanted.follow, ["ün x+y"]);
        assert!(wanted.include.is_empty());
    }
}
