//! What has grown in a home: the store by what its rows are, how much comes in a day, and what pruning would free. It reads and changes nothing.

use std::fs;
use std::path::Path;

use agentry_journal::history::History;
use agentry_kernel::time::Millis;
use agentry_runtime::config::Config;
use agentry_store::ids::SegmentId;
use agentry_store::{Page, Range, Store, StoreError, keys, measure_all};
use anyhow::Result;
use serde_json::{Map, Value, json};

use super::Finding;
use crate::home::Home;
use crate::screen::units;

/// Files of a home that are looked at for its size.
const FILES_MAX: usize = 10_000;

/// A store that has grown beyond this is worth a look.
const STORE_ODD_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// How far back it is looked for how much comes in a day.
const LOOK_BACK_DAYS: u64 = 7;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What counts as old where nothing says so.
const OLD_DAYS: u64 = 90;

/// Tables that belong together, for people.
const FAMILIES: [(&str, &[&[u8]]); 5] = [
    ("journals", &[keys::LOG, keys::INDEX]),
    ("contents", &[keys::CONTENTS, keys::ORPHANS]),
    ("memory", &[keys::MEMORY]),
    ("mail", &[keys::MAIL]),
    ("runs", &[keys::RUNS, keys::TIMES, keys::RECEIPTS, keys::OPEN]),
];

/// Looks at it.
pub fn look(home: &Home) -> Result<Vec<Finding>> {
    let bytes = size(home.path(), &mut 0);
    let file = fs::metadata(home.path().join("store.redb")).map_or(0, |is| is.len());
    let mut figures = json!({ "home_bytes": bytes, "store_file_bytes": file });
    let shown = format!("{} in all, {} of it the store", units::bytes(bytes), units::bytes(file));
    let mut found = vec![shown];
    if let Some(history) = home.history()? {
        let grown = Grown::of(&history, home)?;
        found.extend(grown.lines());
        figures["store"] = grown.as_json();
    }
    let found = found.join("\n");
    let finding = if file > STORE_ODD_BYTES {
        Finding::odd(
            "growth",
            found,
            "`agentry prune --older-than 90d --dry-run`, then `agentry compact` while no host runs",
        )
    } else {
        Finding::good("growth", found)
    };
    Ok(vec![Finding { figures, ..finding }])
}

/// What the rows of a store take.
struct Grown {
    families: Vec<(&'static str, u64, u64)>,
    other_bytes: u64,
    /// What comes in a day, by the last ones; none if nothing did.
    day_bytes: Option<u64>,
    /// What is old enough to go, about, and how many days that is.
    old: (u64, u64),
}

impl Grown {
    fn of(history: &History, home: &Home) -> Result<Self> {
        let store = &**history.store();
        let whole = measure_all(store, Range::of(b""))?.bytes;
        let mut families = Vec::new();
        for (name, tables) in FAMILIES {
            let (mut rows, mut bytes) = (0, 0);
            for table in tables {
                let measured = measure_all(store, Range::of(table))?;
                (rows, bytes) = (rows + measured.rows, bytes + measured.bytes);
            }
            families.push((name, rows, bytes));
        }
        let of = |name: &str| families.iter().find(|family| family.0 == name).map_or(0, |family| family.2);
        let (journals, contents) = (of("journals"), of("contents"));
        // Contents come with journals: where these are known by time, those are about as many.
        let with_contents = |bytes: u64| {
            let share = u128::from(bytes) * u128::from(contents) / u128::from(journals.max(1));
            bytes.saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
        };
        let now = units::now();
        let since = Millis(now.0.saturating_sub(LOOK_BACK_DAYS * DAY_MS));
        let day_bytes = match first_behind(store, since)? {
            None => None,
            Some((segment, began)) => {
                let range = Range { from: keys::segment(segment), ..Range::of(keys::LOG) };
                let days = (now.since(began) / DAY_MS + 1).min(LOOK_BACK_DAYS);
                Some(with_contents(measure_all(store, range)?.bytes) / days)
            }
        };
        let old_ms = Config::load(home.path())?.retention.map_or(OLD_DAYS * DAY_MS, |retention| retention.ended_ms);
        let kept = first_behind(store, Millis(now.0.saturating_sub(old_ms)))?;
        // From the first journal that is there: what the log keeps of those that went does not go.
        let old = match first_behind(store, Millis(0))? {
            None => 0,
            Some((first, _)) => {
                let mut range = Range { from: keys::segment(first), ..Range::of(keys::LOG) };
                if let Some((segment, _)) = kept {
                    range.to = keys::segment(segment);
                }
                with_contents(measure_all(store, range)?.bytes)
            }
        };
        let known: u64 = families.iter().map(|family| family.2).sum();
        Ok(Self { families, other_bytes: whole.saturating_sub(known), day_bytes, old: (old, old_ms / DAY_MS) })
    }

    fn lines(&self) -> Vec<String> {
        let family = |(name, _, bytes): &(&str, u64, u64)| format!("{name} {}", units::bytes(*bytes));
        let mut parts: Vec<_> = self.families.iter().map(family).collect();
        parts.push(format!("other {}", units::bytes(self.other_bytes)));
        let mut lines = vec![parts.join(" · ")];
        let day = self.day_bytes.map(|bytes| format!("about {} a day", units::bytes(bytes)));
        let (old, days) = self.old;
        let free = (old > 0)
            .then(|| format!("`agentry prune --older-than {days}d` frees at most about {}", units::bytes(old)));
        let more: Vec<_> = day.into_iter().chain(free).collect();
        lines.extend((!more.is_empty()).then(|| more.join("; ")));
        lines
    }

    fn as_json(&self) -> Value {
        let family =
            |(name, rows, bytes): &(&str, u64, u64)| ((*name).to_owned(), json!({ "rows": rows, "bytes": bytes }));
        json!({
            "tables": self.families.iter().map(family).collect::<Map<_, _>>(),
            "other_bytes": self.other_bytes,
            "day_bytes": self.day_bytes,
            "prunable_bytes": self.old.0,
            "prunable_days": self.old.1,
        })
    }
}

/// The first segment of the first run that began at or behind this moment and has one, and when that was.
fn first_behind(store: &dyn Store, at: Millis) -> Result<Option<(SegmentId, Millis)>, StoreError> {
    let from = Range { from: keys::time(at, agentry_kernel::RunId(0)), ..Range::of(keys::TIMES) };
    for row in store.scan(&from, Page::PART)? {
        let Some((began, run)) = keys::time_of(&row.0) else { continue };
        let first = store.scan(&Range::of(&keys::indices(run)), Page { rows: 1, bytes: 1 })?;
        if let Some(segment) = first.first().and_then(|(key, _)| keys::segment_of(key)) {
            return Ok(Some((segment, began)));
        }
    }
    Ok(None)
}

fn size(directory: &Path, seen: &mut usize) -> u64 {
    let mut bytes: u64 = 0;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        *seen += 1;
        if *seen > FILES_MAX {
            break;
        }
        let Ok(is) = entry.metadata() else { continue };
        bytes = bytes.saturating_add(if is.is_dir() { size(&entry.path(), seen) } else { is.len() });
    }
    bytes
}
