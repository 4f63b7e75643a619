//! That a yes costs no allocation: every kind of call that a grant allows and rules of the site look at is decided on while an
//! allocator counts. What a site's forbid would compare in another spelling, and what is refused, may allocate.
#![allow(unsafe_code, reason = "an allocator that counts is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use agentry_kernel::inquiry::read_call;
use agentry_kernel::kernel::{Answer, Kernel, Start};
use agentry_kernel::manifest::Manifest;
use agentry_kernel::model::Model;
use agentry_kernel::policy::{Policy, Source};
use agentry_kernel::tool::{Effect, Tool};
use agentry_kernel::{Amounts, Call, CallId, Digest, Labels, Millis, RunId, json};

const RUN: RunId = RunId(1);
const NOW: Millis = Millis(1_800_000_000_000);

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn count() {
    COUNT.set(COUNT.get() + 1);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the same promises to us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from `alloc`, which gave what the system gave.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// How often something allocates.
fn allocations<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = COUNT.get();
    let made = work();
    (COUNT.get() - before, made)
}

const SITE: &str = r#"format = 1
layer = "site"
[ceiling]
models = ["small-*"]
tools = ["mail.*", "pay.*"]
egress = ["https://*.example.org"]
budget = { usd_day = "40.00" }
[[forbid]]
id = "site/pay-cap"
tool = "pay.*"
unless = { cents = { min = 1, max = 50_000 } }
[[forbid]]
id = "site/trifecta"
effect = "egress"
when = { labels_all = ["untrusted", "secret"] }
[[forbid]]
id = "site/archive"
root = "reports"
at = "/out/archive"
acts = ["delete"]
[[forbid]]
id = "site/private"
memory = "team/private/**"
[[forbid]]
id = "site/admin"
host = "example.org"
paths = ["/admin"]
[[label]]
id = "site/inbox"
memory = "team/**"
adds = ["untrusted"]
"#;

const GRANT: &str = r#"format = 1
layer = "grant"
agent = "clerk"
llm = { models = ["small-*"], max_tokens = 64 }
memory = { read = ["team/**"], write = ["agent/clerk/**"] }
files = [{ root = "reports", at = "/out", access = "rw", labels = ["untrusted"] }]
[[allow]]
id = "clerk/mail"
tool = "mail.send"
args.to = { each_in = ["ops@example.org"], min_items = 1 }
args.subject = { prefix = "report" }
args.body = { max_bytes = 20_000, optional = true }
args.at = { host = "*.example.org", optional = true }
args.file = { path = "/out", optional = true }
[[allow]]
id = "clerk/pay"
tool = "pay.send"
args.cents = { min = 1, max = 60_000 }
[[http]]
id = "clerk/crm"
to = "https://api.example.org"
methods = ["GET", "POST"]
paths = ["/v1/**"]
[[secrets]]
handle = "crm-key"
only_to = "https://api.example.org"
[budget]
usd_day = "2.00"
tokens_minute = 400_000
tool_calls_run = 6_000
egress_day = "64MiB"
storage_mb = 64
"#;

const PACKAGE: &str = r#"format = 1
name = "acme:clerk"
version = "1.0.0"
wit = "0.1.0"
[wants]
llm = { models = ["*"], why = "x" }
memory = { read = ["**"], write = ["**"], why = "x" }
files = [{ root = "reports", access = "rw", why = "x" }]
tools = [{ tool = "*", why = "x" }]
http = { hosts = ["https://*.example.org"], why = "x" }
"#;

const CALLS: [&str; 12] = [
    r#"{"model":"small-1"}"#,
    r#"{"memory":"team/board","act":"read"}"#,
    r#"{"memory":"agent/clerk/todo","act":"write"}"#,
    r#"{"memory":"agent/clerk/todo","act":"delete"}"#,
    r#"{"root":"reports","path":"out/week.txt","act":"read"}"#,
    r#"{"root":"reports","path":"out/week.txt","act":"write"}"#,
    r#"{"root":"reports","path":"out/week.txt","act":"delete"}"#,
    r#"{"tool":"mail.send","args":{"to":["ops@example.org"],"subject":"report 1","body":"x"}}"#,
    r#"{"tool":"mail.send","args":{"to":["ops@example.org"],"subject":"report","at":"api.example.org","file":"out/a"}}"#,
    r#"{"tool":"pay.send","args":{"cents":700}}"#,
    r#"{"http":"https://api.example.org/v1/items?page=2","method":"POST"}"#,
    r#"{"http":"https://api.example.org/v1/items","secret":"crm-key"}"#,
];

fn kernel() -> Kernel {
    let sources = [Source { file: "0.toml", text: SITE }, Source { file: "1.toml", text: GRANT }];
    let policy = Policy::parse(&sources, Digest::default()).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let tool = |name: &str, effect| Tool {
        name: name.to_owned(),
        effect,
        labels: Labels::of(["crm"]),
        sends_bytes: Some(100),
        ..Tool::default()
    };
    let tools = vec![tool("mail.send", Effect::Egress), tool("pay.send", Effect::Irreversible)];
    let model = Model {
        alias: "small-1".to_owned(),
        price: None,
        context_tokens: 1000,
        output_tokens_max: 100,
        slots: 4,
        local: true,
    };
    let mut kernel = Kernel::new(Arc::new(policy), vec![model], tools);
    let manifest = Arc::new(Manifest::parse_toml(PACKAGE).expect("the manifest is whole"));
    kernel
        .start(RUN, &Start { agent: "clerk".to_owned(), manifest, signer: None }, NOW)
        .0
        .expect("the grant covers it");
    kernel
}

fn calls() -> Vec<Call> {
    let call = |text: &&str| read_call(&json::parse(text).expect("it is JSON")).expect("it is a call");
    CALLS.iter().map(call).chain([Call::TimersNow, Call::LlmModels]).collect()
}

#[test]
fn an_allocation_is_counted() {
    assert_eq!(allocations(|| vec![1]).0, 1);
    assert_eq!(allocations(|| 1).0, 0);
}

#[test]
fn a_call_that_is_allowed_is_decided_on_without_an_allocation() {
    for call in calls() {
        let kernel = kernel();
        let (looked, answer) = allocations(|| kernel.look(RUN, &call, NOW).map_err(Box::new));
        assert_eq!(answer, Ok(()), "{call:?}");
        assert_eq!(looked, 0, "{} allocates while it is looked at", call.name());
    }
}

#[test]
fn once_its_rule_is_named_a_permit_is_made_and_settled_without_an_allocation() {
    for call in calls() {
        let mut kernel = kernel();
        // The first call by a rule names that rule to the journal, and labels that are new to a run are a new set, once.
        for count in 1..=2 {
            let (made, (answer, _)) = allocations(|| kernel.admit(RUN, CallId(count), &call, NOW));
            let Answer::Permit(permit) = answer else { panic!("{call:?}: {answer:?}") };
            assert!(made == 0 || count == 1, "{} allocates while it is admitted", call.name());
            let (settled, _) = allocations(|| kernel.settle(permit, Amounts::ZERO, NOW));
            assert!(settled == 0 || count == 1, "{} allocates while it is settled", call.name());
        }
    }
}
