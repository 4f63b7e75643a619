//! Calls a tool of the MCP server whose pinned tools its input has, and tells what it said.
//! Justification: what an author's crate has inside comes from outside here, so that one component meets every server, the worst of them too.

use agentry::Failure;
use agentry::mcp::{self, Answer, Call};
use serde::Deserialize;

#[derive(Deserialize)]
struct Input {
    /// As `tools.json` has them.
    pinned: String,
    call: Call,
    secret: Option<String>,
}

#[agentry::agent]
async fn run(input: Input) -> Result<Answer, Failure> {
    let server = mcp::pinned(&input.pinned)?;
    let server = input.secret.into_iter().fold(server, mcp::Server::secret);
    server.call(&input.call).await
}
