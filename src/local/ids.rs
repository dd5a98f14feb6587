//! Identifiers and tokens, shaped as AWS shapes them and drawn from the operating system's randomness.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// `N` random bytes.
///
/// # Panics
/// When the operating system has no randomness to give: nothing sensible can be served without it.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

pub(crate) fn hex<const N: usize>() -> String {
    hex_of(&random::<N>())
}

pub(crate) fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A task's id: 32 hexadecimal digits.
pub(crate) fn task() -> String {
    hex::<16>()
}

/// A deployment's id, `ecs-svc/` and 19 digits.
pub(crate) fn deployment() -> String {
    format!("ecs-svc/{}", nineteen_digits())
}

/// 19 digits that do not begin with a zero.
pub(crate) fn nineteen_digits() -> String {
    let number = u64::from_be_bytes(random::<8>());
    (1_000_000_000_000_000_000 + number % 8_000_000_000_000_000_000).to_string()
}

/// An upper-case identifier, as in access keys; `prefix` is `AKIA` or `ASIA`.
pub(crate) fn access_key(prefix: &str) -> String {
    format!("{prefix}{}", hex::<8>().to_uppercase())
}

/// A password or session token that cannot be guessed.
pub(crate) fn token() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random::<32>())
}

/// A version-4 UUID.
pub(crate) fn uuid() -> String {
    let mut bytes = random::<16>();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex_of(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_have_the_shapes_of_aws() {
        assert_eq!(super::task().len(), 32);
        let deployment = super::deployment();
        let digits = deployment.strip_prefix("ecs-svc/").expect("the prefix");
        assert!(digits.len() == 19 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{deployment}");
        assert_eq!(super::access_key("ASIA").len(), 20);
        assert_eq!(super::uuid().len(), 36);
        assert_ne!(super::token(), super::token());
    }
}
