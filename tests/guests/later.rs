//! Calls everything that this version does not have, and tells what each answered.
//! Justification: what is not there says `unavailable`, and nothing pretends.

use std::collections::BTreeMap;

use agentry::llm::{Message, Role};
use agentry::{Failure, budget, context, llm, memory};

#[agentry::agent]
async fn run() -> Result<BTreeMap<&'static str, String>, Failure> {
    let notes = memory::namespace("agent/test/later");
    let query = memory::Query { text: "x".into(), limit: 1, tags: Vec::new(), prefix: None };
    let asked = context::Conversation::new("default", &[Message::new(Role::User, "hello")]);
    Ok(BTreeMap::from([
        ("llm.embed", told(llm::embed("default", &["x".into()]).await)),
        ("memory.history", told(notes.history("x"))),
        ("memory.rollback", told(notes.rollback("x", 1))),
        ("memory.search", told(notes.search(&query).await)),
        ("memory.watch", told(notes.watch("x").map(|_| ()))),
        ("budget.split", told(budget::split(&[]))),
        ("context.append", told(asked.append(&Message::new(Role::User, "again")))),
        ("context.restore", told(context::restore("x").map(|_| ()))),
    ]))
}

fn told<T>(result: Result<T, agentry::Error>) -> String {
    match result {
        Ok(_) => "answered".into(),
        Err(error) => error.to_string(),
    }
}
