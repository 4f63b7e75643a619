//! Calls everything that a policy can refuse, and tells what each answered.
//! Justification: what is declared and not granted is denied, whichever function of the table asks for it.

use std::collections::BTreeMap;

use agentry::files::root;
use agentry::human::{self, Question};
use agentry::llm::{self, Request};
use agentry::memory::{Query, namespace};
use agentry::{Failure, agents, tools};

#[agentry::agent]
async fn run() -> Result<BTreeMap<&'static str, String>, Failure> {
    let ask = || Request::new().model("scripted").user("hello").max_tokens(8);
    let (board, documents, reports) = (namespace("team/board"), root("documents"), root("reports"));
    let query = Query { text: "x".into(), limit: 1, tags: Vec::new(), prefix: None };
    Ok(BTreeMap::from([
        ("llm.complete", told(ask().complete().await.map_err(|failure| failure.why))),
        ("llm.stream", told(ask().stream().finish().await.map_err(|failure| failure.why))),
        ("llm.count-tokens", told(llm::count_tokens(ask()))),
        ("llm.embed", told(llm::embed("scripted", &["x".into()]).await)),
        ("memory.get", told(board.get("x"))),
        ("memory.put", told(board.put_text("x", "y"))),
        ("memory.delete", told(board.delete("x"))),
        ("memory.list", told(board.list("").next().transpose())),
        ("memory.history", told(board.history("x"))),
        ("memory.rollback", told(board.rollback("x", 1))),
        ("memory.search", told(board.search(&query).await)),
        ("memory.watch", told(board.watch("x").map(|_| ()))),
        ("files.read", told(documents.read("a.txt"))),
        ("files.stat", told(documents.stat("a.txt"))),
        ("files.list", told(documents.list(""))),
        ("files.write", told(reports.write("b.txt", "x"))),
        ("files.delete", told(reports.delete("a.txt"))),
        ("human.ask", told(human::ask(&Question::new("May I?")).await)),
        ("human.notify", told(human::notify("Done."))),
        ("tools.call", told(tools::call_json("mail.send", "{}").await)),
        ("agents.call", told(agents::call("other", "{}", &[]).await)),
        ("agents.send", told(agents::send("other", "hello", "{}"))),
        ("agents.receive", told(agents::receive(None).await)),
    ]))
}

fn told<T>(result: Result<T, agentry::Error>) -> String {
    match result {
        Ok(_) => "answered".into(),
        Err(error) => error.to_string(),
    }
}
