//! `llm`: questions to models. It checks and measures a request and names its contents; it chooses no model and counts no money.

mod broken;
mod check;
mod pieces;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use agentry_abi::bindings::agentry::agent::llm::{self, Delta, Failure, Privacy, Request, Response};
use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Completed;
use agentry_abi::fault;
use agentry_abi::port::{LlmComplete, LlmCountTokens, LlmEmbed, LlmModels, LlmStream, Passed};
use agentry_kernel::call::{Class, Completion};
use agentry_kernel::model::Usage;
use agentry_kernel::{Amounts, Call};
use agentry_llm::{Entry, Sink};
use agentry_store::content::Content;
use agentry_store::limits::LLM_IN_FLIGHT_MAX_BYTES;
use parking_lot::Mutex;

use super::Dispatch;
use crate::gate::{Begun, CallRequest};
use crate::run::events::Event;

pub(super) use pieces::Pieces;
use pieces::Spout;

/// What a run asked of models so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    usage: Mutex<BTreeMap<String, Usage>>,
    /// How the last answer was cut, if it was.
    cut: Mutex<Option<Cut>>,
    /// Bytes of requests whose answers are not there yet.
    in_flight: AtomicUsize,
}

/// An answer that reached its longest.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    /// The model's alias.
    pub(crate) model: String,
    /// How long it is, in tokens.
    pub(crate) tokens: u64,
    /// How long the agent wanted it at most; none if it left that open.
    pub(crate) asked: Option<u64>,
}

impl Ledger {
    /// How the last answer was cut, if it was.
    pub(crate) fn cut(&self) -> Option<Cut> {
        self.cut.lock().clone()
    }

    fn ended(&self, alias: &str, result: &Result<Response, Failure>, asked: Option<u32>) {
        let Ok(response) = result else { return };
        let reached = matches!(response.stop, llm::StopReason::MaxOutput);
        *self.cut.lock() = reached.then(|| Cut {
            model: alias.to_owned(),
            tokens: response.usage.output,
            asked: asked.map(u64::from),
        });
    }

    /// Tokens by model.
    pub(crate) fn usage(&self) -> BTreeMap<String, Usage> {
        self.usage.lock().clone()
    }

    fn add(&self, alias: &str, usage: &Usage) {
        self.usage.lock().entry(alias.to_owned()).or_default().add(usage);
    }

    /// Room for a request that the host keeps until it is answered.
    fn room(self: &Arc<Self>, bytes: usize) -> Result<Room, Error> {
        let taken = self.in_flight.fetch_add(bytes, Ordering::AcqRel);
        let room = Room { ledger: Arc::clone(self), bytes };
        if taken.saturating_add(bytes) > LLM_IN_FLIGHT_MAX_BYTES {
            let reason = format!("requests in flight are over {LLM_IN_FLIGHT_MAX_BYTES} bytes together");
            return Err(fault::unavailable(&reason, Some(1000)));
        }
        Ok(room)
    }
}

struct Room {
    ledger: Arc<Ledger>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.ledger.in_flight.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// A question that makes sense, ready for the gate.
struct Question {
    request: Request,
    /// The model, as the guest named it.
    word: String,
    /// None if the admin has no such model; the kernel says so, after it has looked whether the agent may ask at all.
    entry: Option<Arc<Entry>>,
    room: Room,
}

impl Dispatch {
    fn question(&self, mut request: Request, call: fn(Completion) -> Call) -> Result<Question, Error> {
        let bytes = check::request(&request)?;
        let models = &self.drivers.models;
        let alias = models.resolve(&request.model).to_owned();
        let entry = models.get(&alias).cloned();
        let word = std::mem::replace(&mut request.model, alias);
        match self.ledger.room(bytes) {
            Ok(room) => Ok(Question { request, word, entry, room }),
            Err(error) => {
                let (completion, _) = completion(&request, &word, entry.as_deref());
                Err(self.drivers.gate.reject(&self.run, call(completion).into(), error))
            }
        }
    }

    /// Goes through the gate and asks the model, which tells `sink` as it speaks.
    fn ask(&self, question: Question, call: fn(Completion) -> Call, sink: Sink) -> Begun<Response, Failure> {
        let Question { request, word, entry, room } = question;
        let (completion, contents) = completion(&request, &word, entry.as_deref());
        let admitted = Instant::now();
        let (run, ledger, gate) = (Arc::clone(&self.run), Arc::clone(&self.ledger), self.drivers.gate.clone());
        let asking = CallRequest::with(call(completion), contents);
        self.drivers.gate.pass(&self.run, asking, move |permit, cancelled| async move {
            let _room = room;
            let nothing = |why: Error| Completed::of(Err(Failure::from(why)), Amounts::ZERO);
            let Some(entry) = entry else {
                return nothing(Error::NotFound("there is no such model".to_owned()));
            };
            if let Err(why) = entry.accepts(&request) {
                return nothing(why);
            }
            let asked = request.max_output_tokens;
            let finished = entry.ask(admitted, &permit, request, sink, cancelled).await;
            gate.asked(&entry.model.alias, finished.result.is_err());
            ledger.ended(&entry.model.alias, &finished.result, asked);
            ledger.add(&entry.model.alias, &finished.usage);
            if let Some(note) = &finished.note {
                let line = format!("model `{}`: {note}", entry.model.alias);
                run.observer.tell(Event::Log { level: Level::Warn, line });
            }
            let spent = entry.cost(&finished);
            Completed::of(finished.result, spent).noting(finished.note)
        })
    }

    /// What a person who watches sees of an answer while it is written.
    fn shown(&self) -> Option<impl Fn(&Delta) + Send + Sync + use<>> {
        let observer = self.run.observer.clone();
        observer.watches().then_some(move |delta: &Delta| {
            if let Delta::Text(text) = delta {
                observer.tell(Event::Token(text.clone()));
            }
        })
    }
}

pub(super) fn models(of: &Dispatch) -> Passed {
    let (drivers, run) = (&of.drivers, &of.run);
    of.now::<LlmModels>(drivers.gate.call_now(run, Call::LlmModels, |_| {
        let allowed: Vec<String> =
            drivers.gate.kernel(|kernel| kernel.models(run.id).iter().map(|model| model.alias.clone()).collect());
        let known = drivers.models.list().filter(|entry| allowed.contains(&entry.model.alias));
        Ok(known.map(|entry| entry.info.clone()).collect())
    }))
}

pub(super) fn count_tokens(of: &Dispatch, LlmCountTokens { mut request }: LlmCountTokens) -> Passed {
    if let Err(error) = check::request(&request) {
        return of.now::<LlmCountTokens>(Err(error));
    }
    let drivers = &of.drivers;
    request.model = drivers.models.resolve(&request.model).to_owned();
    let what = Call::LlmCountTokens { model: request.model.clone() };
    of.now::<LlmCountTokens>(drivers.gate.call_now(&of.run, what, |_| match drivers.models.get(&request.model) {
        Some(entry) => Ok(entry.provider.input_tokens_max(&request)),
        None => Err(Error::NotFound("there is no such model".to_owned())),
    }))
}

pub(super) fn complete(of: &Dispatch, LlmComplete { request }: LlmComplete) -> Passed {
    match of.question(request, Call::LlmComplete) {
        Ok(question) => {
            let sink = of.shown().map_or(Sink::NONE, Sink::new);
            of.begun::<LlmComplete>(of.ask(question, Call::LlmComplete, sink))
        }
        Err(why) => of.now::<LlmComplete>(Err(why.into())),
    }
}

#[allow(clippy::result_large_err, reason = "an answer is as large as `wit/` has it; it crosses in a box")]
pub(super) fn stream(of: &Dispatch, LlmStream { request }: LlmStream) -> Passed {
    let question = match of.question(request, Call::LlmStream) {
        Ok(question) => question,
        Err(why) => return of.now::<LlmStream>(Err(why.into())),
    };
    let (spout, queue) = pieces::queue();
    let begun = of.ask(question, Call::LlmStream, heard(spout, of.shown()));
    let (call, run) = (begun.call, Arc::clone(&of.run));
    if let Some(call) = call {
        let pieces = Pieces::new(call, queue).with(broken::rest(&run, call));
        of.pieces.lock().insert(call, Arc::new(pieces));
    }
    let passed = of.begun_as::<LlmStream, _>(begun, move |mut answer| {
        broken::add_what_was_heard(&run, call, &mut answer);
        answer
    });
    Passed { pieces: call, ..passed }
}

pub(super) fn embed(of: &Dispatch, LlmEmbed { model, texts }: LlmEmbed) -> Passed {
    let bytes = match check::texts(&texts) {
        Ok(bytes) => bytes,
        Err(why) => return of.now::<LlmEmbed>(Err(why)),
    };
    let model = of.drivers.models.resolve(&model).to_owned();
    let entry = of.drivers.models.get(&model).cloned();
    let run = Arc::clone(&of.run);
    let room = of.ledger.room(bytes);
    let call = Call::LlmEmbed { model, bytes: bytes as u64 };
    of.begun::<LlmEmbed>(of.drivers.gate.pass(&of.run, call, move |permit, cancelled| async move {
        let entry = match (room, entry) {
            (Ok(_room), Some(entry)) => entry,
            (Err(why), _) => return Completed::of(Err(why), Amounts::ZERO),
            (Ok(_), None) => {
                return Completed::of(Err(Error::NotFound("there is no such model".to_owned())), Amounts::ZERO);
            }
        };
        let (embedded, spent) = entry.embed(&permit, texts, cancelled).await;
        if let Some(note) = &embedded.note {
            let line = format!("model `{}`: {note}", entry.model.alias);
            run.observer.tell(Event::Log { level: Level::Warn, line });
        }
        Completed::of(embedded.result, spent).noting(embedded.note)
    }))
}

fn heard(spout: Spout, shown: Option<impl Fn(&Delta) + Send + Sync + 'static>) -> Sink {
    Sink::new(move |delta| {
        if let Some(shown) = &shown {
            shown(delta);
        }
        spout.push(delta.clone());
    })
}

/// What the kernel decides on, and the contents that it names. These are the guest's words: which model stands behind its own for one,
/// is the host's to say and may be another one tomorrow.
fn completion(request: &Request, word: &str, entry: Option<&Entry>) -> (Completion, Vec<Content>) {
    let named = |bytes: Result<Vec<u8>, postcard::Error>| {
        Content::of(bytes.expect("requests are plain data, and memory grows"))
    };
    let mut contents: Vec<Content> = request.messages.iter().map(|m| named(postcard::to_allocvec(m))).collect();
    let messages = contents.iter().map(|content| content.digest).collect();
    let settings = named(postcard::to_allocvec(&shallow(request, word)));
    let completion = Completion {
        model: request.model.clone(),
        messages,
        settings: settings.digest,
        input_tokens_max: entry.map_or(0, |entry| entry.provider.input_tokens_max(request)),
        output_tokens_max: request.max_output_tokens.map(u64::from),
        class: class(request.class),
        // No provider here promises to keep nothing, so only a model on this machine does.
        local_only: request.privacy != Privacy::Any,
        microusd_max: request.max_cost_microusd,
    };
    contents.push(settings);
    (completion, contents)
}

/// All of a request but its messages.
fn shallow(request: &Request, word: &str) -> Request {
    Request {
        model: word.to_owned(),
        messages: Vec::new(),
        tools: request.tools.clone(),
        tool_choice: request.tool_choice.clone(),
        output: request.output.clone(),
        stop: request.stop.clone(),
        max_output_tokens: request.max_output_tokens,
        temperature: request.temperature,
        top_p: request.top_p,
        seed: request.seed,
        effort: request.effort,
        class: request.class,
        privacy: request.privacy,
        deadline_ms: request.deadline_ms,
        max_cost_microusd: request.max_cost_microusd,
    }
}

fn class(class: llm::Class) -> Class {
    match class {
        llm::Class::System => Class::System,
        llm::Class::Interactive => Class::Interactive,
        llm::Class::Normal => Class::Normal,
        llm::Class::Batch => Class::Batch,
    }
}
