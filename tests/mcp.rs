//! Servers of the Model Context Protocol as packages: the reference implementation in both of its manners, from `agentry new` to a run; and servers
//! that say anything else.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::installing::Market;
use crate::stage::{Ended, Stage, agentry, begin, end, guest, repository, skip};
use crate::tools::{call, error, text};
use crate::web::{Asked, Site, say};

/// What servers want to hear.
const KEY: &str = "open-sesame-42";

/// A crate's first build compiles all that it depends on, and perhaps std.
const BUILD_PATIENCE: Duration = Duration::from_secs(600);

/// The reference implementation, by its major version: it ends with this.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts one; none, said aloud, where this machine has no such Python.
    fn start(test: &str, version: u8, port: u16, how: &[&str]) -> Option<Self> {
        let variable = format!("AGENTRY_MCP{version}_PYTHON");
        let Some(python) = std::env::var_os(&variable) else {
            skip(test, &format!("{variable} names no Python with `mcp` {version}"));
            return None;
        };
        let mut command = Command::new(python);
        command.arg(repository("tests/mcp_server.py")).args([&port.to_string(), KEY]).args(how);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("Python starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says its port");
        Some(Self { child, port: line.trim().parse().expect("a port") })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }
}

/// The secret `sums`, for whatever listens on this port, in a home beside.
fn keep_secret(stage: &Stage, home: &str, port: u16) {
    let line = format!("[secrets.sums]\nvalue = {{ env = \"SUMS_KEY\" }}\nonly_to = [\"http://127.0.0.1:{port}\"]\n");
    stage.write(&format!("{home}/agentry.toml"), &format!("format = 1\n{line}"));
}

/// The rights to call a server on this port.
fn rights(port: u16) -> String {
    let to = format!("http://127.0.0.1:{port}");
    format!(
        "http = [{{ to = \"{to}\", methods = [\"POST\"], private = true }}]\n\
         secrets = [{{ handle = \"sums\", only_to = \"{to}\" }}]\n"
    )
}

/// `agentry new NAME --mcp URL`, in the stage's place, with its home.
fn new(stage: &Stage, name: &str, url: &str, more: &[&str]) -> Ended {
    let mut new = stage.agentry("new");
    new.args([name, "--mcp", url]).args(more).current_dir(stage.path("")).env("SUMS_KEY", KEY);
    end(&mut new)
}

const INSIDE: [&str; 4] = ["--network", "127.0.0.1", "--secret", "sums"];

/// The guest calls a tool of these pinned ones.
fn asks(stage: &Stage, pinned: &str, wanted: &Value) -> Ended {
    let input = json!({"pinned": pinned, "call": wanted, "secret": "sums"});
    let ended = end(stage.run(&guest("mcp"), &input).env("SUMS_KEY", KEY));
    stage.replays();
    ended
}

/// Why the run failed.
fn failure(ended: Ended) -> String {
    assert_ne!(ended.code, 0, "{}", ended.stdout);
    let report = ended.json();
    report.to_string()
}

#[test]
fn each_manner_of_the_protocol_is_spoken_as_the_server_speaks_it() {
    let kinds: [(u8, &[&str], &str); 6] = [
        (1, &[], "2025-11-25"),
        (1, &["json"], "2025-11-25"),
        (1, &["stateless"], "2025-11-25"),
        (1, &["json", "stateless"], "2025-11-25"),
        (2, &[], "2026-07-28"),
        (2, &["json"], "2026-07-28"),
    ];
    for (version, how, protocol) in kinds {
        let test = "each_manner_of_the_protocol_is_spoken_as_the_server_speaks_it";
        let Some(server) = Server::start(test, version, 0, how) else { return };
        let stage = Stage::new();
        keep_secret(&stage, "home", server.port);
        stage.grant("mcp", &rights(server.port));
        new(&stage, "sums", &server.url(), &INSIDE).with(0);
        let pinned = fs::read_to_string(stage.path("sums/tools.json")).expect("they are pinned");
        let read: Value = serde_json::from_str(&pinned).expect("JSON");
        assert_eq!((&read["protocol"], &read["url"]), (&json!(protocol), &json!(server.url())), "{version} {how:?}");
        let told = |wanted: Value| asks(&stage, &pinned, &wanted).with(0).json()["output"].clone();
        assert_eq!(told(json!({"add": {"a": 19, "b": 23}})), json!({"text": "42", "structured": {"result": 42}}));
        let greeted = told(json!({"greet": {"person": {"name": "Ada", "friends": [{"name": "Emmy"}]}}}));
        assert_eq!(greeted["structured"]["result"], "Hello Ada and Emmy");
        assert_eq!(told(json!({"slow": {"steps": 3}}))["text"], "there", "{version} {how:?}");
        assert!(failure(asks(&stage, &pinned, &json!({"fail": {}}))).contains("the tool failed: "));
        assert!(failure(asks(&stage, &pinned, &json!({"sub": {}}))).contains("no tool here is called `sub`"));
        // Whoever does not say who they are is asked.
        let input = json!({"pinned": pinned, "call": {"fail": {}}});
        let nobody = end(&mut stage.run(&guest("mcp"), &input));
        assert!(failure(nobody).contains("wants to know who asks"));
    }
}

#[test]
fn the_tools_of_an_mcp_server_are_a_package() {
    let test = "the_tools_of_an_mcp_server_are_a_package";
    let Some(server) = Server::start(test, 1, 0, &[]) else { return };
    let market = Market::new();
    let stage = &market.stage;
    keep_secret(stage, "home", server.port);
    let made = new(stage, "sums", &server.url(), &INSIDE).with(0);
    assert!(made.stdout.contains("its tools are add, greet, slow, fail"), "{}", made.stdout);
    let manifest = fs::read_to_string(stage.path("sums/agent.toml")).expect("a manifest");
    assert!(manifest.contains("Sums: Adds, and greets.") && manifest.contains("[[wants.secrets]]"), "{manifest}");
    let named = manifest.replacen("local:sums", "acme:sums", 1);
    stage.write("sums/agent.toml", &named);
    let mut build = agentry();
    let built = begin(build.arg("build").arg(".").current_dir(stage.path("sums"))).end_within(BUILD_PATIENCE);
    if built.code != 0 && (built.stderr.contains("cannot get std") || built.stderr.contains("std does not compile")) {
        return skip(test, "std for WebAssembly cannot be had here");
    }
    assert_eq!(built.code, 0, "{}", built.stderr);
    // Signed, listed, looked at, agreed to, installed: as every package.
    market.publish(&stage.path("sums/sums.wasm"));
    let origin = format!("http://127.0.0.1:{}", server.port);
    let shown = end(stage.agentry("info").arg("acme:sums")).with(0).stdout;
    assert!(shown.contains(&format!("reaches {origin} on the internet, by POST")), "{shown}");
    end(market.install("acme:sums").args(["--secret", "sums"])).with(0);
    let grant: PathBuf = stage.path("home/policies/50-sums.toml");
    let drafted = fs::read_to_string(&grant).expect("a grant");
    assert!(drafted.contains("methods = [\"POST\"]"), "{drafted}");
    let run = |input: &Value| {
        let mut run = stage.agentry("run");
        end(run.args(["sums", "--json", "--input", &input.to_string()]).env("SUMS_KEY", KEY))
    };
    let add = json!({"add": {"a": 1, "b": 2}});
    assert!(run(&add).with(3).stdout.contains("denied"), "what is inside is an admin's to give");
    fs::write(&grant, drafted.replacen("methods = [\"POST\"]", "methods = [\"POST\"]\nprivate = true", 1))
        .expect("a grant");
    assert_eq!(run(&add).with(0).json()["output"]["structured"], json!({"result": 3}));
    // What does not fit the tool's own schema begins no run.
    run(&json!({"add": {"a": 1}})).with(2).complains("missing");
    run(&json!({"add": {"a": 1, "b": 2}, "fail": {}})).with(2);
    // Another agent has it as a tool, which it describes as the server did.
    let of_tools = format!("agents = {{ call = [\"sums\"] }}\n{}", rights(server.port));
    stage.grant("tools", &of_tools);
    let mut caller =
        stage.run(&guest("tools"), &json!({"calls": [call("sums", &add), call("sums", &json!({"fail": {}}))]}));
    let output = end(caller.env("SUMS_KEY", KEY)).with(0).json()["output"].clone();
    assert_eq!(output["listed"], json!(["sums"]));
    assert!(text(&output["answers"][0]).contains("\"result\":3"), "{output}");
    assert!(error(&output["answers"][1]).contains("the tool failed"), "{output}");
    stage.replays();
    // A server that changes a tool after everybody agreed to it, and one that takes another away.
    let port = server.port;
    drop(server);
    let changed = Server::start(test, 1, port, &["changed"]).expect("it started before");
    let told = failure(run(&add));
    assert!(told.contains("`add` is not what this package was made for: its description changed"), "{told}");
    assert!(failure(run(&json!({"slow": {"steps": 1}}))).contains("`add`"), "none is called then");
    drop(changed);
    let _less = Server::start(test, 1, port, &["less"]).expect("it started before");
    assert!(failure(run(&add)).contains("`fail` is not what this package was made for: the server lists it no more"));
}

/// Pinned tools of a server that has one, at this address.
fn one_tool(url: &str, protocol: &str) -> String {
    let tool = json!({"name": "add", "description": "Adds.", "inputSchema": {"type": "object"}});
    json!({"format": 1, "url": url, "protocol": protocol, "tools": [tool]}).to_string()
}

/// What a right server of the newest version says; `answer` says what it answers to the call.
fn right_until_called(
    answer: impl Fn(&Value, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
) -> impl Fn(&Asked, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static {
    move |asked, stream| {
        let request: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        match request["method"].as_str() {
            Some("tools/list") => {
                let tool = json!({"name": "add", "description": "Adds.", "inputSchema": {"type": "object"}});
                respond(stream, &request["id"], &json!({"tools": [tool, {"name": "more"}]}))
            }
            _ => answer(&request["id"], stream),
        }
    }
}

fn respond(stream: &mut TcpStream, id: &Value, result: &Value) -> std::io::Result<()> {
    let body = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    say(stream, 200, &[("content-type", "application/json")], &body)
}

/// Why a call fails of a server that answers so.
fn told_of(answer: impl Fn(&Value, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> String {
    let site = Site::that(right_until_called(answer));
    let stage = Stage::new();
    keep_secret(&stage, "home", site.port());
    stage.grant("mcp", &rights(site.port()));
    let told = failure(asks(&stage, &one_tool(&site.url("/mcp"), "2026-07-28"), &json!({"add": {}})));
    assert_eq!(site.asked().len(), 2, "what was not understood is asked once");
    assert!(site.asked().iter().all(|asked| asked.header("authorization") == Some(&format!("Bearer {KEY}"))));
    assert!(!told.contains(KEY), "{told}");
    told
}

#[test]
fn a_server_that_answers_anything_else_is_a_failure_that_says_what() {
    const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
    let elsewhere = Site::echo();
    let leads = elsewhere.url("/mcp");
    assert!(told_of(|_, stream| say(stream, 200, &[("content-type", "text/html")], "<p>")).contains("`text/html`"));
    assert!(told_of(|_, stream| say(stream, 200, &JSON, "<p>")).contains("no JSON"));
    assert!(
        told_of(|_, stream| respond(stream, &json!(77), &json!({}))).contains("answers request 77, and 2 was asked")
    );
    assert!(told_of(|id, stream| respond(stream, id, &json!([]))).contains("no result"));
    assert!(
        told_of(|id, stream| respond(stream, id, &json!({"resultType": "input_required"}))).contains("nobody is here")
    );
    assert!(told_of(|_, stream| say(stream, 401, &[], "")).contains("who asks: status 401"));
    assert!(told_of(|_, stream| say(stream, 500, &JSON, "{}")).contains("out of order: status 500"));
    assert!(told_of(|_, stream| say(stream, 404, &[], "")).contains("status 404"));
    let says_no = |id: &Value, stream: &mut TcpStream| {
        let body = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32602, "message": format!("no {KEY}")}});
        say(stream, 200, &JSON, &body.to_string())
    };
    assert!(told_of(says_no).contains("the server says no (-32602): no "));
    let cut_off = |id: &Value, stream: &mut TcpStream| {
        let body = json!({"jsonrpc": "2.0", "id": id, "result": {}});
        say(stream, 200, &[("content-type", "text/event-stream")], &format!("data: {body}\n"))
    };
    assert!(told_of(cut_off).contains("without a response to request 2"));
    // Its secret goes to nobody else, nor does the call.
    let other = told_of(move |_, stream| say(stream, 307, &[("location", &leads)], ""));
    assert!(other.contains("asking the MCP server: denied"), "{other}");
    assert!(elsewhere.asked().is_empty());
    // A stream that has no end is as long as an answer may be.
    let endless = |_: &Value, stream: &mut TcpStream| {
        write!(stream, "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
        loop {
            stream.write_all(
                "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n".repeat(1_000).as_bytes(),
            )?;
        }
    };
    assert!(told_of(endless).contains("more than 4194304 bytes"));
}

/// A server with sessions, which forgets so many of them.
fn forgets(times: usize) -> Site {
    let forgotten = std::sync::atomic::AtomicUsize::new(0);
    Site::that(move |asked, stream| {
        let request: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let json = ("content-type", "application/json");
        match (request["method"].as_str(), asked.header("mcp-session-id")) {
            (Some("initialize"), None) => {
                let result = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "x"}});
                let body = json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string();
                say(stream, 200, &[json, ("mcp-session-id", "s-1")], &body)
            }
            (Some("notifications/initialized"), Some(_)) => say(stream, 202, &[], ""),
            (Some("tools/list"), Some(_)) => {
                let tool = json!({"name": "add", "description": "Adds.", "inputSchema": {"type": "object"}});
                respond(stream, &request["id"], &json!({"tools": [tool]}))
            }
            (Some("tools/call"), Some(_)) => {
                if forgotten.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < times {
                    return say(stream, 404, &[], "");
                }
                respond(stream, &request["id"], &json!({"content": [{"type": "text", "text": "three"}]}))
            }
            _ => say(stream, 400, &[], ""),
        }
    })
}

#[test]
fn a_session_that_a_server_forgets_is_begun_anew_once_and_a_call_is_its_own() {
    for (times, is_answered) in [(0, true), (1, true), (2, false)] {
        let site = forgets(times);
        let stage = Stage::new();
        keep_secret(&stage, "home", site.port());
        stage.grant("mcp", &rights(site.port()));
        let ended = asks(&stage, &one_tool(&site.url("/mcp"), "2025-11-25"), &json!({"add": {}}));
        assert_eq!(ended.code == 0, is_answered, "{times}: {}", ended.stdout);
        let calls = site.asked().iter().filter(|asked| asked.body.contains("tools/call")).count();
        assert_eq!(calls, (times + 1).min(2));
    }
}

#[test]
fn whoever_makes_a_package_of_a_server_asks_only_what_may_be_asked_and_writes_nothing_else() {
    let listed = json!({"tools": [
        {"name": "add", "description": "''' \"\"\" {{input}}\u{202e}", "inputSchema": {"type": "object"}},
        {"name": "sub", "inputSchema": {"type": "object"}},
        {"name": "a b", "inputSchema": {"type": "object"}},
        {"name": "big", "inputSchema": {"type": "object", "title": "x", "enum": ["y".repeat(40_000)]}},
    ]});
    let site = Site::that(move |asked, stream| {
        let request: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        match (asked.path(), request["method"].as_str()) {
            ("/elsewhere", _) => say(stream, 302, &[("location", "http://127.0.0.1:1/mcp")], ""),
            ("/page", _) => say(stream, 200, &[("content-type", "text/html")], "<p>"),
            ("/key", _) => say(stream, 401, &[], ""),
            (_, Some("tools/list")) => respond(stream, &request["id"], &listed),
            _ => respond(
                stream,
                &request["id"],
                &json!({"serverInfo": {"name": "''' {{origin}}"}, "protocolVersion": "x"}),
            ),
        }
    });
    let stage = Stage::new();
    let inside = ["--network", "127.0.0.1"];
    let url = site.url("/mcp");
    for (url, more, code, says) in [
        (url.as_str(), &[][..], 2, "is not asked without TLS"),
        (&url, &["--network", "10.0.0.0/8"], 3, "which is loopback"),
        (&format!("{url}?key=1"), &inside, 2, "has a query"),
        ("mcp", &inside, 2, "is no address"),
        (&url, &["--network", "127.0.0.1", "--secret", "sums"], 2, "there is no secret `sums`"),
        (&url, &inside, 2, "has no name"),
        (&url, &["--network", "127.0.0.1", "--tool", "ad"], 2, "no tool `ad`"),
        (&url, &["--network", "127.0.0.1", "--tool", "big"], 2, "bytes of schemas"),
        (&site.url("/elsewhere"), &inside, 5, "leads elsewhere"),
        (&site.url("/page"), &inside, 5, "`text/html`"),
        (&site.url("/key"), &inside, 5, "who asks"),
        ("http://127.0.0.1:1/mcp", &inside, 5, "cannot ask"),
    ] {
        new(&stage, "sums", url, more).with(code).complains(says);
        assert!(!stage.path("sums").exists(), "{url} {more:?}");
    }
    end(stage.agentry("new").arg("sums").current_dir(stage.path(""))).with(2).complains("a crate needs no home");
    assert_eq!(end(agentry().args(["new", "sums", "--tool", "add"]).current_dir(stage.path(""))).with(2).code, 2);
    stage.write("taken/notes.txt", "mine");
    let before = site.asked().len();
    new(&stage, "taken", &url, &inside).with(2).complains("is there already");
    assert_eq!(site.asked().len(), before, "nobody is asked for what could not be written");
    let made = new(&stage, "sums", &url, &["--network", "127.0.0.1", "--tool", "add", "--tool", "sub"]).with(0);
    assert!(made.stdout.contains("its tools are add, sub"), "{}", made.stdout);
    let grant = fs::read_to_string(stage.path("sums/policies/50-sums.toml")).expect("a draft");
    assert!(grant.contains("methods = [\"POST\"]") && !grant.contains('\u{202e}'), "{grant}");
}
