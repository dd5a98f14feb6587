//! What the two output streams are: a screen or a file, how wide, with colour or without. Decided once, from the
//! variables that every tool of this kind honours.

use std::io::IsTerminal as _;

use crate::vars::Vars;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surface {
    pub(crate) stdout: Face,
    pub(crate) stderr: Face,
}

/// One stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) terminal: bool,
    pub(crate) color: bool,
    /// Whether lines may be redrawn.
    pub(crate) live: bool,
}

impl Surface {
    pub(crate) fn of_process(vars: &Vars) -> Self {
        Self {
            stdout: face(vars, std::io::stdout().is_terminal()),
            stderr: face(vars, std::io::stderr().is_terminal()),
        }
    }
}

/// `NO_COLOR` (no-color.org) wins, then `CLICOLOR_FORCE`, `CLICOLOR=0` and `TERM=dumb` (bixense.com/clicolors).
fn face(vars: &Vars, terminal: bool) -> Face {
    let smart = vars.get("TERM") != Some("dumb");
    let forced = vars.get("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    let wanted = vars.get("CLICOLOR") != Some("0");
    Face { terminal, color: !vars.has("NO_COLOR") && (forced || terminal && smart && wanted), live: terminal && smart }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_follows_the_variables() {
        type Given = &'static [(&'static str, &'static str)];
        let table: [(Given, bool, bool); 9] = [
            (&[], true, true),
            (&[], false, false),
            (&[("NO_COLOR", "1")], true, false),
            (&[("NO_COLOR", "")], true, true),
            (&[("CLICOLOR", "0")], true, false),
            (&[("CLICOLOR_FORCE", "1")], false, true),
            (&[("CLICOLOR_FORCE", "0")], false, false),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], true, false),
            (&[("TERM", "dumb")], true, false),
        ];
        for (vars, terminal, color) in table {
            let vars: Vars = vars.iter().copied().collect();
            assert_eq!(face(&vars, terminal).color, color, "{vars:?} terminal={terminal}");
        }
    }

    #[test]
    fn a_dumb_terminal_is_not_redrawn() {
        let vars: Vars = [("TERM", "dumb")].into_iter().collect();
        assert!(!face(&vars, true).live);
        assert!(face(&Vars::default(), true).live);
        assert!(!face(&Vars::default(), false).live);
    }
}
