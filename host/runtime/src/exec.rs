//! One run from first to last entry: begun at the gate, given to a guest through its port, ended at the gate. It knows both sides, which do not
//! know each other; it decides nothing and outlives every guest.

mod cause;
pub mod components;
pub mod errors;
pub(crate) mod executor;
pub mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;

use agentry_abi::port::{self, Port};
use agentry_engine::{charges_for_work, clock_begins_at_zero};
use agentry_journal::audit::contents;
use agentry_journal::log;
use agentry_journal::report::Report;
use agentry_kernel::budget::Allowance;
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::RunId;
use agentry_kernel::journal::{Entry, Started, Status, Unfinished};
use agentry_kernel::kernel::Start;
use agentry_kernel::manifest::WantsFiles;
use agentry_kernel::model::Usage;
use agentry_kernel::refusal::{Code, Refusal};
use agentry_kernel::time::Millis;
use agentry_kernel::{Digest, Resource};
use agentry_store::limits::{WORKER_LOSSES_MAX, WORKER_LOSSES_SHARED};
use agentry_store::rows::run::RunRecord;
use agentry_store::{StoreError, keys, rows};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::components::Prepared;
use crate::dispatch::Dispatch;
use crate::dispatch::drivers::Drivers;
use crate::gate::{Ending, Gate, Opening, Origin};
use crate::run::activity::Holder;
use crate::run::acts::Acts;
use crate::run::cause::Began;
use crate::run::context::RunContext;
use crate::run::end::End;
use crate::run::events::{Event, Observer};
use crate::run::parent::Below;
use crate::run::recording::Recording;
use crate::workers::Gone;

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
    let again = Rerun { prepared: Arc::clone(&prepared), observer: observer.clone(), stop, attended };
    let run = RunContext::new(id, manifest.agent(), began, observer).until(again.stop.child_token()).started_by(by);
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
    let signer = drivers.signers.of(prepared.digest);
    let start = Start { agent: run.agent.clone(), manifest: Arc::clone(manifest), signer };
    let input_json = input.clone().into_bytes();
    let allowance = match gate.begin(&run, Opening { started, start, input: input_json, below, attended }) {
        Ok(allowance) => allowance,
        Err(refusal) => {
            gate.journal().flush().await?;
            return Ok(refused(&run, &refusal));
        }
    };
    run.observer.tell(Event::Started { run: id, agent: run.agent.clone(), package });
    let lived =
        live(drivers, &prepared, run, RunInputs { allowance, input, seed, before: None, losses: 0, alone: false })
            .await?;
    to_its_end(drivers, lived, again).await
}

/// Goes on with a run behind its journal. A refusal leaves it as it was.
pub(crate) async fn resume(
    drivers: &Arc<Drivers>,
    resuming: Resuming,
    observer: Observer,
) -> Result<Result<Report, Box<Refusal>>, StoreError> {
    let Resuming { prepared, stop, attended, .. } = &resuming;
    let again =
        Rerun { prepared: Arc::clone(prepared), observer: observer.clone(), stop: stop.clone(), attended: *attended };
    let (id, package) = (resuming.record.id, resuming.record.package.clone());
    match reopened(drivers, resuming, observer)? {
        Ok((run, given)) => {
            run.observer.tell(Event::Started { run: id, agent: run.agent.clone(), package });
            let lived = live(drivers, &again.prepared, run, given).await?;
            to_its_end(drivers, lived, again).await.map(Ok)
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// A run that may go on behind its journal, and what it is given.
type Reopened = (Arc<RunContext>, RunInputs);

fn reopened(
    drivers: &Drivers,
    resuming: Resuming,
    observer: Observer,
) -> Result<Result<Reopened, Box<Refusal>>, StoreError> {
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
    let run = RunContext::new(record.id, agent, at, observer).until(stop.child_token()).again(past);
    let has = |content: &Digest| gate.journal().store().has(&keys::blob(content)).unwrap_or(true);
    let lacks = copied.as_ref().is_some_and(|entries| contents::lacking(entries, has).is_some());
    let run = placed(if lacks { run.lacking_contents() } else { run }, below.as_ref());
    because.into_iter().for_each(|because| run.activity.stopped_because(because));
    let signer = drivers.signers.of(prepared.digest);
    let start = Start { agent: run.agent.clone(), manifest: Arc::clone(&prepared.manifest), signer };
    let origin = copied.map_or_else(|| Origin::Own(below.map(|below| below.share)), Origin::Another);
    let allowance = match gate.reopen(&run, &start, record, (&unfinished, origin, attended)) {
        Ok(allowance) => allowance,
        Err(refusal) => return Ok(Err(refusal)),
    };
    Ok(Ok((run, RunInputs { allowance, input, seed, before: Some(unfinished.wall_ms), losses: 0, alone: false })))
}

/// How a run lived in one place.
enum Lived {
    /// It has ended, or left memory.
    Over(Report),
    /// It goes on in another place at once; this is its report if it cannot.
    Moves(Arc<RunContext>, Report),
}

/// With what a run goes on in another place.
struct Rerun {
    prepared: Arc<Prepared>,
    observer: Observer,
    stop: CancellationToken,
    attended: bool,
}

/// Goes on with a run by its journal, in one place after the other, until it is over. Neither it nor who watches it sees anything of that.
async fn to_its_end(drivers: &Arc<Drivers>, mut lived: Lived, again: Rerun) -> Result<Report, StoreError> {
    let (mut losses, mut calls, mut alone) = (0, 0, false);
    loop {
        let (moves, left) = match lived {
            Lived::Over(report) => return Ok(report),
            Lived::Moves(run, left) => (run, left),
        };
        // Who has come further since the last time is not the one that breaks its places.
        losses = if moves.calls() > calls { 1 } else { losses + 1 };
        calls = moves.calls();
        // Whoever took a place for too long once has one of its own from then on.
        alone |= moves.overran();
        let store = Arc::clone(drivers.gate.journal().store());
        let record = rows::run::of(&*store, moves.id)?.filter(|record| record.status == Status::Suspended);
        let Some(record) = record else { return Ok(left) };
        let Rerun { prepared, observer, stop, attended } = &again;
        let resuming = Resuming {
            prepared: Arc::clone(prepared),
            entries: log::entries(&*store, record.id)?,
            record,
            forked: false,
            stop: stop.clone(),
            attended: *attended,
            below: None,
            because: None,
        };
        let Ok((run, given)) = reopened(drivers, resuming, observer.clone())? else { return Ok(left) };
        if moves.activity.is_held_by_person() {
            run.activity.hold(Holder::Person, true);
        }
        lived = live(drivers, prepared, run, RunInputs { losses, alone, ..given }).await?;
    }
}

/// The run where it stands: below another one, if it works for that.
fn placed(run: RunContext, below: Option<&Below>) -> Arc<RunContext> {
    let Some(Below { parent, .. }) = below else { return Arc::new(run) };
    let run = Arc::new(run.below(parent));
    parent.adopt(&run);
    run
}

/// What a run that begins or goes on is given.
struct RunInputs {
    allowance: Allowance,
    input: String,
    seed: u64,
    /// Wall time that it has used before, if it goes on. Its own clock may be another home's then.
    before: Option<u64>,
    /// How often in a row it has lost its place.
    losses: u32,
    /// True if it is executed apart from others.
    alone: bool,
}

/// From the first instruction to the last entry.
async fn live(
    drivers: &Arc<Drivers>,
    prepared: &Prepared,
    run: Arc<RunContext>,
    given: RunInputs,
) -> Result<Lived, StoreError> {
    let gate = &drivers.gate;
    let RunInputs { allowance, input, seed, before, losses, alone } = given;
    let began = if before.is_none() { run.clock.now() } else { gate.clock().now() };
    let wall_ms = before.unwrap_or(0);
    let unended = gate.unended(&run, &allowance);
    let deadline = began.plus(allowance.wall_ms.saturating_sub(wall_ms));
    let port = Arc::new(Dispatch::new(Arc::clone(&run), Arc::clone(drivers), deadline));
    let alone = alone || losses >= WORKER_LOSSES_SHARED;
    let assignment = Assignment { allowance, input, seed, deadline, alone };
    let executed = guest(prepared, &port, &run, assignment).await;
    let is_lost = executed.is_none();
    let (end, mut used) = match executed {
        Some(executed) => executed,
        None => lost(gate, &run, &allowance, losses).await,
    };
    let ledger = port.ledger();
    let overdue = run.deadline().is_some_and(|deadline| deadline <= Instant::now());
    if let Some(past) = run.recording().filter(|_| !is_lost && !overdue && !run.cancelled.is_cancelled()) {
        past.fell_short(run.calls());
    }
    let end = end.unless(run.recording().and_then(|past| past.verdict())).unless_lost(run.trail.broken());
    port.close();
    if run.leaves.is_cancelled() {
        unended.over();
        // Whoever looks for it finds it as it stands.
        gate.journal().flush().await?;
        let left = left(&run, ledger.usage());
        return Ok(if run.moves() { Lived::Moves(run, left) } else { Lived::Over(left) });
    }
    used[Resource::WallTime] = gate.clock().now().since(began).saturating_add(wall_ms);
    let policy = gate.kernel(|kernel| Arc::clone(kernel.policy()));
    let cause = cause::of(&end, &run, &policy, &allowance, ledger.cut());
    let ending =
        Ending { status: end.status, output: end.bytes(), failure: end.failure.clone(), cause: cause.clone(), used };
    unended.over();
    // In a task of its own: once it has begun, it is brought to its end, whoever waits for it.
    let ended = tokio::spawn({
        let (drivers, run) = (Arc::clone(drivers), Arc::clone(&run));
        async move { ended(&drivers, &run, ending).await }
    });
    let record = ended.await.unwrap_or(Err(StoreError::Closed))?;
    let tally = run.tally();
    Ok(Lived::Over(Report {
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
    }))
}

/// A run has lost its place. It leaves memory to go on in another one, unless it has lost too many; how it ends if it does not leave.
async fn lost(gate: &Gate, run: &Arc<RunContext>, allowance: &Allowance, losses: u32) -> (End, Amounts) {
    if losses < WORKER_LOSSES_MAX {
        gate.relocate(run).await;
    }
    let fuel = allowance.fuel.saturating_sub(run.fuel_given());
    let end = End::of(how_lost(run), allowance, run.calls(), run.activity.because());
    (end, Amounts::of(Resource::Fuel, fuel))
}

/// How a run ends that lost its place and does not go on elsewhere.
fn how_lost(run: &RunContext) -> port::How {
    if run.cancelled.is_cancelled() {
        port::How::Stopped
    } else if run.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
        port::How::TimedOut
    } else {
        port::How::Lost
    }
}

/// Ends it, and with it the runs that an earlier host or epoch began below it and whose calls its guest did not make again.
async fn ended(drivers: &Drivers, run: &Arc<RunContext>, ending: Ending) -> Result<RunRecord, StoreError> {
    let (gate, spawned) = (&drivers.gate, run.recording().map(|past| past.all_spawned()).unwrap_or_default());
    let record = gate.end(run, ending).await?;
    gate.end_below(&spawned, &drivers.mail).await?;
    Ok(record)
}

/// What the guest of a run is given.
struct Assignment {
    allowance: Allowance,
    input: String,
    seed: u64,
    /// When its wall time ends, by its clock.
    deadline: Millis,
    /// True if it is executed apart from others.
    alone: bool,
}

/// Language runtimes, Go's among them, take zero for a clock that does not work. A run that is executed again sees what it saw then.
fn clock_from(run: &RunContext) -> u64 {
    let began_at_zero = run.recording().is_some_and(|past| clock_begins_at_zero(&past.started().engine));
    u64::from(!began_at_zero)
}

/// Whether what the host does for its guest costs it fuel. A run that an older host began was given its fuel for its own instructions, and is to
/// end as it would have ended there.
fn pays_for_work(run: &RunContext) -> bool {
    run.recording().is_none_or(|past| charges_for_work(&past.started().engine))
}

/// Gives the run to a guest, and waits for its end; none if the place where it was executed is lost. Everything of it is gone then, every call
/// that it had in flight included.
async fn guest(
    prepared: &Prepared,
    port: &Arc<Dispatch>,
    run: &RunContext,
    given: Assignment,
) -> Option<(End, Amounts)> {
    let Assignment { allowance, input, seed, deadline, alone } = given;
    let beginning = port::Beginning {
        input,
        seed,
        now: run.clock.now(),
        deadline,
        left: run.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now())),
        fuel: allowance.fuel,
        memory_bytes: allowance.memory_bytes,
        has_past: run.recording().is_some(),
        clock_from: clock_from(run),
        pays_for_work: pays_for_work(run),
    };
    let near: Arc<dyn Port> = Arc::clone(port) as _;
    // The end of a run waits for it, also if nobody waits here any more.
    let until_gone = Acts::begin(&run.acts);
    let gone = prepared.executable.execute(near, &run.cancelled, beginning, alone, until_gone).await;
    if matches!(gone, Gone::Overran) {
        run.set_overran();
    }
    let Gone::Ended(port::Ended { how, fuel_left, memory_bytes, last_words }) = gone else { return None };
    let burnt = allowance.fuel.saturating_sub(fuel_left).saturating_sub(run.fuel_given());
    let memory = memory_bytes.min(allowance.memory_bytes);
    let used = Amounts::of(Resource::Fuel, burnt).with(Resource::Memory, memory);
    let end = End::of(how, &allowance, run.calls(), run.activity.because());
    Some((end.fitting(&prepared.shapes).with_last_words(last_words), used))
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

/// The roots that a grant gives a package, that it needs, and that nobody gave this host; each once.
pub(crate) fn lacking_roots<'m>(drivers: &Drivers, prepared: &'m Prepared) -> Vec<&'m WantsFiles> {
    let manifest = &prepared.manifest;
    let policy = drivers.gate.kernel(|kernel| Arc::clone(kernel.policy()));
    // Without a grant, the kernel says so in its own words.
    let signer = drivers.signers.of(prepared.digest);
    let Some(grant) = policy.grant(manifest.agent(), manifest, signer) else { return Vec::new() };
    let granted = |root: &str| grant.rights.files.iter().any(|right| right.root == root);
    let lacking = |wants: &WantsFiles| !wants.optional && granted(&wants.root) && !drivers.files.has(&wants.root);
    let mut found: Vec<&WantsFiles> = Vec::new();
    for wants in manifest.wants.files.iter().filter(|wants| lacking(wants)) {
        if found.iter().all(|known| known.root != wants.root) {
            found.push(wants);
        }
    }
    found
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::fixture::{NOW, host, opening};

    #[tokio::test]
    async fn a_run_that_an_older_host_began_sees_the_clock_and_pays_the_fuel_of_then() {
        let home = tempfile::tempdir().unwrap();
        let host = host(home.path()).await;
        let new = host.run(1);
        assert_eq!((clock_from(&new), pays_for_work(&new)), (1, true));
        let engines = [
            ("wasmtime 48.0.8 0123456789abcdef", 0, false),
            ("engine clock-1", 1, false),
            ("wasmtime 48.0.8 0123456789abcdef clock-1 fuel-1", 1, true),
        ];
        for (engine, first, pays) in engines {
            let mut started = opening().started;
            started.engine = engine.to_owned();
            let store = Arc::clone(host.gate.journal().store());
            let past = Recording::of(store, vec![Entry::Started(started)]).unwrap();
            let run = RunContext::new(RunId(2), "scribe", NOW, Observer::nobody()).again(Arc::new(past));
            assert_eq!((clock_from(&run), pays_for_work(&run)), (first, pays), "{engine}");
        }
    }
}
