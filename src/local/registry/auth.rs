//! The passwords that open the registry: given out by `GetAuthorizationToken` (and, inside an address, by
//! `GetDownloadUrlForLayer`), good for twelve hours and for one account and region.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::local::clock::Millis;
use crate::local::ids;
use crate::local::place::Place;
use crate::local::shared::lock;
use crate::local::wire::fault::{Answered, Fault};

const GOOD_FOR: Millis = 12 * 3_600_000;

/// Password to what it opens, and until when.
pub(crate) type Tokens = HashMap<String, (Place, Millis)>;

pub(crate) struct Issued {
    /// As the registry's user `AWS` sends it.
    pub(crate) password: String,
    /// `base64("AWS:PASSWORD")`.
    pub(crate) authorization: String,
    pub(crate) expires_at: Millis,
}

pub(crate) fn issue(tokens: &Mutex<Tokens>, place: &Place, now: Millis) -> Issued {
    let password = ids::token();
    let expires_at = now + GOOD_FOR;
    let mut tokens = lock(tokens);
    tokens.retain(|_, (_, until)| *until > now);
    tokens.insert(password.clone(), (place.clone(), expires_at));
    let authorization = BASE64_STANDARD.encode(format!("AWS:{password}"));
    Issued { password, authorization, expires_at }
}

/// The account and region that a registry request is for.
///
/// # Errors
/// 401 without a password or with one that was never given out; 403 with one that has expired.
pub(crate) fn check(tokens: &Mutex<Tokens>, headers: &HeaderMap, query: Option<&str>, now: Millis) -> Answered<Place> {
    let ticket = query.into_iter().flat_map(|query| query.split('&')).find_map(|pair| pair.strip_prefix("ticket="));
    let password = match ticket {
        Some(ticket) => ticket.to_owned(),
        None => basic(headers).ok_or_else(|| Fault::with_status(401, "UNAUTHORIZED", "no basic auth credentials"))?,
    };
    match lock(tokens).get(&password) {
        Some((place, until)) if *until > now => Ok(place.clone()),
        Some(_) => Err(Fault::with_status(
            403,
            "DENIED",
            "Your authorization token has expired. Reauthenticate and try again.",
        )),
        None => Err(Fault::with_status(401, "UNAUTHORIZED", "Not Authorized")),
    }
}

/// The password of `Basic base64("AWS:PASSWORD")`.
fn basic(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    (scheme.eq_ignore_ascii_case("basic") && user == "AWS").then(|| password.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::http::{HeaderMap, header};

    use super::{GOOD_FOR, Tokens, check, issue};
    use crate::local::place::Place;

    fn basic(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, format!("Basic {authorization}").parse().unwrap())])
    }

    #[test]
    fn only_what_was_given_out_opens_the_registry_and_only_for_twelve_hours() {
        let tokens = Mutex::new(Tokens::new());
        let place = Place::new("123456789012", "eu-west-1");
        let issued = issue(&tokens, &place, 0);
        let headers = basic(&issued.authorization);
        assert_eq!(check(&tokens, &headers, None, 0).unwrap(), place);
        assert_eq!(check(&tokens, &headers, None, GOOD_FOR).unwrap_err().status, 403);
        let ticket = format!("x=1&ticket={}", issued.password);
        assert_eq!(check(&tokens, &HeaderMap::new(), Some(&ticket), 0).unwrap(), place);
        for bad in [HeaderMap::new(), basic("QVdTOm5v"), basic("%%%")] {
            assert_eq!(check(&tokens, &bad, None, 0).unwrap_err().status, 401);
        }
    }
}
