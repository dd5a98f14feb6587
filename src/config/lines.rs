//! On which line of deploy.yaml a service or an environment stands, for reports that show a finding beside the line. It
//! judges nothing: a file that cannot be read, or is no YAML, has no lines.

use std::path::Path;

use crate::config::locate;
use crate::config::parse::parse;
use crate::config::tree::{Node, steps};

pub(crate) struct Lines {
    text: String,
    tree: Node,
}

impl Lines {
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        Self::of(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
    }

    fn of(text: String) -> Option<Self> {
        let tree = parse(&text).ok()?;
        Some(Self { text, tree })
    }

    /// The line of the service's key, counted from 1.
    pub(crate) fn service(&self, name: &str) -> Option<usize> {
        self.line("services", name)
    }

    /// The line of the environment's key, counted from 1.
    pub(crate) fn environment(&self, name: &str) -> Option<usize> {
        self.line("environments", name)
    }

    fn line(&self, group: &str, name: &str) -> Option<usize> {
        let path = steps![group, name];
        let at = self.tree.entry(&path).map(|_| locate::key(&self.tree, &self.text, &path).start)?;
        Some(self.text[..at].matches('\n').count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn keys_have_lines_and_what_is_not_there_has_none() {
        let text = "version: 1\r\nenvironments:\n  dev: { branch: develop }\nservices: { api: {},\n  \"web\": {} }\n";
        let lines = Lines::of(text.to_owned()).unwrap();
        assert_eq!(lines.environment("dev"), Some(3));
        assert_eq!((lines.service("api"), lines.service("web")), (Some(4), Some(5)));
        assert_eq!((lines.service("dev"), lines.environment("prod")), (None, None));
        assert!(Lines::of("a: [".to_owned()).is_none());
    }
}
