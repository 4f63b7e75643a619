//! Whether a code proves who somebody is. Each code counts once, for good; wrong ones lock their owner out, longer each time.
//!
//! What is known of the codes of an approver stands in the store and is durable before a code is taken, so neither a crash nor
//! a clock that is set back makes an old code good again.

use std::sync::Arc;

use agentry_kernel::time::Millis;
use agentry_store::limits::{APPROVERS_MAX, CODE_LOCK_MAX_MS, CODE_LOCK_MS, CODES_WRONG_FREE};
use agentry_store::rows::run::{decode, encode};
use agentry_store::{Batch, Expect, Page, Range, Store, StoreError, keys};
use serde::{Deserialize, Serialize};

use super::roster::Enrolled;

/// How long a code is good for, as apps have it (RFC 6238).
const STEP_S: u64 = 30;

/// How often it is tried to write down a code that others get in the way of.
const TRIES_MAX: usize = 16;

/// Why a code proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// It is not the one that the app shows.
    #[error(
        "the code is wrong\nhint: type the six digits that the app shows now, and check the clocks of both devices"
    )]
    Wrong,
    /// It was used.
    #[error(
        "this code was used already, or an older one than it\nhint: wait for the next one, at most 30 seconds; if the machine's clock was ahead and is right now, run `agentry clock accept`"
    )]
    Used,
    /// Too many were wrong.
    #[error(
        "too many codes were wrong: none is taken for another {seconds} s\nhint: if that was not you, look at who can reach this machine"
    )]
    Locked {
        /// Until one is.
        seconds: u64,
    },
    /// It could not be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is known of somebody's codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The newest step whose code was taken; no older one is.
    pub(super) step: Option<u64>,
    /// Wrong ones since.
    pub(super) wrong: u32,
    /// None is looked at before.
    pub(super) locked_until: Millis,
}

impl Known {
    /// What a code makes of it.
    pub(super) fn after(self, step: Option<u64>, now: Millis) -> (Self, Result<(), CodeError>) {
        if now < self.locked_until {
            let seconds = self.locked_until.since(now).div_ceil(1000);
            return (self, Err(CodeError::Locked { seconds }));
        }
        let Some(step) = step else {
            let wrong = self.wrong.saturating_add(1);
            let known = Self { wrong, locked_until: now.plus(lock_ms(wrong)), ..self };
            return (known, Err(CodeError::Wrong));
        };
        if self.step.is_some_and(|newest| step <= newest) {
            return (self, Err(CodeError::Used));
        }
        (Self { step: Some(step), ..Self::default() }, Ok(()))
    }
}

/// How long nobody may try after so many wrong ones.
fn lock_ms(wrong: u32) -> u64 {
    match wrong.checked_sub(CODES_WRONG_FREE) {
        None | Some(0) => 0,
        Some(more) => CODE_LOCK_MS.saturating_mul(1u64.checked_shl(more - 1).unwrap_or(u64::MAX)).min(CODE_LOCK_MAX_MS),
    }
}

/// Takes a code, and never again one of its step or before.
///
/// # Errors
/// If it is wrong, used or not looked at because too many were wrong. That it was wrong is durable by then.
pub(super) async fn prove(store: &Arc<dyn Store>, who: &Enrolled, code: &str, now: Millis) -> Result<(), CodeError> {
    let key = keys::approver(&who.name);
    let step = who.step(code.trim(), now.0 / 1000);
    for _ in 0..TRIES_MAX {
        let before = store.get(&key)?;
        let known = before.as_deref().map(decode::<Known>).transpose()?.unwrap_or_default();
        let (after, verdict) = known.after(step, now);
        if after == known {
            return verdict;
        }
        let mut batch = Batch::default();
        batch.expect(key.clone(), before.map_or(Expect::Absent, Expect::Equals));
        batch.put(key.clone(), encode(&after));
        match store.commit(batch).await {
            Ok(()) => return verdict,
            // Another code of theirs came in between.
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict.into())
}

/// A clock was ahead and is set back to `now`: the newest code that was taken is at most one of now, and nobody is locked out for longer than
/// the longest lock. The codes that were good then stay used.
///
/// # Errors
/// When the store cannot be read or written.
pub(crate) async fn set_back(store: &Arc<dyn Store>, now: Millis) -> Result<(), StoreError> {
    for (key, row) in store.scan(&Range::of(keys::APPROVERS), Page { rows: 16 * APPROVERS_MAX, bytes: usize::MAX })? {
        let known = decode::<Known>(&row)?;
        let (step, locked) = (now.0 / 1000 / STEP_S, now.plus(CODE_LOCK_MAX_MS));
        let back = Known {
            step: known.step.map(|newest| newest.min(step)),
            locked_until: known.locked_until.min(locked),
            ..known
        };
        if back == known {
            continue;
        }
        let mut batch = Batch::default();
        batch.expect(key.clone(), Expect::Equals(row));
        batch.put(key, encode(&back));
        match store.commit(batch).await {
            // Whoever was faster was so by the clock as it is now.
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use agentry_store::RedbStore;

    use super::*;
    use crate::approvals::Roster;

    const NOW: Millis = Millis(1_800_000_000_000);
    const STEP_MS: u64 = 30_000;
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    struct Bench {
        home: tempfile::TempDir,
        store: Arc<dyn Store>,
    }

    fn bench() -> Bench {
        let home = tempfile::tempdir().unwrap();
        let store = Arc::new(RedbStore::open(home.path()).unwrap());
        Roster::of(home.path()).add("alice", &[]).unwrap();
        Bench { home, store }
    }

    impl Bench {
        fn code(&self, at: Millis) -> String {
            let text = std::fs::read_to_string(self.home.path().join("approvers/alice.toml")).unwrap();
            let secret = text.lines().find_map(|line| line.strip_prefix("secret = ")).unwrap().trim_matches('"');
            let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
            totp_rs::Builder::new().with_secret(secret).build().unwrap().generate(at.0 / 1000).to_string()
        }

        /// A code that is not right anywhere near `at`.
        fn wrong(&self, at: Millis) -> String {
            let near = |code: &String| (0..3).all(|step| self.code(Millis(at.0 - STEP_MS + step * STEP_MS)) != *code);
            (0..).map(|code| format!("{code:06}")).find(near).unwrap()
        }

        async fn prove(&self, code: &str, now: Millis) -> Result<(), CodeError> {
            let alice = Roster::of(self.home.path()).find("alice").unwrap();
            prove(&self.store, &alice, code, now).await
        }
    }

    #[tokio::test]
    async fn a_code_counts_once_and_one_step_early_or_late() {
        let bench = bench();
        assert!(matches!(bench.prove(&bench.code(NOW.plus(2 * STEP_MS)), NOW).await, Err(CodeError::Wrong)));
        bench.prove(&bench.code(Millis(NOW.0 - STEP_MS)), NOW).await.unwrap();
        bench.prove(&bench.code(NOW), NOW).await.unwrap();
        assert!(matches!(bench.prove(&bench.code(NOW), NOW).await, Err(CodeError::Used)));
        assert!(matches!(bench.prove(&bench.code(Millis(NOW.0 - STEP_MS)), NOW).await, Err(CodeError::Used)));
        bench.prove(&bench.code(NOW.plus(STEP_MS)), NOW).await.unwrap();
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_makes_no_old_code_good() {
        let bench = bench();
        bench.prove(&bench.code(NOW), NOW).await.unwrap();
        let yesterday = Millis(NOW.0 - DAY_MS);
        assert!(matches!(bench.prove(&bench.code(yesterday), yesterday).await, Err(CodeError::Used)));
    }

    #[tokio::test]
    async fn a_code_that_was_taken_while_the_clock_was_ahead_keeps_nobody_out_once_the_clock_is_accepted() {
        let (bench, ahead) = (bench(), NOW.plus(400 * DAY_MS));
        bench.prove(&bench.code(ahead), ahead).await.unwrap();
        let next = NOW.plus(2 * STEP_MS);
        assert!(matches!(bench.prove(&bench.code(next), next).await, Err(CodeError::Used)));
        set_back(&bench.store, NOW).await.unwrap();
        assert!(
            matches!(bench.prove(&bench.code(NOW), NOW).await, Err(CodeError::Used)),
            "one of now may have been seen"
        );
        bench.prove(&bench.code(next), next).await.unwrap();
    }

    #[tokio::test]
    async fn of_many_at_once_with_the_same_code_one_is_taken() {
        let bench = bench();
        let code = bench.code(NOW);
        let answers = futures::future::join_all((0..8).map(|_| bench.prove(&code, NOW))).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    }

    #[tokio::test]
    async fn who_guesses_is_locked_out_longer_each_time_also_after_a_restart() {
        let bench = bench();
        let mut now = NOW;
        for _ in 0..CODES_WRONG_FREE {
            assert!(matches!(bench.prove(&bench.wrong(now), now).await, Err(CodeError::Wrong)));
        }
        let mut lock = CODE_LOCK_MS;
        for _ in 0..10 {
            assert!(matches!(bench.prove(&bench.wrong(now), now).await, Err(CodeError::Wrong)));
            let Err(CodeError::Locked { seconds }) = bench.prove(&bench.code(now), now).await else {
                panic!("a right code is not even looked at")
            };
            assert_eq!(seconds, lock / 1000);
            // Neither waiting in the past nor almost long enough opens it.
            for still in [Millis(now.0 - DAY_MS), now.plus(lock - 1)] {
                assert!(matches!(bench.prove(&bench.code(still), still).await, Err(CodeError::Locked { .. })));
            }
            now = now.plus(lock);
            lock = (lock * 2).min(CODE_LOCK_MAX_MS);
        }
        let Bench { home, store } = bench;
        drop(store);
        let bench = Bench { store: Arc::new(RedbStore::open(home.path()).unwrap()), home };
        let known: Known = decode(&bench.store.get(&keys::approver("alice")).unwrap().unwrap()).unwrap();
        assert_eq!(known.wrong, CODES_WRONG_FREE + 10);
        bench.prove(&bench.code(now), now).await.unwrap();
        assert!(matches!(bench.prove(&bench.wrong(now), now).await, Err(CodeError::Wrong)));
    }

    #[test]
    fn the_lock_grows_to_its_maximum_and_never_wraps() {
        assert_eq!((lock_ms(0), lock_ms(CODES_WRONG_FREE)), (0, 0));
        assert_eq!((lock_ms(CODES_WRONG_FREE + 1), lock_ms(CODES_WRONG_FREE + 2)), (CODE_LOCK_MS, 2 * CODE_LOCK_MS));
        assert_eq!((lock_ms(100), lock_ms(u32::MAX)), (CODE_LOCK_MAX_MS, CODE_LOCK_MAX_MS));
    }
}
