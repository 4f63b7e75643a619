//! A program of somebody else's that runs an agent: `embed DIRECTORY COMPONENT INPUT…`. Store, clock, model, tools and policy are its own; an
//! agent can do what that policy says and nothing else. Before each further input the program brings other tools. Agents are executed in this
//! process, which is weaker than a home has it: a defect of the engine is one of the program.

use std::error::Error;
use std::future::ready;
use std::path::Path;
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::llm::{Request, StopReason};
use agentry_abi::clock::Clock;
use agentry_drivers::tools::Said;
use agentry_drivers::tools::adapter::{Adapter, Wrong};
use agentry_drivers::tools::config::ToolLine;
use agentry_engine::prepare::Preparer;
use agentry_kernel::json::Value;
use agentry_kernel::model::{Model, Price};
use agentry_kernel::tool::Effect;
use agentry_kernel::{Millis, Permit};
use agentry_llm::draft::Draft;
use agentry_llm::models::Skills;
use agentry_llm::{Entry, Finished, Provider, Sink};
use agentry_runtime::host::HostBuilder;
use agentry_runtime::run::events::Observer;
use agentry_store::RedbStore;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

/// Who may do what; a grant is of one agent.
const POLICY: [(&str, &str); 2] = [
    ("ask.toml", "format = 1\nlayer = \"grant\"\nagent = \"ask\"\nllm = { models = [\"own\"] }\n"),
    (
        "tools.toml",
        "format = 1\nlayer = \"grant\"\nagent = \"tools\"\n[[allow]]\nid = \"tools/shop\"\ntool = \"shop.stock*\"\nargs = \"any\"\n",
    ),
];

/// Answers as a model: every prompt with one sentence.
struct Clerk;

impl Provider for Clerk {
    fn input_tokens_max(&self, _: &Request) -> u64 {
        100
    }

    fn stream<'a>(
        &'a self,
        permit: &'a Permit,
        _: Request,
        sink: Sink,
        _: CancellationToken,
    ) -> BoxFuture<'a, Finished> {
        let mut draft = Draft::new(sink, "own", &permit.key(), (100, permit.output_tokens_max()));
        draft.text("We are open.");
        draft.stop(StopReason::End);
        ready(draft.finish()).boxed()
    }
}

/// A tool of this program.
struct Stock;

impl Adapter for Stock {
    fn reach(&self) -> (&'static str, String) {
        ("embedded", "the stock of this program".to_owned())
    }

    fn call<'a>(
        &'a self,
        _: &'a ToolLine,
        _: &'a Permit,
        arguments: &'a Value,
        _: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Said, Wrong>> {
        ready(Ok(Said::text(format!("3 left of {arguments}")))).boxed()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, component, inputs @ ..] = &arguments[..] else {
        return Err("usage: embed DIRECTORY COMPONENT INPUT…".into());
    };
    let model = Model {
        alias: "own".to_owned(),
        price: Some(Price::default()),
        context_tokens: 1_000,
        output_tokens_max: 100,
        slots: 1,
        local: true,
    };
    let host = HostBuilder::new(directory, Preparer::InProcess)
        .store(Arc::new(RedbStore::open(&Path::new(directory).join("state"))?), "embedded")
        .clock(Clock::set(Millis(1_800_000_000_000)))
        .policy_text(&POLICY)?
        .model(Entry::new(model, Skills::default(), Arc::new(Clerk)))
        .tool(ToolLine::new("shop.stock", "Tells how many are left.", Effect::Read), Stock)
        .open()
        .await?;
    for (count, input) in inputs.iter().enumerate() {
        if count > 0 {
            let tool = ToolLine::new(format!("shop.stock{count}"), "Tells how many are left elsewhere.", Effect::Read);
            host.set_tools(vec![(tool, Arc::new(Stock))])?;
        }
        let report = host.run(Path::new(component), input.clone().into_bytes(), Observer::nobody()).await?;
        let started = host.history().run(&report.run.to_string())?.started;
        println!("{}", serde_json::json!({ "output": report.output, "failure": report.failure, "started": started.0 }));
    }
    Ok(())
}
