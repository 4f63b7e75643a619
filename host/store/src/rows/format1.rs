//! What version 1 wrote, as it wrote it: segments, records and accounts, read and never written any more. The types are
//! frozen; what they hold of the kernel's own (calls, refusals, outcomes) only ever grows at its end.

use agentry_kernel::budget::{Account, Amounts, Books, Period, Resource};
use agentry_kernel::call::{Call, CallId, RunId};
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{self as now, BasisId, Outcome, Status};
use agentry_kernel::labels::Labels;
use agentry_kernel::refusal::Refusal;
use agentry_kernel::time::{Day, Millis};
use serde::Deserialize;

use super::run::RunRecord;

/// The version byte.
pub const FORMAT: u8 = 1;

/// Amounts of the first nine resources, without a length.
#[derive(Deserialize)]
pub(super) struct Nine([u64; 9]);

#[derive(Deserialize)]
pub(super) enum Entry {
    Started(Started),
    Asked { call: CallId, at: Millis, what: Call, held: Nine },
    Refused { call: CallId, at: Millis, what: Call, refusal: Refusal },
    Answered { call: CallId, at: Millis, outcome: Outcome, spent: Nine },
    Called { call: CallId, at: Millis, what: Call, outcome: Outcome },
    Observed { call: CallId, dropped: bool },
    Ended { at: Millis, status: Status, output: Digest, spent: Nine },
}

#[derive(Deserialize)]
pub(super) struct Started {
    at: Millis,
    agent: String,
    package: String,
    component: Digest,
    input: Digest,
    seed: u64,
    policy: Digest,
    engine: String,
    held: Nine,
}

#[derive(Deserialize)]
pub(super) struct Record {
    id: RunId,
    agent: String,
    package: String,
    component: Digest,
    status: Status,
    started: Millis,
    ended: Option<Millis>,
    spent: Nine,
    calls: u32,
    refused: u32,
    failure: Option<String>,
}

/// An agent's account: version 1 knew days only.
#[derive(Deserialize)]
pub(super) struct DayAccount {
    spent: Nine,
    held: Nine,
    day: Option<Day>,
}

/// Reads the entry that these bytes begin with.
///
/// # Errors
/// When there is none.
pub fn take(bytes: &[u8]) -> postcard::Result<(now::Entry, &[u8])> {
    postcard::take_from_bytes::<Entry>(bytes).map(|(entry, rest)| (entry.into(), rest))
}

impl From<Nine> for Amounts {
    fn from(nine: Nine) -> Self {
        Self::by(|what| nine.0.get(what as usize).copied().unwrap_or(0))
    }
}

impl From<Entry> for now::Entry {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Started(Started { at, agent, package, component, input, seed, policy, engine, held }) => {
                let held = held.into();
                Self::Started(now::Started { at, agent, package, component, input, seed, policy, engine, held })
            }
            Entry::Asked { call, at, what, held } => {
                Self::Asked { call, at, what, held: held.into(), basis: BasisId::NONE }
            }
            Entry::Refused { call, at, what, refusal } => {
                Self::Refused { call, at, what, refusal, basis: BasisId::NONE }
            }
            Entry::Answered { call, at, outcome, spent } => Self::Answered { call, at, outcome, spent: spent.into() },
            Entry::Called { call, at, what, outcome } => Self::Called { call, at, what, outcome, basis: BasisId::NONE },
            Entry::Observed { call, dropped } => Self::Observed { call, dropped },
            Entry::Ended { at, status, output, spent } => {
                Self::Ended(now::Ended { at, status, output, spent: spent.into() })
            }
        }
    }
}

impl From<Record> for RunRecord {
    fn from(record: Record) -> Self {
        let Record { id, agent, package, component, status, started, ended, spent, calls, refused, failure } = record;
        let (spent, labels) = (spent.into(), Labels::NONE);
        let (parent, cause, imported, trigger) = (None, None, None, None);
        Self {
            id,
            agent,
            package,
            component,
            status,
            started,
            ended,
            spent,
            calls,
            refused,
            failure,
            labels,
            parent,
            cause,
            imported,
            trigger,
            listed: None,
        }
    }
}

impl From<DayAccount> for Books {
    fn from(account: DayAccount) -> Self {
        let mut books = Self::default();
        let period = Period::Day(account.day.unwrap_or_default());
        books.day = Account { spent: account.spent.into(), held: account.held.into(), period, ..books.day };
        // Nothing was held for longer than a minute's limit can tell: there was none.
        books.minute.held = books.day.held;
        books
    }
}

const _: () = assert!(Resource::Egress as usize == 8);
