//! `tools`: the tools of the registry that an agent may call. Arguments are read once, strictly: the value that is decided on is the value
//! that the tool gets.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_abi::bindings::agentry::agent::tools::Answer;
use agentry_abi::bindings::agentry::agent::types::{Cost, Error};
use agentry_abi::driver::Completed;
use agentry_abi::fault::{invalid, unavailable};
use agentry_abi::port::{Passed, ToolsCall, ToolsList};
use agentry_drivers::tools::Entry;
use agentry_kernel::json::{self, Value};
use agentry_kernel::{Amounts, Call};
use agentry_store::content::Content;

use super::Dispatch;
use crate::gate::CallRequest;
use crate::run::events::Event;

impl Dispatch {
    /// The tools of the registry that this agent may call, as things stand.
    fn own_tools(&self) -> Vec<String> {
        let run = self.run.id;
        self.drivers.gate.kernel(|kernel| kernel.tools(run).into_iter().map(|tool| tool.name.clone()).collect())
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

pub(super) fn list(of: &Dispatch) -> Passed {
    of.now::<ToolsList>(of.drivers.gate.call_now(&of.run, Call::ToolsList, |_| {
        let own = of.own_tools();
        Ok(own.iter().filter_map(|name| of.drivers.tools.get(name)).map(|entry| entry.shown()).collect())
    }))
}

pub(super) fn call(of: &Dispatch, ToolsCall { name, arguments_json }: ToolsCall) -> Passed {
    let value = match arguments(&arguments_json) {
        Ok(value) => value,
        Err(error) => return of.now::<ToolsCall>(Err(error)),
    };
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
