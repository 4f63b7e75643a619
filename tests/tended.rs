//! Triggers and their agents while a host serves: lists that change, people who hold one, times in zones.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::serve::{self, serve};
use crate::stage::{Stage, end, guest};
use crate::watch::{page, port, status, until};

/// A list of agents in which `echo` is started by this.
fn agents(stage: &Stage, start: &str, more: &str) {
    let echo = guest("echo").canonicalize().expect("it is built");
    stage.write(
        "home/agents.toml",
        &format!("format = 1\n[agents.echo]\ncomponent = {echo:?}\nstart = [{start}]\n{more}"),
    );
}

fn triggers(stage: &Stage) -> Vec<Value> {
    end(stage.agentry("triggers list").arg("--json")).with(0).json().as_array().expect("a list").clone()
}

/// How many runs of `echo` have ended.
fn ended(stage: &Stage) -> usize {
    let runs = end(stage.agentry("ps").args(["--agent", "echo", "--status", "done", "--limit", "1000", "--json"]));
    runs.with(0).json().as_array().map_or(0, Vec::len)
}

#[test]
fn agents_and_their_triggers_change_while_a_host_serves_and_a_mistake_changes_nothing() {
    let stage = Stage::new();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"echo\"\n");
    let (first, second) = (port(), port());
    let listen = |port: u16| format!("[webhooks]\nlisten = \"127.0.0.1:{port}\"\n");
    let post = |port: u16, path: &str| {
        page(port, "POST", path, "content-type: application/json\r\ncontent-length: 1\r\n\r\n1").0
    };
    let server = serve(&mut stage.agentry("serve"));
    assert!(triggers(&stage).is_empty());
    agents(&stage, "{ webhook = \"/one\" }", &listen(first));
    until("a new agent", || triggers(&stage).len() == 1);
    until("a door", || TcpStream::connect((Ipv4Addr::LOCALHOST, first)).is_ok());
    assert_eq!((post(first, "/one"), post(first, "/two")), (202, 404));
    // A mistake, and an address that is taken: the old ones stay, and status says so.
    for (start, port) in [
        ("{ webhook = 3 }", first),
        ("{ webhook = \"/two\" }", TAKEN.with(|taken| taken.local_addr().expect("an address").port())),
    ] {
        agents(&stage, start, &listen(port));
        until("an alarm", || !status(&stage)["host"]["alarms"]["agents"].is_null());
        assert_eq!((triggers(&stage)[0]["starts"].clone(), post(first, "/one")), (json!("webhook /one"), 202));
        agents(&stage, "{ webhook = \"/one\" }", &listen(first));
        until("no alarm", || status(&stage)["host"]["alarms"]["agents"].is_null());
    }
    // Another address, another path, and one that goes on.
    agents(&stage, "{ webhook = \"/one\" }, { webhook = \"/two\" }", &listen(second));
    until("another door", || TcpStream::connect((Ipv4Addr::LOCALHOST, second)).is_ok());
    until("the old one is shut", || TcpStream::connect((Ipv4Addr::LOCALHOST, first)).is_err());
    assert_eq!((post(second, "/one"), post(second, "/two")), (202, 202));
    until("all runs", || ended(&stage) == 5);
    fs::remove_file(stage.path("home/agents.toml")).expect("it is there");
    until("nobody", || triggers(&stage).is_empty() && TcpStream::connect((Ipv4Addr::LOCALHOST, second)).is_err());
    let said = server.stop();
    assert!(said.contains("agents.toml cannot be used") && said.contains("agents.toml is read anew"), "{said}");
}

thread_local! {
    /// An address at which somebody listens already.
    static TAKEN: TcpListener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are ports");
}

#[test]
fn a_run_of_a_trigger_that_is_replaced_comes_to_its_end_and_is_begun_once() {
    let stage = serve::stage();
    let inbox = stage.directory("inbox");
    let steps = guest("steps").canonicalize().expect("it is built");
    let list = |per_minute: u32| {
        let text = format!(
            "format = 1\n[agents.steps]\ncomponent = {steps:?}\nstart = [{{ directory = \"inbox\", input = [[\"sleep\", \"3000\"]], per_minute = {per_minute} }}]\n"
        );
        stage.write("home/agents.toml", &text);
    };
    list(600);
    fs::write(inbox.join("a"), "").expect("a file");
    let server = serve(stage.agentry("serve").args(["--root", &format!("inbox={}", inbox.display())]));
    let runs = || end(stage.agentry("ps").args(["--agent", "steps", "--json"])).with(0).json();
    until("a run", || runs()[0]["live"]["waits_for"] == "sleep");
    // Twice while it goes on.
    list(599);
    thread::sleep(Duration::from_millis(500));
    list(598);
    until("its end", || runs()[0]["status"] == "done");
    fs::write(inbox.join("b"), "").expect("a file");
    until("the next one", || runs().as_array().expect("a list").len() == 2);
    until("its end", || runs()[0]["status"] == "done");
    thread::sleep(Duration::from_secs(1));
    assert_eq!(runs().as_array().expect("a list").len(), 2, "{}", runs());
    server.stop();
}

#[test]
fn a_trigger_that_a_person_holds_starts_nothing_until_it_is_let_go_whichever_host_serves() {
    let stage = Stage::new();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"echo\"\n");
    let port = port();
    let inbox = stage.directory("inbox");
    let root = format!("inbox={}", inbox.display());
    let start = "{ webhook = \"/hook\" }, { directory = \"inbox\" }, { cron = \"0 7 * * MON-FRI\", timezone = \"Europe/Berlin\" }";
    agents(&stage, start, &format!("[webhooks]\nlisten = \"127.0.0.1:{port}\"\n"));
    // Where no host runs, too.
    let all = triggers(&stage);
    assert_eq!(all.len(), 3);
    assert!(all[2]["next_ms"].is_u64() && all[2]["starts"] == "cron 0 7 * * MON-FRI Europe/Berlin", "{all:?}");
    let id = |place: usize| all[place]["id"].as_str().expect("an id").to_owned();
    end(stage.agentry("triggers pause").args(["echo", "--because", "it asks too much"])).with(0);
    end(stage.agentry("triggers pause").arg("nobody")).with(2).complains("no trigger and no agent");
    end(stage.agentry("triggers run-now").arg("echo")).with(2).complains("has several triggers");
    end(stage.agentry("triggers run-now").arg(id(1))).with(2).complains("a person holds");
    fs::write(inbox.join("a"), "").expect("a file");
    let server = serve(stage.agentry("serve").args(["--root", &root]));
    let post = || page(port, "POST", "/hook", "content-type: application/json\r\ncontent-length: 1\r\n\r\n1").0;
    assert_eq!(post(), 503);
    thread::sleep(Duration::from_secs(3));
    assert_eq!(ended(&stage), 0);
    assert!(triggers(&stage).iter().all(|look| look["paused"]["because"] == "it asks too much"));
    let shown = end(&mut stage.agentry("triggers list")).with(0).stdout;
    assert!(shown.contains("held since") && shown.contains("it asks too much"), "{shown}");
    server.kill();
    let server = serve(stage.agentry("serve").args(["--root", &root]));
    assert_eq!(post(), 503, "the next host knows");
    end(stage.agentry("triggers resume").arg(&id(0)[..4])).with(0);
    assert_eq!(post(), 202);
    until("the run of a request", || ended(&stage) == 1);
    end(stage.agentry("triggers resume").arg("echo")).with(0);
    until("the run of a file that waited", || ended(&stage) == 2);
    end(stage.agentry("triggers run-now").arg(id(0))).with(2).complains("starts nothing without an input");
    end(stage.agentry("triggers run-now").args([&id(0), "--input", "{"])).with(2).complains("is no JSON");
    end(stage.agentry("triggers run-now").args([&id(2), "--input", "[7]"])).with(0);
    until("a run at once", || ended(&stage) == 3);
    let newest = end(stage.agentry("ps").args(["--limit", "1", "--json"])).json();
    assert_eq!(newest[0]["trigger"], "cron 0 7 * * MON-FRI Europe/Berlin");
    end(stage.agentry("triggers resume").arg("nobody")).with(2);
    server.stop();
    // What is started where no host runs begins with the next one.
    end(stage.agentry("triggers run-now").arg(id(2))).with(0);
    let server = serve(stage.agentry("serve").args(["--root", &root]));
    until("a run", || ended(&stage) == 4);
    server.stop();
    end(&mut Stage::new().agentry("triggers list")).with(0);
    stage.replays();
}

#[test]
fn times_of_a_zone_are_read_with_what_becomes_of_those_that_are_missed_and_mistakes_have_their_line() {
    let stage = Stage::new();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"echo\"\n");
    for (start, what) in [
        ("{ cron = \"0 7 * * *\", timezone = \"Europe/Atlantis\" }", "no zone of time `Europe/Atlantis`"),
        ("{ cron = \"0 7 * * *\", jitter = \"2h\" }", "no time of at most an hour"),
        ("{ cron = \"0 7 * * *\", missed = \"all\" }", "unknown word `all`"),
        ("{ cron = \"0 7 * * *\", overlap = \"kill\" }", "unknown word `kill`"),
        ("{ letter = true, timezone = \"Europe/Berlin\" }", "only times have `timezone`"),
        ("{ directory = \"a\", jitter = \"5m\" }", "only times have `jitter`"),
    ] {
        agents(&stage, start, "");
        let ended = end(&mut stage.agentry("serve")).with(2);
        assert!(ended.stderr.contains(what) && ended.stderr.contains("agents.toml:4"), "{start}: {}", ended.stderr);
    }
    let line = "timezone = \"Asia/Kathmandu\", jitter = \"1s\", overlap = \"skip\", input = [1]";
    agents(&stage, &format!("{{ cron = \"* * * * *\", {line}, missed = \"skip\" }}"), "");
    let server = serve(&mut stage.agentry("serve"));
    thread::sleep(Duration::from_millis(700));
    server.stop();
    let before = ended(&stage);
    let minute =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() / 60;
    let stopped = minute();
    while minute() == stopped {
        thread::sleep(Duration::from_millis(100));
    }
    // It passed while no host served, and does not count; the next one does.
    let back = minute();
    let server = serve(&mut stage.agentry("serve"));
    thread::sleep(Duration::from_secs(4));
    if minute() == back {
        assert_eq!(ended(&stage), before);
    }
    let begun = Instant::now();
    while ended(&stage) == before {
        assert!(begun.elapsed() < Duration::from_secs(90), "it does not come");
        thread::sleep(Duration::from_millis(200));
    }
    server.stop();
}
