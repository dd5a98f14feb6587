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

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use crate::config::load::from_text;
    use crate::config::manifest::Manifest;
    use crate::config::specification::{Builder, Platform};

    fn with(builder: &str) -> String {
        format!(
            "version: 1\nbuilder: {builder}\nenvironments:\n  dev: {{ branch: develop }}\nservices:\n  api:\n    repository: api\n"
        )
    }

    fn resolved(builder: &str) -> Vec<Builder> {
        let manifest: Manifest = from_text(&with(builder)).unwrap_or_else(|faults| panic!("{builder}: {faults:?}"));
        let builders = manifest.builder.expect("a builder");
        builders.all().iter().map(|written| written.resolve(Path::new("/shop"))).collect()
    }

    #[test]
    fn one_engine_and_several_are_written_as_they_come_to_mind() {
        let plain = |host: &str| Builder {
            name: host.to_owned(),
            host: host.to_owned(),
            certs: None,
            jobs: None,
            platforms: Vec::new(),
        };
        assert_eq!(resolved("ssh://me@big"), [plain("ssh://me@big")]);
        assert_eq!(resolved("[tcp://a:1, 'unix:///b']"), [plain("tcp://a:1"), plain("unix:///b")]);
        let described = Builder {
            name: "big".to_owned(),
            certs: Some(PathBuf::from("/shop/certs")),
            jobs: Some(4),
            platforms: vec![Platform::LinuxAmd64],
            ..plain("tcp://a:1")
        };
        let text = "{ host: tcp://a:1, name: big, certs: certs, jobs: 4, platforms: [linux/amd64] }";
        assert_eq!(resolved(text), std::slice::from_ref(&described));
        assert_eq!(resolved(&format!("[tcp://b:1, {text}]")), [plain("tcp://b:1"), described]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_at_its_place() {
        for (builder, expected) in [
            ("[]", "there is no builder in this list"),
            ("5", "expected an address, a map with `host`, or a list of them"),
            ("[5]", "expected an address, or a map with `host`"),
            ("{ name: big }", "`host` is missing here"),
            ("[{ hots: tcp://a:1 }]", "unknown key `hots`"),
            ("build-1:2376", "this is no engine's address: it has no scheme"),
            ("tcp://${env}:1", "`${…}` is not read in a builder"),
            ("{ host: tcp://a:1, certs: \"${env}\" }", "`${…}` is not read in a builder"),
            ("{ host: ssh://a, certs: c }", "certificates are for TLS to a tcp:// address"),
            ("{ host: tcp://a:1, jobs: 0 }", "it builds 1 to 255 images at a time"),
            ("{ host: tcp://a:1, platforms: [] }", "it would build for nothing"),
            ("{ host: tcp://a:1, platforms: [linux/arm64] }", "no builder takes linux/amd64, which `api` needs"),
            ("[tcp://a:1, tcp://a:1]", "this engine is there twice"),
            ("[{ host: tcp://a:1, name: x }, { host: tcp://b:1, name: x }]", "another builder is called `x` already"),
        ] {
            let faults = from_text(&with(builder)).err().unwrap_or_else(|| panic!("{builder} is taken"));
            assert!(faults.iter().any(|fault| fault.message().contains(expected)), "{builder}: {faults:?}");
        }
    }
}
