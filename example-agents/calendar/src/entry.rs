//! One entry, and its form in a file: iCalendar, RFC 5545.

use chrono::{Duration, NaiveDate, NaiveDateTime};
use icalendar::{Calendar, CalendarComponent, CalendarDateTime, Component, DatePerhapsTime, Event, EventLike};
use serde::{Serialize, Serializer};

/// What a person would enter; a title is a line.
const TITLE_MAX_BYTES: usize = 200;

/// Two weeks: what is longer is no appointment.
const MINUTES_MAX: u32 = 14 * 24 * 60;

/// A file that says nothing of its end.
const MINUTES_DEFAULT: i64 = 60;

const FORM: &str = "%Y-%m-%dT%H:%M:%S";

/// An appointment, in local time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    pub(crate) title: String,
    #[serde(serialize_with = "shown")]
    pub(crate) start: NaiveDateTime,
    #[serde(serialize_with = "shown")]
    pub(crate) end: NaiveDateTime,
    pub(crate) organizer: String,
}

fn shown<S: Serializer>(time: &NaiveDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.format(FORM).to_string())
}

/// A day, as `2026-12-03`.
pub(crate) fn day(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map_err(|_| format!("`{}` is no day; write it as 2026-12-03", cut(text)))
}

impl Entry {
    /// An entry of so many minutes.
    pub(crate) fn new(title: &str, start: &str, minutes: u32, organizer: &str) -> Result<Self, String> {
        let start = NaiveDateTime::parse_from_str(start, FORM)
            .map_err(|_| format!("`{}` is no time; write it as 2026-12-03T10:00:00", cut(start)))?;
        if !(1..=MINUTES_MAX).contains(&minutes) {
            return Err(format!("it takes 1 to {MINUTES_MAX} minutes"));
        }
        let end = start + Duration::minutes(i64::from(minutes));
        Ok(Self { title: line(title), start, end, organizer: line(organizer) })
    }

    /// True if both want the same time.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// As a file.
    pub(crate) fn to_ics(&self, uid: &str) -> String {
        let mut event = Event::new();
        event.uid(uid).summary(&self.title).starts(self.start).ends(self.end);
        if !self.organizer.is_empty() {
            event.add_property("ORGANIZER", format!("mailto:{}", self.organizer));
        }
        // The crate stamps by a clock; a file that is a function of its entry is easier to compare.
        event.add_property("DTSTAMP", self.start.format("%Y%m%dT%H%M%SZ").to_string());
        Calendar::new().push(event.done()).done().to_string()
    }
}

/// The entries of a file; what it says otherwise than by a time is left out.
pub(crate) fn read(text: &str) -> Vec<Entry> {
    let Ok(calendar) = text.parse::<Calendar>() else { return Vec::new() };
    let events = calendar.components.iter().filter_map(|component| match component {
        CalendarComponent::Event(event) => Some(event),
        _ => None,
    });
    events
        .filter_map(|event| {
            let start = time(event.get_start()?)?;
            let end = event.get_end().and_then(time).unwrap_or(start + Duration::minutes(MINUTES_DEFAULT));
            let organizer = event.property_value("ORGANIZER").unwrap_or_default().trim_start_matches("mailto:");
            let (title, organizer) = (line(event.get_summary().unwrap_or("busy")), line(organizer));
            Some(Entry { title, start, end, organizer })
        })
        .collect()
}

/// As the file's clock shows it: without a table of zones, an hour of another zone is not moved.
fn time(time: DatePerhapsTime) -> Option<NaiveDateTime> {
    match time {
        DatePerhapsTime::Date(day) => day.and_hms_opt(0, 0, 0),
        DatePerhapsTime::DateTime(CalendarDateTime::Floating(time)) => Some(time),
        DatePerhapsTime::DateTime(CalendarDateTime::Utc(time)) => Some(time.naive_utc()),
        DatePerhapsTime::DateTime(CalendarDateTime::WithTimezone { date_time, .. }) => Some(date_time),
    }
}

/// One line of a length that a person reads.
fn line(text: &str) -> String {
    let line: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    line[..line.floor_char_boundary(TITLE_MAX_BYTES)].to_owned()
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let entry =
            Entry::new("Lunch; with, Ada\r\nBEGIN:VEVENT", "2026-12-03T12:00:00", 45, "ada@example.org").unwrap();
        let text = entry.to_ics("calendar-0");
        assert_eq!(text.lines().filter(|line| *line == "BEGIN:VEVENT").count(), 1, "{text}");
        assert_eq!(read(&text), std::slice::from_ref(&entry));
        assert_eq!(entry.title, "Lunch; with, Ada BEGIN:VEVENT");
    }

    #[test]
    fn two_entries_overlap_only_if_they_share_a_minute() {
        let at = |start: &str| Entry::new("x", start, 60, "").unwrap();
        assert!(at("2026-12-03T10:00:00").overlaps(&at("2026-12-03T10:59:00")));
        assert!(!at("2026-12-03T10:00:00").overlaps(&at("2026-12-03T11:00:00")));
    }

    #[test]
    fn what_is_no_time_is_told() {
        assert!(Entry::new("x", "tomorrow", 60, "").is_err() && Entry::new("x", "2026-12-03T10:00:00", 0, "").is_err());
        assert!(day("2026-13-01").is_err() && read("no calendar").is_empty());
    }
}
