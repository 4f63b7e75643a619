//! `context`: in the table, and not built yet. It is asked for all the same: a no comes before a not yet.

use agentry_abi::bindings::agentry::agent::context::{
    Conversation, Delta, Failure, Host, HostConversation, HostConversationWithStore, Message, Request, Response,
};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::fault::not_yet;
use agentry_abi::port::{
    ContextAppend, ContextComplete, ContextConversation, ContextFork, ContextRestore, ContextSnapshot, ContextStream,
    ContextUsage,
};
use wasmtime::component::{Access, FutureReader, Resource, StreamReader};

use super::llm::Pieces;
use super::{Interfaces, State, future, later};

impl Host for State {
    fn restore(&mut self, snapshot: String) -> wasmtime::Result<Result<Resource<Conversation>, Error>> {
        let refused = self.at_once(ContextRestore { snapshot })?;
        Ok(Err(refused.err().unwrap_or_else(|| not_yet("context"))))
    }
}

impl HostConversation for State {
    /// A constructor cannot fail, so the handle stands for nothing and every function of it says so.
    fn new(&mut self, model: String, pinned: Vec<Message>) -> wasmtime::Result<Resource<Conversation>> {
        let _ = self.at_once(ContextConversation { model, pinned })?;
        Ok(Resource::new_own(0))
    }

    fn append(&mut self, _this: Resource<Conversation>, message: Message) -> wasmtime::Result<Result<(), Error>> {
        self.at_once(ContextAppend { message })
    }

    fn usage(&mut self, _this: Resource<Conversation>) -> wasmtime::Result<(u32, u32)> {
        Ok(self.at_once(ContextUsage {})?.unwrap_or_default())
    }

    fn fork(&mut self, _this: Resource<Conversation>) -> wasmtime::Result<Result<Resource<Conversation>, Error>> {
        let refused = self.at_once(ContextFork {})?;
        Ok(Err(refused.err().unwrap_or_else(|| not_yet("context"))))
    }

    fn snapshot(&mut self, _this: Resource<Conversation>) -> wasmtime::Result<Result<String, Error>> {
        self.at_once(ContextSnapshot {})
    }

    fn drop(&mut self, _this: Resource<Conversation>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl<T: 'static> HostConversationWithStore<T> for Interfaces {
    fn complete(
        mut store: Access<'_, T, Self>,
        _this: Resource<Conversation>,
        request: Request,
    ) -> wasmtime::Result<FutureReader<Result<Response, Failure>>> {
        let answer = later(&mut store, ContextComplete { request });
        future(store, answer)
    }

    fn stream(
        mut store: Access<'_, T, Self>,
        _this: Resource<Conversation>,
        request: Request,
    ) -> wasmtime::Result<(StreamReader<Delta>, FutureReader<Result<Response, Failure>>)> {
        let answer = later(&mut store, ContextStream { request });
        let none = StreamReader::new(&mut store, Pieces::none())?;
        Ok((none, future(store, answer)?))
    }
}
