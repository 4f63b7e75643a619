//! For tests only: a real store in a directory of its own, a real kernel with one grant, and a run that has begun.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use agentry_abi::clock::Clock;
use agentry_abi::fault::{self, Fault};
use agentry_journal::history::History;
use agentry_journal::{Journal, Recovered};
use agentry_kernel::budget::Books;
use agentry_kernel::call::{Class, Completion, RunId};
use agentry_kernel::digest::Digest;
use agentry_kernel::journal::Started;
use agentry_kernel::kernel::{Kernel, Start};
use agentry_kernel::manifest::Manifest;
use agentry_kernel::model::{Model, Price};
use agentry_kernel::policy::{Policy, Source};
use agentry_kernel::tool::{Effect, Tool};
use agentry_kernel::{Amounts, Call, Millis};
use agentry_store::{Batch, Key, Page, Range, RedbStore, Store, StoreError, Value, rows};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::answer::{Begun, Given, Unseen};
use super::{Gate, Opening};
use crate::run::context::RunContext;
use crate::run::events::Observer;

pub(crate) const NOW: Millis = Millis(1_800_000_000_000);

const MANIFEST: &str = r#"{
  "format": 1, "name": "acme:scribe", "version": "1.0.0", "wit": "0.1.0",
  "wants": {
    "llm": { "models": ["*"], "why": "to think" },
    "memory": { "read": ["agent/scribe/**"], "write": ["agent/scribe/**"], "why": "to remember" },
    "files": [{ "root": "docs", "access": "r", "why": "to read" }],
    "tools": [{ "tool": "post", "why": "to tell" }],
    "agents": { "why": "to write letters" },
    "human": { "why": "to ask" }
  }
}"#;

const GRANT: &str = r#"
format = 1
layer = "grant"
agent = "scribe"
llm = { models = ["small"], max_tokens = 100 }
memory = { read = ["agent/scribe/**"], write = ["agent/scribe/**"] }
files = [{ root = "docs", at = "/", access = "r" }]
allow = [{ id = "scribe/post", tool = "post" }]
agents = { send = ["porter"] }
human = { ask = true, notify = true }

[budget]
tokens_day = 1000
usd_day = "1.00"
storage_mb = 1
"#;

const OTHER_GRANT: &str = r#"
format = 1
layer = "grant"
agent = "porter"
llm = { models = ["small"], max_tokens = 100 }
memory = { write = ["agent/scribe/**"] }
agents = { receive = ["scribe"] }

[budget]
tokens_day = 1000
"#;

/// A guest that sees an answer as soon as it has come, and lets go of the call when this is dropped.
impl<T: Unpin, E: Fault + Unpin> Future for Begun<T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let begun = self.get_mut();
        let result = match &mut begun.answer {
            Given::Now(_) => None,
            Given::Later(later) => Some(ready!(Pin::new(&mut later.coming).poll(context))),
        };
        match (std::mem::replace(&mut begun.answer, Given::Now(Err(fault::broke().into()))), result) {
            (Given::Later(later), Some(result)) => {
                Unseen::seen(later.unseen);
                Poll::Ready(result)
            }
            (Given::Now(result), _) => Poll::Ready(result),
            (Given::Later(_), None) => Poll::Pending,
        }
    }
}

/// A host without guests.
pub(crate) struct Host {
    pub(crate) gate: Gate,
    pub(crate) history: History,
}

pub(crate) fn kernel() -> Kernel {
    let scribe = Source { file: "policies/50-scribe.toml", text: GRANT };
    let porter = Source { file: "policies/51-porter.toml", text: OTHER_GRANT };
    let policy = Policy::parse(&[scribe, porter], Digest::default());
    let model = |alias: &str| Model {
        alias: alias.to_owned(),
        price: Some(Price { input: 1_000_000, output: 1_000_000, ..Price::default() }),
        context_tokens: 10_000,
        output_tokens_max: 1_000,
        slots: 1,
        local: false,
    };
    let post = Tool { name: "post".to_owned(), effect: Effect::Egress, ..Tool::default() };
    let models = vec![model("small"), model("large")];
    Kernel::new(Arc::new(policy.expect("the grant is well formed")), models, vec![post])
}

pub(crate) async fn host(home: &Path) -> Host {
    host_on(RedbStore::open(home).expect("a temporary directory can be written")).await
}

pub(crate) async fn host_on(store: impl Store + 'static) -> Host {
    host_named(Arc::new(store), rows::host::HOME).await.0
}

/// The host of this name in a store that others may share, and what it found there.
pub(crate) async fn host_named(store: Arc<dyn Store>, name: &str) -> (Host, Recovered) {
    let history = History::over(Arc::clone(&store));
    let (journal, recovered) = Journal::open_as(name, store, |_| {}).await.expect("the store was just opened");
    (Host { gate: Gate::new(kernel(), journal, Clock::set(NOW), &recovered), history }, recovered)
}

/// A store whose disk is full while the switch is on.
pub(crate) struct Filling {
    store: RedbStore,
    full: Arc<AtomicBool>,
}

impl Filling {
    /// The store of this home, and the switch.
    pub(crate) fn open(home: &Path) -> (Self, Arc<AtomicBool>) {
        let full = Arc::new(AtomicBool::new(false));
        let store = RedbStore::open(home).expect("a temporary directory can be written");
        (Self { store, full: Arc::clone(&full) }, full)
    }
}

impl Store for Filling {
    fn commit(&self, mut batch: Batch) -> BoxFuture<'static, Result<(), StoreError>> {
        if !self.full.load(Ordering::Acquire) {
            return self.store.commit(batch);
        }
        // Behind what was committed before, and never on the thread of whoever commits, as the writer of a real one tells it.
        let (before, on_commit) = (self.store.commit(Batch::default()), batch.on_commit.take());
        let failed = tokio::spawn(async move {
            let _ = before.await;
            let failed = Err(StoreError::Full);
            if let Some(on_commit) = on_commit {
                on_commit(&failed);
            }
            failed
        });
        async move { failed.await.unwrap_or(Err(StoreError::Closed)) }.boxed()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.store.get(key)
    }

    fn scan(&self, range: &Range, page: Page) -> Result<Vec<(Key, Value)>, StoreError> {
        self.store.scan(range, page)
    }
}

pub(crate) fn opening() -> Opening {
    let started = Started {
        at: NOW,
        agent: "scribe".to_owned(),
        package: "acme:scribe@1.0.0".to_owned(),
        component: Digest([7; 32]),
        input: Digest::default(),
        seed: 1,
        policy: Digest::default(),
        engine: "test".to_owned(),
        held: Amounts::ZERO,
    };
    let manifest: Manifest = serde_json::from_str(MANIFEST).expect("the manifest is well formed");
    let start = Start { agent: "scribe".to_owned(), manifest: Arc::new(manifest), signer: None };
    Opening { started, start, input: b"{}".to_vec(), below: None, attended: false }
}

impl Host {
    pub(crate) fn run(&self, id: u64) -> Arc<RunContext> {
        self.watched(id, Observer::nobody())
    }

    pub(crate) fn watched(&self, id: u64, observer: Observer) -> Arc<RunContext> {
        let run = Arc::new(RunContext::new(RunId(id), "scribe", NOW, observer));
        self.gate.begin(&run, opening()).expect("the run is granted");
        run
    }

    /// All accounts, as a no leaves them: of the agents that run here, and of the site.
    pub(crate) fn books(&self) -> [Option<Books>; 3] {
        self.gate.kernel(|kernel| [kernel.books("scribe"), kernel.books("porter"), Some(kernel.site_books())])
    }

    /// Tokens that the agent has spent and holds today.
    pub(crate) fn tokens(&self) -> (u64, u64) {
        let what = agentry_kernel::Resource::Tokens;
        self.gate.kernel(|kernel| kernel.account("scribe").map_or((0, 0), |a| (a.spent[what], a.held[what])))
    }
}

/// A question of so many tokens to a model, whose answer may have ten.
pub(crate) fn ask(model: &str, tokens: u64) -> Call {
    Call::LlmComplete(Completion {
        model: model.to_owned(),
        messages: Vec::new(),
        settings: Digest::default(),
        input_tokens_max: tokens,
        output_tokens_max: Some(10),
        class: Class::Normal,
        local_only: false,
        microusd_max: None,
    })
}
