//! A host that goes on: it begins the runs that are ordered, many at once, until it is to stop. Then nothing new begins, what runs may end
//! within a bound, and the rest leaves memory and goes on in the next host.

use std::sync::Arc;
use std::time::Duration;

use agentry_kernel::call::RunId;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Host;
use super::orders::Order;
use crate::limits::{RUNS_MAX, RUNS_ORDERED_MAX};
use crate::run::context::Observer;
use crate::triggers::{self, ListenError};

/// How a host that served came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Runs that went on when it was to stop.
    pub going: usize,
    /// Of these, those that did not end within the bound.
    pub left: usize,
}

impl Host {
    /// Begins what is ordered and what is triggered until `stop` is cancelled, and then gives runs so much time to end. `ready` is told
    /// when it takes orders.
    ///
    /// # Errors
    /// If requests for webhooks cannot be listened for.
    pub async fn serve(
        self: Arc<Self>,
        drain: Duration,
        stop: CancellationToken,
        ready: oneshot::Sender<()>,
    ) -> Result<Served, ListenError> {
        let mut orders = self.services.orders.open();
        let triggers = triggers::tend(&self.services).await?;
        // Whoever does not listen is served all the same.
        let _ = ready.send(());
        let mut runs = JoinSet::new();
        let cut = CancellationToken::new();
        // What the last host left goes on first. One that cannot go on stays suspended, and `agentry ps` shows it.
        for record in self.suspended().unwrap_or_default() {
            runs.spawn(Arc::clone(&self).go_on(record.id, cut.clone()));
        }
        let room = usize::try_from(RUNS_MAX).unwrap_or(usize::MAX).saturating_add(RUNS_ORDERED_MAX);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = runs.join_next() => {}
                Some(order) = orders.recv(), if runs.len() < room => {
                    runs.spawn(Arc::clone(&self).carry_out(order, cut.clone()));
                }
            }
        }
        drop(triggers);
        self.services.orders.close();
        // Orders whose turn did not come are told that the host stops.
        drop(orders);
        let going = runs.len();
        let drained = async { while runs.join_next().await.is_some() {} };
        // It says itself how many are left.
        let _ = tokio::time::timeout(drain, drained).await;
        let left = runs.len();
        self.leave(runs, &cut).await;
        Ok(Served { going, left })
    }

    /// What still runs leaves memory, and goes on in the next host. What has not begun yet does not begin.
    async fn leave(&self, mut runs: JoinSet<()>, cut: &CancellationToken) {
        let gate = &self.services.gate;
        gate.suspend_all();
        cut.cancel();
        while runs.join_next().await.is_some() {}
        // What cannot be written now is in the journal's own words at the next start.
        let _ = self.services.gate.journal().flush().await;
    }

    async fn go_on(self: Arc<Self>, run: RunId, cut: CancellationToken) {
        let resumed = self.resume(&run.to_string(), None, Observer::nobody(), cut).await;
        if let Err(error) = resumed {
            self.services.standing.alarm(format!("run {run} does not go on: {error}"));
        }
    }

    async fn carry_out(self: Arc<Self>, order: Order, cut: CancellationToken) {
        let Order { what, over } = order;
        // Nobody need listen.
        let _ = over.send(self.run_ordered(what, cut).await);
    }
}
