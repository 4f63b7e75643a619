//! The syscalls: one file per interface of `wit/`. Each turns what a guest passed into a [`Call`](agentry_kernel::Call), goes through
//! the gate and lets one driver act. No policy stands here: who may do what is the kernel's to say.

mod agents;
mod budget;
mod context;
pub mod delegate;
pub mod drivers;
mod files;
mod http;
mod human;
pub(crate) mod lines;
mod llm;
mod log;
mod memory;
mod timers;
mod tools;
mod wasi;

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::types::{self, Error, Unavailability};
use agentry_abi::driver::{Completed, Recordable, Write};
use agentry_engine::limiter::Limiter;
use agentry_kernel::Millis;
use agentry_kernel::budget::Allowance;
use agentry_kernel::kernel::Permit;
use agentry_kernel::manifest::Wants;
use wasmtime::component::{Access, FutureReader, HasData, Linker};

use self::drivers::Drivers;
use crate::gate::CallRequest;
use crate::run::context::RunContext;
use crate::syscalls::lines::Lines;
use crate::syscalls::wasi::Wasi;

pub(crate) use llm::{Cut, Ledger};

/// What a store of the engine holds for its run.
pub(crate) struct State {
    pub(crate) run: Arc<RunContext>,
    pub(crate) drivers: Arc<Drivers>,
    pub(crate) wasi: Wasi,
    pub(crate) limiter: Limiter,
    pub(crate) lines: Arc<Lines>,
    pub(crate) ledger: Arc<Ledger>,
    /// When its wall time ends.
    pub(crate) deadline: Millis,
}

impl State {
    /// `deadline` is when its wall time ends.
    pub(crate) fn new(
        run: Arc<RunContext>,
        drivers: Arc<Drivers>,
        allowance: &Allowance,
        seed: u64,
        deadline: Millis,
    ) -> Self {
        let lines = Arc::new(Lines::new(Arc::clone(&run), drivers.gate.clone()));
        let wasi = Wasi::new(Arc::clone(&run), Arc::clone(&lines), seed);
        let limiter = Limiter::new(allowance.memory_bytes, run.activity.memory());
        Self { run, drivers, wasi, limiter, lines, ledger: Arc::default(), deadline }
    }

    /// Through the gate with a write to our own store.
    ///
    /// # Errors
    /// As [`State::at_once`].
    fn stored<T, W, A>(
        &self,
        what: W,
        act: A,
    ) -> wasmtime::Result<impl Future<Output = Result<T, Error>> + Send + use<T, W, A>>
    where
        T: Recordable + Send + 'static,
        W: Into<CallRequest>,
        A: FnMut(&Permit) -> Write<T> + Send + 'static,
    {
        self.run.keep_pace()?;
        Ok(self.drivers.gate.pass_store(&self.run, what, act))
    }

    /// Through the gate with a short read of something that may be labelled. It waits only for people.
    ///
    /// # Errors
    /// As [`State::at_once`].
    fn read_at_once<T, W, A>(
        &self,
        what: W,
        act: A,
    ) -> wasmtime::Result<impl Future<Output = Result<T, Error>> + Send + use<T, W, A>>
    where
        T: Recordable + Send + 'static,
        W: Into<CallRequest>,
        A: FnOnce(&Permit) -> Completed<T> + Send + 'static,
    {
        self.run.keep_pace()?;
        Ok(self.drivers.gate.pass_read(&self.run, what, act))
    }

    /// Through the gate with what is answered at once.
    ///
    /// # Errors
    /// The outer one ends a guest whose time is up; it gets no answer.
    fn at_once<T: Recordable>(
        &self,
        what: impl Into<CallRequest>,
        act: impl FnOnce(&Permit) -> Result<T, Error>,
    ) -> wasmtime::Result<Result<T, Error>> {
        self.run.keep_pace()?;
        Ok(self.drivers.gate.call_now(&self.run, what, act))
    }
}

impl AsMut<Wasi> for State {
    fn as_mut(&mut self) -> &mut Wasi {
        &mut self.wasi
    }
}

/// Stands for the interfaces that [`State`] implements, where the engine asks for a type of this crate.
pub(crate) struct Interfaces;

impl HasData for Interfaces {
    type Data<'a> = &'a mut State;
}

impl types::Host for State {}

/// Links the interfaces that everyone has and those that a manifest declares; there is nothing else to call.
pub(crate) fn linker(engine: &wasmtime::Engine, wants: &Wants) -> wasmtime::Result<Linker<State>> {
    use agentry_abi::bindings::agentry::agent as table;

    let mut linker = Linker::new(engine);
    let l = &mut linker;
    wasi::link(l)?;
    table::types::add_to_linker::<_, Interfaces>(l, |state| state)?;
    table::log::add_to_linker::<_, Interfaces>(l, |state| state)?;
    table::timers::add_to_linker::<_, Interfaces>(l, |state| state)?;
    table::budget::add_to_linker::<_, Interfaces>(l, |state| state)?;
    if wants.llm.is_some() {
        table::llm::add_to_linker::<_, Interfaces>(l, |state| state)?;
    }
    if wants.memory.is_some() {
        table::memory::add_to_linker::<_, Interfaces>(l, |state| state)?;
    }
    if !wants.files.is_empty() {
        table::files::add_to_linker::<_, Interfaces>(l, |state| state)?;
    }
    if !wants.tools.is_empty() {
        table::tools::add_to_linker::<_, Interfaces>(l, |state| state)?;
    }
    if wants.http.is_some() {
        table::http::add_to_linker::<_, Interfaces>(l, |state| state)?;
    }
    if wants.agents.is_some() {
        table::agents::add_to_linker::<_, Interfaces>(l, |state| state)?;
    }
    if wants.human.is_some() {
        table::human::add_to_linker::<_, Interfaces>(l, |state| state)?;
    }
    if wants.context.is_some() {
        table::context::add_to_linker::<_, Interfaces>(l, |state| state)?;
    }
    Ok(linker)
}

/// What an interface answers that is in the table and not built yet, once the kernel has said yes.
pub(crate) fn not_yet(interface: &str) -> Error {
    let reason = format!("`{interface}` comes in a later version of Agentry");
    Error::Unavailable(Unavailability { reason, retry_after_ms: None })
}

pub(crate) fn invalid(text: impl Into<String>) -> Error {
    Error::Invalid(text.into())
}

/// The guest's handle on an answer that is on its way. Dropping it drops `answer`, which cancels the call.
fn future<S, T>(
    mut store: Access<'_, S, Interfaces>,
    answer: impl Future<Output = T> + Send + 'static,
) -> wasmtime::Result<FutureReader<T>>
where
    T: wasmtime::component::Lower + wasmtime::component::Lift + Send + Sync + 'static,
{
    store.get().run.keep_pace()?;
    FutureReader::new(store, async move { wasmtime::error::Ok(answer.await) })
}
