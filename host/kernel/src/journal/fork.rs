//! The part of a journal that stands before a call: what a run has that is to do something else from there on.

use alloc::vec::Vec;

use super::Entry;
use crate::call::CallId;

/// The entries before this call was made, and the answers that came later to calls which were made before it. What the guest saw of these
/// it is to see anew. None if the run never made the call.
pub fn up_to(entries: &[Entry], call: CallId) -> Option<Vec<Entry>> {
    let end = entries.iter().position(|entry| made(entry).is_some_and(|made| made >= call))?;
    let (before, behind) = entries.split_at(end);
    let of_earlier = behind.iter().filter(|entry| of(entry).is_some_and(|of| of < call));
    // Whoever works for the other run works for that one alone.
    let own = before.iter().filter(|entry| !matches!(entry, Entry::Spawned { .. }));
    Some(own.chain(of_earlier).cloned().collect())
}

/// The call that begins with this entry.
fn made(entry: &Entry) -> Option<CallId> {
    match entry {
        Entry::Asked { call, .. }
        | Entry::Called { call, .. }
        | Entry::Refused { call, .. }
        | Entry::Questioned { call, .. }
        | Entry::Queued { call, .. } => Some(*call),
        _ => None,
    }
}

/// The call of which this entry tells what came of it.
fn of(entry: &Entry) -> Option<CallId> {
    match entry {
        Entry::Answered { call, .. } | Entry::Labelled { call, .. } | Entry::Unknown { call, .. } => Some(*call),
        _ => made(entry),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::budget::Amounts;
    use crate::call::Call;
    use crate::journal::{BasisId, Outcome};
    use crate::time::Millis;

    fn asked(call: u32) -> Entry {
        let (at, what, held, basis) = (Millis(1), Call::TimersNow, Amounts::ZERO, BasisId::NONE);
        Entry::Asked { call: CallId(call), at, what, held, basis }
    }

    fn answered(call: u32) -> Entry {
        let outcome = Outcome::Inline(Vec::new());
        Entry::Answered { call: CallId(call), at: Millis(2), outcome, spent: Amounts::ZERO }
    }

    #[test]
    fn what_was_in_flight_keeps_its_answer_and_is_seen_anew() {
        let seen = Entry::Observed { call: CallId(1), dropped: false };
        let whole = [asked(1), asked(2), answered(1), seen, answered(2), asked(3), answered(3)];
        assert_eq!(up_to(&whole, CallId(2)), Some(vec![asked(1), answered(1)]));
        assert_eq!(up_to(&whole, CallId(3)), Some(whole[..5].to_vec()));
        assert_eq!(up_to(&whole, CallId(4)), None);
    }
}
