//! One run below another: on a part of its budget, with at most its rights and with its labels. It ends when its parent does.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Completed;
use agentry_abi::fault;
use agentry_journal::history::History;
use agentry_journal::report::Report;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::journal::Status;
use agentry_store::StoreError;
use agentry_store::rows::run::RunRecord;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::Agents;
use crate::dispatch::delegate::Delegated;
use crate::dispatch::drivers::Drivers;
use crate::exec::components::Prepared;
use crate::exec::{Beginning, Resuming, lacking_roots};
use crate::gate::Reservation;
use crate::run::context::RunContext;
use crate::run::events::{Event, Observer};
use crate::run::parent::Below;

/// What became of a run that a parent's journal tells of.
#[derive(Debug)]
pub enum Found {
    /// It has ended: this is what its parent gets.
    Ended(Box<Completed<String>>),
    /// It has not: it goes on by its own journal, below its parent.
    Open(Box<RunRecord>),
    /// It never began: it is started under its id.
    Never,
}

/// Runs an agent for a call of another run, and gives what that one gets. Once `cut` is cancelled it is stopped.
///
/// Its run has its id in the parent's journal before it begins. A call that is made again, because the host stopped before it was
/// answered, finds the run that it began: what that gave, or its past, behind which it goes on.
pub(super) fn call(
    agents: Arc<Agents>,
    drivers: Arc<Drivers>,
    delegated: Delegated,
    cut: CancellationToken,
) -> BoxFuture<'static, Completed<String>> {
    let Delegated { parent, call, agent, input, aside } = delegated;
    // Boxed: a run holds the calls that it makes, and one of them holds a run.
    async move {
        let history = History::over(Arc::clone(drivers.gate.journal().store()));
        let spawned = parent.recording().and_then(|past| past.spawned(call));
        let found = spawned.map_or(Ok(Found::Never), |run| found(&history, &agent, run));
        let open = match found {
            Ok(Found::Ended(acted)) => {
                // What it took came out of the part that was set aside for it before.
                aside.take().into_iter().for_each(|share| drivers.gate.dissolve(share));
                drivers.gate.remember(&parent, &acted.below);
                return *acted;
            }
            Ok(Found::Open(record)) => Some(record),
            Ok(Found::Never) => None,
            Err(error) => return Completed::of(Err(fault::stored(&error)), Amounts::ZERO),
        };
        let place = Place { agents, parent, call, agent, id: spawned };
        match place.run(&drivers, &history, open, input, &aside, &cut).await {
            Ok(report) if report.status == Status::Suspended => {
                // It left memory with its parent, which gets no answer now.
                cut.cancelled().await;
                Completed::of(Err(Error::Cancelled), Amounts::ZERO)
            }
            Ok(report) => place.given(&report, &cut),
            Err(error) => {
                place.cannot_go_on(&drivers).await;
                Completed::of(Err(error), Amounts::ZERO)
            }
        }
    }
    .boxed()
}

/// Where a run stands below another one.
struct Place {
    agents: Arc<Agents>,
    parent: Arc<RunContext>,
    call: CallId,
    agent: String,
    /// Its id, if an earlier host began it or was about to.
    id: Option<RunId>,
}

impl Place {
    /// Begins it, or goes on with it, to its end.
    async fn run(
        &self,
        drivers: &Arc<Drivers>,
        history: &History,
        open: Option<Box<RunRecord>>,
        input: String,
        aside: &Reservation,
        cut: &CancellationToken,
    ) -> Result<Report, Error> {
        let prepared = self.prepared(drivers, history, open.as_deref()).await?;
        if open.is_none() {
            let fits = prepared.shapes.check_input(&input);
            fits.map_err(|why| Error::Invalid(format!("agent `{}` does not take this input: {why}", self.agent)))?;
        }
        let full = || fault::unavailable("as many agents run as this host can hold", Some(1000));
        // Whoever waits for a child has a slot already: it must not wait for another one while it keeps that.
        let _room = self.agents.room_now(&prepared).ok_or_else(full)?;
        let share = aside.take().ok_or_else(|| fault::unavailable("nothing was set aside for another run", None))?;
        let (observer, stop, stored) = (heard(&self.parent.observer), cut.child_token(), fault::stored);
        let below = |share| Some(Below { parent: Arc::clone(&self.parent), call: self.call, share });
        if let Some(record) = open {
            if record.imported.is_some() {
                drivers.gate.dissolve(share);
                return Err(fault::unavailable("the run that this call began is not here", None));
            }
            let entries = match history.entries(record.id) {
                Ok(entries) => entries,
                Err(error) => {
                    drivers.gate.dissolve(share);
                    return Err(stored(&error));
                }
            };
            let below = below(share);
            let (record, forked, attended, because) = (*record, false, false, None);
            let resuming = Resuming { prepared, record, entries, forked, stop, attended, below, because };
            let resumed = crate::exec::resume(drivers, resuming, observer).await.map_err(|error| stored(&error))?;
            return resumed.map_err(|refusal| fault::refused(&refusal, self.parent.id, self.call));
        }
        let (id, seed) = match self.begins(drivers).await {
            Ok(begins) => begins,
            Err(error) => {
                drivers.gate.dissolve(share);
                return Err(error);
            }
        };
        let engine = self.agents.components().engine().name().to_owned();
        let beginning =
            Beginning { prepared, input, seed, id, engine, stop, attended: false, below: below(share), began: None };
        crate::exec::run(drivers, beginning, observer).await.map_err(|error| stored(&error))
    }

    /// The id and the seed of the run, which stands in its parent's journal from here on.
    async fn begins(&self, drivers: &Drivers) -> Result<(RunId, u64), Error> {
        let (Ok(id), Ok(seed)) = (getrandom::u64(), getrandom::u64()) else {
            return Err(fault::unavailable("the host has no randomness for another run", None));
        };
        if let Some(id) = self.id {
            return Ok((id, seed));
        }
        let id = RunId(id.max(RunId::HOST.0 + 1));
        let spawned = drivers.gate.spawned(&self.parent, self.call, id).await;
        spawned.map(|()| (id, seed)).map_err(|error| fault::stored(&error))
    }

    /// What it runs: the component that it ran before, or its agent's. What is wrong with it is told to whoever watches, and not to the
    /// one who calls.
    async fn prepared(
        &self,
        drivers: &Drivers,
        history: &History,
        open: Option<&RunRecord>,
    ) -> Result<Arc<Prepared>, Error> {
        let agent = &self.agent;
        let cannot = |why: String| {
            let line = format!("agent `{agent}` cannot be run: {why}");
            self.parent.observer.tell(Event::Log { level: Level::Warn, line });
            fault::unavailable(&format!("agent `{agent}` cannot be run on this host"), None)
        };
        let components = self.agents.components();
        let prepared = match open {
            Some(record) => {
                let kept = history.blob(&record.component).map_err(|error| fault::stored(&error))?;
                components.prepare(kept.ok_or_else(|| cannot("its component is not kept here".to_owned()))?).await
            }
            None => {
                let known = self.agents.known();
                let line = known.get(agent).ok_or_else(|| Error::NotFound(format!("there is no agent `{agent}`")))?;
                components.package(&line.component).await
            }
        };
        let prepared = prepared.map_err(|error| cannot(error.to_string()))?;
        let named = prepared.manifest.agent();
        if named != agent {
            return Err(cannot(format!("its package is of agent `{named}`")));
        }
        match lacking_roots(drivers, &prepared).first() {
            Some(wants) => Err(cannot(format!("nobody gave the root `{}`", wants.root))),
            None => Ok(prepared),
        }
    }

    /// Its caller gets an error instead of what it would have given: what an earlier host began ends here. If the caller leaves memory itself,
    /// it asks again.
    async fn cannot_go_on(&self, drivers: &Drivers) {
        let Some(run) = self.id.filter(|_| !self.parent.trail.is_closed()) else { return };
        // What cannot be written now is ended by the next host.
        let _ = drivers.gate.end_absent(run, "the run that called it could not go on with it", &drivers.mail).await;
    }

    fn given(&self, report: &Report, cut: &CancellationToken) -> Completed<String> {
        let result = if cut.is_cancelled() && report.status == Status::Stopped {
            Err(Error::Cancelled)
        } else if let Some(refusal) = report.refusals.first().filter(|_| !report.begun) {
            Err(fault::refused(refusal, self.parent.id, self.call))
        } else {
            answer(&self.agent, report)
        };
        gave(result, report)
    }
}

/// What a parent gets of this run, whose id stands in its journal, or what is to be done so that it gets something.
///
/// # Errors
/// When the store cannot be read.
pub fn found(history: &History, agent: &str, run: RunId) -> Result<Found, StoreError> {
    let Some(record) = history.record(run)? else { return Ok(Found::Never) };
    if matches!(record.status, Status::Running | Status::Suspended) {
        return Ok(Found::Open(Box::new(record)));
    }
    let report = history.report(&record)?;
    Ok(Found::Ended(Box::new(gave(answer(agent, &report), &report))))
}

/// The answer to the call that a run was made for.
fn answer(agent: &str, report: &Report) -> Result<String, Error> {
    match (report.status, &report.output) {
        (Status::Done, Some(output)) => Ok(output.to_string()),
        _ => {
            let why = report.failure.as_deref().unwrap_or("it gave nothing");
            Err(fault::unavailable(&format!("agent `{agent}` did not succeed: {why}"), None))
        }
    }
}

/// The answer with what it tells of, and what its run took that divides.
fn gave(result: Result<String, Error>, report: &Report) -> Completed<String> {
    let below = report.spent.with(Resource::WallTime, 0).with(Resource::Memory, 0);
    Completed { below, ..Completed::of(result, Amounts::ZERO).labelled(report.labels.clone()) }
}

/// Whoever watches the parent hears what people must know of its children: questions, refusals, their log.
fn heard(parent: &Observer) -> Observer {
    if !parent.watches() {
        return Observer::nobody();
    }
    let parent = parent.clone();
    Observer::new(move |event| {
        if matches!(event, Event::Asked(_) | Event::Refused(_) | Event::Log { .. }) {
            parent.tell(event);
        }
    })
}
