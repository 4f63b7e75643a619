//! The clock of a host: from what the one before it left, watched while it runs, and set to the machine's by a person. It tells of what is odd and
//! decides nothing; what a clock is believed is [`agentry_kernel::time::TimeLine`]'s to say.

use std::sync::{Arc, Weak};
use std::time::Duration;

use agentry_abi::clock::Clock;
use agentry_journal::index;
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Wake;
use agentry_kernel::time::{self, ClockReading, Millis};
use agentry_store::ids::HostId;
use agentry_store::limits::{CLOCK_LOOK_MS, CLOCK_MARK_LOOKS};
use agentry_store::rows::parked::{OpenRun, ParkedRun};
use agentry_store::{Batch, Expect, Page, Range, Store, StoreError, keys, rows};

use super::services::Services;
use crate::approvals::codes;

/// Rows read at once.
const PAGE: Page = Page { rows: 256, bytes: 1024 * 1024 };

/// The clock of a host of this store: it begins where that of the last one had come to.
///
/// # Errors
/// When the store cannot be read.
pub fn of_store(store: &dyn Store, host: HostId) -> Result<Clock, StoreError> {
    Ok(Clock::behind(rows::clock::mark(store, host)?))
}

/// Looks at both clocks until the host is gone: writes down how far its time has come, and says when the machine's goes astray or is right again.
pub(super) async fn watch(services: Weak<Services>) {
    let mut told = ClockReading::default();
    for look in 1u64.. {
        tokio::time::sleep(Duration::from_millis(CLOCK_LOOK_MS)).await;
        let Some(services) = services.upgrade() else { return };
        let (gate, reading) = (&services.drivers.gate, services.drivers.gate.clock().reading());
        if (reading.ahead_ms().is_some(), reading.behind_ms().is_some())
            != (told.ahead_ms().is_some(), told.behind_ms().is_some())
        {
            gate.announce_alarm(&story(&reading));
            told = reading;
        }
        if look.is_multiple_of(CLOCK_MARK_LOOKS) {
            // If it is not written, the next host begins a little earlier.
            gate.tell_of_store(&gate.mark_time().await);
        }
    }
}

/// Both clocks, in words for people.
fn story(reading: &ClockReading) -> String {
    let off = |ms: u64| time::length(ms / 1000);
    match (reading.ahead_ms(), reading.behind_ms()) {
        (Some(ms), _) => format!(
            "the machine's clock has leapt ahead by {}: the host goes by its own time until that has lasted as long, or somebody says that it is \
             right\nhint: set the clock; or, if it is right, run `agentry clock accept`",
            off(ms)
        ),
        (_, Some(ms)) => format!(
            "the machine's clock is {} behind what it said before: the host goes by its own time, and a little slower\nhint: set the clock; or, if \
             it is right, run `agentry clock accept`",
            off(ms)
        ),
        (None, None) => "the machine's clock and the host's agree again".to_owned(),
    }
}

/// A person says that the machine's clock is right: the host of these services goes by it. What both said before.
///
/// # Errors
/// When the store cannot be written.
pub async fn accept(services: &Services) -> Result<ClockReading, StoreError> {
    let gate = &services.drivers.gate;
    let before = gate.accept_clock();
    let (now, store) = (gate.clock().now(), gate.journal().store());
    // What was written of a run that lives here is there before its place in lists changes.
    let living = gate.list_living_by(now);
    gate.journal().flush().await?;
    index::set_back(store, gate.journal().at().host, now, |run| living.contains(&run)).await?;
    settle(store, gate.journal().at().host, before.host, now).await?;
    gate.mark_time().await?;
    gate.journal().flush().await?;
    services.parking.look_again();
    Ok(before)
}

/// What of a store lies in a time that has not come, now that it is set back from `was`: codes that were taken then are those of now, and runs
/// come back as much later as they were to.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn settle(store: &Arc<dyn Store>, host: HostId, was: Millis, now: Millis) -> Result<(), StoreError> {
    if was <= now {
        return Ok(());
    }
    codes::set_back(store, now).await?;
    let mut range = Range::of(keys::WAKES);
    loop {
        let rows = store.scan(&range, PAGE)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        range = range.after(last);
        for (key, _) in &rows {
            let (Some(at), Some(run)) = (keys::wakes_at(key), keys::number(key).map(RunId)) else { continue };
            if at > now {
                earlier(store, host, (key, run), now.plus(at.since(was))).await?;
            }
        }
    }
}

/// A run comes back at this time. One that something happens to at the same moment comes back by itself.
async fn earlier(
    store: &Arc<dyn Store>,
    host: HostId,
    (key, run): (&[u8], RunId),
    at: Millis,
) -> Result<(), StoreError> {
    let Some(row) = store.get(&keys::open(run))? else { return Ok(()) };
    let OpenRun { at: of, parked } = OpenRun::decode(&row)?;
    let Some(ParkedRun { wake: Some(wake), payer, holds, readers }) = parked.filter(|_| of.host == host) else {
        return Ok(());
    };
    let mut batch = Batch::default();
    batch.expect(keys::open(run), Expect::Equals(row));
    batch.remove(key.to_vec());
    let parked = ParkedRun { wake: Some(Wake { at, ..wake }), payer, holds, readers };
    batch.put(keys::wake(at, run), Vec::new());
    batch.put(keys::open(run), parked.encode(of));
    match store.commit(batch).await {
        Ok(()) | Err(StoreError::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use agentry_kernel::budget::Amounts;
    use agentry_store::RedbStore;
    use agentry_store::ids::HostEpoch;

    use super::*;

    #[tokio::test]
    async fn runs_that_were_to_come_back_in_a_false_future_come_back_as_much_later_than_now() {
        let home = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(RedbStore::open(home.path()).unwrap());
        let (now, was, of) = (Millis(1_000_000), Millis(9_000_000_000), HostEpoch::default());
        let mut batch = Batch::default();
        let file = |batch: &mut Batch, run: RunId, at: Millis, of: HostEpoch| {
            let wake = Some(Wake { at, letter: false, person: false });
            let parked = ParkedRun { payer: "scribe".to_owned(), holds: Amounts::ZERO, wake, readers: Vec::new() };
            parked.places(run).into_iter().for_each(|place| batch.put(place, Vec::new()));
            batch.put(keys::open(run), parked.encode(of));
        };
        let elsewhere = HostEpoch { host: HostId(3), epoch: 1 };
        file(&mut batch, RunId(5), was.plus(20_000), of);
        file(&mut batch, RunId(6), now, of);
        file(&mut batch, RunId(7), was.plus(20_000), elsewhere);
        store.commit(batch).await.unwrap();
        settle(&store, HostId::FIRST, was, now).await.unwrap();
        let wakes = |run: u64| ParkedRun::of(&*store, RunId(run)).unwrap().unwrap().wake.unwrap().at;
        assert_eq!((wakes(5), wakes(6), wakes(7)), (now.plus(20_000), now, was.plus(20_000)));
        let rows = store.scan(&Range::of(keys::WAKES), PAGE).unwrap();
        let found: Vec<_> =
            rows.iter().map(|(key, _)| (keys::wakes_at(key).unwrap(), keys::number(key).unwrap())).collect();
        assert_eq!(found, [(now, 6), (now.plus(20_000), 5), (was.plus(20_000), 7)]);
        settle(&store, HostId::FIRST, now, was).await.unwrap();
        assert_eq!(wakes(5), now.plus(20_000), "a clock that goes on moves nothing");
    }
}
