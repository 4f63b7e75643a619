//! Whose storage the rows of each table are. Every table says whose a row is, or why it is nobody's, so that a new one does not go uncounted
//! because somebody forgot it. It only counts.

use std::collections::BTreeMap;

use super::{files, mail, memory, notice};
use crate::{Batch, Expect, keys};

/// Reads who keeps a row, by its key and its value: each agent, and for how many bytes.
type ReadOwners = fn(&[u8], &[u8]) -> Vec<(String, u64)>;

/// What the rows of a table are to whoever pays for storage.
#[derive(Clone, Copy, Debug)]
pub enum Usage {
    /// They are kept by agents: who keeps a row, by its key and its value, and how many bytes.
    Kept(ReadOwners),
    /// Agents cause them, and what they take is held for the call that waits: until when.
    Held(&'static str),
    /// Agents cause them and nobody keeps them, because of what bounds them.
    Bounded(&'static str),
    /// They are the host's.
    Host,
}

/// A table of the store.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// What its keys begin with.
    pub prefix: &'static [u8],
    /// Whose its rows are.
    pub usage: Usage,
}

/// Every table, in the order of its letter.
pub const TABLES: [Table; 27] = [
    host(keys::BOOKS),
    bounded(keys::CONTENTS, "what the journal keeps could not be given back: a run cannot delete its past"),
    host(keys::ORPHANS),
    host(keys::HOSTS),
    // Of what was taken, a mailbox keeps the newest by their writer and subject, for answers.
    Table { prefix: keys::MAIL, usage: Usage::Kept(|place, row| mail::owner(place, row).into_iter().collect()) },
    host(keys::WAKES),
    bounded(b"f", "a place has as many labels as there can be"),
    host(keys::READERS),
    host(keys::TIP),
    bounded(keys::INDEX, "a row for each segment of the journal"),
    Table { prefix: keys::FILE_USAGE, usage: Usage::Kept(|_, row| files::owners(row)) },
    bounded(keys::LOG, "what the journal keeps could not be given back: a run cannot delete its past"),
    Table { prefix: keys::MEMORY, usage: Usage::Kept(|place, row| memory::owner(place, row).into_iter().collect()) },
    Table { prefix: keys::NOTICES, usage: Usage::Kept(|_, row| notice::owner(row).into_iter().collect()) },
    host(keys::OPEN),
    host(b"p"),
    bounded(keys::QUESTIONS, "a rule asks so often for an agent, and of closed ones only the newest are kept"),
    host(keys::RUNS),
    host(keys::RECEIPTS),
    bounded(keys::RATES, "a rule remembers so many calls"),
    host(keys::TIMES),
    Table { prefix: keys::INQUIRIES, usage: Usage::Held("it is closed; of closed ones only the newest are kept") },
    host(keys::FORMAT),
    host(b"w"),
    host(keys::CAUSES),
    host(keys::CLOCK),
    host(keys::ORDERS),
];

const fn host(prefix: &'static [u8]) -> Table {
    Table { prefix, usage: Usage::Host }
}

const fn bounded(prefix: &'static [u8], by: &'static str) -> Table {
    Table { prefix, usage: Usage::Bounded(by) }
}

/// The tables whose rows agents keep.
pub fn kept() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().filter(|table| matches!(table.usage, Usage::Kept(_)))
}

/// Who keeps this row, and how many bytes; nobody, if it is of a table that nobody keeps.
pub fn owners(place: &[u8], row: &[u8]) -> Vec<(String, u64)> {
    let table = TABLES.iter().find(|table| place.starts_with(table.prefix));
    match table.map(|table| table.usage) {
        Some(Usage::Kept(owners)) => owners(place, row),
        Some(Usage::Held(_) | Usage::Bounded(_) | Usage::Host) | None => Vec::new(),
    }
}

/// What a batch does to what agents keep: who keeps how much more, or less. Of a row that it writes over or removes, it expects what stood
/// there; one of which it expects nothing was nobody's.
pub fn changes(batch: &Batch) -> BTreeMap<String, i64> {
    let mut changes = BTreeMap::<String, i64>::new();
    let mut count = |kept: Vec<(String, u64)>, sign: i64| {
        for (owner, bytes) in kept {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            let change = changes.entry(owner).or_default();
            *change = change.saturating_add(sign.saturating_mul(bytes));
        }
    };
    for (place, row) in &batch.writes {
        let before = batch.expect.iter().find_map(|(key, expect)| match expect {
            Expect::Equals(before) if key == place => Some(before),
            Expect::Equals(_) | Expect::Absent | Expect::Epoch(_) => None,
        });
        before.iter().for_each(|before| count(owners(place, before), -1));
        row.iter().for_each(|row| count(owners(place, row), 1));
    }
    changes.retain(|_, bytes| *bytes != 0);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_store_says_whose_its_rows_are() {
        let described = include_str!("../keys.rs").lines().filter_map(|line| line.strip_prefix("//! | `"));
        let mut letters: Vec<&[u8]> = described.map(|line| &line.as_bytes()[..1]).collect();
        letters.dedup();
        let mut tables: Vec<&[u8]> = TABLES.iter().map(|table| table.prefix).collect();
        tables.sort_unstable();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(tables, letters);
    }

    #[test]
    fn only_what_agents_keep_has_keepers() {
        let tables = kept().map(|table| table.prefix).collect::<Vec<_>>();
        assert_eq!(tables, [keys::MAIL, keys::FILE_USAGE, keys::MEMORY, keys::NOTICES]);
        assert!(owners(b"l1234", b"anything").is_empty() && owners(b"", b"").is_empty());
    }
}
