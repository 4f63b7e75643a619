//! `agents`: other agents of this host. What one run gives another is JSON that was looked at, and a part of its own budget; who writes a
//! letter is the host's word.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::agents::Share;
use agentry_abi::bindings::agentry::agent::llm::ResultPart;
use agentry_abi::bindings::agentry::agent::tools::Answer;
use agentry_abi::bindings::agentry::agent::types::{Cost, Error, ResourceKind};
use agentry_abi::driver::{Completed, Write};
use agentry_abi::fault::{self, invalid};
use agentry_abi::port::{AgentsCall, AgentsFind, AgentsReceive, AgentsReply, AgentsSend, Passed, Syscall, ToolsCall};
use agentry_drivers::mail::Writer;
use agentry_kernel::budget::{Limits, Resource};
use agentry_kernel::call::{Delegation, Post};
use agentry_kernel::json::{self, Value};
use agentry_kernel::limits::NAME_MAX_BYTES;
use agentry_kernel::text::cut;
use agentry_kernel::{Amounts, Call};
use agentry_store::content::Content;
use agentry_store::limits::{
    DELEGATED_MAX_BYTES, LETTER_MAX_BYTES, LETTER_SUBJECT_MAX_BYTES, SLEEP_MAX_MS, TOOL_FUEL_PART,
};

use super::Dispatch;
use super::delegate::Delegated;
use crate::gate::CallRequest;

impl Dispatch {
    fn writer(&self) -> Writer {
        let owner = self.run.payer().to_owned();
        Writer { agent: self.run.agent.clone(), owner, run: self.run.id, now: self.run.clock.now() }
    }
}

pub(super) fn find(of: &Dispatch, AgentsFind { provides }: AgentsFind) -> Passed {
    let (drivers, run) = (Arc::clone(&of.drivers), of.run.id);
    let what = Call::AgentsFind { provides: provides.clone() };
    of.begun::<AgentsFind>(of.drivers.gate.pass(&of.run, what, move |_, _| async move {
        Completed::of(drivers.delegate.find(&drivers.gate, run, &provides).await, Amounts::ZERO)
    }))
}

pub(super) fn send(of: &Dispatch, AgentsSend { agent, subject, body_json: body }: AgentsSend) -> Passed {
    // Before its content is named and stored: what is no letter is not an entry of the journal either.
    if let Err(error) = letter(&subject, &body) {
        return of.now::<AgentsSend>(Err(error));
    }
    let content = Content::of(format!("{subject}\n{body}"));
    let post = Post { agent: agent.clone(), content: content.digest, bytes: length(&[&subject, &body]) };
    let (mail, writer) = (Arc::clone(&of.drivers.mail), of.writer());
    let asking = CallRequest::with(Call::AgentsSend(post), vec![content]).under_lock(&mail.locks, &agent);
    let send = move |permit: &_| mail.send(permit, &writer, &agent, &subject, &body);
    of.begun::<AgentsSend>(of.drivers.gate.pass_store(&of.run, asking, send))
}

pub(super) fn reply(of: &Dispatch, AgentsReply { letter, body_json: body }: AgentsReply) -> Passed {
    if let Err(error) = self::letter("", &body) {
        return of.now::<AgentsReply>(Err(error));
    }
    let content = Content::of(body.clone());
    let (digest, bytes) = (content.digest, length(&[&body]));
    let what = |agent: String| {
        let (letter, content) = (cut(letter.clone(), NAME_MAX_BYTES), digest);
        CallRequest::with(Call::AgentsReply { letter, post: Post { agent, content, bytes } }, vec![Content::of(&*body)])
    };
    let to = match of.drivers.mail.answers(&of.run.agent, &letter) {
        // What is only done again goes to nobody, and its letter may be gone.
        Err(_) if of.run.repeats() => Ok((String::new(), String::new())),
        to => to,
    };
    let (to, subject) = match to {
        Ok(to) => to,
        Err(error) => {
            let error = of.drivers.gate.reject(&of.run, what(String::new()), error);
            return of.now::<AgentsReply>(Err(error));
        }
    };
    let (mail, writer) = (Arc::clone(&of.drivers.mail), of.writer());
    let asking = what(to.clone()).under_lock(&mail.locks, &to);
    let subject = answered(&subject);
    let send = move |permit: &_| {
        let Write { result, labels } = mail.send(permit, &writer, &to, &subject, &body);
        Write { result: result.map(|(batch, _)| (batch, ())), labels }
    };
    of.begun::<AgentsReply>(of.drivers.gate.pass_store(&of.run, asking, send))
}

pub(super) fn call(of: &Dispatch, AgentsCall { agent, input_json, budget, fuel_left }: AgentsCall) -> Passed {
    let child = Child { agent, input: input_json, budget, fuel_left, part: 2 };
    delegate::<AgentsCall>(of, child, std::convert::identity)
}

/// The same of a tool that is an agent: its output is the tool's answer, and its share of the fuel so small that a model can call many.
pub(super) fn call_as_tool(of: &Dispatch, agent: String, input: String, fuel_left: u64) -> Passed {
    let child = Child { agent, input, budget: Vec::new(), fuel_left, part: TOOL_FUEL_PART };
    delegate::<ToolsCall>(of, child, |output| output.map(answer))
}

/// What a tool says that is an agent. What it took is on the accounts of its caller, and what it has read goes with the run.
fn answer(output: String) -> Answer {
    let part = match json::parse(&output).as_ref().map(Value::as_str) {
        Ok(Some(text)) => ResultPart::Text(text.to_owned()),
        _ => ResultPart::Json(output),
    };
    Answer { failed: false, parts: vec![part], labels: Vec::new(), cost: Cost { microusd: 0, duration_ms: 0 } }
}

/// A run below this one, as its guest asks for it.
struct Child {
    agent: String,
    input: String,
    budget: Vec<Share>,
    /// What the engine says that the guest has.
    fuel_left: u64,
    /// Where the budget names no fuel, it has one part of so many of what its caller has left.
    part: u64,
}

fn delegate<S: Syscall<Fault = Error>>(
    of: &Dispatch,
    child: Child,
    gives: impl FnOnce(Result<String, Error>) -> Result<S::Reply, Error> + Send + 'static,
) -> Passed {
    let Child { agent, input: input_json, budget, fuel_left, part } = child;
    // What it was given when it was asked for first stands in the journal; what an engine has burnt meanwhile depends on the engine.
    let gave = of.run.recording().and_then(|past| past.gave(of.next_call()));
    let has = || of.drivers.gate.kernel(|kernel| kernel.fuel_to_give(of.run.id)).min(fuel_left);
    let limits = match self::input(&input_json).and_then(|()| shared(&budget, gave.unwrap_or_else(|| has() / part))) {
        Ok(limits) => limits,
        Err(error) => return of.now::<S>(Err(error)),
    };
    let input = Content::of(input_json.clone());
    let fuel = limits.get(Resource::Fuel).unwrap_or(0);
    let share = Resource::ALL.into_iter().filter_map(|what| limits.get(what).map(|amount| (what, amount)));
    let share = share.filter(|(what, _)| *what != Resource::Fuel || budget.iter().any(is_fuel)).collect();
    let what = Call::AgentsCall(Delegation { agent: agent.clone(), input: input.digest, share, fuel });
    let (drivers, run) = (Arc::clone(&of.drivers), Arc::clone(&of.run));
    let (fuel_given, begun) = of.drivers.gate.pass_child(
        &of.run,
        CallRequest::with(what, vec![input]),
        (limits, fuel_left),
        move |call, aside, cut| {
            let delegated = Delegated { parent: run, call, agent, input: input_json, aside };
            Arc::clone(&drivers.delegate).call(drivers, delegated, cut)
        },
    );
    Passed { fuel_given, ..of.begun_as::<S, _>(begun, gives) }
}

pub(super) fn receive(of: &Dispatch, AgentsReceive { timeout_ms }: &AgentsReceive) -> Passed {
    if timeout_ms.is_some_and(|ms| ms > SLEEP_MAX_MS) {
        return of.now::<AgentsReceive>(Err(invalid(format!("timeout-ms is over {SLEEP_MAX_MS}"))));
    }
    of.begun::<AgentsReceive>(of.drivers.gate.pass_letter(&of.run, *timeout_ms, &of.drivers.mail))
}

/// A letter is two texts of a length that a mailbox takes, the second JSON.
fn letter(subject: &str, body: &str) -> Result<(), Error> {
    if subject.len() > LETTER_SUBJECT_MAX_BYTES {
        return Err(invalid(format!("the subject is over {LETTER_SUBJECT_MAX_BYTES} bytes")));
    }
    if body.len() > LETTER_MAX_BYTES {
        return Err(invalid(format!("the letter is over {LETTER_MAX_BYTES} bytes")));
    }
    json::check(body).map_err(|flaw| invalid(format!("the letter is not JSON: {flaw}")))
}

/// The subject of an answer.
fn answered(subject: &str) -> String {
    if subject.starts_with("Re: ") {
        subject.to_owned()
    } else {
        cut(format!("Re: {subject}"), LETTER_SUBJECT_MAX_BYTES)
    }
}

fn length(texts: &[&str]) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum()
}

fn input(text: &str) -> Result<(), Error> {
    if text.len() > DELEGATED_MAX_BYTES {
        return Err(invalid(format!("the input is over {DELEGATED_MAX_BYTES} bytes")));
    }
    json::check(text).map_err(|flaw| invalid(format!("the input is not JSON: {flaw}")))
}

fn is_fuel(share: &Share) -> bool {
    share.what == ResourceKind::Fuel
}

/// The part of the budget that is named. Of fuel a child has what its caller gives it, or so much where that is not said.
fn shared(budget: &[Share], fuel: u64) -> Result<Limits, Error> {
    let mut limits = Limits::NONE.with(Resource::Fuel, fuel);
    let mut named = Vec::new();
    for Share { what: kind, amount } in budget {
        if named.contains(kind) {
            return Err(invalid(format!("the budget names {} twice", fault::resource(*kind).name())));
        }
        named.push(*kind);
        limits = limits.with(fault::resource(*kind), *amount);
    }
    Ok(limits)
}
