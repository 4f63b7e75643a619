//! `tools`: the tools that an agent may call, those of the registry and other agents. Arguments are read once, strictly: the value that is decided on is the value
//! that the tool gets.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_abi::bindings::agentry::agent::tools::Answer;
use agentry_abi::bindings::agentry::agent::types::{Cost, Error};
use agentry_abi::driver::Completed;
use agentry_abi::fault::{invalid, unavailable};
use agentry_abi::port::{Passed, ToolsCall, ToolsList};
use agentry_drivers::tools::Entry;
use agentry_kernel::call::RunId;
use agentry_kernel::json::{self, Value};
use agentry_kernel::{Amounts, Call};
use agentry_store::content::Content;

use super::drivers::Drivers;
use super::{Dispatch, agents};
use crate::gate::CallRequest;
use crate::run::events::Event;

impl Dispatch {
    /// The tool, if there is one; and checks the arguments against its schema if the agent may see it. Of others it learns nothing: the
    /// kernel is to say no first.
    fn tool(&self, name: &str, value: &Value) -> Result<Option<Arc<Entry>>, Error> {
        let entry = self.drivers.tools.get(name);
        if let Some(entry) = &entry
            && !self.run.repeats()
            && registered(&self.drivers, self.run.id).iter().any(|own| own == name)
        {
            entry.accepts(value)?;
        }
        Ok(entry)
    }

    /// Whether a tool is an agent: one that the registry has goes first, and what was called once is called again.
    fn is_agent(&self, name: &str) -> bool {
        let past = self.run.recording().and_then(|past| past.delegated(self.next_call()));
        past.unwrap_or_else(|| {
            let Drivers { tools, delegate, gate, .. } = &*self.drivers;
            tools.get(name).is_none() && delegate.reaches(gate, self.run.id, name)
        })
    }
}

/// The tools of the registry that a run may call, as things stand.
fn registered(drivers: &Drivers, run: RunId) -> Vec<String> {
    drivers.gate.kernel(|kernel| kernel.tools(run).into_iter().map(|tool| tool.name.clone()).collect())
}

pub(super) fn list(of: &Dispatch) -> Passed {
    let (drivers, run) = (Arc::clone(&of.drivers), Arc::clone(&of.run));
    of.begun::<ToolsList>(of.drivers.gate.pass(&of.run, Call::ToolsList, move |_, _| async move {
        let own = registered(&drivers, run.id);
        let mut tools: Vec<_> =
            own.iter().filter_map(|name| drivers.tools.get(name)).map(|entry| entry.shown()).collect();
        let agents = drivers.delegate.tools(&drivers.gate, &run).await;
        tools.extend(agents.into_iter().filter(|agent| drivers.tools.get(&agent.name).is_none()));
        Completed::of(Ok(tools), Amounts::ZERO)
    }))
}

pub(super) fn call(of: &Dispatch, ToolsCall { name, arguments_json, fuel_left }: ToolsCall) -> Passed {
    let value = match arguments(&arguments_json) {
        Ok(value) => value,
        Err(error) => return of.now::<ToolsCall>(Err(error)),
    };
    if of.is_agent(&name) {
        return agents::call_as_tool(of, name, value.to_string(), fuel_left);
    }
    let entry = of.tool(&name, &value);
    let arguments = Content::of(value.to_string());
    let what = Call::ToolsCall { name, arguments: arguments.digest, value: Arc::clone(&value) };
    let (drivers, run) = (Arc::clone(&of.drivers), Arc::clone(&of.run));
    let asking = CallRequest::with(what, vec![arguments]);
    let entry = match entry {
        Ok(entry) => entry,
        Err(error) => return of.now::<ToolsCall>(Err(of.drivers.gate.reject(&run, asking, error))),
    };
    of.begun::<ToolsCall>(of.drivers.gate.pass(&of.run, asking, move |permit, cut| async move {
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
    }))
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
