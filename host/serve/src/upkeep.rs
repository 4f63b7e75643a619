//! What can be asked of a host about its store beside runs: views of one moment, how much there is, journals that are to go. Data, and how a running
//! host does each; views and prunings are the host's.

use std::sync::Arc;

use agentry_journal::prune::Pruned;
use agentry_kernel::retention::Retention;
use agentry_runtime::host::services::Services;
use agentry_runtime::host::upkeep;
use agentry_store::limits::{CONTROL_PAGE_MAX_BYTES, CONTROL_PAGE_MAX_ROWS};
use agentry_store::{Key, Measured, Page, Range, Store, StoreError, Value};
use serde::{Deserialize, Serialize};

use crate::api::{Get, Has, Operation, Scan};
use crate::error::{Kind, OpError};
use crate::ops::ByHost;

/// What the rows of a range take; the host may look at fewer than there are, and says which are left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Which.
    pub range: Range,
}

impl Operation for Measure {
    type Answer = Measured;
}

/// A view of the store as it is now is opened; its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenView;

impl Operation for OpenView {
    type Answer = u64;
}

/// It is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseView {
    /// Which.
    pub view: u64,
}

impl Operation for CloseView {
    type Answer = ();
}

/// A value of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewGet {
    /// Of which.
    pub view: u64,
    /// Which.
    pub get: Get,
}

impl Operation for ViewGet {
    type Answer = Option<Value>;
}

/// Whether a view has a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewHas {
    /// Of which.
    pub view: u64,
    /// Which.
    pub has: Has,
}

impl Operation for ViewHas {
    type Answer = bool;
}

/// Rows of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewScan {
    /// Of which.
    pub view: u64,
    /// Which.
    pub scan: Scan,
}

impl Operation for ViewScan {
    type Answer = Vec<(Key, Value)>;
}

/// Journals of runs that are over begin to go, beside all else; the number of this pruning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginPruning {
    /// Which.
    pub retention: Retention,
    /// True to look only at what would.
    pub only_look: bool,
}

impl Operation for BeginPruning {
    type Answer = u64;
}

/// What has come of a pruning. One that did not come to its end is [`Kind::Unavailable`] once it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookAtPruning {
    /// Its number.
    pub pruning: u64,
}

impl Operation for LookAtPruning {
    type Answer = Pruning;
}

/// How a pruning stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruning {
    /// What went so far.
    pub pruned: Pruned,
    /// Whether it has come to its end.
    pub over: bool,
}

impl ByHost for Measure {
    async fn by_host(self, host: &Arc<Services>) -> Result<Measured, OpError> {
        let store = Arc::clone(host.drivers.gate.journal().store());
        read(store, move |store| store.measure(&self.range)).await
    }
}

impl ByHost for OpenView {
    async fn by_host(self, host: &Arc<Services>) -> Result<u64, OpError> {
        // Whatever has happened until now is in it.
        host.drivers.gate.journal().flush().await?;
        let opened = host.upkeep.open_view(&**host.drivers.gate.journal().store())?;
        opened.ok_or_else(|| OpError::busy("too many copies of this home are being made"))
    }
}

impl ByHost for CloseView {
    async fn by_host(self, host: &Arc<Services>) -> Result<(), OpError> {
        host.upkeep.close_view(self.view);
        Ok(())
    }
}

impl ByHost for ViewGet {
    async fn by_host(self, host: &Arc<Services>) -> Result<Option<Value>, OpError> {
        read(view(host, self.view)?, move |store| store.get(&self.get.key)).await
    }
}

impl ByHost for ViewHas {
    async fn by_host(self, host: &Arc<Services>) -> Result<bool, OpError> {
        read(view(host, self.view)?, move |store| store.has(&self.has.key)).await
    }
}

impl ByHost for ViewScan {
    async fn by_host(self, host: &Arc<Services>) -> Result<Vec<(Key, Value)>, OpError> {
        let Scan { from, to, reverse, rows } = self.scan;
        let rows = usize::try_from(rows).unwrap_or(usize::MAX).min(CONTROL_PAGE_MAX_ROWS);
        let page = Page { rows, bytes: CONTROL_PAGE_MAX_BYTES };
        read(view(host, self.view)?, move |store| store.scan(&Range { from, to, reverse }, page)).await
    }
}

impl ByHost for BeginPruning {
    async fn by_host(self, host: &Arc<Services>) -> Result<u64, OpError> {
        Ok(upkeep::begin_pruning(host, self.retention, self.only_look))
    }
}

impl ByHost for LookAtPruning {
    async fn by_host(self, host: &Arc<Services>) -> Result<Pruning, OpError> {
        let nobody_knows = || OpError::new(Kind::NotFound, "nobody knows of this pruning any more");
        let outcome = host.upkeep.outcome(self.pruning).ok_or_else(nobody_knows)?;
        match outcome.over {
            Some(Err(why)) => Err(OpError::new(Kind::Unavailable { retry_ms: None }, why)),
            over => Ok(Pruning { pruned: outcome.pruned, over: over.is_some() }),
        }
    }
}

fn view(host: &Services, number: u64) -> Result<Arc<dyn Store>, OpError> {
    let closed = || OpError::busy("the view of this moment was closed, because nobody read it for a minute");
    host.upkeep.view(number).ok_or_else(closed)
}

/// Reads a store where waiting for the disk holds nobody up.
async fn read<T: Send + 'static>(
    store: Arc<dyn Store>,
    read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, OpError> {
    match tokio::task::spawn_blocking(move || read(&*store)).await {
        Ok(read) => Ok(read?),
        Err(_) => Err(OpError::broken("this part of the host broke down")),
    }
}
