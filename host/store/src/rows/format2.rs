//! What version 2 wrote otherwise than this one: decisions without what they rest on, and records of runs without the run above. Read and
//! never written any more; the other entries are as they were.

use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{Call, CallId, RunId};
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::{BasisId, Entry, Outcome, Status};
use agentry_kernel::labels::Labels;
use agentry_kernel::refusal::Refusal;
use agentry_kernel::time::Millis;
use serde::Deserialize;

use super::run::RunRecord;

/// The version byte.
pub const FORMAT: u8 = 2;

#[derive(Deserialize)]
struct Asked {
    call: CallId,
    at: Millis,
    what: Call,
    held: Amounts,
}

#[derive(Deserialize)]
struct Refused {
    call: CallId,
    at: Millis,
    what: Call,
    refusal: Refusal,
}

#[derive(Deserialize)]
struct Called {
    call: CallId,
    at: Millis,
    what: Call,
    outcome: Outcome,
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
    spent: Amounts,
    calls: u32,
    refused: u32,
    failure: Option<String>,
    labels: Labels,
}

impl From<Record> for RunRecord {
    fn from(record: Record) -> Self {
        let Record { id, agent, package, component, status, started, ended, spent, calls, refused, failure, labels } =
            record;
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

/// Reads the entry that these bytes begin with. Its kind is its first byte, the place among the kinds.
pub fn take(bytes: &[u8]) -> postcard::Result<(Entry, &[u8])> {
    let basis = BasisId::NONE;
    match bytes.split_first() {
        Some((1, rest)) => {
            let (Asked { call, at, what, held }, rest) = postcard::take_from_bytes(rest)?;
            Ok((Entry::Asked { call, at, what, held, basis }, rest))
        }
        Some((2, rest)) => {
            let (Refused { call, at, what, refusal }, rest) = postcard::take_from_bytes(rest)?;
            Ok((Entry::Refused { call, at, what, refusal, basis }, rest))
        }
        Some((4, rest)) => {
            let (Called { call, at, what, outcome }, rest) = postcard::take_from_bytes(rest)?;
            Ok((Entry::Called { call, at, what, outcome, basis }, rest))
        }
        _ => postcard::take_from_bytes(bytes),
    }
}
