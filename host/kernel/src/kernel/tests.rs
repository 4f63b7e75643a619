//! The kernel's answers, one by one, in the words that an admin reads.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use expect_test::{Expect, expect};

use super::tracked::Tracked as Kernel;
use super::{Answer, Permit, Start};
use crate::budget::{Amounts, Resource};
use crate::call::{Call, CallId, Class, Completion, Fetch, Place, RunId};
use crate::digest::Digest;
use crate::json;
use crate::limits::CALLS_IN_FLIGHT_MAX;
use crate::manifest::Manifest;
use crate::model::{Model, Price};
use crate::policy::{Policy, Source};
use crate::refusal::{Code, Refusal};
use crate::time::Millis;
use crate::tool::{Effect, Tool};

mod adopt;
mod approvals;
mod basis;
mod budgets;
mod delegation;
mod labels;
mod lock;
mod raise;
mod resume;
mod rights;
mod site;

const RUN: RunId = RunId(1);
const NOW: Millis = Millis(1_800_000_000_000);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

const MANIFEST: &str = r#"
format = 1
name = "acme:scribe"
version = "1.2.3"
wit = "0.1.0"
[wants]
llm = { models = ["*"], max_tokens = 1000, why = "To write." }
memory = { read = ["team/**", "agent/scribe/**"], write = ["agent/scribe/**"], why = "To remember." }
files = [{ root = "docs", access = "rw", why = "To read." }]
tools = [{ tool = "mail.*", why = "To send." }]
http = { why = "To look things up." }
agents = { why = "To ask." }
"#;

const GRANT: &str = r#"format = 1
layer = "grant"
agent = "scribe"
package = "acme:scribe@^1.2"
expires = 2027-03-01

llm = { models = ["small", "dear"], max_tokens = 500, class = "normal" }
memory = { read = ["team/board"], write = ["agent/scribe/**"] }
files = [{ root = "docs", at = "/out", access = "rw" }, { root = "docs", access = "r" }]
allow = [{ id = "scribe/mail", tool = "mail.send" }]

[budget]
usd_run = "0.01"
tokens_run = 2000
tokens_day = 3000
llm_calls_run = 3
wall_run = "60s"
wall_day = "90s"
"#;

fn manifest() -> Arc<Manifest> {
    Arc::new(Manifest::parse_toml(MANIFEST).expect("the manifest is whole"))
}

fn policy(text: &str) -> Arc<Policy> {
    let source = Source { file: "policies/50-scribe.toml", text };
    Arc::new(Policy::parse(&[source], Digest::default()).expect("the grant is whole"))
}

fn models() -> Vec<Model> {
    let model = |alias: &str, price: Option<u64>, local: bool| Model {
        alias: alias.into(),
        price: price.map(|price| Price { input: price, output: price, ..Price::default() }),
        context_tokens: 8000,
        output_tokens_max: 400,
        slots: 1,
        local,
    };
    vec![model("small", None, true), model("dear", Some(10_000_000), false), model("unpriced", None, false)]
}

fn tools() -> Vec<Tool> {
    let tool = |name: &str, effect| Tool { name: name.into(), effect, ..Tool::default() };
    vec![tool("mail.send", Effect::Egress), tool("mail.read", Effect::Read)]
}

fn kernel_of(grant: &str) -> Kernel {
    let mut kernel = Kernel::new(policy(grant), models(), tools());
    kernel.start(RUN, &start(), NOW).expect("the grant covers it");
    kernel
}

fn kernel() -> Kernel {
    kernel_of(GRANT)
}

fn start() -> Start {
    Start { agent: "scribe".into(), manifest: manifest(), signer: None }
}

fn ask(model: &str, input: u64, output: u64) -> Completion {
    Completion {
        model: model.into(),
        messages: Vec::new(),
        settings: Digest::default(),
        input_tokens_max: input,
        output_tokens_max: Some(output),
        class: Class::Normal,
        local_only: false,
        microusd_max: None,
    }
}

fn read(root: &str, path: &str) -> Call {
    Call::FilesRead(Place { root: root.into(), path: path.into() })
}

fn write(path: &str) -> Call {
    Call::FilesWrite {
        place: Place { root: "docs".into(), path: path.into() },
        content: Digest::default(),
        bytes: 1,
        grows: 0,
    }
}

fn tool_call(name: &str, arguments: &str) -> Call {
    let value = json::parse(arguments).expect("it is JSON");
    Call::ToolsCall { name: name.into(), arguments: Digest::default(), value: Arc::new(value) }
}

fn fetch(method: &str, url: &str) -> Call {
    let (method, url) = (method.into(), url.into());
    Call::Fetch(Fetch { method, url, content: Digest::default(), bytes: 100, secret: None })
}

fn permit(kernel: &mut Kernel, call: &Call) -> Permit {
    match kernel.admit(RUN, CallId(7), call, NOW) {
        Answer::Permit(permit) => permit,
        other => panic!("no permit: {other:?}"),
    }
}

fn refusal(kernel: &mut Kernel, call: &Call) -> Refusal {
    refused(kernel, (RUN, 7), call, NOW)
}

/// The no, which every test of one takes from here: no account of the site, of an agent or of the run has moved for it.
fn refused(kernel: &mut Kernel, (run, number): (RunId, u32), call: &Call, now: Millis) -> Refusal {
    // A period that ends in between is none of the call's doing.
    let stands = |kernel: &mut Kernel| (kernel.statements(now), kernel.balances(run, now));
    let before = stands(kernel);
    let refusal = match kernel.admit(run, CallId(number), call, now) {
        Answer::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(before, stands(kernel), "a denied call costs nothing");
    refusal
}

fn check(call: &Call, expected: &Expect) {
    expected.assert_eq(&refusal(&mut kernel(), call).to_string());
}

#[test]
fn a_package_without_a_grant_does_not_start() {
    let mut kernel = Kernel::new(
        policy(&GRANT.replace("\"scribe\"", "\"other\"").replace(":scribe@", ":other@")),
        models(),
        tools(),
    );
    let none = kernel.start(RUN, &start(), NOW).expect_err("there is no grant");
    expect![[r#"
        denied  scribe → run: no policy file grants anything to agent `scribe`
          hint  `agentry inspect FILE --grant` prints a grant made from what the package asks for; review it and save it as 50-scribe.toml in the policy directory"#]].assert_eq(&none.to_string());
    let mut kernel = Kernel::new(policy(&GRANT.replace("^1.2", "^2")), models(), tools());
    let other = kernel.start(RUN, &start(), NOW).expect_err("it is another version");
    expect![[r#"
        denied  scribe → run: the grant of agent `scribe` is for another package
          rule  scribe/package   policies/50-scribe.toml:3
          arg   package = acme:scribe@1.2.3, allowed acme:scribe@^2
          hint  if you trust this one, change `package = "acme:scribe@^2"` in policies/50-scribe.toml"#]]
    .assert_eq(&other.to_string());
    let signed = std::format!("publisher = \"ed25519:{}\"\nexpires", "0a".repeat(32));
    let mut kernel = Kernel::new(policy(&GRANT.replace("expires", &signed)), models(), tools());
    let unsigned = kernel.start(RUN, &start(), NOW).expect_err("it is signed by nobody");
    expect![[r#"
        denied  scribe → run: the grant of agent `scribe` is for a package that its publisher signed, and this file is not installed here
          rule  scribe/publisher   policies/50-scribe.toml:3
          arg   signed by = nobody that is known here, allowed ed25519:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a
          hint  `agentry install FILE` looks at its signature and installs it; a file that is run as it lies has none. Or change `publisher` in policies/50-scribe.toml"#]].assert_eq(&unsigned.to_string());
    let signed_by =
        |digits: &str| Start { signer: std::format!("ed25519:{}", digits.repeat(32)).parse().ok(), ..start() };
    let other = kernel.start(RUN, &signed_by("0b"), NOW).expect_err("it is signed by another key");
    assert!(other.because.contains("that another publisher signed"), "{other}");
    kernel.start(RUN, &signed_by("0a"), NOW).expect("it is signed by that key");
    let mut kernel = Kernel::new(policy(GRANT), models(), tools());
    let late = kernel.start(RUN, &start(), NOW.plus(60 * DAY_MS)).expect_err("it has expired");
    expect![[r#"
        denied  scribe → run: the grant of agent `scribe` has expired
          rule  scribe/expires   policies/50-scribe.toml:3
          hint  set a later `expires` in policies/50-scribe.toml"#]]
    .assert_eq(&late.to_string());
}

#[test]
fn fuel_and_wall_time_are_held_from_start_to_finish() {
    let mut kernel = kernel();
    let second = kernel.start(RunId(2), &start(), NOW).expect("half a minute is left");
    assert_eq!(second.wall_ms, 30_000);
    let third = kernel.start(RunId(3), &start(), NOW).expect_err("the day is empty");
    expect![[r#"
        exhausted  scribe → run: the budget of wall time for today does not hold the most that this can take
          rule  scribe/budget   policies/50-scribe.toml:18
          arg   wall_day = 1 ms, allowed up to 0 ms (limit 90000 ms)
          hint  raise `wall_day` of the budget in policies/50-scribe.toml, or wait: it refills in 16 h 0 min"#]]
    .assert_eq(&third.to_string());
    kernel.finish(RunId(2), Amounts::of(Resource::WallTime, 10_000), NOW);
    kernel.finish(RUN, Amounts::of(Resource::WallTime, 1_000), NOW);
    let account = kernel.account("scribe").expect("it ran");
    assert_eq!(account.spent[Resource::WallTime], 11_000);
    assert!(account.held.is_zero());
}

#[test]
fn a_call_that_cost_more_than_was_held_empties_the_account_and_is_reported() {
    let mut kernel = kernel();
    let permit = permit(&mut kernel, &Call::LlmComplete(ask("dear", 100, 100)));
    let cost = Amounts::of(Resource::Usd, 50_000).with(Resource::Tokens, 150);
    let settled = kernel.settle(permit, cost, NOW);
    assert_eq!((settled.spent[Resource::Usd], settled.overrun[Resource::Usd]), (10_000, 40_000));
    assert_eq!((settled.spent[Resource::Tokens], settled.spent[Resource::LlmCalls]), (150, 1));
    expect![[r#"
        exhausted  scribe → llm.complete: the budget of money for this run does not hold the most that this can take
          rule  scribe/budget   policies/50-scribe.toml:13
          arg   usd_run = 0.00001 USD, allowed up to 0.00 USD (limit 0.01 USD)
          hint  raise `usd_run` of the budget in policies/50-scribe.toml
          ref   0000000000001/7"#]]
    .assert_eq(&refusal(&mut kernel, &Call::LlmComplete(ask("dear", 1, 0))).to_string());
}

#[test]
fn calls_wait_for_a_slot_by_class_and_then_in_order() {
    let mut kernel = kernel();
    let grant = GRANT.replace("llm_calls_run = 3", "");
    kernel.reload(policy(&grant));
    let first = permit(&mut kernel, &Call::LlmComplete(ask("small", 1, 1)));
    let mut wait = |call: u32, class: Class| {
        let what = Call::LlmComplete(Completion { class, ..ask("small", 1, 1) });
        let Answer::Wait(ticket) = kernel.admit(RUN, CallId(call), &what, NOW) else { panic!("it waits") };
        ticket
    };
    let (batch, one, two) = (wait(10, Class::Batch), wait(11, Class::Normal), wait(12, Class::Normal));
    kernel.withdraw(one, NOW);
    assert!(kernel.ready().is_empty());
    let mut next = |permit: Permit| {
        let _ = kernel.settle(permit, Amounts::ZERO, NOW);
        kernel.ready().pop()
    };
    let second = next(first).expect("the slot is free");
    assert_eq!(second.ticket, two);
    let last = next(second.permit).expect("the slot is free");
    assert_eq!(last.ticket, batch);
    assert!(next(last.permit).is_none());
}

#[test]
fn a_run_has_only_so_many_calls_in_flight() {
    let mut kernel = kernel();
    let sleep = Call::TimersSleep { ms: 1 };
    let permits: Vec<_> = (0..CALLS_IN_FLIGHT_MAX).map(|_| permit(&mut kernel, &sleep)).collect();
    expect![[r#"
        denied  scribe → timers.now: too many calls of this run are in flight
          hint  the agent awaits some of them first
          ref   0000000000001/7"#]]
    .assert_eq(&refusal(&mut kernel, &Call::TimersNow).to_string());
    for permit in permits {
        kernel.settle(permit, Amounts::ZERO, NOW);
    }
    let _permit = permit(&mut kernel, &Call::TimersNow);
}

#[test]
fn a_revoked_right_bites_at_the_next_call() {
    let mut kernel = kernel();
    let call = Call::LlmComplete(ask("small", 1, 1));
    let flying = permit(&mut kernel, &call);
    kernel.reload(Arc::default());
    expect![[r#"
        denied  scribe → llm.complete: the grant of agent `scribe` was withdrawn while it ran
          hint  put its file back into the policy directory if that was not meant
          ref   0000000000001/7"#]]
    .assert_eq(&refusal(&mut kernel, &call).to_string());
    kernel.settle(flying, Amounts::of(Resource::Tokens, 2), NOW);
    assert_eq!(kernel.account("scribe").expect("it runs").spent[Resource::Tokens], 2);
}

#[test]
fn a_day_refills_and_a_clock_set_back_does_not() {
    let mut kernel = kernel();
    let call = Call::LlmComplete(ask("small", 1000, 400));
    let spend = |kernel: &mut Kernel, run: RunId, now: Millis| -> Result<(), String> {
        match kernel.admit(run, CallId(1), &call, now) {
            Answer::Permit(permit) => {
                kernel.settle(permit, Amounts::of(Resource::Tokens, 1400), now);
                Ok(())
            }
            other => Err(alloc::format!("{other:?}")),
        }
    };
    spend(&mut kernel, RUN, NOW).expect("the day is full");
    kernel.start(RunId(2), &start(), NOW).expect("half a minute is left");
    spend(&mut kernel, RunId(2), NOW).expect("1600 are left");
    kernel.finish(RUN, Amounts::ZERO, NOW);
    kernel.start(RunId(3), &start(), NOW).expect("wall time came back");
    spend(&mut kernel, RunId(3), NOW).expect_err("200 are left");
    spend(&mut kernel, RunId(3), Millis(NOW.0 - 3 * DAY_MS)).expect_err("a clock set back refills nothing");
    spend(&mut kernel, RunId(3), NOW.plus(DAY_MS)).expect("a new day");
}

#[test]
fn what_was_held_at_a_crash_counts_as_spent() {
    let mut kernel = kernel();
    let _lost = permit(&mut kernel, &Call::LlmComplete(ask("small", 1000, 400)));
    let stored = kernel.books("scribe").expect("it runs");
    let mut after = Kernel::new(policy(GRANT), models(), tools());
    after.restore("scribe", stored, &Amounts::ZERO);
    let account = after.account("scribe").expect("it was restored");
    assert_eq!((account.spent[Resource::Tokens], account.spent[Resource::WallTime]), (1400, 60_000));
    assert!(account.held.is_zero());
}

#[test]
fn after_its_end_a_run_gets_nothing_and_its_last_permit_is_still_settled() {
    let mut kernel = kernel();
    let flying = permit(&mut kernel, &Call::LlmComplete(ask("small", 100, 100)));
    kernel.finish(RUN, Amounts::ZERO, NOW);
    expect![[r#"
        denied  scribe → timers.now: the run is over
          ref   0000000000001/7"#]]
    .assert_eq(&refusal(&mut kernel, &Call::TimersNow).to_string());
    let log = Call::LogEvent { line: Digest::default(), bytes: 0 };
    for free in [Call::TimersDeadline, Call::TimersSleep { ms: 1 }, Call::BudgetRemaining, Call::BudgetSplit, log] {
        assert_eq!(refusal(&mut kernel, &free).code, Code::Ended, "{}", free.name());
    }
    kernel.settle(flying, Amounts::of(Resource::Tokens, 120), NOW);
    let account = kernel.account("scribe").expect("it ran");
    assert_eq!((account.spent[Resource::Tokens], account.held), (120, Amounts::ZERO));
    assert!(kernel.balances(RUN, NOW).is_empty());
}

#[test]
fn balances_and_models_are_those_that_bind_the_run() {
    let mut kernel = kernel();
    let names: Vec<_> = kernel.models(RUN).into_iter().map(|model| model.alias.as_str()).collect();
    assert_eq!(names, ["dear", "small"]);
    let shown: Vec<_> = kernel
        .balances(RUN, NOW.plus(1000))
        .iter()
        .map(|b| alloc::format!("{} {}/{} {:?}", b.what.name(), b.left, b.limit, b.refills_in_s))
        .collect();
    expect![[r#"
        fuel 100000000000/100000000000 None
        wall time 59000/60000 None
        memory 67108864/67108864 None
        money 10000/10000 None
        tokens 2000/2000 None
        model calls 3/3 None
        tokens 3000/3000 Some(57599)
        wall time 27000/90000 Some(57599)"#]]
    .assert_eq(&shown.join("\n").to_string());
}
