//! A server of the Model Context Protocol on the web, called by [`http`](crate::http): with the tools that it had when the package was made, and no
//! others. `agentry new NAME --mcp URL` asks a server and writes the crate of such a package.
//!
//! In each run, before the call, the server is asked for its tools, and all that the package has inside must still be what they were: a name, a
//! description, a schema that changed is a failure that names the tool. That costs one request a call, and two more where a server has sessions. What
//! a model reads never comes from the server; a change says that the tool is not what was agreed to, and that is worth asking for every time, since a
//! call acts and runs are seldom more than one call. A server that changes what it does and not what it says is seen by nobody: what it may learn and
//! cost, the grant bounds.
//!
//! Nothing is chosen at random: a run that is executed again asks the same.

use std::time::Duration;

use agentry_mcp::{Client, Post, Reply, Way};
use serde::Deserialize;
use serde_json::{Map, Value};

pub use agentry_mcp::{Answer, Pinned, Tool};

use crate::http::Request;
use crate::outcome::{Context as _, Failure};

/// The input of such an agent: one tool by its name, and its arguments: `{"add": {"a": 1, "b": 2}}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Call(Map<String, Value>);

/// One server, and what may be called there.
#[derive(Clone, Debug)]
pub struct Server {
    pinned: Pinned,
    secret: Option<String>,
    timeout: Option<Duration>,
}

/// The server of this `tools.json`, which `agentry new --mcp` wrote.
///
/// ```no_run
/// # async fn add(call: agentry::mcp::Call) -> Result<(), agentry::Failure> {
/// # const TOOLS: &str = "";
/// let sums = agentry::mcp::pinned(TOOLS)?.secret("sums");
/// agentry::log::info(sums.call(&call).await?.text);
/// # Ok(()) }
/// ```
///
/// # Errors
/// If it is none.
pub fn pinned(tools_json: &str) -> Result<Server, Failure> {
    Ok(Server { pinned: Pinned::read(tools_json)?, secret: None, timeout: None })
}

impl Server {
    /// Lets the host put in the secret of this handle with each request. The grant says to whom it may go; the agent never sees it.
    #[must_use]
    pub fn secret(mut self, handle: impl Into<String>) -> Self {
        self.secret = Some(handle.into());
        self
    }

    /// Gives up on an answer after this long: 30 s if nothing is said, 5 minutes at most.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Calls a tool, if all of them are still what they were. It is called once, unless the server says that it knows its own session no more.
    ///
    /// # Errors
    /// If the package has no such tool, the server has others than it had, does not answer as the protocol says, or the tool failed; with the
    /// syscall's error where one was in the way.
    pub async fn call(&self, Call(call): &Call) -> Result<Answer, Failure> {
        let mut named = call.iter();
        let (Some((tool, arguments)), None) = (named.next(), named.next()) else {
            return Err(Failure::new("a call names one tool and has its arguments: {\"NAME\": {…}}"));
        };
        self.pinned.has(tool)?;
        let mut client = Client::speaking(self, &self.pinned.protocol).await?;
        self.pinned.are_still(&client.tools().await?)?;
        Ok(Answer::of(&client.call(tool, arguments.clone()).await?)?)
    }
}

impl Way for &Server {
    type Error = Failure;

    async fn post(&mut self, Post { headers, body }: Post) -> Result<Reply, Failure> {
        let mut request = Request::post(&self.pinned.url).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.secret.clone_from(&self.secret);
        if let Some(timeout) = self.timeout {
            request = request.timeout(timeout);
        }
        let answer = request.fetch().await.context("asking the MCP server")?;
        Ok(Reply {
            status: answer.status,
            content_type: answer.header("content-type").unwrap_or_default().to_owned(),
            session: answer.header("mcp-session-id").map(str::to_owned),
            body: answer.body,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{self, Poll, Waker};

    use super::*;

    fn call(json: &str) -> String {
        let tools = r#"{"format": 1, "url": "https://a.example/mcp", "protocol": "2026-07-28", "tools": [
            {"name": "add", "description": "Adds.", "inputSchema": {"type": "object"}}]}"#;
        let server = pinned(tools).expect("it is one").secret("sums").timeout(Duration::from_secs(5));
        let call = serde_json::from_str(json).expect("an object");
        match pin!(server.call(&call)).poll(&mut task::Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome.expect_err("there is no host here").message,
            Poll::Pending => panic!("nothing here waits"),
        }
    }

    #[test]
    fn a_call_names_one_tool_of_the_package() {
        assert!(call("{}").contains("names one tool"));
        assert!(call(r#"{"add": {}, "sum": {}}"#).contains("names one tool"));
        assert_eq!(call(r#"{"sum": {}}"#), "no tool here is called `sum`; there is: add");
        assert!(call(r#"{"add": {}}"#).starts_with("asking the MCP server: unavailable"));
    }
}
