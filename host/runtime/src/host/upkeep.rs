//! What a host does for its store beside runs: views of one moment for whoever copies it, and journals that go, at a person's word or by
//! `[retention]`. Runs never wait for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use agentry_journal::prune::{self, PruneError, Pruned, Pruning};
use agentry_kernel::retention::Retention;
use agentry_store::{Store, StoreError};
use parking_lot::Mutex;

use super::services::Services;

/// Views at once: each keeps room from being used again that runs have freed since.
const VIEWS_MAX: usize = 4;
/// Nobody has read a view for so long: whoever opened it is gone.
const VIEW_IDLE_MAX: Duration = Duration::from_secs(60);

/// Prunings of which the outcome is remembered.
const OUTCOMES_MAX: usize = 16;

/// A host that has just begun has better things to do.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// Then what has become old enough goes once in so long.
const LOOK: Duration = Duration::from_secs(60 * 60);
/// Of its time, a host that prunes by itself rests nine tenths.
const RESTS: u32 = 9;

/// Views and prunings of a host.
pub struct Upkeep {
    retention: Option<Retention>,
    views: Mutex<BTreeMap<u64, View>>,
    prunings: Mutex<BTreeMap<u64, Outcome>>,
    stopping: AtomicBool,
}

struct View {
    store: Arc<dyn Store>,
    read: Instant,
}

/// What has come of a pruning so far.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What went, or would.
    pub pruned: Pruned,
    /// Whether it is over, and if it did not come to its end, why.
    pub over: Option<Result<(), String>>,
}

impl Upkeep {
    pub(crate) fn new(retention: Option<Retention>) -> Self {
        let (views, prunings) = (Mutex::default(), Mutex::default());
        Self { retention, views, prunings, stopping: AtomicBool::new(false) }
    }

    /// Opens a view of this store as it is now, under a number. It is closed when nobody has read it for a minute.
    ///
    /// # Errors
    /// If the store has no views; none if there are too many already.
    pub fn open_view(self: &Arc<Self>, store: &dyn Store) -> Result<Option<u64>, StoreError> {
        let mut views = self.views.lock();
        if views.len() >= VIEWS_MAX {
            return Ok(None);
        }
        let number = getrandom::u64().map_err(|_| StoreError::Host { why: "no randomness".to_owned() })?;
        views.insert(number, View { store: store.snapshot()?, read: Instant::now() });
        tokio::spawn(close_idle(Arc::downgrade(self), number));
        Ok(Some(number))
    }

    /// That view; none if it was closed.
    pub fn view(&self, number: u64) -> Option<Arc<dyn Store>> {
        let mut views = self.views.lock();
        let view = views.get_mut(&number)?;
        view.read = Instant::now();
        Some(Arc::clone(&view.store))
    }

    /// Closes a view.
    pub fn close_view(&self, number: u64) {
        self.views.lock().remove(&number);
    }

    fn next_pruning(&self) -> u64 {
        let mut prunings = self.prunings.lock();
        let number = prunings.last_key_value().map_or(1, |(last, _)| last + 1);
        prunings.insert(number, Outcome::default());
        number
    }

    /// What has come of a pruning; none if nobody knows any more.
    pub fn outcome(&self, pruning: u64) -> Option<Outcome> {
        self.prunings.lock().get(&pruning).cloned()
    }

    /// Whatever prunes leaves off with its step.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Remembers what has come of a pruning; false if it is to leave off.
    fn told(&self, pruning: u64, change: impl FnOnce(&mut Outcome)) -> bool {
        let mut prunings = self.prunings.lock();
        change(prunings.entry(pruning).or_default());
        while prunings.len() > OUTCOMES_MAX {
            prunings.pop_first();
        }
        !self.stopping.load(Ordering::Acquire)
    }
}

/// Closes a view that nobody reads any more.
async fn close_idle(upkeep: Weak<Upkeep>, number: u64) {
    loop {
        let left = {
            let Some(upkeep) = upkeep.upgrade() else { return };
            let mut views = upkeep.views.lock();
            let Some(view) = views.get(&number) else { return };
            let left = VIEW_IDLE_MAX.saturating_sub(view.read.elapsed());
            if left.is_zero() {
                views.remove(&number);
                return;
            }
            left
        };
        tokio::time::sleep(left).await;
    }
}

/// Begins to prune, or to look at what would go, beside all else; its number, under which [`Upkeep::outcome`] tells what came of it.
pub fn begin_pruning(services: &Arc<Services>, retention: Retention, only_look: bool) -> u64 {
    let upkeep = &services.upkeep;
    let number = upkeep.next_pruning();
    let services = Arc::downgrade(services);
    tokio::task::spawn_blocking(move || {
        let over = pruned(&services, number, &retention, (only_look, 0)).map_err(|error| error.to_string());
        if let Some(services) = services.upgrade() {
            services.upkeep.told(number, |outcome| outcome.over = Some(over));
        }
    });
    number
}

fn pruned(
    services: &Weak<Services>,
    number: u64,
    retention: &Retention,
    (only_look, rests): (bool, u32),
) -> Result<(), PruneError> {
    let (journal, now) = {
        let services = services.upgrade().ok_or(PruneError::Stopped)?;
        let gate = &services.drivers.gate;
        (gate.journal().clone(), gate.clock().now())
    };
    let goes_on = |so_far: &Pruned| {
        let told = |services: Arc<Services>| services.upkeep.told(number, |outcome| outcome.pruned = *so_far);
        services.upgrade().is_some_and(told)
    };
    let how = Pruning { retention, host: journal.at().host, now, rests, goes_on: &goes_on };
    let all = if only_look { prune::look(&**journal.store(), &how)? } else { prune::prune(&journal, &how)? };
    goes_on(&all);
    Ok(())
}

/// Prunes by `[retention]`, at a calm pace, until it is dropped.
pub(super) async fn tend(services: Arc<Services>) {
    let Some(retention) = services.upkeep.retention.clone() else { return };
    tokio::time::sleep(FIRST_LOOK).await;
    loop {
        let (weak, retention) = (Arc::downgrade(&services), retention.clone());
        let done = tokio::task::spawn_blocking(move || pruned(&weak, 0, &retention, (false, RESTS))).await;
        if let Ok(Err(error @ PruneError::Store(_))) = done {
            services.policy_watch.alarm(format!("old journals stay for now: {error}"));
        }
        tokio::time::sleep(LOOK).await;
    }
}
