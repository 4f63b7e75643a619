//! `tools`: the tools of the registry that an agent may call. Arguments are read once, strictly: the value that is decided on is the value
//! that the tool gets.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_abi::bindings::agentry::agent::tools::{Answer, Host, HostWithStore, Tool};
use agentry_abi::bindings::agentry::agent::types::{Cost, Error};
use agentry_abi::driver::Completed;
use agentry_abi::fault::unavailable;
use agentry_drivers::tools::Entry;
use agentry_kernel::json::{self, Value};
use agentry_kernel::{Amounts, Call};
use agentry_store::content::Content;
use wasmtime::component::{Access, FutureReader};

use super::{Interfaces, State, future, invalid};
use crate::gate::CallRequest;
use crate::run::events::Event;

impl State {
    /// The tools of the registry that this agent may call, as things stand.
    fn own_tools(&self) -> Vec<String> {
        let run = self.run.id;
        self.drivers.gate.kernel(|kernel| kernel.tools(run).into_iter().map(|tool| tool.name.clone()).collect())
    }

    /// Reads the arguments.
    fn arguments(json: &str) -> Result<Arc<Value>, Error> {
        let value =
            json::parse(json).map_err(|flaw| invalid(format!("the arguments are not JSON that is taken: {flaw}")))?;
        if !matches!(value, Value::Object(_)) {
            return Err(invalid(format!("the arguments are {}, not an object", value.kind())));
        }
        Ok(Arc::new(value))
    }

    /// The tool, if there is one; and checks the arguments against its schema if the agent may see it. Of others it learns nothing: the
    /// kernel is to say no first.
    fn tool(&self, name: &str, value: &Value) -> Result<Option<Arc<Entry>>, Error> {
        let entry = self.drivers.tools.get(name);
        if let Some(entry) = &entry
            && !self.run.repeats()
            && self.own_tools().iter().any(|own| own == name)
        {
            entry.accepts(value)?;
        }
        Ok(entry)
    }
}

impl Host for State {
    fn list(&mut self) -> wasmtime::Result<Result<Vec<Tool>, Error>> {
        let own = |_: &_| {
            let own = self.own_tools();
            Ok(own.iter().filter_map(|name| self.drivers.tools.get(name)).map(|entry| entry.shown()).collect())
        };
        self.at_once(Call::ToolsList, own)
    }
}

impl<T: 'static> HostWithStore<T> for Interfaces {
    fn call(
        mut store: Access<'_, T, Self>,
        name: String,
        arguments_json: String,
    ) -> wasmtime::Result<FutureReader<Result<Answer, Error>>> {
        let state = store.get();
        let value = match State::arguments(&arguments_json) {
            Ok(value) => value,
            Err(error) => return future(store, std::future::ready(Err(error))),
        };
        let entry = state.tool(&name, &value);
        let arguments = Content::of(value.to_string());
        let what = Call::ToolsCall { name, arguments: arguments.digest, value: Arc::clone(&value) };
        let run = Arc::clone(&state.run);
        let asking = CallRequest::with(what, vec![arguments]);
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let error = state.drivers.gate.reject(&run, asking, error);
                return future(store, std::future::ready(Err(error)));
            }
        };
        let drivers = Arc::clone(&state.drivers);
        let answer = state.drivers.gate.pass(&state.run, asking, move |permit, cut| async move {
            let Some(entry) = entry else {
                let none = Error::NotFound("there is no such tool".to_owned());
                return Completed::of(Err(none), Amounts::ZERO);
            };
            // It was looked up before the kernel decided: what that decided on must be what is called.
            if !drivers.tools.has(&entry) {
                let changed = unavailable("the tool was changed at this moment", Some(0));
                return Completed::of(Err(changed), Amounts::ZERO);
            }
            let begun = tokio::time::Instant::now();
            let mut done = entry.call(&permit, &value, &cut).await;
            let note = done.note.take();
            if let Some(note) = &note {
                let line = format!("tool `{}`: {note}", entry.name());
                run.observer.tell(Event::Log { level: Level::Warn, line });
            }
            let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let cost = Cost { microusd: entry.price_microusd(), duration_ms };
            let answer =
                done.result.map(|said| Answer { failed: said.failed, parts: said.parts, labels: entry.labels(), cost });
            // A failure tells of what is behind the tool as an answer does.
            Completed::of(answer, done.spent).labelled(entry.kernel_labels().clone()).noting(note)
        });
        future(store, answer)
    }
}
