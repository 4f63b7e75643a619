//! All that crosses is plain data: it is the same behind a ring.

use serde::de::DeserializeOwned;

use super::*;
use crate::bindings::agentry::agent::agents::{AgentInfo, Letter, Share};
use crate::bindings::agentry::agent::budget::{self, Balance};
use crate::bindings::agentry::agent::files::FileStat;
use crate::bindings::agentry::agent::http;
use crate::bindings::agentry::agent::human::Question;
use crate::bindings::agentry::agent::llm::{self, CallFragment, CallStart, Message, ModelInfo, Part, Response, Role};
use crate::bindings::agentry::agent::log::Level;
use crate::bindings::agentry::agent::memory::{Entry, Expectation, Hit, Page, Query, Value, WriteOptions};
use crate::bindings::agentry::agent::tools;
use crate::bindings::agentry::agent::types::{Cost, Denial, Error, Exhaustion, ResourceKind};
use crate::driver::Octets;
use crate::fault;

fn word() -> String {
    "wörd".to_owned()
}

#[track_caller]
fn crosses<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(sent: &T) {
    let bytes = postcard::to_allocvec(sent).expect("it is plain data");
    assert_eq!(postcard::from_bytes::<T>(&bytes).as_ref(), Ok(sent));
}

fn message() -> Message {
    Message { role: Role::User, parts: vec![Part::Text(word())], cache: true }
}

fn question() -> llm::Request {
    llm::Request {
        model: word(),
        messages: vec![message()],
        tools: vec![tool()],
        tool_choice: llm::ToolChoice::Named(word()),
        output: llm::OutputForm::Schema("{}".to_owned()),
        max_output_tokens: Some(7),
        temperature: Some(0.5),
        top_p: None,
        seed: Some(u64::MAX),
        stop: vec![word()],
        effort: Some(llm::Effort::High),
        class: llm::Class::Batch,
        privacy: llm::Privacy::LocalOnly,
        deadline_ms: Some(1),
        max_cost_microusd: None,
    }
}

fn response() -> Response {
    let usage = llm::Usage { input_fresh: 1, cache_read: 2, cache_write: 3, output: 4, reasoning: 5, estimated: true };
    let (stop, cost) = (llm::StopReason::Sequence(word()), Cost { microusd: 6, duration_ms: 7 });
    Response { model: word(), parts: vec![Part::Text(word())], stop, usage, cost, preemptions: 8 }
}

fn tool() -> llm::Tool {
    llm::Tool { name: word(), description: word(), schema_json: "{}".to_owned() }
}

fn web() -> http::Request {
    let headers = vec![http::Header { name: word(), value: word() }];
    let (method, url, body, secret) = ("GET".to_owned(), word(), vec![0, 255], Some(word()));
    http::Request { method, url, headers, body, secret, timeout_ms: Some(9) }
}

fn fetched() -> Fetched {
    let (headers, body) = (vec![http::Header { name: word(), value: word() }], vec![0, 255]);
    let response = http::Response { status: 302, headers, body, labels: vec![word()] };
    Fetched { response, redirect: Some(CallId(3)) }
}

fn entry() -> Entry {
    let (key, value, version, author, run) = (word(), Value::Bytes(vec![0, 255]), 2, word(), word());
    Entry { key, value, version, author, run, written_ms: 3, labels: vec![word()], tags: vec![word()] }
}

fn stat() -> FileStat {
    FileStat { path: word(), size: 1, directory: true, modified_ms: 2 }
}

/// One of each.
fn requests() -> Vec<Request> {
    let (root, path, namespace, key) = (word, word, word, word);
    let options = WriteOptions { expect: Expectation::Version(1), ttl_s: Some(2), tags: vec![word()], indexed: true };
    let query = Query { text: word(), limit: 1, tags: vec![word()], prefix: Some(word()) };
    let shares = vec![budget::Share { what: ResourceKind::Usd, amount: 1 }];
    let budget = vec![Share { what: ResourceKind::Fuel, amount: u64::MAX }];
    vec![
        AgentsFind { provides: word() }.into(),
        AgentsCall { agent: word(), input_json: word(), budget, fuel_left: 1 }.into(),
        AgentsSend { agent: word(), subject: word(), body_json: word() }.into(),
        AgentsReceive { timeout_ms: Some(1) }.into(),
        AgentsReply { letter: word(), body_json: word() }.into(),
        BudgetRemaining {}.into(),
        BudgetSplit { shares }.into(),
        ContextConversation { model: word(), pinned: vec![message()] }.into(),
        ContextAppend { message: message() }.into(),
        ContextUsage {}.into(),
        ContextComplete { request: question() }.into(),
        ContextStream { request: question() }.into(),
        ContextFork {}.into(),
        ContextSnapshot {}.into(),
        ContextRestore { snapshot: word() }.into(),
        FilesRead { root: root(), path: path(), offset: 1, length: 2 }.into(),
        FilesWrite { root: root(), path: path(), content: Octets(vec![0, 255]) }.into(),
        FilesStat { root: root(), path: path() }.into(),
        FilesList { root: root(), path: path() }.into(),
        FilesDelete { root: root(), path: path() }.into(),
        HttpFetch { request: web() }.into(),
        HttpFollow { redirect: CallId(3) }.into(),
        HumanAsk { question: Question { text: word(), choices: vec![word()], expires_s: Some(1) } }.into(),
        HumanNotify { text: word() }.into(),
        LlmComplete { request: question() }.into(),
        LlmStream { request: question() }.into(),
        LlmEmbed { model: word(), texts: vec![word()] }.into(),
        LlmModels {}.into(),
        LlmCountTokens { request: question() }.into(),
        LogEvent { level: Level::Error, line: word() }.into(),
        MemoryGet { namespace: namespace(), key: key() }.into(),
        MemoryPut { namespace: namespace(), key: key(), value: Value::Bytes(vec![0, 255]), options }.into(),
        MemoryDelete { namespace: namespace(), key: key(), hard: true }.into(),
        MemoryList { namespace: namespace(), prefix: word(), after: Some(word()), limit: 1 }.into(),
        MemorySearch { namespace: namespace(), query }.into(),
        MemoryHistory { namespace: namespace(), key: key() }.into(),
        MemoryRollback { namespace: namespace(), key: key(), version: 1 }.into(),
        MemoryWatch { namespace: namespace(), prefix: word() }.into(),
        TimersNow {}.into(),
        TimersDeadline {}.into(),
        TimersSleep { ms: 1 }.into(),
        ToolsList {}.into(),
        ToolsCall { name: word(), arguments_json: word(), fuel_left: 1 }.into(),
    ]
}

/// One of each.
fn replies() -> Vec<Reply> {
    let info = AgentInfo { name: word(), provides: vec![word()], description: word() };
    let letter = Letter { id: word(), sender: word(), subject: word(), body_json: word(), labels: vec![word()] };
    let balance = Balance { what: ResourceKind::Egress, left: 1, limit: 2, refills_in_s: Some(3) };
    let model = ModelInfo {
        alias: word(),
        context_tokens: 1,
        max_output_tokens: 2,
        input_microusd_per_mtok: Some(3),
        output_microusd_per_mtok: None,
        media: true,
        tools: false,
        schema_output: true,
        local: false,
    };
    let parts = vec![llm::ResultPart::Json(word())];
    let answer =
        tools::Answer { failed: true, parts, labels: vec![word()], cost: Cost { microusd: 1, duration_ms: 2 } };
    let hit = Hit { entry: entry(), score: 0.5, why: word() };
    vec![
        AgentsFind::reply(Ok(vec![info])),
        AgentsCall::reply(Ok(word())),
        AgentsSend::reply(Ok(word())),
        AgentsReceive::reply(Ok(Some(letter))),
        AgentsReply::reply(Ok(())),
        BudgetRemaining::reply(Ok(vec![balance])),
        BudgetSplit::reply(Ok(word())),
        ContextConversation::reply(Ok(())),
        ContextAppend::reply(Ok(())),
        ContextUsage::reply(Ok((1, 2))),
        ContextComplete::reply(Ok(response())),
        ContextStream::reply(Ok(response())),
        ContextFork::reply(Ok(())),
        ContextSnapshot::reply(Ok(word())),
        ContextRestore::reply(Ok(())),
        FilesRead::reply(Ok(Octets(vec![0, 255]))),
        FilesWrite::reply(Ok(())),
        FilesStat::reply(Ok(stat())),
        FilesList::reply(Ok(vec![stat()])),
        FilesDelete::reply(Ok(())),
        HttpFetch::reply(Ok(fetched())),
        HttpFollow::reply(Ok(fetched())),
        HumanAsk::reply(Ok(word())),
        HumanNotify::reply(Ok(())),
        LlmComplete::reply(Ok(response())),
        LlmStream::reply(Ok(response())),
        LlmEmbed::reply(Ok(vec![vec![0.5, -1.0]])),
        LlmModels::reply(Ok(vec![model])),
        LlmCountTokens::reply(Ok(u64::MAX)),
        LogEvent::reply(Ok(())),
        MemoryGet::reply(Ok(Some(entry()))),
        MemoryPut::reply(Ok(1)),
        MemoryDelete::reply(Ok(())),
        MemoryList::reply(Ok(Page { entries: vec![entry()], next: Some(word()) })),
        MemorySearch::reply(Ok(vec![hit])),
        MemoryHistory::reply(Ok(vec![entry()])),
        MemoryRollback::reply(Ok(1)),
        MemoryWatch::reply(Ok(())),
        TimersNow::reply(Ok(1)),
        TimersDeadline::reply(Ok(Some(1))),
        TimersSleep::reply(Ok(())),
        ToolsList::reply(Ok(vec![tool()])),
        ToolsCall::reply(Ok(answer)),
    ]
}

/// One of each.
fn errors() -> Vec<Error> {
    let denial = Denial { code: word(), argument: Some(word()), reference: word() };
    vec![
        Error::Denied(denial),
        Error::Exhausted(Exhaustion { what: ResourceKind::Tokens, refills_in_s: Some(1) }),
        Error::Invalid(word()),
        Error::NotFound(word()),
        Error::Conflict(word()),
        fault::unavailable("busy", Some(1)),
        Error::Interrupted(word()),
        Error::Cancelled,
        Error::TimedOut,
    ]
}

#[test]
fn every_request_and_every_reply_is_the_same_on_the_other_side() {
    let (requests, replies) = (requests(), replies());
    assert_eq!(requests.iter().map(Request::name).collect::<Vec<_>>(), Request::NAMES, "one of each");
    assert_eq!(replies.iter().map(Reply::name).collect::<Vec<_>>(), Request::NAMES, "one of each");
    requests.iter().for_each(crosses);
    replies.iter().for_each(crosses);
    for error in errors() {
        crosses(&TimersSleep::reply(Err(error.clone())));
        crosses(&LlmComplete::reply(Err(llm::Failure { why: error, partial: Some(response()) })));
    }
}

#[test]
fn a_quick_answer_is_moved_about_in_a_few_words() {
    assert!(size_of::<Passed>() <= 128, "{} bytes: put what is large in a box", size_of::<Passed>());
}

#[test]
fn an_answer_to_something_else_is_none() {
    assert_eq!(TimersNow::read(TimersNow::reply(Ok(5))), Some(Ok(5)));
    assert_eq!(TimersNow::read(MemoryPut::reply(Ok(5))), None);
}

#[test]
fn what_is_reported_is_plain_data_too() {
    for delivery in [Delivery::Answer(CallId(1)), Delivery::Pieces(CallId(2))] {
        [Next::First, Next::This(delivery), Next::Nothing].iter().for_each(crosses);
    }
    crosses(&Rest { rests: true, has_seen_all: false, memory_bytes: 1 });
    let deltas = vec![
        Delta::Text(word()),
        Delta::Reasoning(word()),
        Delta::CallStart(CallStart { index: 1, id: word(), name: word() }),
        Delta::CallFragment(CallFragment { index: 1, arguments_json: word() }),
        Delta::Restarted,
    ];
    crosses(&deltas);
    let (now, deadline, left) = (Millis(1), Millis(2), Some(Duration::from_micros(1_500_001)));
    crosses(&Beginning {
        input: word(),
        seed: 3,
        now,
        deadline,
        left,
        fuel: 4,
        memory_bytes: 5,
        has_past: true,
        clock_from: 1,
        pays_for_work: true,
    });
}

#[test]
fn every_end_of_a_guest_is_the_same_on_the_other_side() {
    let failures = errors().into_iter().map(|error| Failure { message: word(), cause: Some(error) });
    let ends = [
        How::Output(word()),
        How::Exit(-1),
        How::OutOfFuel,
        How::OutOfMemory(1),
        How::StackOverflow,
        How::OutOfBounds,
        How::Unreachable,
        How::Trap(word()),
        How::Engine(word()),
        How::NoRoom,
        How::TimedOut,
        How::Stopped,
        How::Panicked,
    ];
    for how in ends.into_iter().chain(failures.map(How::Failure)) {
        crosses(&Ended { how, fuel_left: 1, memory_bytes: 2, last_words: Some(word()) });
    }
}
