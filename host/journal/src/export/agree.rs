//! Whether the record in such a file and its journal tell of the same run, and whether what they say can be. The journal counts; what the
//! record says beside it is taken where it cannot do harm, and made anew where it could.

use std::collections::BTreeSet;

use agentry_kernel::budget::Amounts;
use agentry_kernel::call::CallId;
use agentry_kernel::journal::{Ended, Entry, Started, Status};
use agentry_kernel::labels::{self, Labels, UNTRUSTED};
use agentry_kernel::limits::{CALLS_IN_FLIGHT_MAX, NAME_MAX_BYTES};
use agentry_kernel::text;
use agentry_kernel::time::Millis;
use agentry_store::limits::{EXPORT_AHEAD_MAX_MS, FAILURE_MAX_BYTES};
use agentry_store::rows::run::{Cause, RunRecord};

use super::ExportError;

/// The record as it will stand here.
pub(super) fn agreed(record: RunRecord, entries: &[Entry], now: Millis) -> Result<RunRecord, ExportError> {
    let no = |why: &str| Err(ExportError::Disagrees(why.to_owned()));
    if labels::check(&record.agent).is_err() {
        return no("its agent has no name that an agent can have");
    }
    if record.package.len() > NAME_MAX_BYTES || record.package.chars().any(text::deceives) {
        return no("its package has no name that a package can have");
    }
    let latest = entries.iter().filter_map(at).chain(record.ended).chain([record.started]).max();
    if latest.is_some_and(|latest| latest > now.plus(EXPORT_AHEAD_MAX_MS)) {
        return no("something in it happens in the future, by the clock of this machine");
    }
    let told = Told::by(entries)?;
    if told.labels.iter().chain(record.labels.iter()).any(|label| label != "*" && labels::check(label).is_err()) {
        return no("it names a label that none can have");
    }
    match &told.started {
        Some(started) => {
            if (&started.agent, &started.package) != (&record.agent, &record.package) {
                return no("its record and its journal name different agents");
            }
            if started.component != record.component {
                return no("its record and its journal name different components");
            }
        }
        None if entries.is_empty() => {
            return match record.status {
                Status::Done | Status::Running | Status::Suspended => no("it has no journal and has not been refused"),
                Status::Failed | Status::Denied | Status::Exhausted | Status::Unavailable | Status::Stopped => {
                    Ok(made_anew(record, &told, now))
                }
            };
        }
        None => return no("its journal does not begin as a run does"),
    }
    match &told.ended {
        Some(ended) if (ended.status, Some(ended.at)) != (record.status, record.ended) => {
            return no("its record and its journal disagree on how it ended");
        }
        Some(ended) if matches!(ended.status, Status::Running | Status::Suspended) => {
            return no("its journal says that it ended and that it did not");
        }
        Some(_) if !told.fits(&record) => return no("its record and its journal disagree on how many calls it made"),
        None if record.status != Status::Suspended || record.ended.is_some() => {
            return no("its record says that it ended, and its journal does not");
        }
        Some(_) | None => {}
    }
    Ok(made_anew(record, &told, now))
}

/// What of the record stays: who it is, how it ended and why. What it took elsewhere is no bill here, and whom it worked for is not here.
fn made_anew(record: RunRecord, told: &Told<'_>, now: Millis) -> RunRecord {
    let short = |words: String| text::cut(words, FAILURE_MAX_BYTES);
    let cause = record.cause.map(|Cause { kind, text, hint }| Cause {
        kind: text::cut(kind, NAME_MAX_BYTES),
        text: short(text),
        hint: short(hint),
    });
    RunRecord {
        started: record.started.min(now),
        ended: record.ended.map(|ended| ended.min(now)),
        spent: Amounts::ZERO,
        calls: told.last.map_or(0, |last| last.0),
        refused: told.refused,
        failure: record.failure.map(short),
        labels: record.labels.and(&told.labels).and(&Labels::of([UNTRUSTED])),
        parent: None,
        cause,
        imported: None,
        trigger: told.trigger.map(|by| text::cut(by.to_owned(), NAME_MAX_BYTES)),
        listed: None,
        ..record
    }
}

/// What a journal tells of its run.
#[derive(Default)]
struct Told<'a> {
    started: Option<&'a Started>,
    ended: Option<&'a Ended>,
    calls: BTreeSet<CallId>,
    last: Option<CallId>,
    refused: u32,
    labels: Labels,
    trigger: Option<&'a str>,
}

impl<'a> Told<'a> {
    fn by(entries: &'a [Entry]) -> Result<Self, ExportError> {
        let no = |why: &str| Err(ExportError::Disagrees(why.to_owned()));
        let mut told = Self::default();
        for (place, entry) in entries.iter().enumerate() {
            match entry {
                Entry::Started(started) if place == 0 => told.started = Some(started),
                Entry::Started(_) => return no("its journal begins twice"),
                Entry::Ended(ended) if told.ended.is_none() => told.ended = Some(ended),
                Entry::Ended(_) => return no("its journal ends twice"),
                Entry::Asked { call, .. }
                | Entry::Called { call, .. }
                | Entry::Refused { call, .. }
                | Entry::Questioned { call, .. }
                | Entry::Queued { call, .. } => {
                    if told.ended.is_some() {
                        return no("its journal goes on behind its end");
                    }
                    told.calls.insert(*call);
                    told.last = told.last.max(Some(*call));
                    told.refused = told.refused.saturating_add(u32::from(matches!(entry, Entry::Refused { .. })));
                }
                Entry::Labelled { labels, .. } | Entry::Cleared { labels, .. } | Entry::Adopted { labels, .. } => {
                    told.labels = told.labels.and(labels);
                }
                Entry::Reloaded { .. } | Entry::Kept { .. } | Entry::Locked { .. } | Entry::Unlocked { .. } => {
                    return no("its journal tells of a host and not of a run");
                }
                Entry::Discarded { .. } | Entry::ToolsSet { .. } => {
                    return no("its journal tells of a host and not of a run");
                }
                Entry::ClockAccepted { .. } | Entry::OlderAccepted { .. } | Entry::Pruned { .. } => {
                    return no("its journal tells of a host and not of a run");
                }
                Entry::Answered { .. }
                | Entry::Observed { .. }
                | Entry::Approved { .. }
                | Entry::ShadowDenied { .. } => {}
                Entry::Unlabelled { .. } | Entry::Basis { .. } | Entry::Raised { .. } | Entry::Heard { .. } => {}
                Entry::Resumed { .. } | Entry::Unknown { .. } | Entry::Resolved { .. } | Entry::Spawned { .. } => {}
                Entry::Triggered { by, .. } => told.trigger = told.trigger.or(Some(by)),
                Entry::Forked { .. } | Entry::Rested { .. } | Entry::Noted { .. } => {}
                Entry::Imported { .. } => {}
            }
        }
        Ok(told)
    }

    /// Whether a record that ended says as much of its calls. One that was in flight at its end may stand in the record alone.
    fn fits(&self, record: &RunRecord) -> bool {
        let made = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        let in_flight = u32::try_from(CALLS_IN_FLIGHT_MAX).unwrap_or(u32::MAX);
        let last = self.last.map_or(0, |last| last.0);
        last <= record.calls && record.calls - made.min(record.calls) <= in_flight && self.refused <= record.refused
    }
}

/// When it happened, if the entry says.
fn at(entry: &Entry) -> Option<Millis> {
    match entry {
        Entry::Started(started) => Some(started.at),
        Entry::Ended(ended) => Some(ended.at),
        Entry::Asked { at, .. }
        | Entry::Refused { at, .. }
        | Entry::Answered { at, .. }
        | Entry::Called { at, .. }
        | Entry::Labelled { at, .. }
        | Entry::Questioned { at, .. }
        | Entry::Approved { at, .. }
        | Entry::ShadowDenied { at, .. }
        | Entry::Cleared { at, .. }
        | Entry::Reloaded { at, .. }
        | Entry::Kept { at, .. }
        | Entry::Locked { at, .. }
        | Entry::Unlocked { at }
        | Entry::Unlabelled { at, .. }
        | Entry::Raised { at, .. }
        | Entry::Queued { at, .. }
        | Entry::Resumed { at }
        | Entry::Unknown { at, .. }
        | Entry::Resolved { at, .. }
        | Entry::Discarded { at, .. }
        | Entry::Triggered { at, .. }
        | Entry::Forked { at, .. }
        | Entry::Rested { at, .. }
        | Entry::Noted { at, .. }
        | Entry::Imported { at, .. }
        | Entry::Adopted { at, .. }
        | Entry::ToolsSet { at, .. }
        | Entry::ClockAccepted { at, .. }
        | Entry::OlderAccepted { at, .. }
        | Entry::Pruned { at, .. } => Some(*at),
        Entry::Observed { .. } | Entry::Basis { .. } | Entry::Heard { .. } | Entry::Spawned { .. } => None,
    }
}
