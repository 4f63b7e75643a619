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
pub fn port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are ports");
    listener.local_addr().expect("it has an address").port()
}

/// A page: its status and its text.
pub fn page(port: u16, method: &str, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream
        .write_all(format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").as_bytes())
        .expect("it hears");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").expect("a body").1.to_owned())
}

/// Waits until this holds.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not come: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

pub fn status(stage: &Stage) -> Value {
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
    let text =
        format!("format = 1\n[webhooks]\nlisten = \"127.0.0.1:{port}\"\n[health]\ntoken = {{ file = {token:?} }}\n");
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
    for line in [
        "agentry_ready 1",
        "agentry_runs_of_agent{agent=\"steps\"} 1",
        "agentry_clock_alarm 0",
        "agentry_unusable{what=\"agents\"} 0",
    ] {
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
    assert!(
        said.contains("taken: [idle]") && said.contains("[engine] as before until the host is started anew"),
        "{said}"
    );
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
    let kinds: Vec<Value> =
        logs.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["kind"].clone()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&json!("began")), Some(&json!("ended"))), "{logs}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "ended").count(), 1, "nothing is told twice: {logs}");
    late.end().with(5);
    server.stop();
    stage.replays();
}

/// Whether the system lets this user mount a directory a second time, read-only.
fn mounted(from: &std::path::Path, to: &std::path::Path) -> bool {
    let mount =
        |args: &[&std::ffi::OsStr]| Command::new("mount").args(args).output().is_ok_and(|done| done.status.success());
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
        &["ps"],
        &["trace", &run],
        &["logs", &run],
        &["audit", "verify"],
        &["audit", "calls"],
        &["budget"],
        &["policy", "check"],
        &["policy", "can", "steps"],
        &["policy", "explain", &format!("{run}/1")],
        &["export", &run, "--out", out],
        &["replay", &run],
        &["wait", &run],
        &["notices"],
        &["triggers"],
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
    assert!(
        refused.code != 0 && refused.stderr.contains("hint: "),
        "what writes says why it cannot: {}",
        refused.stderr
    );
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
        &["ps"],
        &["trace", &run],
        &["logs", &run],
        &["audit", "verify"],
        &["audit", "calls"],
        &["budget"],
        &["policy", "check"],
        &["policy", "can", "steps"],
        &["export", &run, "--out", out],
        &["replay", &run],
        &["status"],
        &["triggers", "list"],
    ];
    for verb in verbs {
        let mut command = crate::stage::agentry();
        let ended = end(command.args(verb).arg("--home").arg(stage.home()));
        assert_eq!(ended.code, 0, "{verb:?}: {}", ended.stderr);
    }
    server.stop();
}

#[test]
fn whoever_watches_a_run_hears_its_end_though_its_host_stops_with_it() {
    let stage = Stage::new();
    stage.grant("ask", "llm = { models = [\"*\"], max_tokens = 100 }\n");
    let script = "{\"script\": 1, \"repeat\": true}\n{\"text\": \"late\", \"delay_ms\": 2000}\n";
    let script = stage.write("slow.jsonl", script);
    let server = serve(stage.agentry("serve").arg("--model").arg(format!("scripted:{}", script.display())));
    let asks = || begin(&mut stage.run(&guest("ask"), &json!({"prompt": "?"})));
    let watching: Vec<_> = (0..6).map(|_| asks()).collect();
    until("six runs", || {
        let going = end(stage.agentry("ps").args(["--json", "--status", "running"])).with(0).json();
        going.as_array().map(Vec::len) == Some(6)
    });
    let said = server.stop();
    assert!(said.contains("6 ended"), "{said}");
    for watched in watching {
        assert_eq!(watched.end().with(0).json()["output"], "late");
    }
}
