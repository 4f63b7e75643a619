//! The syscalls: one file per interface of `wit/`. Each turns what a guest passed into a [`Call`](agentry_kernel::Call), goes through
//! the gate and lets one driver act. No policy stands here: who may do what is the kernel's to say.

mod agents;
pub mod bindings;
mod budget;
mod context;
mod files;
mod http;
mod human;
mod llm;
mod log;
mod memory;
mod timers;
mod tools;

use std::sync::Arc;

use agentry_kernel::Millis;
use agentry_kernel::kernel::{Allowance, Permit};
use agentry_kernel::manifest::Wants;
use wasmtime::component::{Access, FutureReader, HasSelf, Linker};

use crate::agents::Agents;
use crate::approvals::People;
use crate::drivers::files::{Files, Keepers, Marks};
use crate::drivers::http::Http;
use crate::drivers::human::Human;
use crate::drivers::llm::Models;
use crate::drivers::mail::Mail;
use crate::drivers::memory::Memory;
use crate::drivers::tools::Tools;
use crate::engine::wasi::{self, Wasi};
use crate::gate::{Acted, Asking, Gate, Told, Written};
use crate::host::orders::Orders;
use crate::host::rests::Rests;
use crate::policies::standing::Standing;
use crate::run::context::RunContext;
use crate::run::limiter::Limiter;
use crate::run::lines::Lines;
use bindings::agentry::agent::types::{self, Error, Unavailability};

pub(crate) use llm::{Cut, Ledger, answered_usage};

/// What every run of a host shares: the door and the drivers behind it.
pub struct Services {
    /// The one door.
    pub gate: Gate,
    /// Models.
    pub models: Models,
    /// Memory.
    pub memory: Memory,
    /// Named roots.
    pub files: Files,
    /// Questions of agents to people, and notices.
    pub human: Human,
    /// Those who answer for agents.
    pub people: People,
    /// Tools behind adapters.
    pub tools: Tools,
    /// The web.
    pub http: Http,
    /// Labels of what lies in them.
    pub marks: Marks,
    /// Who keeps what lies in them.
    pub keepers: Keepers,
    /// Mailboxes.
    pub mail: Arc<Mail>,
    /// What holds in this home now.
    pub standing: Standing,
    /// Runs that others want begun here.
    pub(crate) orders: Orders,
    /// Runs that leave memory while they wait, and come back.
    pub(crate) rests: Rests,
    /// Agents by name, and what runs are made of.
    pub agents: Agents,
}

/// What a store of the engine holds for its run.
pub(crate) struct State {
    pub(crate) run: Arc<RunContext>,
    pub(crate) services: Arc<Services>,
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
        services: Arc<Services>,
        allowance: &Allowance,
        seed: u64,
        deadline: Millis,
    ) -> Self {
        let lines = Arc::new(Lines::new(Arc::clone(&run), services.gate.clone()));
        let wasi = Wasi::new(Arc::clone(&run), Arc::clone(&lines), seed);
        let limiter = Limiter::new(allowance.memory_bytes, run.situation.memory());
        Self { run, services, wasi, limiter, lines, ledger: Arc::default(), deadline }
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
        T: Told + Send + 'static,
        W: Into<Asking>,
        A: FnMut(&Permit) -> Written<T> + Send + 'static,
    {
        self.run.keep_pace()?;
        Ok(self.services.gate.pass_store(&self.run, what, act))
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
        T: Told + Send + 'static,
        W: Into<Asking>,
        A: FnOnce(&Permit) -> Acted<T> + Send + 'static,
    {
        self.run.keep_pace()?;
        Ok(self.services.gate.pass_read(&self.run, what, act))
    }

    /// Through the gate with what is answered at once.
    ///
    /// # Errors
    /// The outer one ends a guest whose time is up; it gets no answer.
    fn at_once<T: Told>(
        &self,
        what: impl Into<Asking>,
        act: impl FnOnce(&Permit) -> Result<T, Error>,
    ) -> wasmtime::Result<Result<T, Error>> {
        self.run.keep_pace()?;
        Ok(self.services.gate.pass_inner(&self.run, what, act))
    }
}

impl AsMut<Wasi> for State {
    fn as_mut(&mut self) -> &mut Wasi {
        &mut self.wasi
    }
}

impl types::Host for State {}

/// Links the interfaces that everyone has and those that a manifest declares; there is nothing else to call.
pub(crate) fn linker(engine: &wasmtime::Engine, wants: &Wants) -> wasmtime::Result<Linker<State>> {
    use bindings::agentry::agent as table;

    type Run = HasSelf<State>;
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    wasi::link(l)?;
    table::types::add_to_linker::<_, Run>(l, |state| state)?;
    table::log::add_to_linker::<_, Run>(l, |state| state)?;
    table::timers::add_to_linker::<_, Run>(l, |state| state)?;
    table::budget::add_to_linker::<_, Run>(l, |state| state)?;
    if wants.llm.is_some() {
        table::llm::add_to_linker::<_, Run>(l, |state| state)?;
    }
    if wants.memory.is_some() {
        table::memory::add_to_linker::<_, Run>(l, |state| state)?;
    }
    if !wants.files.is_empty() {
        table::files::add_to_linker::<_, Run>(l, |state| state)?;
    }
    if !wants.tools.is_empty() {
        table::tools::add_to_linker::<_, Run>(l, |state| state)?;
    }
    if wants.http.is_some() {
        table::http::add_to_linker::<_, Run>(l, |state| state)?;
    }
    if wants.agents.is_some() {
        table::agents::add_to_linker::<_, Run>(l, |state| state)?;
    }
    if wants.human.is_some() {
        table::human::add_to_linker::<_, Run>(l, |state| state)?;
    }
    if wants.context.is_some() {
        table::context::add_to_linker::<_, Run>(l, |state| state)?;
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
    mut store: Access<'_, S, HasSelf<State>>,
    answer: impl Future<Output = T> + Send + 'static,
) -> wasmtime::Result<FutureReader<T>>
where
    T: wasmtime::component::Lower + wasmtime::component::Lift + Send + Sync + 'static,
{
    store.get().run.keep_pace()?;
    FutureReader::new(store, async move { wasmtime::error::Ok(answer.await) })
}
