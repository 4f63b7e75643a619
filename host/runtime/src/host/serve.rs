//! A host that goes on: it begins the runs that are ordered, many at once, until it is to stop. Then nothing new begins, what runs may end
//! within a bound, and the rest leaves memory and goes on in the next host.

use std::sync::Arc;
use std::time::Duration;

use agentry_journal::report::Report;
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Status;
use agentry_store::limits::RUNS_ORDERED_MAX;
use agentry_store::rows::parked::ParkedRun;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::pulse::BEAT;
use super::services::Services;
use super::{Host, parking, reload, upkeep};
use crate::exec::errors::RunError;
use crate::run::events::Observer;
use crate::run_queue::QueuedRun;
use crate::triggers::{ListenError, Tended, Watched};

/// Runs that come back and whose turn to go on has not come.
const WOKEN_WAITING_MAX: usize = 64;

/// How a host that served came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Runs that went on when it was to stop.
    pub going: usize,
    /// Of these, those that did not end within the bound.
    pub left: usize,
}

impl Host {
    /// What its triggers look at.
    fn watched(&self) -> Watched {
        let Services { drivers, agents, run_queue, .. } = &*self.services;
        let (drivers, agents) = (Arc::clone(drivers), Arc::clone(agents));
        Watched { drivers, agents, run_queue: Arc::clone(run_queue), pages: self.pages.clone() }
    }

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
        let mut queued = self.services.run_queue.taken();
        let mut triggers = Tended::begin(Arc::new(self.watched())).await?;
        // Whoever does not listen is served all the same.
        let _ = ready.send(());
        let mut runs = JoinSet::new();
        let cut = CancellationToken::new();
        // What the last host left goes on first. One that cannot go on stays suspended, and `agentry ps` shows it. Those that rest wait for
        // what brings them back.
        for record in self.lost().unwrap_or_default() {
            if self.services.parking.take(record.id) {
                runs.spawn(Arc::clone(&self).go_on(record.id, cut.clone()));
            }
        }
        let (back, mut woken) = mpsc::channel(WOKEN_WAITING_MAX);
        let mut tending = JoinSet::new();
        tending.spawn(parking::wake(Arc::clone(&self.services), back));
        tending.spawn(parking::sweep(Arc::clone(&self.services)));
        tending.spawn(upkeep::tend(Arc::clone(&self.services)));
        let room = self.services.agents.runs_max().saturating_add(RUNS_ORDERED_MAX);
        let mut beats = tokio::time::interval(BEAT);
        while !stop.is_cancelled() {
            self.services.pulse.beat();
            tokio::select! {
                () = stop.cancelled() => {}
                _ = beats.tick() => {}
                known = self.services.agents.offered() => reload::take_agents(&self.services, &mut triggers, known).await,
                Some(_) = runs.join_next() => {}
                Some(run) = woken.recv(), if runs.len() < room => {
                    runs.spawn(Arc::clone(&self).go_on(run, cut.clone()));
                }
                Some(run) = queued.recv(), if runs.len() < room => {
                    runs.spawn(Arc::clone(&self).carry_out(run, cut.clone()));
                }
            }
        }
        self.services.pulse.stops();
        drop((triggers, tending, woken));
        self.services.upkeep.stop();
        self.services.run_queue.close();
        // Those whose turn did not come are told that the host stops.
        drop(queued);
        let going = runs.len();
        let drained = async { while runs.join_next().await.is_some() {} };
        // It says itself how many are left.
        let _ = tokio::time::timeout(drain, drained).await;
        let left = runs.len();
        self.leave(runs, &cut).await;
        self.services.parking.close();
        // If it is not written, the next host begins a little earlier.
        let _ = self.services.drivers.gate.mark_time().await;
        Ok(Served { going, left })
    }

    /// What still runs leaves memory, and goes on in the next host. What has not begun yet does not begin.
    async fn leave(&self, mut runs: JoinSet<()>, cut: &CancellationToken) {
        let gate = &self.services.drivers.gate;
        gate.suspend_all();
        cut.cancel();
        while runs.join_next().await.is_some() {}
        // What cannot be written now is in the journal's own words at the next start.
        let _ = gate.journal().flush().await;
    }

    /// Goes on with a run that was taken from those that rest or were lost, until it ends or leaves memory again.
    async fn go_on(self: Arc<Self>, run: RunId, cut: CancellationToken) {
        let went_on = self.went_on(run, &cut).await;
        if let Err(why) = &went_on {
            self.services.policy_watch.alarm(format!("run {run} does not go on: {why}"));
        }
        self.services.parking.strand(run, went_on.err().map(|why| why.in_short()));
        self.services.parking.release(run);
    }

    async fn went_on(&self, run: RunId, cut: &CancellationToken) -> Result<(), RunError> {
        let journal = self.services.drivers.gate.journal();
        let before = ParkedRun::of(&**journal.store(), run)?;
        let Some(record) = self.history.record(run)?.filter(|_| !cut.is_cancelled()) else { return Ok(()) };
        let (stop, because) = (CancellationToken::new(), self.services.parking.stopped(run));
        if because.is_some() {
            stop.cancel();
        }
        let stopped = stop.is_cancelled();
        let because = because.filter(|because| !because.is_empty());
        let mut resumed = self.go_on_with(record, None, Observer::nobody(), (stop, because.clone())).await;
        if resumed.is_err() && stopped {
            // It ends all the same: whoever stops a run need not be able to go on with it.
            resumed = self.stop_suspended(run, because.as_deref()).await;
        }
        match (&resumed, &before) {
            (Err(_), Some(before)) => parking::park(journal, run, before).await?,
            (Err(_), None) => {}
            (Ok(report), before) => {
                parking::file(journal, run, before.as_ref()).await?;
                if report.status != Status::Suspended {
                    self.services.parking.ended(run);
                }
            }
        }
        resumed.map(|_| ())
    }

    /// Stops a run that is not in memory: it ends with its last entry and no guest, and all that works for it. It needs no grant.
    ///
    /// # Errors
    /// When it is not suspended, or the store cannot be written.
    pub async fn stop_suspended(&self, run: RunId, because: Option<&str>) -> Result<Report, RunError> {
        let drivers = &self.services.drivers;
        let why = because.map_or_else(String::new, |because| format!(": {because}"));
        drivers.gate.end_absent(run, &format!("the run was stopped{why}"), &drivers.mail).await?;
        let record = self.history.record(run)?.filter(|record| record.status != Status::Suspended);
        Ok(self.history.report(&record.ok_or(RunError::NotSuspended { run })?)?)
    }

    async fn carry_out(self: Arc<Self>, run: QueuedRun, cut: CancellationToken) {
        let QueuedRun { request, done } = run;
        let report = match self.run_queued(request, cut.clone()).await {
            Ok(report) if report.status == Status::Suspended => report,
            // Not begun yet: whoever ordered it is told that the host stops.
            Err(RunError::Prepare(_)) if cut.is_cancelled() => return,
            ended => {
                // Nobody need listen.
                let _ = done.send(ended.map(|report| report.run));
                return;
            }
        };
        let (parking, run) = (&self.services.parking, report.run);
        if parking.take(run) {
            if let Err(error) = parking::file(self.services.drivers.gate.journal(), run, None).await {
                self.services.policy_watch.alarm(format!("run {run} comes back with the next host alone: {error}"));
            }
            parking.release(run);
        }
        if cut.is_cancelled() {
            let _ = done.send(Ok(run));
        } else {
            parking.at_end(run, done);
        }
    }
}
