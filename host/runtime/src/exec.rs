//! One run from first to last entry: begin, instantiate, call `run`, say how it ended. It decides nothing and outlives every guest.

mod cause;
pub mod components;
pub mod errors;
pub mod replay;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use agentry_abi::bindings::AgentPre;
use agentry_abi::bindings::agentry::agent::outcome::Failure;
use agentry_journal::audit::contents;
use agentry_journal::report::Report;
use agentry_kernel::budget::Allowance;
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::RunId;
use agentry_kernel::journal::{Entry, Started, Status, Unfinished};
use agentry_kernel::kernel::Start;
use agentry_kernel::manifest::{Manifest, WantsFiles};
use agentry_kernel::model::Usage;
use agentry_kernel::refusal::{Code, Refusal};
use agentry_kernel::{Digest, Resource};
use agentry_store::limits::{COMPONENT_HANDLES_MAX, HOSTCALL_MAX_BYTES, SLICE_FUEL};
use agentry_store::rows::run::RunRecord;
use agentry_store::{StoreError, keys};
use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;
use wasmtime::Store;

use self::components::Prepared;
use crate::gate::{Ending, Opening, Origin};
use crate::run::cause::Began;
use crate::run::context::RunContext;
use crate::run::end::End;
use crate::run::events::{Event, Observer};
use crate::run::parent::Below;
use crate::run::recording::Recording;
use crate::run::slice::Overdue;
use crate::syscalls::State;
use crate::syscalls::drivers::Drivers;

/// What a run is a function of, besides what its calls give.
pub(crate) struct Beginning {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) input: String,
    pub(crate) seed: u64,
    pub(crate) id: RunId,
    /// The engine, for the journal.
    pub(crate) engine: String,
    /// Cancelled when somebody wants it to end.
    pub(crate) stop: CancellationToken,
    /// Whether people can be asked on its behalf.
    pub(crate) attended: bool,
    /// What it rests on, if it is below another run.
    pub(crate) below: Option<Below>,
    /// What started it by itself, if something did.
    pub(crate) began: Option<Began>,
}

/// A run that goes on.
pub(crate) struct Resuming {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) record: RunRecord,
    /// All of its journal.
    pub(crate) entries: Vec<Entry>,
    /// True if it has its past from another run and has none of its own yet.
    pub(crate) forked: bool,
    /// As of [`Beginning`].
    pub(crate) stop: CancellationToken,
    /// As of [`Beginning`].
    pub(crate) attended: bool,
    /// As of [`Beginning`].
    pub(crate) below: Option<Below>,
    /// Why it is to be stopped, if a person says so before it goes on.
    pub(crate) because: Option<String>,
}

/// Runs it. The report says how it ended, whatever the guest did; an error means that the store could not be written.
pub(crate) async fn run(
    drivers: &Arc<Drivers>,
    beginning: Beginning,
    observer: Observer,
) -> Result<Report, StoreError> {
    let gate = &drivers.gate;
    let Beginning { prepared, input, seed, id, engine, stop, attended, below, began: by } = beginning;
    let manifest = &prepared.manifest;
    let began = gate.clock().now();
    let run = RunContext::new(id, manifest.agent(), began, observer).until(stop).started_by(by);
    let run = placed(run, below.as_ref());
    let package = format!("{}@{}", manifest.name, manifest.version);
    let started = Started {
        at: began,
        agent: run.agent.clone(),
        package: package.clone(),
        component: prepared.digest,
        input: Digest::default(),
        seed,
        policy: gate.kernel(|kernel| kernel.policy().epoch),
        engine,
        held: Amounts::ZERO,
    };
    let start = Start { agent: run.agent.clone(), manifest: Arc::clone(manifest) };
    let input_json = input.clone().into_bytes();
    let allowance = match gate.begin(&run, Opening { started, start, input: input_json, below, attended }) {
        Ok(allowance) => allowance,
        Err(refusal) => {
            gate.journal().flush().await?;
            return Ok(refused(&run, &refusal));
        }
    };
    run.observer.tell(Event::Started { run: id, agent: run.agent.clone(), package });
    live(drivers, &prepared, run, Given { allowance, input, seed, before: None }).await
}

/// Goes on with a run behind its journal. A refusal leaves it as it was.
pub(crate) async fn resume(
    drivers: &Arc<Drivers>,
    resuming: Resuming,
    observer: Observer,
) -> Result<Result<Report, Box<Refusal>>, StoreError> {
    let gate = &drivers.gate;
    let Resuming { prepared, record, entries, forked, stop, attended, below, because } = resuming;
    let copied = forked.then(|| entries.clone());
    let unfinished = Unfinished::of(&entries);
    let mut unfinished = unfinished.ok_or_else(|| StoreError::Damaged { why: format!("run {} is over", record.id) })?;
    unfinished.goes_on(gate.clock().now());
    let past = Arc::new(Recording::of(Arc::clone(gate.journal().store()), entries)?);
    let Started { at, input, seed, agent, .. } = past.started().clone();
    let input = String::from_utf8(past.content(&input)?);
    let input = input.map_err(|_| StoreError::Damaged { why: "an input that is no text".to_owned() })?;
    let (id, package) = (record.id, record.package.clone());
    let run = RunContext::new(id, agent, at, observer).until(stop).again(past);
    let has = |content: &Digest| gate.journal().store().has(&keys::blob(content)).unwrap_or(true);
    let lacks = copied.as_ref().is_some_and(|entries| contents::lacking(entries, has).is_some());
    let run = placed(if lacks { run.lacking_contents() } else { run }, below.as_ref());
    because.into_iter().for_each(|because| run.activity.stopped_because(because));
    let start = Start { agent: run.agent.clone(), manifest: Arc::clone(&prepared.manifest) };
    let origin = copied.map_or_else(|| Origin::Own(below.map(|below| below.share)), Origin::Another);
    let allowance = match gate.reopen(&run, &start, record, (&unfinished, origin, attended)) {
        Ok(allowance) => allowance,
        Err(refusal) => return Ok(Err(refusal)),
    };
    run.observer.tell(Event::Started { run: id, agent: run.agent.clone(), package });
    let before = Some(unfinished.wall_ms);
    live(drivers, &prepared, run, Given { allowance, input, seed, before }).await.map(Ok)
}

/// The run where it stands: below another one, if it works for that.
fn placed(run: RunContext, below: Option<&Below>) -> Arc<RunContext> {
    let Some(Below { parent, .. }) = below else { return Arc::new(run) };
    let run = Arc::new(run.below(parent));
    parent.adopt(&run);
    run
}

/// What a run that begins or goes on is given.
struct Given {
    allowance: Allowance,
    input: String,
    seed: u64,
    /// Wall time that it has used before, if it goes on. Its own clock may be another home's then.
    before: Option<u64>,
}

/// From the first instruction to the last entry.
async fn live(
    drivers: &Arc<Drivers>,
    prepared: &Prepared,
    run: Arc<RunContext>,
    given: Given,
) -> Result<Report, StoreError> {
    let gate = &drivers.gate;
    let Given { allowance, input, seed, before } = given;
    let began = if before.is_none() { run.clock.now() } else { gate.clock().now() };
    let wall_ms = before.unwrap_or(0);
    let unended = gate.unended(&run, &allowance);
    let deadline = began.plus(allowance.wall_ms.saturating_sub(wall_ms));
    let state = State::new(Arc::clone(&run), Arc::clone(drivers), &allowance, seed, deadline);
    let (lines, ledger) = (Arc::clone(&state.lines), Arc::clone(&state.ledger));
    let (end, mut used) = guest(prepared, state, input, allowance).await;
    let overdue = run.deadline().is_some_and(|deadline| deadline <= tokio::time::Instant::now());
    if let Some(past) = run.recording().filter(|_| !overdue && !run.cancelled.is_cancelled()) {
        past.fell_short(run.calls());
    }
    let end = end.with_last_words(lines.last_words()).unless(run.recording().and_then(|past| past.verdict()));
    lines.close();
    if run.leaves.is_cancelled() {
        unended.over();
        // Whoever looks for it finds it as it stands.
        gate.journal().flush().await?;
        return Ok(left(&run, ledger.usage()));
    }
    used[Resource::WallTime] = gate.clock().now().since(began).saturating_add(wall_ms);
    let policy = gate.kernel(|kernel| Arc::clone(kernel.policy()));
    let cause = cause::of(&end, &run, &policy, &allowance, ledger.cut());
    let ending =
        Ending { status: end.status, output: end.bytes(), failure: end.failure.clone(), cause: cause.clone(), used };
    unended.over();
    // In a task of its own: once it has begun, it is brought to its end, whoever waits for it.
    let ended = tokio::spawn({
        let (gate, run) = (gate.clone(), Arc::clone(&run));
        async move { gate.end(&run, ending).await }
    });
    let record = ended.await.unwrap_or(Err(StoreError::Closed))?;
    let tally = run.tally();
    Ok(Report {
        run: run.id,
        agent: record.agent,
        begun: true,
        labels: record.labels,
        status: end.status,
        output: end.output,
        failure: end.failure,
        cause,
        usage: ledger.usage(),
        cost_microusd: record.spent[Resource::Usd],
        spent: record.spent,
        refusals: tally.refusals,
        refused: tally.refused,
        duration_ms: used[Resource::WallTime],
    })
}

/// Runs the guest to its end, and drops it and every call that it has in flight.
async fn guest(prepared: &Prepared, state: State, input: String, allowance: Allowance) -> (End, Amounts) {
    let run = Arc::clone(&state.run);
    let mut store = Store::new(prepared.linked.engine(), state);
    if let Err(error) = limit(&mut store, &allowance) {
        return (End::broken(&error), Amounts::ZERO);
    }
    let deadline = run.deadline();
    let ended = {
        let guest = AssertUnwindSafe(call(&prepared.linked, &mut store, input)).catch_unwind();
        tokio::select! {
            biased;
            () = run.cancelled.cancelled() => Ended::Stopped,
            () = past(deadline) => Ended::TimedOut,
            result = run.paced(guest) => match result {
                Ok(result) => Ended::Itself(result),
                Err(_) => Ended::Panicked,
            },
        }
    };
    // A guest that was cut in the middle of a call into it cannot be asked.
    let fuel = store.get_fuel().unwrap_or(0);
    let memory = store.data().limiter.memory();
    let burnt = allowance.fuel.saturating_sub(fuel).saturating_sub(run.fuel_given());
    let used = Amounts::of(Resource::Fuel, burnt).with(Resource::Memory, memory);
    let end = match ended {
        Ended::Itself(Ok(Ok(output))) => End::output(output).fitting(&prepared.shapes),
        Ended::Itself(Ok(Err(failure))) => End::failure(failure),
        Ended::Itself(Err(error)) if error.is::<Overdue>() && !run.cancelled.is_cancelled() => {
            End::timed_out(allowance.wall_ms)
        }
        Ended::Itself(Err(error)) if error.is::<Overdue>() => End::stopped(run.calls(), run.activity.because()),
        Ended::Itself(Err(error)) => End::trap(&error, &allowance, store.data().limiter.refused()),
        Ended::Panicked => End::host_broke(),
        Ended::TimedOut => End::timed_out(allowance.wall_ms),
        Ended::Stopped => End::stopped(run.calls(), run.activity.because()),
    };
    (end, used)
}

enum Ended {
    Itself(wasmtime::Result<Result<String, Failure>>),
    Panicked,
    TimedOut,
    Stopped,
}

fn limit(store: &mut Store<State>, allowance: &Allowance) -> wasmtime::Result<()> {
    store.limiter(|state| &mut state.limiter);
    store.set_fuel(allowance.fuel)?;
    store.fuel_async_yield_interval(Some(SLICE_FUEL))?;
    store.set_hostcall_fuel(HOSTCALL_MAX_BYTES);
    store.set_max_component_handles(COMPONENT_HANDLES_MAX);
    Ok(())
}

async fn call(
    linked: &AgentPre<State>,
    store: &mut Store<State>,
    input: String,
) -> wasmtime::Result<Result<String, Failure>> {
    let agent = linked.instantiate_async(&mut *store).await?;
    store.run_concurrent(async |accessor| agent.call_run(accessor, input).await).await?
}

async fn past(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The report of a run that leaves memory and has not ended.
fn left(run: &RunContext, usage: BTreeMap<String, Usage>) -> Report {
    let tally = run.tally();
    Report {
        run: run.id,
        agent: run.agent.clone(),
        begun: true,
        labels: run.labels(),
        status: Status::Suspended,
        output: None,
        failure: Some("the run has not ended: it goes on when it is resumed".to_owned()),
        cause: None,
        usage,
        cost_microusd: tally.spent[Resource::Usd],
        spent: tally.spent,
        refusals: tally.refusals,
        refused: tally.refused,
        duration_ms: 0,
    }
}

/// The root that a grant gives a package, that it needs, and that nobody gave this host.
pub(crate) fn lacking_root<'m>(drivers: &Drivers, manifest: &'m Manifest) -> Option<&'m WantsFiles> {
    let policy = drivers.gate.kernel(|kernel| Arc::clone(kernel.policy()));
    // Without a grant, the kernel says so in its own words.
    let grant = policy.grant(manifest.agent(), manifest)?;
    let granted = |root: &str| grant.rights.files.iter().any(|right| right.root == root);
    let mut needed = manifest.wants.files.iter().filter(|wants| !wants.optional && granted(&wants.root));
    needed.find(|wants| !drivers.files.has(&wants.root))
}

/// The report of a run that did not begin.
fn refused(run: &RunContext, refusal: &Refusal) -> Report {
    let status = match refusal.code {
        Code::Exhausted { .. } => Status::Exhausted,
        Code::Busy => Status::Unavailable,
        _ => Status::Denied,
    };
    Report {
        run: run.id,
        agent: run.agent.clone(),
        begun: false,
        labels: run.labels(),
        status,
        output: None,
        failure: Some(refusal.because.clone()),
        cause: None,
        usage: BTreeMap::new(),
        spent: Amounts::ZERO,
        cost_microusd: 0,
        refusals: vec![refusal.clone()],
        refused: 1,
        duration_ms: 0,
    }
}
