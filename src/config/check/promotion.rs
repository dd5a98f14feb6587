//! `soak` and `image: promote`: both speak of the environment before this one, so there has to be one.

use super::{Check, join};
use crate::config::grammar;
use crate::config::manifest::{Environment, ImageSource};
use crate::config::tree::steps;

impl Check<'_> {
    /// `soak` and `image: promote` speak of the environment before this one.
    pub(super) fn promotion(&mut self, name: &str, environment: &Environment) {
        let at = steps!["environments", name];
        if let Some(soak) = &environment.soak {
            self.grammar(&join(&at, "soak"), soak, |text| grammar::duration(text).map(|_| ()));
        }
        if environment.after.is_some() {
            return;
        }
        let help = || Some("name the environment that comes before this one, as in `after: sandbox`".to_owned());
        if environment.image == Some(ImageSource::Promote) {
            let message = "there is nothing to promote from: this environment has no `after`".to_owned();
            self.fault(&join(&at, "image"), None, message, help());
        }
        if environment.soak.is_some() {
            self.key_fault(&join(&at, "soak"), "this environment has no `after` to wait for".to_owned(), help());
        }
    }
}
