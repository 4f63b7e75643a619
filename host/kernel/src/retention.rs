//! How long the journals of runs that are over are kept, and which of them for ever. It only decides: what else must stay, because something
//! still names it, whoever prunes finds out.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::journal::Status;
use crate::time::Millis;

/// What an admin says of runs that are over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// A journal may go when its run has been over for so long.
    pub ended_ms: u64,
    /// Whose journals stay all the same.
    pub keep: Keep,
}

/// Runs whose journals stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// Those that ended so.
    statuses: Vec<Status>,
    /// Those in which people said yes to a call.
    approved: bool,
}

const APPROVED: &str = "approved";

impl Keep {
    /// The words that there are.
    pub const WORDS: [&'static str; 1 + Status::ENDS.len()] = {
        let mut words = [APPROVED; 1 + Status::ENDS.len()];
        let mut at = 0;
        while at < Status::ENDS.len() {
            words[at + 1] = Status::ENDS[at].word();
            at += 1;
        }
        words
    };

    /// Keeps also what this word says; false if there is no such word.
    pub fn add(&mut self, word: &str) -> bool {
        if word == APPROVED {
            self.approved = true;
            return true;
        }
        let Some(status) = Status::ENDS.into_iter().find(|status| status.word() == word) else { return false };
        self.statuses.push(status);
        true
    }

    /// Whether the journal of a run stays that ended so; whether people said yes in it is asked only if that matters.
    pub fn keeps(&self, status: Status, approved: impl FnOnce() -> bool) -> bool {
        self.statuses.contains(&status) || (self.approved && approved())
    }
}

impl Retention {
    /// Journals of runs that were over by then may go.
    pub fn before(&self, now: Millis) -> Millis {
        Millis(now.0.saturating_sub(self.ended_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_what_it_says_and_an_unknown_one_is_none() {
        let mut keep = Keep::default();
        assert!(!keep.keeps(Status::Failed, || true) && !keep.add("faild") && !keep.add("running"));
        assert!(keep.add("failed") && keep.keeps(Status::Failed, || false));
        assert!(!keep.keeps(Status::Done, || true));
        assert!(keep.add("approved") && keep.keeps(Status::Done, || true) && !keep.keeps(Status::Done, || false));
        assert!(Keep::WORDS.iter().all(|word| Keep::default().add(word)));
    }

    #[test]
    fn what_was_over_long_enough_ago_may_go() {
        let retention = Retention { ended_ms: 100, keep: Keep::default() };
        assert_eq!(retention.before(Millis(1000)), Millis(900));
        assert_eq!(retention.before(Millis(50)), Millis(0));
    }
}
