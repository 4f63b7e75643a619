//! The far side of the port: what each syscall is. One file per interface turns a request into a call and its contents, takes it through the
//! gate, and says which driver acts. It believes nothing of a request: what one must look like is checked here, what it names and what it could
//! cost is computed here. No policy stands here: who may do what is the kernel's to say.

mod agents;
mod budget;
mod context;
pub mod delegate;
pub mod drivers;
mod files;
mod http;
mod human;
mod llm;
mod log;
mod memory;
mod timers;
mod tools;

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use agentry_abi::bindings::agentry::agent::llm::Delta;
use agentry_abi::port::{Answer, Delivery, Next, Passed, Port, Quick, QuickCall, Request, Rest, Syscall, Untrue};
use agentry_kernel::Millis;
use agentry_kernel::call::CallId;
use parking_lot::Mutex;

use self::drivers::Drivers;
use self::http::Hops;
use self::llm::Pieces;
pub(crate) use self::llm::{Cut, Ledger};
use self::log::Written;
use crate::gate::{Begun, Given, Later, Unseen};
use crate::run::context::RunContext;

/// The port of one run.
pub(crate) struct Dispatch {
    run: Arc<RunContext>,
    drivers: Arc<Drivers>,
    /// When its wall time ends.
    deadline: Millis,
    ledger: Arc<Ledger>,
    log: Mutex<Written>,
    /// Calls whose answer the guest has yet to see.
    unseen: Mutex<HashMap<CallId, Unseen>>,
    /// Pieces of answers that the guest has yet to hear.
    pieces: Mutex<HashMap<CallId, Arc<Pieces>>>,
    /// Where the answers lead that the guest has yet to see, and the one that it saw last.
    hops: Arc<Mutex<Hops>>,
}

impl Dispatch {
    pub(crate) fn new(run: Arc<RunContext>, drivers: Arc<Drivers>, deadline: Millis) -> Self {
        let (ledger, log, unseen) = (Arc::default(), Mutex::default(), Mutex::default());
        let (pieces, hops) = (Mutex::default(), Arc::default());
        Self { run, drivers, deadline, ledger, log, unseen, pieces, hops }
    }

    /// What the run asked of models so far.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The guest is gone: it has let go of all that it did not say that it saw, and its log ends.
    pub(crate) fn close(&self) {
        let (unseen, pieces) = (std::mem::take(&mut *self.unseen.lock()), std::mem::take(&mut *self.pieces.lock()));
        drop(unseen);
        pieces.values().for_each(|pieces| pieces.unheard());
        log::close(self);
    }

    /// The number of the call that the guest makes next.
    fn next_call(&self) -> CallId {
        CallId(self.run.calls().saturating_add(1))
    }

    /// What is answered.
    fn now<S: Syscall>(&self, result: Result<S::Reply, S::Fault>) -> Passed {
        self.passed(Answer::Now(S::reply(result)))
    }

    /// What has gone through the gate.
    fn begun<S: Syscall>(&self, begun: Begun<S::Reply, S::Fault>) -> Passed {
        self.begun_as::<S, _>(begun, std::convert::identity)
    }

    /// The same, of which the guest gets something else than the journal.
    fn begun_as<S: Syscall, T: Send + 'static>(
        &self,
        begun: Begun<T, S::Fault>,
        gives: impl FnOnce(Result<T, S::Fault>) -> Result<S::Reply, S::Fault> + Send + 'static,
    ) -> Passed {
        match (begun.answer, begun.call) {
            (Given::Later(Later { stands, unseen, coming }), Some(call)) => {
                self.unseen.lock().insert(call, unseen);
                let coming = Box::pin(async move { S::reply(gives(coming.await)) });
                self.passed(Answer::Later { call, stands, coming })
            }
            (Given::Now(result), _) => self.now::<S>(gives(result)),
            (Given::Later(_), None) => self.now::<S>(Err(agentry_abi::fault::broke().into())),
        }
    }

    fn passed(&self, answer: Answer) -> Passed {
        Passed { answer, clock: self.run.clock.now(), pieces: None, fuel_given: 0 }
    }
}

impl Port for Dispatch {
    fn pass(&self, request: Request) -> Passed {
        match request {
            Request::AgentsFind(asked) => agents::find(self, asked),
            Request::AgentsCall(asked) => agents::call(self, asked),
            Request::AgentsSend(asked) => agents::send(self, asked),
            Request::AgentsReceive(asked) => agents::receive(self, &asked),
            Request::AgentsReply(asked) => agents::reply(self, asked),
            Request::BudgetRemaining(_) => budget::remaining(self),
            Request::BudgetSplit(_) => budget::split(self),
            Request::ContextConversation(_) => context::conversation(self),
            Request::ContextAppend(_) => context::append(self),
            Request::ContextUsage(_) => context::usage(self),
            Request::ContextComplete(_) => context::complete(self),
            Request::ContextStream(_) => context::stream(self),
            Request::ContextFork(_) => context::fork(self),
            Request::ContextSnapshot(_) => context::snapshot(self),
            Request::ContextRestore(_) => context::restore(self),
            Request::FilesRead(asked) => files::read(self, asked),
            Request::FilesWrite(asked) => files::write(self, asked),
            Request::FilesStat(asked) => files::stat(self, asked),
            Request::FilesList(asked) => files::list(self, asked),
            Request::FilesDelete(asked) => files::delete(self, asked),
            Request::HttpFetch(asked) => http::fetch(self, asked),
            Request::HttpFollow(asked) => http::follow(self, &asked),
            Request::HumanAsk(asked) => human::ask(self, asked),
            Request::HumanNotify(asked) => human::notify(self, asked),
            Request::LlmComplete(asked) => llm::complete(self, asked),
            Request::LlmStream(asked) => llm::stream(self, asked),
            Request::LlmEmbed(asked) => llm::embed(self, asked),
            Request::LlmModels(_) => llm::models(self),
            Request::LlmCountTokens(asked) => llm::count_tokens(self, asked),
            Request::LogEvent(asked) => log::event(self, asked, None),
            Request::MemoryGet(asked) => memory::get(self, asked),
            Request::MemoryPut(asked) => memory::put(self, asked),
            Request::MemoryDelete(asked) => memory::delete(self, asked),
            Request::MemoryList(asked) => memory::list(self, asked),
            Request::MemorySearch(asked) => memory::search(self, asked),
            Request::MemoryHistory(asked) => memory::history(self, asked),
            Request::MemoryRollback(asked) => memory::rollback(self, asked),
            Request::MemoryWatch(asked) => memory::watch(self, asked),
            Request::TimersNow(_) => timers::now(self, None),
            Request::TimersDeadline(_) => timers::deadline(self, None),
            Request::TimersSleep(asked) => timers::sleep(self, &asked),
            Request::ToolsList(_) => tools::list(self),
            Request::ToolsCall(asked) => tools::call(self, asked),
        }
    }

    fn seen(&self, call: CallId) -> Millis {
        let unseen = self.unseen.lock().remove(&call);
        if let Some(unseen) = unseen {
            unseen.seen();
        }
        self.hops.lock().seen(call);
        self.run.clock.now()
    }

    fn came(&self, call: CallId) -> Option<Millis> {
        self.unseen.lock().get(&call).and_then(Unseen::came)
    }

    fn dropped(&self, call: CallId) {
        self.hops.lock().dropped(call);
        let unseen = self.unseen.lock().remove(&call);
        drop(unseen);
    }

    fn poll_pieces(&self, call: CallId, context: &mut Context<'_>) -> Poll<()> {
        let pieces = self.pieces.lock().get(&call).cloned();
        pieces.map_or(Poll::Ready(()), |pieces| pieces.poll(&self.run, context))
    }

    fn hear(&self, call: CallId) -> Result<Vec<Delta>, String> {
        let pieces = self.pieces.lock().get(&call).cloned();
        pieces.map_or(Ok(Vec::new()), |pieces| pieces.hear(&self.drivers.gate, &self.run))
    }

    fn unheard(&self, call: CallId) {
        let pieces = self.pieces.lock().remove(&call);
        if let Some(pieces) = pieces {
            pieces.unheard();
        }
    }

    fn next(&self, rests: bool, waiting: &[Delivery]) -> Next {
        self.run.next(rests, waiting)
    }

    fn poll_turn(&self, context: &mut Context<'_>) -> Poll<()> {
        self.run.poll_turn(context)
    }

    fn waits(&self, rest: Rest) {
        self.run.activity.waits(rest);
    }

    fn slept(&self, until: Millis) {
        self.run.clock.advance(until);
    }

    fn repeats(&self) -> bool {
        self.run.repeats()
    }

    fn lease(&self) -> Option<Millis> {
        // What the run did before is answered out of its past, and a clock that somebody sets goes by nobody else's.
        let clock = self.drivers.gate.clock();
        (clock.passes() && !self.run.repeats()).then(|| clock.now())
    }

    fn answered(&self, Quick { at, call }: Quick, latest: Millis) -> Result<(), Untrue> {
        let now = self.run.clock.now();
        if at < now {
            return Err(Untrue::Passed);
        }
        if at > latest.max(now) {
            return Err(Untrue::NotCome);
        }
        // Yes or no, the guest saw the same.
        drop(match call {
            QuickCall::TimersNow => timers::now(self, Some(at)),
            QuickCall::TimersDeadline => timers::deadline(self, Some(at)),
            QuickCall::LogEvent(asked) => log::event(self, asked, Some(at)),
        });
        Ok(())
    }
}
