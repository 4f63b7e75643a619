//! Agents that start by themselves while a host serves: what starts them, what their runs are given and carry, and what is too much.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::serve::serve;
use crate::stage::{Stage, end, example, guest};

/// A home in which `echo` is started by this.
fn stage(start: &str) -> Stage {
    let stage = Stage::new();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"echo\"\n");
    agents(&stage, start, "");
    stage
}

fn agents(stage: &Stage, start: &str, more: &str) {
    let echo = guest("echo").canonicalize().expect("it is built");
    let text = format!("format = 1\n[agents.echo]\ncomponent = {echo:?}\nstart = [{start}]\n{more}");
    stage.write("home/agents.toml", &text);
}

/// The runs of `echo`, oldest first, once there are so many that are over.
fn runs(stage: &Stage, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let all = end(stage.agentry("ps").args(["--limit", "1000", "--json"])).with(0).json();
        let mut runs: Vec<_> =
            all.as_array().expect("a list").iter().filter(|run| run["agent"] == "echo").cloned().collect();
        if runs.len() >= count && runs.iter().all(|run| run["status"] == "done") {
            assert_eq!(runs.len(), count, "{all}");
            runs.reverse();
            return runs;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "not {count} runs: {all}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn output(stage: &Stage, run: &Value) -> Value {
    let run = run["run"].as_str().expect("an id");
    end(stage.agentry("wait").args([run, "--json"])).with(0).json()["output"].clone()
}

/// A port of this machine that nobody listens at.
fn port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are ports");
    listener.local_addr().expect("it has an address").port()
}

/// What a webhook says: the status of its answer.
fn ask(port: u16, method: &str, path: &str, headers: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let json = if headers.contains("content-type") { "" } else { "content-type: application/json\r\n" };
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{json}{headers}\r\n");
    // What is too long may not all be taken.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

#[test]
fn a_request_starts_a_run_on_its_body_that_carries_whose_words_it_has() {
    let stage = stage(
        "{ webhook = \"/open\" }, { webhook = \"/closed\", secret = { env = \"AGENTRY_TEST_HOOK\" }, labels = [] }",
    );
    let port = port();
    let listen = format!("[webhooks]\nlisten = \"127.0.0.1:{port}\"\n");
    agents(
        &stage,
        "{ webhook = \"/open\" }, { webhook = \"/closed\", secret = { env = \"AGENTRY_TEST_HOOK\" }, labels = [] }",
        &listen,
    );
    let server = serve(stage.agentry("serve").env("AGENTRY_TEST_HOOK", "open-sesame"));
    assert_eq!(ask(port, "POST", "/open", "", "{\"n\": 1}"), 202);
    let first = runs(&stage, 1).remove(0);
    assert_eq!((&first["trigger"], &first["labels"]), (&json!("webhook /open"), &json!(["untrusted"])), "{first}");
    assert_eq!(output(&stage, &first), json!({"n": 1}));
    let trace = end(stage.agentry("trace").arg(first["run"].as_str().expect("an id"))).with(0).stdout;
    assert!(trace.contains("started by webhook /open"), "{trace}");
    for wrong in
        ["", "x-agentry-secret: guess\r\n", "authorization: Bearer open-sesam\r\n", "authorization: open-sesame\r\n"]
    {
        assert_eq!(ask(port, "POST", "/closed", wrong, "{}"), 401, "{wrong}");
    }
    assert_eq!(ask(port, "POST", "/closed", "authorization: Bearer open-sesame\r\n", "[2]"), 202);
    assert_eq!(ask(port, "POST", "/closed", "x-agentry-secret: open-sesame\r\n", "[2]"), 202);
    let all = runs(&stage, 3);
    assert!(all[1..].iter().all(|run| run["labels"] == json!([]) && output(&stage, run) == json!([2])), "{all:?}");
    let said = server.stop();
    assert!(!said.contains("open-sesame"), "{said}");
    stage.replays();
}

#[test]
fn a_request_that_makes_no_sense_or_comes_too_often_starts_nothing() {
    let stage = stage("");
    let port = port();
    agents(&stage, "{ webhook = \"/hook\", per_minute = 1 }", &format!("[webhooks]\nlisten = \"127.0.0.1:{port}\"\n"));
    let server = serve(&mut stage.agentry("serve"));
    assert_eq!(ask(port, "POST", "/other", "", "{}"), 404);
    assert_eq!(ask(port, "GET", "/hook", "", ""), 405);
    assert_eq!(ask(port, "POST", "/hook", "", "{"), 400);
    assert_eq!(ask(port, "POST", "/hook", "", &"x".repeat((1 << 20) + 1)), 413);
    assert_eq!(ask(port, "POST", "/hook", "", "{\"a\": 1, \"a\": 2}"), 400);
    assert_eq!(ask(port, "POST", "/hook", "", "[18446744073709551616]"), 400);
    // What a page in a browser can send by itself.
    for page in ["content-type: text/plain\r\n", "origin: https://evil.example\r\n"] {
        assert_eq!(ask(port, "POST", "/hook", page, "{}"), 403, "{page}");
    }
    assert!(runs(&stage, 0).is_empty());
    // Whoever hangs takes nothing from the others.
    let _hangs: Vec<_> =
        (0..100).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it is let in")).collect();
    let told: Vec<_> = (0..20).map(|_| ask(port, "POST", "/hook", "", "{}")).collect();
    assert!(told[0] == 202 && told[19] == 429, "{told:?}");
    assert_eq!(runs(&stage, 1)[0]["trigger"], "webhook /hook");
    // Another host finds the place taken.
    let other = Stage::new();
    other.policy("format = 1\nlayer = \"grant\"\nagent = \"echo\"\n");
    agents(&other, "{ webhook = \"/hook\" }", &format!("[webhooks]\nlisten = \"127.0.0.1:{port}\"\n"));
    end(&mut other.agentry("serve")).with(5).complains("cannot listen for webhooks");
    server.stop();
}

#[test]
fn a_start_that_is_written_wrong_stops_the_host_with_its_line() {
    let stage = stage("{ cron = \"0 7 * *\" }");
    let ended = end(&mut stage.agentry("serve")).with(2);
    ended.complains("is no time: it has 4 fields");
    assert!(ended.stderr.contains("agents.toml:4"), "{}", ended.stderr);
    for (start, more, what) in [
        ("{ webhook = \"/a\", webhok = \"/b\" }", "", "did you mean `webhook`?"),
        ("{ webhook = \"/a\" }", "[webhooks]\nlisten = \"0.0.0.0:8421\"\n", "asks for no secret"),
        ("{ webhook = \"/a\" }", "[webhooks]\nlisten = \"here\"\n", "no address with a port"),
        ("{ memory = \"a\", labels = [\"Not one\"] }", "", "cannot be a label"),
        ("{ memory = \"a\", per_minute = 601 }", "", "out of range"),
        ("{ directory = \"inbox\", secret = { env = \"A\" } }", "", "only a request has a secret"),
    ] {
        agents(&stage, start, more);
        let ended = end(&mut stage.agentry("serve")).with(2);
        assert!(ended.stderr.contains(what), "{start}: {}", ended.stderr);
    }
    agents(&stage, "{ webhook = \"/a\", secret = { env = \"AGENTRY_TEST_NOTHING\" } }", "");
    end(&mut stage.agentry("serve")).with(5).complains("the secret of webhook /a");
}

#[test]
fn files_that_come_to_rest_in_a_root_start_one_run_and_none_again_after_a_stop() {
    let stage = stage("{ directory = \"inbox\" }");
    let inbox = stage.directory("inbox");
    let root = format!("inbox={}", inbox.display());
    fs::write(inbox.join("first.txt"), "one").expect("a file");
    let server = serve(stage.agentry("serve").args(["--root", &root]));
    let first = runs(&stage, 1).remove(0);
    assert_eq!((&first["trigger"], &first["labels"]), (&json!("directory inbox"), &json!(["untrusted"])), "{first}");
    let input = output(&stage, &first);
    assert_eq!((&input["root"], &input["files"]), (&json!("inbox"), &json!(["first.txt"])), "{input}");
    // A file that grows is not looked at.
    let mut grows = OpenOptions::new().create(true).append(true).open(inbox.join("second.txt")).expect("a file");
    for _ in 0..12 {
        writeln!(grows, "more").expect("there is room");
        thread::sleep(Duration::from_millis(150));
    }
    runs(&stage, 1);
    fs::write(inbox.join("third.txt"), "three").expect("a file");
    let second = runs(&stage, 2).remove(1);
    assert_eq!(output(&stage, &second)["files"], json!(["second.txt", "third.txt"]));
    server.stop();
    fs::write(inbox.join("first.txt"), "one, and more").expect("a file");
    let server = serve(stage.agentry("serve").args(["--root", &root]));
    let third = runs(&stage, 3).remove(2);
    assert_eq!(output(&stage, &third)["files"], json!(["first.txt"]), "it has changed while nobody looked");
    fs::write(inbox.join(OsStr::from_bytes(b"no\xffname")), "four").expect("a file");
    thread::sleep(Duration::from_millis(1500));
    runs(&stage, 3);
    let said = server.stop();
    assert!(said.contains("passes over 1 whose names are not UTF-8"), "{said}");
    // Without the root, people are told, and the host serves.
    let server = serve(&mut stage.agentry("serve"));
    thread::sleep(Duration::from_millis(500));
    let said = server.stop();
    assert!(said.contains("has no root `inbox`"), "{said}");
}

#[test]
fn a_write_to_memory_starts_a_run_that_carries_what_the_writer_did() {
    let stage = stage("{ memory = \"team/board/**\", input = { of = \"the board\" } }, { memory = \"team/*\" }");
    stage.write(
        "home/policies/50-steps.toml",
        "format = 1\nlayer = \"grant\"\nagent = \"steps\"\nmemory = { write = [\"team/**\"] }\n\
         files = [{ root = \"documents\", access = \"r\", labels = [\"secret\"] }]\n",
    );
    agents(&stage, "{ memory = \"team/board/**\" }, { memory = \"team/plan\", input = { of = \"the plan\" } }", "");
    stage.write("docs/a.txt", "hello");
    let root = format!("documents={}", stage.path("docs").display());
    let server = serve(stage.agentry("serve").args(["--root", &root]));
    let write = |steps: Value| {
        end(stage.agentry("run").arg(guest("steps")).args(["--input", &steps.to_string()])).with(0);
    };
    write(json!([["put", "team/other", "x", "1"]]));
    write(json!([["put", "team/board/today", "x", "1"], ["put", "team/board", "y", "2"]]));
    let first = runs(&stage, 1).remove(0);
    assert_eq!((&first["trigger"], &first["labels"]), (&json!("memory team/board/**"), &json!([])), "{first}");
    let entries = output(&stage, &first)["entries"].clone();
    let entry = |namespace: &str, key: &str| json!({"namespace": namespace, "key": key});
    assert_eq!(entries, json!([entry("team/board", "y"), entry("team/board/today", "x")]));
    write(json!([["read", "documents", "a.txt"], ["put", "team/plan", "z", "3"]]));
    let second = runs(&stage, 2).remove(1);
    assert_eq!((&second["trigger"], &second["labels"]), (&json!("memory team/plan"), &json!(["secret"])), "{second}");
    assert_eq!(output(&stage, &second), json!({"of": "the plan"}));
    server.stop();
    stage.replays();
}

#[test]
fn a_time_that_was_missed_counts_once_when_the_host_is_back() {
    let stage = stage("{ cron = \"* * * * *\", input = { for = \"the team\" } }");
    let minute = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs() / 60;
    let server = serve(&mut stage.agentry("serve"));
    thread::sleep(Duration::from_millis(700));
    server.stop();
    let stopped = minute();
    let before = end(stage.agentry("ps").args(["--json"])).json().as_array().map_or(0, Vec::len);
    while minute() == stopped {
        thread::sleep(Duration::from_millis(100));
    }
    let back = minute();
    let server = serve(&mut stage.agentry("serve"));
    let run = runs(&stage, before + 1).pop().expect("it was missed");
    assert_eq!((&run["trigger"], &run["labels"]), (&json!("cron * * * * *"), &json!([])), "{run}");
    assert_eq!(output(&stage, &run), json!({"for": "the team"}));
    thread::sleep(Duration::from_millis(1200));
    if minute() == back {
        runs(&stage, before + 1);
    }
    server.stop();
}

#[test]
fn what_an_agent_does_not_take_is_refused_at_the_door_or_waits_for_a_person_and_is_in_nobodys_way() {
    let stage = Stage::new();
    stage.grant("errand", "");
    let (port, inbox) = (port(), stage.directory("inbox"));
    let errand = example("errand").canonicalize().expect("it is built");
    let agents = format!(
        "format = 1\n[agents.errand]\ncomponent = {errand:?}\n\
         start = [{{ webhook = \"/hook\" }}, {{ directory = \"inbox\" }}]\n\
         [webhooks]\nlisten = \"127.0.0.1:{port}\"\n"
    );
    stage.write("home/agents.toml", &agents);
    let root = format!("inbox={}", inbox.display());
    let server = serve(stage.agentry("serve").args(["--root", &root]));
    let done = |count: usize| {
        let begun = Instant::now();
        while end(stage.agentry("ps").args(["--json", "--status", "done"])).json().as_array().map(Vec::len)
            != Some(count)
        {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", end(&mut stage.agentry("ps")).stdout);
            thread::sleep(Duration::from_millis(100));
        }
    };
    let listed = end(&mut stage.agentry("triggers list"));
    let told = format!("{}{}", listed.stdout, listed.stderr);
    assert!(told.contains("does not take what this trigger gives it"), "{told}");
    assert_eq!(ask(port, "POST", "/hook", "", "{\"q\": 1}"), 422);
    assert_eq!(ask(port, "POST", "/hook", "", "[]"), 202);
    done(1);
    fs::write(inbox.join("a"), "").expect("a file");
    let begun = Instant::now();
    let cause = loop {
        let causes = end(stage.agentry("triggers").arg("--json")).with(0).json();
        if let Some(cause) = causes.as_array().expect("a list").iter().find(|cause| !cause["dead"].is_null()) {
            break cause.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{causes}");
        thread::sleep(Duration::from_millis(100));
    };
    assert!(cause["tries"] == 1 && cause["dead"].as_str().is_some_and(|why| why.contains("does not take")), "{cause}");
    let shown = end(&mut stage.agentry("triggers")).with(0).stdout;
    assert!(shown.contains("waits for a person") && !shown.contains("\\n"), "{shown}");
    assert_eq!(ask(port, "POST", "/hook", "", "[]"), 202);
    done(2);
    let said = server.stop();
    assert!(said.contains("errand directory inbox did not start, and waits for a person"), "{said}");
}

#[test]
fn what_cannot_start_is_told_and_the_host_goes_on() {
    let stage = Stage::new();
    let inbox = stage.directory("inbox");
    fs::write(inbox.join("a"), "").expect("a file");
    stage.write("home/agents.toml", "format = 1\n[agents.nobody]\nstart = [{ directory = \"inbox\" }]\n");
    let root = format!("inbox={}", inbox.display());
    let server = serve(stage.agentry("serve").args(["--root", &root]));
    thread::sleep(Duration::from_secs(4));
    // It is remembered, and tried again.
    let causes = end(stage.agentry("triggers").arg("--json")).with(0).json();
    assert_eq!(
        (&causes[0]["trigger"], &causes[0]["dead"]),
        (&json!("nobody directory inbox"), &Value::Null),
        "{causes}"
    );
    let shown = end(&mut stage.agentry("triggers")).with(0).stdout;
    assert!(shown.contains("nobody directory inbox") && shown.contains("is tried again  cannot read"), "{shown}");
    end(stage.agentry("triggers requeue").arg("00000000-0")).with(2).complains("no cause is called");
    end(&mut stage.agentry("triggers requeue")).with(2);
    // One that is still tried is told as that, and can be thrown away while its host goes on.
    let id = causes[0]["cause"].as_str().expect("an id");
    let told = end(stage.agentry("triggers requeue").arg(id)).with(2);
    told.complains("does not wait for a person");
    assert!(told.stderr.contains(&format!("agentry triggers drop {id}")), "{}", told.stderr);
    end(stage.agentry("triggers drop").arg("00000000-0")).with(2).complains("no cause is called");
    end(&mut stage.agentry("triggers drop")).with(2);
    end(stage.agentry("triggers drop").arg(id)).with(0);
    thread::sleep(Duration::from_secs(2));
    assert!(end(&mut stage.agentry("triggers")).with(0).stderr.contains("no trigger has anything to do"));
    let said = server.stop();
    assert!(said.contains("nobody directory inbox did not start: cannot read"), "{said}");
}

#[test]
fn a_file_whose_run_was_denied_has_it_when_the_grant_is_there_and_one_alone_over_stops_of_the_host() {
    let stage = Stage::new();
    let inbox = stage.directory("inbox");
    let component = guest("steps").canonicalize().expect("it is built");
    stage.grant("echo", "");
    let agents = format!(
        "format = 1\n[agents.steps]\ncomponent = {component:?}\n\
         start = [{{ directory = \"inbox\", input = [[\"sleep\", \"6000\"]], per_minute = 600 }}]\n"
    );
    stage.write("home/agents.toml", &agents);
    let root = format!("inbox={}", inbox.display());
    let serving = || serve(stage.agentry("serve").args(["--drain", "0s", "--root", &root]));
    let begun = |count: usize| {
        let begun = Instant::now();
        loop {
            let all = end(stage.agentry("ps").arg("--json")).with(0).json();
            let all: Vec<_> =
                all.as_array().expect("a list").iter().filter(|run| run["status"] != "denied").cloned().collect();
            if all.len() >= count {
                return all;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{all:?}");
            thread::sleep(Duration::from_millis(100));
        }
    };
    let server = serving();
    fs::write(inbox.join("a"), "").expect("a file");
    let denied = Instant::now();
    while !end(stage.agentry("ps").arg("--json")).json().to_string().contains("denied") {
        assert!(denied.elapsed() < Duration::from_secs(60), "it is not tried");
        thread::sleep(Duration::from_millis(100));
    }
    let said = server.stop();
    assert!(said.contains("steps directory inbox did not start: "), "{said}");
    stage.grant("steps", "[budget]\nwall_run = \"100s\"\n");
    let server = serving();
    let first = begun(1).remove(0);
    server.stop();
    // The run of the first goes on in the next host, and that of the second waits for its end.
    let server = serving();
    fs::write(inbox.join("b"), "").expect("a file");
    let second = begun(2).into_iter().find(|run| run["run"] != first["run"]).expect("another one");
    let ended = end(stage.agentry("ps").arg("--json")).json();
    let ended = ended.as_array().expect("a list").iter().find(|run| run["run"] == first["run"]).cloned();
    assert_eq!(ended.expect("it is there")["status"], "done");
    end(stage.agentry("wait").arg(second["run"].as_str().expect("an id"))).with(0);
    server.stop();
    assert_eq!(begun(2).len(), 2, "a run for each file");
    stage.replays();
}

#[test]
fn a_letter_starts_an_agent_that_has_no_run() {
    let stage = crate::agents::home(&[
        ("steps", "agents = { send = [\"clerk\"] }\n"),
        ("clerk", "agents = { receive = [\"steps\"] }\n"),
    ]);
    let path = |name: &str| guest(name).canonicalize().expect("it is built");
    let agents = format!(
        "format = 1\n[agents.steps]\ncomponent = {:?}\n[agents.clerk]\ncomponent = {:?}\n\
         start = [{{ letter = true, input = [[\"receive\", \"0\"]] }}]\n",
        path("steps"),
        path("clerk"),
    );
    stage.write("home/agents.toml", &agents);
    let server = serve(&mut stage.agentry("serve"));
    let steps = json!([["send", "clerk", "lunch", "1"], ["send", "clerk", "tea", "2"]]).to_string();
    end(stage.agentry("run").arg(guest("steps")).args(["--input", &steps])).with(0);
    let begun = Instant::now();
    let taken: Vec<Value> = loop {
        let all = end(stage.agentry("ps").arg("--json")).with(0).json();
        let clerks: Vec<_> =
            all.as_array().expect("a list").iter().filter(|run| run["agent"] == "clerk").cloned().collect();
        if clerks.len() >= 2 && clerks.iter().all(|run| run["status"] == "done") {
            assert!(clerks.iter().all(|run| run["trigger"] == "letter"), "{all}");
            break clerks.iter().rev().map(|run| output(&stage, run)).collect();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody reads the letters: {all}");
        thread::sleep(Duration::from_millis(100));
    };
    assert!(taken[0][0].as_str().is_some_and(|letter| letter.contains(" steps \"lunch\"")), "{taken:?}");
    assert!(taken[1][0].as_str().is_some_and(|letter| letter.contains(" steps \"tea\"")), "{taken:?}");
    thread::sleep(Duration::from_millis(1200));
    let clerks = end(stage.agentry("ps").arg("--json")).json();
    assert_eq!(clerks.as_array().expect("a list").iter().filter(|run| run["agent"] == "clerk").count(), 2);
    server.stop();
}
