//! Whose storage the rows of each table are. Every table says whose a row is, or why it is nobody's, so that a new one does not go uncounted
//! because somebody forgot it. It only counts.

use super::{files, memory};
use crate::keys;

/// Reads who keeps a row, by its key and its value: each agent, and for how many bytes.
type Claims = fn(&[u8], &[u8]) -> Vec<(String, u64)>;

/// What the rows of a table are to whoever pays for storage.
#[derive(Clone, Copy, Debug)]
pub enum Usage {
    /// They are kept by agents: who keeps a row, by its key and its value, and how many bytes.
    Kept(Claims),
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
pub const TABLES: [Table; 22] = [
    host(keys::BOOKS),
    bounded(b"b", "what the journal keeps could not be given back: a run cannot delete its past"),
    host(keys::HOSTS),
    bounded(keys::MAIL, "a mailbox holds so many letters and bytes, and its dead letters are thrown away"),
    host(keys::WAKES),
    bounded(b"f", "a place has as many labels as there can be"),
    host(keys::READERS),
    host(keys::TIP),
    bounded(b"i", "a row for each segment of the journal"),
    Table { prefix: keys::KEEPERS, usage: Usage::Kept(|_, row| files::claims(row)) },
    bounded(keys::LOG, "what the journal keeps could not be given back: a run cannot delete its past"),
    Table { prefix: keys::MEMORY, usage: Usage::Kept(|place, row| memory::keeper(place, row).into_iter().collect()) },
    bounded(keys::NOTICES, "a run tells people so much, and only the newest are kept"),
    host(keys::OPEN),
    host(b"p"),
    bounded(keys::QUESTIONS, "an agent asks so often, and of closed ones only the newest are kept"),
    host(keys::RUNS),
    bounded(keys::RATES, "a rule remembers so many calls"),
    host(keys::TIMES),
    bounded(keys::INQUIRIES, "a run asks so much at once, and of closed ones only the newest are kept"),
    host(keys::FORMAT),
    host(b"w"),
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
pub fn keepers(place: &[u8], row: &[u8]) -> Vec<(String, u64)> {
    let table = TABLES.iter().find(|table| place.starts_with(table.prefix));
    match table.map(|table| table.usage) {
        Some(Usage::Kept(keepers)) => keepers(place, row),
        Some(Usage::Bounded(_) | Usage::Host) | None => Vec::new(),
    }
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
        assert_eq!(kept().map(|table| table.prefix).collect::<Vec<_>>(), [keys::KEEPERS, keys::MEMORY]);
        assert!(keepers(b"l1234", b"anything").is_empty() && keepers(b"", b"").is_empty());
    }
}
