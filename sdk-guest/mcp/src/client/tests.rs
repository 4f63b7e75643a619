//! Conversations with servers that are written down, message by message.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

/// Answers one after the other, and what was posted.
#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    posted: Vec<Post>,
}

impl Way for &mut Script {
    type Error = String;

    async fn post(&mut self, post: Post) -> Result<Reply, String> {
        self.posted.push(post);
        self.replies.pop_front().ok_or_else(|| "nobody answers".to_owned())
    }
}

/// What never waits is done at once.
fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn script(replies: impl IntoIterator<Item = Reply>) -> Script {
    Script { replies: replies.into_iter().collect(), posted: Vec::new() }
}

fn says(id: u64, result: &Value) -> Reply {
    let body = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string().into_bytes();
    Reply { status: 200, content_type: "application/json".into(), session: None, body }
}

fn status(status: u16) -> Reply {
    Reply { status, ..Reply::default() }
}

fn welcome(id: u64, session: &str) -> [Reply; 2] {
    let said = json!({"protocolVersion": "2025-06-18", "serverInfo": {"name": "sums"}, "instructions": "Add."});
    [Reply { session: Some(session.to_owned()), ..says(id, &said) }, status(202)]
}

impl Script {
    fn methods(&self) -> Vec<String> {
        let of = |post: &Post| {
            serde_json::from_slice::<Value>(&post.body).expect("JSON")["method"].as_str().map(str::to_owned)
        };
        self.posted.iter().filter_map(of).collect()
    }

    fn header(&self, at: usize, name: &str) -> Option<&str> {
        self.posted[at].headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

#[test]
fn a_server_of_the_newest_version_needs_no_handshake() {
    let about =
        json!({"supportedVersions": [ALONE], "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "sums"}}});
    let mut script =
        script([says(1, &about), says(2, &json!({"tools": [{"name": "add"}]})), says(3, &json!({"content": []}))]);
    let (mut client, about) = done(Client::meet(&mut script)).expect("it speaks");
    assert_eq!((about.name.as_str(), client.version()), ("sums", ALONE));
    assert_eq!(done(client.tools()).expect("a list").len(), 1);
    done(client.call("add", json!({"a": 1}))).expect("an answer");
    assert_eq!(script.methods(), ["server/discover", "tools/list", "tools/call"]);
    assert_eq!((script.header(2, "mcp-method"), script.header(2, "mcp-name")), (Some("tools/call"), Some("add")));
    let body: Value = serde_json::from_slice(&script.posted[2].body).expect("JSON");
    assert_eq!(
        body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"],
        script.header(2, "mcp-protocol-version").expect("one")
    );
}

#[test]
fn an_older_server_is_met_by_a_handshake_and_asked_in_its_session() {
    for older in [status(400), status(404), says(9, &json!({}))] {
        let mut script = script([older].into_iter().chain(welcome(2, "s-1")).chain([says(3, &json!({"tools": []}))]));
        let (mut client, about) = done(Client::meet(&mut script)).expect("it speaks");
        assert_eq!((about.instructions.as_str(), client.version()), ("Add.", "2025-06-18"));
        done(client.tools()).expect("a list");
        assert_eq!(script.methods(), ["server/discover", "initialize", "notifications/initialized", "tools/list"]);
        assert_eq!((script.header(1, "mcp-session-id"), script.header(1, "mcp-protocol-version")), (None, None));
        for at in [2, 3] {
            assert_eq!(script.header(at, "mcp-session-id"), Some("s-1"));
            assert_eq!(script.header(at, "mcp-protocol-version"), Some("2025-06-18"));
            assert_eq!(script.header(at, "mcp-method"), None);
        }
    }
    for other in [401, 403, 429, 302, 500] {
        let mut script = script([status(other)]);
        assert!(done(Client::meet(&mut script)).is_err_and(|told| told.contains(&format!("status {other}"))));
        assert_eq!(script.posted.len(), 1, "nothing is tried twice");
    }
}

#[test]
fn a_session_that_the_server_forgot_begins_anew_once() {
    let answer = says(5, &json!({"content": []}));
    let replies = welcome(1, "s-1")
        .into_iter()
        .chain([status(404)])
        .chain(welcome(3, "s-2"))
        .chain([says(4, &json!({"content": []}))]);
    let mut once = script(replies);
    let mut client = done(Client::speaking(&mut once, "2025-11-25")).expect("it speaks");
    done(client.call("add", json!({}))).expect("an answer");
    assert_eq!((once.posted.len(), once.header(3, "mcp-session-id")), (6, None));
    assert_eq!((once.header(2, "mcp-session-id"), once.header(5, "mcp-session-id")), (Some("s-1"), Some("s-2")));
    let replies =
        welcome(1, "s-1").into_iter().chain([status(404)]).chain(welcome(3, "s-2")).chain([status(404), answer]);
    let mut twice = script(replies);
    let mut client = done(Client::speaking(&mut twice, "2025-11-25")).expect("it speaks");
    assert!(done(client.call("add", json!({}))).is_err_and(|told| told.contains("404")));
}

#[test]
fn what_a_server_may_not_say_of_itself_is_refused() {
    let mut other = script([says(1, &json!({"protocolVersion": "1999-01-01"}))]);
    assert!(done(Client::speaking(&mut other, "2025-06-18")).is_err_and(|told| told.contains("`1999-01-01`")));
    for session in ["a b", "a\n", &"a".repeat(1_025)] {
        let mut script = script(welcome(1, session));
        assert!(
            done(Client::speaking(&mut script, "2025-06-18")).is_err_and(|told| told.contains("session")),
            "{session}"
        );
    }
    let mut none = script([]);
    assert!(done(Client::speaking(&mut none, "2024-11-05")).is_err());
    assert!(none.posted.is_empty());
}

#[test]
fn a_list_has_pages_and_an_end() {
    let page = |id: u64| says(id, &json!({"tools": [{"name": "a"}], "nextCursor": "more"}));
    let mut two = script([page(1), says(2, &json!({"tools": [{"name": "b"}]}))]);
    let mut client = done(Client::speaking(&mut two, ALONE)).expect("it speaks");
    assert_eq!(done(client.tools()).expect("a list").len(), 2);
    let body: Value = serde_json::from_slice(&two.posted[1].body).expect("JSON");
    assert_eq!(body["params"]["cursor"], "more");
    let mut endless = script((1..100).map(page));
    let mut client = done(Client::speaking(&mut endless, ALONE)).expect("it speaks");
    assert!(done(client.tools()).is_err_and(|told| told.contains("pages")));
    let many = vec![json!({"name": "a"}); TOOLS_MAX + 1];
    let mut many = script([says(1, &json!({"tools": many}))]);
    let mut client = done(Client::speaking(&mut many, ALONE)).expect("it speaks");
    assert!(done(client.tools()).is_err_and(|told| told.contains("tools")));
}
