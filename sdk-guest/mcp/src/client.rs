//! One conversation with one server, in whichever of the two manners it has: each request for itself, or in a session that a handshake begins. Of
//! what it sends nothing is sent twice, but for what a server says it did not take, since it knows the session no more.

use std::future::Future;

use serde_json::{Map, Value, json};

use crate::message::{self, No};

/// The version in which each request stands for itself.
const ALONE: &str = "2026-07-28";

/// Versions that begin with a handshake, the newest first. The one before had another transport.
const SESSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

/// A longer name of a session is none.
const SESSION_MAX_BYTES: usize = 1_024;

/// Pages of a list, so that it has an end.
const PAGES_MAX: usize = 32;

/// Tools of all pages: a model could not be told of so many.
const TOOLS_MAX: usize = 1_024;

/// The way to a server.
pub trait Way {
    /// How it fails; what is wrong with an answer becomes such a failure, too.
    type Error: From<String>;

    /// Posts this to the address of the server and reads the whole answer, which ends and has a longest size.
    fn post(&mut self, post: Post) -> impl Future<Output = Result<Reply, Self::Error>>;
}

/// What is to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Names in lowercase.
    pub headers: Vec<(&'static str, String)>,
    /// One message of JSON-RPC.
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header `content-type`.
    pub content_type: String,
    /// The header `mcp-session-id`.
    pub session: Option<String>,
    /// All bytes.
    pub body: Vec<u8>,
}

/// What a server says that it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its title, or its name.
    pub name: String,
    /// What a model should know.
    pub instructions: String,
}

/// A conversation.
pub struct Client<W> {
    way: W,
    version: Option<&'static str>,
    session: Option<String>,
    asked: u64,
}

impl<W: Way> Client<W> {
    /// Finds out what a server speaks, and what it says that it is: first as the newest version has it, then by a handshake.
    ///
    /// # Errors
    /// If it speaks none of our versions, or answers nonsense.
    pub async fn meet(way: W) -> Result<(Self, About), W::Error> {
        let mut client = Self { way, version: Some(ALONE), session: None, asked: 0 };
        let said = match client.ask("server/discover", Map::new()).await {
            Err(no) if no.may_be_older() => client.shake_hands().await.map_err(No::told)?,
            said => said.map_err(No::told)?,
        };
        Ok((client, About::of(&said)))
    }

    /// Begins with a server that is known to speak this version.
    ///
    /// # Errors
    /// If that is none of ours, or the server does not take it.
    pub async fn speaking(way: W, version: &str) -> Result<Self, W::Error> {
        let mut client = Self { way, version: Some(ALONE), session: None, asked: 0 };
        if SESSIONS.contains(&version) {
            client.shake_hands().await.map_err(No::told)?;
        } else if version != ALONE {
            return Err(W::Error::from(format!("`{version}` is no version of MCP that this client speaks")));
        }
        Ok(client)
    }

    /// The version that is spoken.
    pub fn version(&self) -> &'static str {
        self.version.unwrap_or(SESSIONS[0])
    }

    /// All tools that the server lists, as it describes them.
    ///
    /// # Errors
    /// If the list has no end, or is none.
    pub async fn tools(&mut self) -> Result<Vec<Value>, W::Error> {
        let (mut tools, mut params) = (Vec::new(), Map::new());
        for _ in 0..PAGES_MAX {
            let mut page = self.request("tools/list", params).await?;
            let Some(Value::Array(listed)) = page.get_mut("tools").map(Value::take) else {
                return Err(W::Error::from("the server lists no tools".to_owned()));
            };
            tools.extend(listed);
            if tools.len() > TOOLS_MAX {
                return Err(W::Error::from(format!("the server lists more than {TOOLS_MAX} tools")));
            }
            match page.get("nextCursor") {
                None | Some(Value::Null) => return Ok(tools),
                Some(cursor) => params = Map::from_iter([("cursor".to_owned(), cursor.clone())]),
            }
        }
        Err(W::Error::from(format!("the server's list of tools has more than {PAGES_MAX} pages")))
    }

    /// Calls a tool and gives the server's result as it is.
    ///
    /// # Errors
    /// What the server says against it, or that its answer is none.
    pub async fn call(&mut self, name: &str, arguments: Value) -> Result<Value, W::Error> {
        let params = [("name".to_owned(), Value::from(name)), ("arguments".to_owned(), arguments)];
        self.request("tools/call", Map::from_iter(params)).await
    }

    /// Asks; and once more in a new session, if the server has none of this name: then it did nothing.
    async fn request(&mut self, method: &str, params: Map<String, Value>) -> Result<Value, W::Error> {
        match self.ask(method, params.clone()).await {
            Err(no) if self.session.is_some() && no.is_not_found() => {
                self.shake_hands().await.map_err(No::told)?;
                self.ask(method, params).await.map_err(No::told)
            }
            answer => answer.map_err(No::told),
        }
    }

    async fn shake_hands(&mut self) -> Result<Value, No<W::Error>> {
        (self.version, self.session) = (None, None);
        let params = json!({"protocolVersion": SESSIONS[0], "capabilities": {}, "clientInfo": me()});
        let Value::Object(params) = params else { unreachable!("it is written as an object") };
        let (said, session) = self.exchange("initialize", params).await?;
        let version = said.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
        self.version = SESSIONS.into_iter().find(|known| *known == version);
        if self.version.is_none() {
            return Err(No::nonsense(format!(
                "the server speaks `{}`, and this client does not",
                message::cut(version)
            )));
        }
        self.session = session;
        let visible = |session: &String| session.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.session.iter().all(|session| session.len() <= SESSION_MAX_BYTES && visible(session)) {
            return Err(No::nonsense("the server's name for its session is none".to_owned()));
        }
        let done = self.message(None, "notifications/initialized", Map::new());
        let reply = self.way.post(done).await.map_err(No::Lost)?;
        if !(200..300).contains(&reply.status) {
            return Err(No::status(&reply));
        }
        Ok(said)
    }

    async fn ask(&mut self, method: &str, params: Map<String, Value>) -> Result<Value, No<W::Error>> {
        Ok(self.exchange(method, params).await?.0)
    }

    async fn exchange(
        &mut self,
        method: &str,
        params: Map<String, Value>,
    ) -> Result<(Value, Option<String>), No<W::Error>> {
        self.asked += 1;
        let post = self.message(Some(self.asked), method, params);
        let reply = self.way.post(post).await.map_err(No::Lost)?;
        Ok((message::result(&reply, self.asked)?, reply.session))
    }

    /// A request, or a notification if it has no id; with the headers of the version that is spoken.
    fn message(&self, id: Option<u64>, method: &str, mut params: Map<String, Value>) -> Post {
        let mut headers = vec![
            ("accept", "application/json, text/event-stream".to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        headers.extend(self.version.map(|version| ("mcp-protocol-version", version.to_owned())));
        headers.extend(self.session.iter().map(|session| ("mcp-session-id", session.clone())));
        if self.version == Some(ALONE) {
            headers.push(("mcp-method", method.to_owned()));
            headers.extend(params.get("name").and_then(Value::as_str).map(|name| ("mcp-name", name.to_owned())));
            params.insert("_meta".to_owned(), meta());
        }
        let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        if let Some(id) = id {
            message["id"] = id.into();
        }
        Post { headers, body: message.to_string().into_bytes() }
    }
}

/// Who asks.
fn me() -> Value {
    json!({"name": "agentry", "version": env!("CARGO_PKG_VERSION")})
}

/// What each request says that stands for itself.
fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": ALONE,
        "io.modelcontextprotocol/clientInfo": me(),
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

impl About {
    /// From the answer to `server/discover` or to `initialize`.
    fn of(said: &Value) -> Self {
        let server = said.pointer("/_meta/io.modelcontextprotocol~1serverInfo").or_else(|| said.get("serverInfo"));
        let text = |of: Option<&Value>, key: &str| Some(of?.get(key)?.as_str()?.to_owned());
        Self {
            name: text(server, "title").or_else(|| text(server, "name")).unwrap_or_default(),
            instructions: text(Some(said), "instructions").unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
