//! What is wrong with `builder`: an address that is none, two that are the same, certificates for what has no TLS, a
//! platform that nobody would build.

use std::collections::HashSet;

use super::Check;
use crate::config::builder::Written;
use crate::config::manifest::Manifest;
use crate::config::specification::Platform;
use crate::config::tree::steps;
use crate::docker::check_address;

const FORMS: &str = "use unix:///path/to.sock, tcp://host:port or ssh://user@host";

impl Check<'_> {
    pub(super) fn builders(&mut self, manifest: &Manifest) {
        let Some(builders) = &manifest.builder else { return };
        let all = builders.all();
        if all.is_empty() {
            let help = "leave the key out for the engine that DOCKER_HOST or Docker's context names".to_owned();
            self.key_fault(&steps!["builder"], "there is no builder in this list".to_owned(), Some(help));
        }
        let (mut hosts, mut names) = (HashSet::new(), HashSet::new());
        for written in &all {
            self.builder(written);
            if !hosts.insert(written.host().to_owned()) {
                self.fault(&written.host_path(), None, "this engine is there twice".to_owned(), None);
            } else if !names.insert(written.name().to_owned()) {
                let message = format!("another builder is called `{}` already", written.name());
                self.fault(&written.under("name"), None, message, None);
            }
        }
        if !all.is_empty() {
            self.somebody_builds(manifest, &all);
        }
    }

    fn builder(&mut self, written: &Written<'_>) {
        let at = written.host_path();
        let host = written.host();
        if host.contains("${") {
            let message = "`${…}` is not read in a builder".to_owned();
            return self.fault(&at, Some("${"), message, Some(FORMS.to_owned()));
        }
        if let Err(why) = check_address(host) {
            self.fault(&at, None, format!("this is no engine's address: {why}"), Some(FORMS.to_owned()));
        }
        let Some(described) = written.described() else { return };
        if described.name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            self.fault(&written.under("name"), None, "the name is empty".to_owned(), None);
        }
        if let Some(certs) = &described.certs {
            let path = written.under("certs");
            if certs.contains("${") {
                self.fault(&path, Some("${"), "`${…}` is not read in a builder".to_owned(), None);
            } else if certs.trim().is_empty() {
                self.fault(&path, None, "this value is empty".to_owned(), Some("leave the key out".to_owned()));
            } else if !host.starts_with("tcp://") && !host.starts_with("https://") {
                let message = "certificates are for TLS to a tcp:// address".to_owned();
                self.fault(&path, None, message, Some("leave the key out".to_owned()));
            }
        }
        if described.jobs.is_some_and(|jobs| !(1..=255).contains(&jobs)) {
            self.fault(&written.under("jobs"), None, "it builds 1 to 255 images at a time".to_owned(), None);
        }
        if described.platforms.as_ref().is_some_and(Vec::is_empty) {
            let help = "leave the key out for any platform".to_owned();
            self.fault(&written.under("platforms"), None, "it would build for nothing".to_owned(), Some(help));
        }
    }

    /// A platform of a service that every builder leaves to others.
    fn somebody_builds(&mut self, manifest: &Manifest, all: &[Written<'_>]) {
        let takes = |platform: Platform| {
            all.iter().any(|written| {
                written.described().and_then(|one| one.platforms.as_ref()).is_none_or(|said| said.contains(&platform))
            })
        };
        for (name, service) in &manifest.services {
            let own = service.environments.values().filter_map(|own| own.platform);
            let wanted = std::iter::once(service.platform.unwrap_or(Platform::LinuxAmd64)).chain(own);
            for platform in wanted {
                if !takes(platform) {
                    let message = format!("no builder takes {platform}, which `{name}` needs");
                    let help = "add the platform to one of them, or a builder without `platforms`".to_owned();
                    return self.key_fault(&steps!["builder"], message, Some(help));
                }
            }
        }
    }
}
