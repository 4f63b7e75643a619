//! `context`: in the table, and not built yet. The kernel is asked all the same: a no comes before a not yet.

use agentry_abi::bindings::agentry::agent::context::{
    Conversation, Delta, Failure, Host, HostConversation, HostConversationWithStore, Message, Request, Response,
};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Completed, Recordable};
use agentry_kernel::{Amounts, Call};
use wasmtime::component::{Access, FutureReader, Resource, StreamReader};

use super::llm::Pieces;
use super::{Interfaces, State, future, not_yet};

impl State {
    fn context_later<T: Recordable>(&self, function: &str) -> wasmtime::Result<Result<T, Error>> {
        let what = Call::Context(format!("context.{function}"));
        self.at_once(what, |_| Err(not_yet("context")))
    }

    fn context_later_future(&self, function: &str) -> impl Future<Output = Result<Response, Failure>> + Send + use<> {
        let what = Call::Context(format!("context.{function}"));
        self.drivers
            .gate
            .pass(&self.run, what, |_, _| async { Completed::of(Err(not_yet("context").into()), Amounts::ZERO) })
    }
}

impl Host for State {
    fn restore(&mut self, _snapshot: String) -> wasmtime::Result<Result<Resource<Conversation>, Error>> {
        let refused: Result<(), Error> = self.context_later("restore")?;
        Ok(Err(refused.err().unwrap_or_else(|| not_yet("context"))))
    }
}

impl HostConversation for State {
    /// A constructor cannot fail, so the handle stands for nothing and every function of it says so.
    fn new(&mut self, _model: String, _pinned: Vec<Message>) -> wasmtime::Result<Resource<Conversation>> {
        let _: Result<(), Error> = self.context_later("conversation")?;
        Ok(Resource::new_own(0))
    }

    fn append(&mut self, _this: Resource<Conversation>, _message: Message) -> wasmtime::Result<Result<(), Error>> {
        self.context_later("append")
    }

    fn usage(&mut self, _this: Resource<Conversation>) -> wasmtime::Result<(u32, u32)> {
        let _: Result<(), Error> = self.context_later("usage")?;
        Ok((0, 0))
    }

    fn fork(&mut self, _this: Resource<Conversation>) -> wasmtime::Result<Result<Resource<Conversation>, Error>> {
        let refused: Result<(), Error> = self.context_later("fork")?;
        Ok(Err(refused.err().unwrap_or_else(|| not_yet("context"))))
    }

    fn snapshot(&mut self, _this: Resource<Conversation>) -> wasmtime::Result<Result<String, Error>> {
        self.context_later("snapshot")
    }

    fn drop(&mut self, _this: Resource<Conversation>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl<T: 'static> HostConversationWithStore<T> for Interfaces {
    fn complete(
        mut store: Access<'_, T, Self>,
        _this: Resource<Conversation>,
        _request: Request,
    ) -> wasmtime::Result<FutureReader<Result<Response, Failure>>> {
        let answer = store.get().context_later_future("complete");
        future(store, answer)
    }

    fn stream(
        mut store: Access<'_, T, Self>,
        _this: Resource<Conversation>,
        _request: Request,
    ) -> wasmtime::Result<(StreamReader<Delta>, FutureReader<Result<Response, Failure>>)> {
        let answer = store.get().context_later_future("stream");
        let none = StreamReader::new(&mut store, Pieces::none())?;
        Ok((none, future(store, answer)?))
    }
}
