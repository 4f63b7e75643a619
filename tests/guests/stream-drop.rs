//! Takes one token of an answer and drops the rest, twice: first the whole call, then only the stream.
//! Justification: a cut answer is paid for what came; a future without its stream still ends.

use agentry::Failure;
use agentry::bindings::agentry::agent::llm as table;
use agentry::llm::Request;

#[agentry::agent]
async fn run() -> Result<String, Failure> {
    let request = Request::new().user("count to a hundred").max_tokens(32);
    let mut cut = request.stream();
    cut.next().await;
    drop(cut);
    let (deltas, end) = table::stream(&request);
    drop(deltas);
    Ok(end.await?.text())
}
