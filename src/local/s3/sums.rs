//! The checksums of S3, as its clients compute them.

use aws_smithy_checksums::ChecksumAlgorithm;
use aws_smithy_checksums::http::HttpChecksum;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// What S3 computes where nobody asks for another.
pub(super) const DEFAULT: &str = "crc64nvme";

/// In small letters, as in the names of the headers.
pub(super) const ALGORITHMS: [&str; 5] = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];

/// One that is being computed.
pub(super) struct Sum(Box<dyn HttpChecksum>);

impl Sum {
    /// `None`: the stand-in does not know it.
    pub(super) fn of(algorithm: &str) -> Option<Self> {
        Some(Self(algorithm.parse::<ChecksumAlgorithm>().ok()?.into_impl()))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> String {
        BASE64_STANDARD.encode(self.0.finalize())
    }
}

/// The checksum of parts: of their raw checksums in a row, with their number.
pub(super) fn of_parts<'p>(algorithm: &str, parts: impl Iterator<Item = &'p str>) -> Option<String> {
    let mut sum = Sum::of(algorithm)?;
    let mut count = 0;
    for part in parts {
        sum.update(&BASE64_STANDARD.decode(part).ok()?);
        count += 1;
    }
    Some(format!("{}-{count}", sum.finish()))
}

#[cfg(test)]
mod tests {
    use super::Sum;

    #[test]
    fn they_are_those_of_the_standards() {
        // The check values of the CRC catalogue, and of FIPS 180-4.
        for (algorithm, text, expected) in [
            ("crc32", "123456789", "y/Q5Jg=="),
            ("crc32c", "123456789", "4waSgw=="),
            ("sha1", "abc", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="),
            ("sha256", "abc", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
        ] {
            let mut sum = Sum::of(algorithm).unwrap();
            sum.update(text.as_bytes());
            assert_eq!(sum.finish(), expected, "{algorithm}");
        }
        assert!(Sum::of("crc7").is_none());
    }
}
