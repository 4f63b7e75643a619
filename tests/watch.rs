//! What an operator asks of a host: how it stands, by command and by HTTP; that it reads anew what changes; that commands outlive its restart.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::serve::{self, serve};
use crate::stage::{Stage, begin, end, guest};

/// A port of this machine that nobody listens at.
fn port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are ports");
    listener.local_addr().expect("it has an address").port()
}

/// A page: its status and its text.
fn page(port: u16, method: &str, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").as_bytes()).expect("it hears");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").expect("a body").1.to_owned())
}

/// Waits until this holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not come: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn status(stage: &Stage) -> Value {
    end(stage.agentry("status").arg("--json")).json()
}

fn detach(stage: &Stage, steps: &Value) -> String {
    let begun = end(stage.agentry("run").arg("--detach").arg(guest("steps")).args(["--input", &steps.to_string()]));
    begun.with(0).stdout.trim().to_owned()
}

#[test]
fn a_host_says_how_it_stands_and_by_its_exit_code_whether_it_takes_orders() {
    let stage = serve::stage();
    let none = end(stage.agentry("status").arg("--json")).with(5).json();
    assert_eq!((&none["ready"], &none["host"]), (&json!(false), &Value::Null));
    end(stage.agentry("status").arg("--jso")).with(2);
    let server = serve(&mut stage.agentry("serve"));
    let run = detach(&stage, &json!([["sleep", "90000"]]));
    until("a run that sleeps", || status(&stage)["host"]["runs"]["waiting"]["sleep"] == 1);
    let well = end(stage.agentry("status").arg("--json")).with(0).json();
    let host = &well["host"];
    assert_eq!((&well["ready"], &host["serves"], &host["process"]), (&json!(true), &json!(true), &json!(server.pid())));
    assert_eq!((&host["agents"][0]["agent"], &host["agents"][0]["runs"]), (&json!("steps"), &json!(1)));
    assert!(host["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{host}");
    let shown = end(&mut stage.agentry("status")).with(0).stdout;
    assert!(shown.contains("ready") && shown.contains("1 waiting for sleep"), "{shown}");
    end(stage.agentry("kill").arg(&run)).with(0);
    until("its end", || status(&stage)["host"]["since_open"]["ended"]["stopped"] == 1);
    end(stage.agentry("policy lock").args(["--because", "it leaks"])).with(0);
    let locked = end(&mut stage.agentry("status")).with(5).stdout;
    assert!(locked.contains("its home is locked") && locked.contains("it leaks"), "{locked}");
    server.stop();
    assert!(end(&mut stage.agentry("status")).with(5).stdout.contains("no host runs in"));
}

#[test]
fn probes_and_prometheus_are_answered_where_a_file_says_so_and_to_whom() {
    let stage = serve::stage();
    let port = port();
    let token = stage.write("token", "open-sesame");
    fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    let text = format!("format = 1\n[webhooks]\nlisten = \"127.0.0.1:{port}\"\n[health]\ntoken = {{ file = {token:?} }}\n");
    stage.write("home/agents.toml", &text);
    let server = serve(&mut stage.agentry("serve"));
    assert_eq!(page(port, "GET", "/healthz", ""), (200, "it lives\n".to_owned()));
    assert_eq!(page(port, "GET", "/readyz", ""), (200, "it takes orders\n".to_owned()));
    assert_eq!(page(port, "POST", "/healthz", "").0, 405);
    assert_eq!(page(port, "GET", "/elsewhere", "").0, 404);
    for wrong in ["", "authorization: Bearer open\r\n", "authorization: open-sesame\r\n"] {
        assert_eq!(page(port, "GET", "/metrics", wrong).0, 401, "{wrong}");
    }
    let run = detach(&stage, &json!([["sleep", "90000"]]));
    let metrics = || page(port, "GET", "/metrics", "authorization: Bearer open-sesame\r\n");
    until("a run that sleeps", || metrics().1.contains("agentry_runs{state=\"waits_for_sleep\"} 1\n"));
    let (ok, text) = metrics();
    assert_eq!(ok, 200);
    for line in ["agentry_ready 1", "agentry_runs_of_agent{agent=\"steps\"} 1", "agentry_clock_alarm 0", "agentry_unusable{what=\"agents\"} 0"] {
        assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
    }
    assert!(!text.contains("sesame") && !text.contains(stage.home().to_str().expect("a path")), "{text}");
    end(stage.agentry("policy lock").args(["--because", "it leaks"])).with(0);
    until("not ready", || page(port, "GET", "/readyz", "") == (503, "its home is locked\n".to_owned()));
    assert_eq!(page(port, "GET", "/healthz", "").0, 200, "it lives all the same");
    end(&mut stage.agentry("policy unlock")).with(0);
    end(stage.agentry("kill").arg(&run)).with(0);
    server.stop();
    // Without the table, nothing is shown, and without a webhook nobody listens.
    stage.write("home/agents.toml", &format!("format = 1\n[webhooks]\nlisten = \"127.0.0.1:{port}\"\n"));
    let server = serve(&mut stage.agentry("serve"));
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    server.stop();
    stage.write("home/agents.toml", "format = 1\n[webhooks]\nlisten = \"0.0.0.0:8421\"\n[health]\n");
    end(&mut stage.agentry("serve")).with(2).complains("ask for no token");
}

#[test]
fn what_a_host_says_is_one_json_object_a_line_if_that_is_wanted() {
    let stage = serve::stage();
    end(stage.agentry("serve").args(["--log-format", "xml"])).with(2);
    let server = serve(stage.agentry("serve").args(["--log-format", "json"]));
    stage.write("home/tools.toml", "no toml");
    until("an alarm", || !status(&stage)["host"]["alarms"]["tools"].is_null());
    fs::remove_file(stage.path("home/tools.toml")).expect("it is there");
    until("no alarm", || status(&stage)["host"]["alarms"]["tools"].is_null());
    server.signal("-HUP");
    thread::sleep(Duration::from_millis(500));
    let said = server.stop();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().expect("a word")).collect();
    for event in ["alarm", "notice", "reload", "stops", "stopped"] {
        assert!(events.contains(&event), "{event}: {said}");
    }
    assert!(lines.iter().all(|line| line["at"].is_string() && line["level"].is_string() && line["text"].is_string()));
}

#[test]
fn systemd_hears_that_the_loop_turns_as_often_as_it_wants() {
    let stage = serve::stage();
    let socket = UnixDatagram::bind(stage.path("notify")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let mut command = stage.agentry("serve");
    let server = serve(command.env("NOTIFY_SOCKET", stage.path("notify")).env("WATCHDOG_USEC", "400000"));
    let heard = || {
        let mut state = [0; 64];
        let length = socket.recv(&mut state).expect("it is told");
        String::from_utf8_lossy(&state[..length]).into_owned()
    };
    assert_eq!(heard(), "READY=1");
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(heard(), "WATCHDOG=1");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    server.signal("-HUP");
    until("it reads anew", || heard() == "RELOADING=1");
    server.signal("-TERM");
    until("it stops", || heard() == "STOPPING=1");
    assert_eq!(server.end().0, 0);
    // Another process is watched.
    let mut command = stage.agentry("serve");
    command.env("NOTIFY_SOCKET", stage.path("notify")).env("WATCHDOG_USEC", "100000").env("WATCHDOG_PID", "1");
    let server = serve(&mut command);
    while heard() != "READY=1" {}
    thread::sleep(Duration::from_secs(1));
    server.stop();
    assert_eq!(heard(), "STOPPING=1");
}

/// A list of agents in which `echo` is started by this.
fn agents(stage: &Stage, start: &str, more: &str) {
    let echo = guest("echo").canonicalize().expect("it is built");
    stage.write("home/agents.toml", &format!("format = 1\n[agents.echo]\ncomponent = {echo:?}\nstart = [{start}]\n{more}"));
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
    let post = |port: u16, path: &str| page(port, "POST", path, "content-type: application/json\r\ncontent-length: 1\r\n\r\n1").0;
    let server = serve(&mut stage.agentry("serve"));
    assert!(triggers(&stage).is_empty());
    agents(&stage, "{ webhook = \"/one\" }", &listen(first));
    until("a new agent", || triggers(&stage).len() == 1);
    until("a door", || TcpStream::connect((Ipv4Addr::LOCALHOST, first)).is_ok());
    assert_eq!((post(first, "/one"), post(first, "/two")), (202, 404));
    // A mistake, and an address that is taken: the old ones stay, and status says so.
    for (start, port) in [("{ webhook = 3 }", first), ("{ webhook = \"/two\" }", TAKEN.with(|taken| taken.local_addr().expect("an address").port()))] {
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
    fs::remove_file(stage.path("home/agents.toml")).expect("it is there");
    until("nobody", || triggers(&stage).is_empty() && TcpStream::connect((Ipv4Addr::LOCALHOST, second)).is_err());
    until("all runs", || ended(&stage) == 5);
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
        let text = format!("format = 1\n[agents.steps]\ncomponent = {steps:?}\nstart = [{{ directory = \"inbox\", input = [[\"sleep\", \"3000\"]], per_minute = {per_minute} }}]\n");
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
fn what_of_a_configuration_may_change_is_taken_at_a_hangup_and_the_rest_is_named() {
    let stage = serve::stage();
    let server = serve(&mut stage.agentry("serve"));
    let run = detach(&stage, &json!([["sleep", "90000"]]));
    stage.write("home/agentry.toml", "format = 1\n[idle]\nafter_ms = 100\n[engine]\nruns_max = 7\n");
    thread::sleep(Duration::from_millis(500));
    assert_eq!(status(&stage)["host"]["runs"]["max"], 1500, "nobody has said so");
    server.signal("-HUP");
    until("it leaves memory", || end(stage.agentry("ps").arg("--json")).json()[0]["status"] == "suspended");
    assert_eq!(status(&stage)["host"]["runs"]["max"], 1500, "that is for the next host");
    stage.write("home/agentry.toml", "format = 1\n[idle]\nafter = 1\n");
    server.signal("-HUP");
    until("an alarm", || !status(&stage)["host"]["alarms"]["config"].is_null());
    stage.write("home/agentry.toml", "format = 1\n");
    server.signal("-HUP");
    until("no alarm", || status(&stage)["host"]["alarms"]["config"].is_null());
    end(stage.agentry("kill").arg(&run)).with(0);
    let said = server.stop();
    assert!(said.contains("taken: [idle]") && said.contains("[engine] as before until the host is started anew"), "{said}");
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
    end(stage.agentry("triggers resume").arg(id(0))).with(0);
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
    let minute = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() / 60;
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

#[test]
fn run_wait_and_logs_go_on_over_a_restart_of_the_host() {
    let stage = serve::stage();
    let server = serve(stage.agentry("serve").args(["--drain", "0s"]));
    let order = json!([["sleep", "5000"], ["put", "team/board", "a", "b"]]);
    let run = detach(&stage, &order);
    let waits = begin(stage.agentry("wait").args([&run, "--json"]));
    let late = begin(stage.agentry("wait").args([&run, "--timeout", "3s"]));
    let logs = begin(stage.agentry("logs").args([&run, "-f", "--json"]));
    let shown = begin(stage.agentry("run").arg(guest("steps")).args(["--json", "--input", &order.to_string()]));
    until("both go on", || status(&stage)["host"]["runs"]["waiting"]["sleep"] == 2);
    server.stop();
    thread::sleep(Duration::from_secs(2));
    // The next one is killed, and another one takes over.
    let server = serve(&mut stage.agentry("serve"));
    thread::sleep(Duration::from_millis(300));
    server.kill();
    thread::sleep(Duration::from_millis(300));
    let server = serve(&mut stage.agentry("serve"));
    let waited = waits.end().with(0);
    assert_eq!(waited.json()["status"], "done");
    assert!(waited.stderr.contains("the host has stopped; waits up to"), "{}", waited.stderr);
    let shown = shown.end().with(0);
    assert_eq!(shown.json()["status"], "done");
    assert!(shown.stderr.contains("the host has stopped"), "{}", shown.stderr);
    let logs = logs.end().with(0).stdout;
    let kinds: Vec<Value> = logs.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["kind"].clone()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&json!("began")), Some(&json!("ended"))), "{logs}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "ended").count(), 1, "nothing is told twice: {logs}");
    late.end().with(5);
    server.stop();
    stage.replays();
}

/// Whether the system lets this user mount a directory a second time, read-only.
fn mounted(from: &std::path::Path, to: &std::path::Path) -> bool {
    let mount = |args: &[&std::ffi::OsStr]| Command::new("mount").args(args).output().is_ok_and(|done| done.status.success());
    mount(&["--bind".as_ref(), from.as_os_str(), to.as_os_str()])
        && mount(&["-o".as_ref(), "remount,bind,ro".as_ref(), to.as_os_str()])
}

#[test]
fn what_only_reads_works_on_a_home_that_nobody_can_write() {
    let stage = serve::stage();
    let done = end(&mut stage.run(&guest("steps"), &json!([["put", "team/a", "k", "v"]]))).with(0);
    let run = done.json()["run"].as_str().expect("an id").to_owned();
    let copy = stage.directory("copy");
    let is_mounted = mounted(&stage.home(), &copy);
    let home = if is_mounted { copy.clone() } else { stage.home() };
    if !is_mounted {
        // Whoever is not root meets the same by rights.
        let files = Command::new("chmod").args(["-R", "a-w"]).arg(&home).status().expect("there is chmod");
        assert!(files.success());
    }
    let said = |args: &[&str]| {
        let mut command = crate::stage::agentry();
        command.args(args).arg("--home").arg(&home);
        end(&mut command)
    };
    let file = stage.path("run.agentry");
    let out = file.to_str().expect("a path");
    let verbs: [&[&str]; 14] = [
        &["ps"], &["trace", &run], &["logs", &run], &["audit", "verify"], &["audit", "calls"], &["budget"], &["policy", "check"],
        &["policy", "can", "steps"], &["policy", "explain", &format!("{run}/1")], &["export", &run, "--out", out], &["replay", &run],
        &["wait", &run], &["notices"], &["triggers"],
    ];
    let failed: Vec<_> = verbs.iter().map(|verb| (verb, said(verb))).filter(|(_, ended)| ended.code != 0).collect();
    let failed: Vec<_> = failed.iter().map(|(verb, ended)| (verb, ended.code, &ended.stderr)).collect();
    let refused = said(&["run", guest("steps").to_str().expect("a path"), "--input", "[]"]);
    if is_mounted {
        assert!(Command::new("umount").arg(&copy).status().expect("there is umount").success());
    } else {
        Command::new("chmod").args(["-R", "u+w"]).arg(&home).status().expect("there is chmod");
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(refused.code != 0 && refused.stderr.contains("hint: "), "what writes says why it cannot: {}", refused.stderr);
}

#[test]
fn what_only_reads_works_beside_a_host_that_serves() {
    let stage = serve::stage();
    let done = end(&mut stage.run(&guest("steps"), &json!([["put", "team/a", "k", "v"]]))).with(0);
    let run = done.json()["run"].as_str().expect("an id").to_owned();
    let server = serve(&mut stage.agentry("serve"));
    let file = stage.path("run.agentry");
    let out = file.to_str().expect("a path");
    let verbs: [&[&str]; 12] = [
        &["ps"], &["trace", &run], &["logs", &run], &["audit", "verify"], &["audit", "calls"], &["budget"], &["policy", "check"],
        &["policy", "can", "steps"], &["export", &run, "--out", out], &["replay", &run], &["status"], &["triggers", "list"],
    ];
    for verb in verbs {
        let mut command = crate::stage::agentry();
        let ended = end(command.args(verb).arg("--home").arg(stage.home()));
        assert_eq!(ended.code, 0, "{verb:?}: {}", ended.stderr);
    }
    server.stop();
}
