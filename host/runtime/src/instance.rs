//! One guest from its first instruction to its last: a store of the engine, an instance in it, its export called. It says how that ended and
//! what it took, and judges neither.

mod end;
mod link;
mod threads;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use agentry_abi::bindings::AgentPre;
use agentry_abi::bindings::agentry::agent::outcome::Failure;
use agentry_abi::port::{Beginning, Ended, How, Port};
use agentry_engine::charges::Charges;
use agentry_store::limits::{COMPONENT_HANDLES_MAX, HOSTCALL_MAX_BYTES, SLICE_FUEL, WORKER_TURN_MAX_MS};
use futures::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmtime::Store;

pub(crate) use self::link::Linked;
pub(crate) use self::threads::Threads;
use crate::guest::Guest;
use crate::syscalls::State;

/// How long a turn of a guest may take its thread.
const TURN_MAX: Duration = Duration::from_millis(WORKER_TURN_MAX_MS);

/// Runs a guest to its end on the threads of guests, and drops it and every call that it has in flight. `with` goes when the guest is gone, be
/// it that nobody waits for its end.
pub(crate) async fn run(
    (linked, threads): (&Arc<Linked>, &Threads),
    port: Arc<dyn Port>,
    stop: CancellationToken,
    beginning: Beginning,
    with: impl Send + 'static,
) -> Ended {
    let guest = Arc::clone(linked);
    // Here, and not when a thread takes it up: its time is that of the other side.
    let deadline = deadline(&beginning);
    let ended = threads.execute(async move {
        // Others have threads beside its own.
        let ended = execute(&guest, port, stop, (deadline, beginning), || {}).await;
        drop(with);
        ended
    });
    let broke = Ended { how: How::Panicked, fuel_left: 0, memory_bytes: 0, last_words: None };
    ended.await.unwrap_or(broke)
}

/// When the wall time of a guest is over that begins now.
pub(crate) fn deadline(beginning: &Beginning) -> Option<Instant> {
    beginning.left.map(|left| Instant::now() + left)
}

/// The same where it is called. That a turn of the guest took its thread for too long is told by `overran`.
pub(crate) async fn execute(
    linked: &Linked,
    port: Arc<dyn Port>,
    stop: CancellationToken,
    (deadline, beginning): (Option<Instant>, Beginning),
    overran: impl FnOnce(),
) -> Ended {
    let guest = Arc::new(Guest::new(port, stop, deadline, &beginning));
    let Beginning { input, seed, fuel, memory_bytes, .. } = beginning;
    let state = State::new(Arc::clone(&guest), seed, memory_bytes);
    let lines = Arc::clone(&state.lines);
    let mut store = Store::new(linked.agent.engine(), state);
    if let Err(error) = limit(&mut store, fuel) {
        return Ended { how: end::of(&error, None), fuel_left: fuel, memory_bytes: 0, last_words: lines.last_words() };
    }
    let ended = {
        let called = AssertUnwindSafe(call(&linked.agent, &mut store, input)).catch_unwind();
        tokio::select! {
            biased;
            () = guest.stop.cancelled() => Err(How::Stopped),
            () = over(&guest) => Err(How::TimedOut),
            // Outside of its pace: a guest that waits for its turn does not rest.
            result = linked.turns.taken(guest.paced(linked.ticks.during(called)), TURN_MAX, overran) => {
                result.map_err(|_| How::Panicked)
            }
        }
    };
    // A guest that was cut in the middle of a call into it cannot be asked.
    let fuel_left = guest.fuel_left(store.get_fuel().unwrap_or(0));
    let limiter = &store.data().limiter;
    let memory_bytes = limiter.memory();
    let how = match ended {
        Ok(Ok(Ok(output))) => How::Output(output),
        Ok(Ok(Err(failure))) => How::Failure(failure),
        Ok(Err(error)) if end::is_overdue(&error) && guest.stop.is_cancelled() => How::Stopped,
        Ok(Err(error)) if end::is_overdue(&error) => How::TimedOut,
        Ok(Err(error)) => end::of(&error, limiter.refused()),
        Err(how) => how,
    };
    // What it had begun to say it has said then.
    drop(store);
    Ended { how, fuel_left, memory_bytes, last_words: lines.last_words() }
}

fn limit(store: &mut Store<State>, fuel: u64) -> wasmtime::Result<()> {
    store.limiter(|state| &mut state.limiter);
    store.set_fuel(fuel)?;
    store.fuel_async_yield_interval(Some(SLICE_FUEL))?;
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    if store.data().guest.charges().is_some() {
        Charges::watch(store, |state| state.guest.charges());
    }
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

/// When its wall time is over.
async fn over(guest: &Guest) {
    match guest.deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
