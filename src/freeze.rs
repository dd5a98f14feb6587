//! Freeze windows: times in which nothing is deployed to an environment. Pure: the time is handed in.
//!
//! They hold deploys only. A rollback is the way out of trouble, and a one-off task changes nothing that serves.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::exit::Exit;
use crate::plan::Finding;

/// One window; both ends are known to be times.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) when: When,
    pub(crate) reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum When {
    /// From the first instant up to the second, which is not in it.
    Once(Timestamp, Timestamp),
    /// On these days between two times of the clock; over midnight where the second is not later.
    Weekly { days: Vec<Weekday>, from: Time, to: Time, zone: TimeZone },
}

/// The window in which `now` lies, and when the last of them ends that lie over it.
pub(crate) fn closed(windows: &[Window], now: Timestamp) -> Option<(&Window, Timestamp)> {
    let open = windows.iter().filter_map(|window| Some((window, window.when.ends(now)?)));
    open.max_by_key(|(_, end)| *end)
}

impl When {
    /// When the window ends that `now` lies in.
    fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once(from, to) => (*from <= now && now < *to).then_some(*to),
            Self::Weekly { days, from, to, zone } => {
                let today = now.to_zoned_datetime(zone.clone()).date();
                // One that began yesterday may reach over midnight.
                [today.yesterday().ok(), Some(today)].into_iter().flatten().find_map(|day| {
                    let last = if to > from { day } else { day.tomorrow().ok()? };
                    let begins = instant(day, *from, zone)?;
                    let ends = instant(last, *to, zone)?;
                    (days.contains(&day.weekday()) && begins <= now && now < ends).then_some(ends)
                })
            }
        }
    }
}

fn instant(day: Date, time: Time, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_zoned_datetime(day.to_datetime(time)).ok().map(|zoned| zoned.timestamp())
}

/// What is in the way of a deploy to that environment.
pub(crate) fn finding(environment: &str, windows: &[Window], now: Timestamp) -> Option<Finding> {
    let (window, end) = closed(windows, now)?;
    let reason = window.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let zone = match &window.when {
        When::Weekly { zone, .. } => zone.clone(),
        When::Once(..) => TimeZone::UTC,
    };
    let until = end.to_zoned_datetime(zone).strftime("%F %H:%M %Z").to_string();
    Some(Finding::new(
        Exit::Gate,
        format!("`{environment}` is frozen until {until}{reason}"),
        "wait until then; if it cannot wait, say why: --override-freeze REASON",
    ))
}

/// A window as it is written. `end` of a weekly one that says 23:59 is in it.
///
/// # Errors
/// Which of the three is wrong (`from`, `to` or `zone`), and how.
pub(crate) fn read(
    days: Option<&[Weekday]>,
    from: &str,
    to: &str,
    zone: Option<&str>,
) -> Result<When, (&'static str, String)> {
    let zone = match zone {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(name)
            .map_err(|_| ("zone", format!("there is no time zone `{name}`: write one as `Europe/Berlin`")))?,
    };
    let Some(days) = days else {
        let begin = point(from, &zone, false).ok_or_else(|| ("from", no_point(from)))?;
        let end = point(to, &zone, true).ok_or_else(|| ("to", no_point(to)))?;
        return if begin < end {
            Ok(When::Once(begin, end))
        } else {
            Err(("to", "it ends before it begins".to_owned()))
        };
    };
    let clock = |text: &str| Time::strptime("%H:%M", text).ok();
    let begin = clock(from).ok_or_else(|| ("from", no_clock(from)))?;
    let end = if to == "24:00" { Some(Time::midnight()) } else { clock(to) }.ok_or_else(|| ("to", no_clock(to)))?;
    // The minute that is written last is frozen too where it is the day's last.
    let end = if to == "23:59" { Time::midnight() } else { end };
    Ok(When::Weekly { days: days.to_vec(), from: begin, to: end, zone })
}

/// An instant, or the beginning of a day; as an end, the end of that day.
fn point(text: &str, zone: &TimeZone, end: bool) -> Option<Timestamp> {
    if let Ok(instant) = text.parse() {
        return Some(instant);
    }
    let day: Date = text.parse().ok().filter(|_| text.len() == "2026-12-24".len())?;
    let day = if end { day.checked_add(1.day()).ok()? } else { day };
    instant(day, Time::midnight(), zone)
}

fn no_point(text: &str) -> String {
    format!("`{text}` is neither a day, as 2026-12-24, nor a time, as 2026-12-24T18:00:00+01:00")
}

fn no_clock(text: &str) -> String {
    format!("`{text}` is no time of the clock, as 16:00")
}

#[cfg(test)]
mod tests {
    use super::{Window, closed, finding, read};
    use jiff::Timestamp;
    use jiff::civil::Weekday::{Friday, Saturday, Sunday};

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn windows_hold_from_their_first_to_their_last_instant() {
        let holidays = (None, "2026-12-24", "2026-12-26", Some("Europe/Berlin"));
        let hours = (None, "2026-12-24T10:00:00Z", "2026-12-24T12:00:00Z", None);
        let friday = (Some(&[Friday][..]), "16:00", "23:59", Some("Europe/Berlin"));
        let night = (Some(&[Friday, Saturday][..]), "22:00", "06:00", None);
        let nights = (Some(&[Saturday][..]), "22:00", "06:00", Some("Europe/Berlin"));
        let gap = (Some(&[Sunday][..]), "02:30", "04:00", Some("Europe/Berlin"));
        let whole = (Some(&[Friday][..]), "09:00", "09:00", None);
        for ((days, from, to, zone), now, end) in [
            (holidays, "2026-12-23T22:59:59Z", None),
            (holidays, "2026-12-23T23:00:00Z", Some("2026-12-26T23:00:00Z")),
            (holidays, "2026-12-26T22:59:59Z", Some("2026-12-26T23:00:00Z")),
            (holidays, "2026-12-26T23:00:00Z", None),
            (hours, "2026-12-24T11:00:00Z", Some("2026-12-24T12:00:00Z")),
            (hours, "2026-12-24T12:00:00Z", None),
            // 2026-11-27 is a Friday; Berlin is one hour ahead in winter, two in summer.
            (friday, "2026-11-27T14:59:00Z", None),
            (friday, "2026-11-27T15:00:00Z", Some("2026-11-27T23:00:00Z")),
            (friday, "2026-11-27T22:59:30Z", Some("2026-11-27T23:00:00Z")),
            (friday, "2026-07-03T14:00:00Z", Some("2026-07-03T22:00:00Z")),
            (friday, "2026-11-28T15:00:00Z", None),
            (night, "2026-11-28T05:00:00Z", Some("2026-11-28T06:00:00Z")),
            (night, "2026-11-29T05:00:00Z", Some("2026-11-29T06:00:00Z")),
            (night, "2026-11-30T05:00:00Z", None),
            // Over the nights in which the clocks of Berlin change, and over the end of a year.
            (nights, "2027-03-28T03:59:59Z", Some("2027-03-28T04:00:00Z")),
            (nights, "2027-03-28T04:00:00Z", None),
            (nights, "2026-10-25T04:59:59Z", Some("2026-10-25T05:00:00Z")),
            (nights, "2027-01-02T21:00:00Z", Some("2027-01-03T05:00:00Z")),
            // 02:30 is not there on that day: it begins as the clock goes on.
            (gap, "2027-03-28T01:29:59Z", None),
            (gap, "2027-03-28T01:30:00Z", Some("2027-03-28T02:00:00Z")),
            // From a time to the same time is a whole day.
            (whole, "2026-11-28T08:59:59Z", Some("2026-11-28T09:00:00Z")),
            (whole, "2026-11-28T09:00:00Z", None),
        ] {
            let windows = [Window { when: read(days, from, to, zone).expect("a window"), reason: None }];
            let told = closed(&windows, at(now)).map(|(_, end)| end);
            assert_eq!(told, end.map(at), "{days:?} {from} {to} at {now}");
        }
    }

    #[test]
    fn the_reason_and_the_end_are_said() {
        let when = read(Some(&[Friday]), "16:00", "23:59", Some("Europe/Berlin")).expect("a window");
        let windows = [Window { when, reason: Some("weekend".to_owned()) }];
        let finding = finding("prod", &windows, at("2026-11-27T16:00:00Z")).expect("frozen");
        assert_eq!(finding.text, "`prod` is frozen until 2026-11-28 00:00 CET: weekend");
    }

    #[test]
    fn what_is_no_window_is_said() {
        for (days, from, to, zone, key) in [
            (None, "yesterday", "2026-12-26", None, "from"),
            (None, "2026-12-26", "2026-12-24", None, "to"),
            (None, "2026-12-24", "18:00", None, "to"),
            (None, "2026-12-24T10:00:00Z", "2026-12-24T10:00:00Z", None, "to"),
            (None, "2026-13-24", "2026-12-26", None, "from"),
            (Some(&[Friday][..]), "4pm", "18:00", None, "from"),
            (Some(&[Friday][..]), "2026-12-24", "18:00", None, "from"),
            (Some(&[Friday][..]), "16:00", "25:00", None, "to"),
            (Some(&[Friday][..]), "16:00", "18:00", Some("Mars/Olympus"), "zone"),
        ] {
            assert_eq!(read(days, from, to, zone).expect_err("no window").0, key, "{from} {to}");
        }
    }
}
