//! What has come to pass since a host opened, counted: runs that began and ended, models that were asked. It decides nothing, and the next host
//! begins at nought.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use agentry_kernel::journal::Status;
use parking_lot::Mutex;

use super::Gate;

/// The counts of one host.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    begun: AtomicU64,
    /// By how, in the order of [`Status::ENDS`].
    ended: [AtomicU64; Status::ENDS.len()],
    /// As many as the host knows models.
    models: Mutex<BTreeMap<String, Asked>>,
}

/// How often a model was asked, and how often that went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// In all.
    pub asked: u64,
    /// Of these.
    pub failed: u64,
}

/// The counts as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Runs that began or went on again.
    pub begun: u64,
    /// Runs that ended, those that were refused included, by how.
    pub ended: Vec<(Status, u64)>,
    /// By the aliases of models.
    pub models: BTreeMap<String, Asked>,
}

impl Counters {
    /// A run has begun, or goes on.
    pub(super) fn begins(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// A run has ended so, or did not begin.
    pub(super) fn ends(&self, status: Status) {
        if let Some(place) = Status::ENDS.iter().position(|end| *end == status) {
            self.ended[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn now(&self) -> Counts {
        let ended =
            Status::ENDS.iter().zip(&self.ended).map(|(status, count)| (*status, count.load(Ordering::Relaxed)));
        Counts { begun: self.begun.load(Ordering::Relaxed), ended: ended.collect(), models: self.models.lock().clone() }
    }
}

impl Gate {
    /// What has come to pass since this host opened.
    pub fn counts(&self) -> Counts {
        self.0.counters.now()
    }

    /// A model of the registry was asked.
    pub(crate) fn asked(&self, alias: &str, failed: bool) {
        let mut models = self.0.counters.models.lock();
        let asked = match models.get_mut(alias) {
            Some(asked) => asked,
            None => models.entry(alias.to_owned()).or_default(),
        };
        asked.asked += 1;
        asked.failed += u64::from(failed);
    }
}
