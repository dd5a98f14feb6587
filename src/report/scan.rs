//! How a scan's result is printed: the counts, and of a gate what stands in the way, at most a screenful.

use super::line::{Line, Tone};
use super::words;
use crate::aws::ecr::scan::Vulnerability;
use crate::scan::{Report, Severity, Waiver};

/// Findings that are shown; JSON has them all.
const SHOWN: usize = 12;

pub(super) fn lines(report: &Report) -> Vec<Line> {
    if report.fail_on.is_none() {
        return in_passing(report).into_iter().chain(waivers(report)).collect();
    }
    let tone = if report.passed { Tone::Plain } else { Tone::Bad };
    let mut lines = vec![Line::new().toned(tone, "scan").plain(": ").plain(report.counted()).hanging(4)];
    let shown: Vec<&Vulnerability> = report.findings.iter().take(SHOWN).collect();
    lines.extend(shown.iter().map(|one| finding(one)));
    if let Some(more) = report.findings.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        let fixable = report.findings[SHOWN..].iter().filter(|one| one.is_fixable()).count();
        lines.push(Line::new().plain(format!("  and {more} more, of which {fixable} can be fixed")));
    }
    lines.extend(waivers(report));
    lines
}

/// After a rollout: one line, where there is anything high or critical.
fn in_passing(report: &Report) -> Option<Line> {
    let worst = report.counts.keys().next_back().copied().filter(|worst| *worst >= Severity::High)?;
    let fixable = report.findings.iter().filter(|one| one.is_fixable()).count();
    let tone = if worst == Severity::Critical { Tone::Warning } else { Tone::Accent };
    let text = format!("{}; {} of the high and critical ones can be fixed", report.counted(), fixable);
    Some(Line::new().toned(tone, "scan").plain(": ").plain(text).hanging(4))
}

fn finding(one: &Vulnerability) -> Line {
    let package = one.packages.iter().find(|package| package.fixed.is_some()).or(one.packages.first());
    let what = package.map_or_else(String::new, |package| match &package.fixed {
        Some(fixed) => format!("{} {} → {fixed}  ", package.name, package.installed),
        None => format!("{} {}, no fix yet  ", package.name, package.installed),
    });
    let others = one.packages.len().saturating_sub(1);
    let others =
        if others > 0 { format!(" and {}", words::count(others as u64, "other package")) } else { String::new() };
    let tone = if one.severity == Severity::Critical { Tone::Bad } else { Tone::Warning };
    let line = Line::new().plain("  ").toned(tone, format!("{:<8}", one.severity)).plain("  ").plain(what);
    let line = line.strong(one.id.clone()).plain(others);
    match &one.url {
        Some(url) => line.dim("  ").dim(url.clone()).hanging(12),
        None => line.hanging(12),
    }
}

fn waivers(report: &Report) -> impl Iterator<Item = Line> {
    let line = |waiver: &Waiver, text: String| {
        Line::new().plain(format!("  {} {text}: {}", waiver.id, waiver.reason)).hanging(4)
    };
    let ignored = report.ignored.iter().map(move |waiver| line(waiver, format!("is ignored until {}", waiver.until)));
    let expired = report.expired.iter().map(move |waiver| {
        Line::new()
            .plain("  ")
            .toned(Tone::Warning, format!("{} is ignored no more: its last day was {}", waiver.id, waiver.until))
            .plain(format!(" ({})", waiver.reason))
            .hanging(4)
    });
    ignored.chain(expired).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::civil::date;

    use super::lines;
    use crate::aws::ecr::scan::{Package, Vulnerability};
    use crate::scan::{Report, Severity, Waiver};

    fn report(fail_on: Option<Severity>, count: usize) -> Report {
        let finding = |number: usize| Vulnerability {
            id: format!("CVE-2026-{number}"),
            severity: Severity::Critical,
            packages: vec![Package {
                name: "zlib".to_owned(),
                installed: "1.2".to_owned(),
                fixed: (number == 0).then(|| "1.3".to_owned()),
            }],
            url: (number == 0).then(|| "https://example.com/0".to_owned()),
        };
        let waiver = |id: &str, until| Waiver { id: id.to_owned(), until, reason: "no way in".to_owned() };
        Report {
            digest: "sha256:1".to_owned(),
            fail_on,
            passed: fail_on.is_none() || count == 0,
            counts: BTreeMap::from([(Severity::Critical, count), (Severity::Low, 3)]),
            findings: (0..count).map(finding).collect(),
            ignored: vec![waiver("CVE-1", date(2027, 1, 31))],
            expired: vec![waiver("CVE-2", date(2026, 1, 31))],
        }
    }

    fn told(report: &Report) -> Vec<String> {
        lines(report).iter().map(|line| line.styled(false)).collect()
    }

    #[test]
    fn a_gate_names_what_can_be_fixed_and_fits_on_a_screen() {
        let lines = told(&report(Some(Severity::Critical), 40));
        assert_eq!(lines[0], "scan: 40 critical and 3 low");
        assert_eq!(lines[1], "  critical  zlib 1.2 → 1.3  CVE-2026-0  https://example.com/0");
        assert_eq!(lines[2], "  critical  zlib 1.2, no fix yet  CVE-2026-1");
        assert_eq!(lines[13], "  and 28 more, of which 0 can be fixed");
        assert_eq!(lines[14], "  CVE-1 is ignored until 2027-01-31: no way in");
        assert_eq!(lines[15], "  CVE-2 is ignored no more: its last day was 2026-01-31 (no way in)");
        assert_eq!(lines.len(), 16);
    }

    #[test]
    fn in_passing_there_is_a_line_only_if_there_is_something_to_say() {
        let mut report = report(None, 2);
        assert_eq!(told(&report)[0], "scan: 2 critical and 3 low; 1 of the high and critical ones can be fixed");
        (report.ignored, report.expired) = (Vec::new(), Vec::new());
        report.counts.remove(&Severity::Critical);
        assert!(told(&report).is_empty());
    }
}
