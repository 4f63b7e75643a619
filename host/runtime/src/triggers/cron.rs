//! Starts an agent at times by cron's five fields, in a zone of time. When a host was stopped over one or more of them, the last counts once, unless its
//! line says otherwise. It goes by the calendar: a clock that leaps ahead starts nothing, and one that was ahead and is right again is followed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_kernel::time::{Millis, Minute};
use agentry_store::limits::TRIGGER_LOOK_MS;
use agentry_store::{Batch, Store, StoreError, keys};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Came, Trigger, Watched};
use crate::config::times::Times;
use crate::config::{CronLine, MissedTimes, OverlappedTimes};

/// How far a clock may go back without a time that was fired being fired again.
const BACK_MAX_MINUTES: u32 = 60;

/// Starts a run at each of its times, until it is dropped.
pub(super) async fn tend(host: Arc<Watched>, trigger: Trigger, line: CronLine) {
    let Ok(times) = Times::of(&line) else { return };
    let (mut rate, clock) = (trigger.rate(), host.drivers.gate.clock().clone());
    let store = Arc::clone(host.drivers.gate.journal().store());
    let mut last = match recall(&*store, &trigger) {
        Ok(Some(last)) if line.makes_up == MissedTimes::Last => last,
        // Nothing was missed by a trigger that is new; from here on it would be.
        _ => {
            let now = clock.calendar().minute();
            // If it is not remembered, the next host takes the trigger for a new one.
            drop(store.commit(seen(&trigger, now)).await);
            now
        }
    };
    loop {
        let now = clock.calendar();
        let minute = now.minute();
        if last.0.saturating_sub(minute.0) > BACK_MAX_MINUTES {
            // What it fired last was of a time that has not come.
            last = minute;
        }
        if trigger.is_held(&host) {
            // What passes meanwhile does not count.
            last = last.max(minute);
            tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
            continue;
        }
        if let Some(due) = due(&times, &line, &trigger.id(), last, now) {
            let came = came(due.begins().0);
            match trigger.notice(&host, &came, seen(&trigger, due), 0).await {
                Ok(()) => last = due,
                Err(error) => trigger.put_off(&host, &error).await,
            }
        }
        let begun = Instant::now();
        if !trigger.carry_out(&host, &mut rate).await {
            return;
        }
        // Only what passed while a run went on; what is to begin a little later is not over.
        if line.queues == OverlappedTimes::Skip && begun.elapsed() >= Duration::from_millis(TRIGGER_LOOK_MS) {
            last = last.max(clock.calendar().minute());
        }
        tokio::time::sleep(Duration::from_millis(TRIGGER_LOOK_MS)).await;
    }
}

/// What a time has to say.
pub(super) fn came(due_ms: u64) -> Came {
    Came { input: json!({ "because": "cron", "due_ms": due_ms }), ..Came::default() }
}

/// The last time behind `last` whose run may begin by now. A clock that went back a little fires nothing twice.
fn due(times: &Times, line: &CronLine, id: &str, last: Minute, now: Millis) -> Option<Minute> {
    let mut until = now.minute();
    loop {
        let due = times.last(last, until)?;
        if due.begins().plus(delay(id, due, line.jitter_ms)) <= now {
            return Some(due);
        }
        until = Minute(due.0.checked_sub(1)?);
    }
}

/// How much later than its time a run begins: as chance has it, and the same in whichever host.
fn delay(id: &str, due: Minute, jitter_ms: u64) -> u64 {
    if jitter_ms == 0 {
        return 0;
    }
    let drawn: [u8; 32] = Sha256::new_with_prefix(id).chain_update(due.0.to_be_bytes()).finalize().into();
    let drawn = drawn.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    drawn % (jitter_ms + 1)
}

fn recall(store: &dyn Store, trigger: &Trigger) -> Result<Option<Minute>, StoreError> {
    let row = store.get(&keys::trigger(&trigger.id()))?;
    Ok(row.and_then(|row| row.try_into().ok()).map(|bytes| Millis(u64::from_be_bytes(bytes)).minute()))
}

fn seen(trigger: &Trigger, at: Minute) -> Batch {
    let mut batch = Batch::default();
    batch.put(keys::trigger(&trigger.id()), at.begins().0.to_be_bytes().to_vec());
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_953_600_000;
    const MINUTE: u64 = 60_000;

    #[test]
    fn a_run_begins_a_while_after_its_time_and_none_is_left_out_for_it() {
        let line = CronLine { times: "* * * * *".to_owned(), jitter_ms: 5 * MINUTE, ..CronLine::default() };
        let times = Times::of(&line).unwrap();
        let (mut last, mut fired) = (Millis(NOON).minute(), Vec::new());
        for second in 0..3_600 {
            let now = Millis(NOON + second * 1_000);
            if let Some(due) = due(&times, &line, "echo cron", last, now) {
                let late = now.since(due.begins());
                assert!(due > last && late <= 5 * MINUTE + MINUTE, "{due:?} {late}");
                fired.push(due);
                last = due;
            }
        }
        // What comes while a later one is due already is one with it.
        assert!(fired.len() > 20, "{fired:?}");
        assert_eq!(delay("a", Minute(7), 1_000), delay("a", Minute(7), 1_000));
        let delays: std::collections::BTreeSet<_> = (0..50).map(|due| delay("a", Minute(due), 1_000)).collect();
        assert!(delays.len() > 40 && delays.iter().all(|delay| *delay <= 1_000));
        assert_eq!(delay("a", Minute(7), 0), 0);
    }
}
