//! The syscalls: one file per interface of `wit/`. Each turns what a guest passed into a request, sends it through the port and gives the guest
//! what comes back. Nothing is checked, decided or done here: that is the other side's.

mod agents;
mod budget;
mod context;
mod files;
mod http;
mod human;
mod lines;
mod llm;
mod log;
mod memory;
mod timers;
mod tools;
mod wasi;

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::types;
use agentry_abi::port::Syscall;
use agentry_engine::limiter::Limiter;
use agentry_kernel::manifest::Wants;
use wasmtime::AsContextMut as _;
use wasmtime::component::{Access, FutureReader, HasData, Linker};

use crate::guest::Guest;
use crate::syscalls::lines::Lines;
use crate::syscalls::wasi::Wasi;

/// What a store of the engine holds for its guest.
pub(crate) struct State {
    pub(crate) guest: Arc<Guest>,
    pub(crate) wasi: Wasi,
    pub(crate) limiter: Limiter,
    pub(crate) lines: Arc<Lines>,
}

impl State {
    /// A guest whose randomness is a function of `seed`, with so much memory.
    pub(crate) fn new(guest: Arc<Guest>, seed: u64, memory_bytes: u64) -> Self {
        let lines = Arc::new(Lines::new(Arc::clone(&guest)));
        let wasi = Wasi::new(Arc::clone(&guest), Arc::clone(&lines), seed);
        let limiter = Limiter::new(memory_bytes, guest.memory());
        Self { guest, wasi, limiter, lines }
    }

    /// What is answered at once.
    ///
    /// # Errors
    /// The outer one ends a guest whose time is up; it gets no answer.
    fn at_once<S: Syscall>(&self, asked: S) -> wasmtime::Result<Result<S::Reply, S::Fault>> {
        self.guest.keep_pace()?;
        Ok(self.guest.now::<S>(self.guest.pass(asked).answer))
    }

    /// What the guest stands in until it is answered.
    ///
    /// # Errors
    /// As [`State::at_once`].
    fn stand<S: Syscall>(
        &self,
        asked: S,
    ) -> wasmtime::Result<impl Future<Output = Result<S::Reply, S::Fault>> + Send + use<S>> {
        self.guest.keep_pace()?;
        Ok(self.guest.answer::<S>(self.guest.pass(asked).answer))
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
    if wants.calls_tools() {
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

/// What the guest gets later. Dropping it lets go of the call.
fn later<S: Syscall, T>(
    store: &mut Access<'_, T, Interfaces>,
    asked: S,
) -> impl Future<Output = Result<S::Reply, S::Fault>> + Send + use<S, T>
where
    T: 'static,
{
    let guest = &store.get().guest;
    let passed = guest.pass(asked);
    guest.answer::<S>(passed.answer)
}

/// The same of what may run another agent: the fuel that goes to that one leaves the guest here.
///
/// # Errors
/// If the engine cannot count its fuel.
fn delegated<S: Syscall, T: 'static, A: FnOnce(u64) -> S>(
    store: &mut Access<'_, T, Interfaces>,
    asks: A,
) -> wasmtime::Result<impl Future<Output = Result<S::Reply, S::Fault>> + Send + use<S, T, A>> {
    let counted = store.as_context_mut().get_fuel()?;
    let guest = &store.get().guest;
    let passed = guest.pass(asks(guest.fuel_left(counted)));
    let answer = guest.answer::<S>(passed.answer);
    if passed.fuel_given > 0 {
        store.as_context_mut().set_fuel(counted.saturating_sub(passed.fuel_given))?;
    }
    Ok(answer)
}

/// The guest's handle on an answer that is on its way.
fn future<S, T>(
    mut store: Access<'_, S, Interfaces>,
    answer: impl Future<Output = T> + Send + 'static,
) -> wasmtime::Result<FutureReader<T>>
where
    T: wasmtime::component::Lower + wasmtime::component::Lift + Send + Sync + 'static,
{
    store.get().guest.keep_pace()?;
    FutureReader::new(store, async move { wasmtime::error::Ok(answer.await) })
}
