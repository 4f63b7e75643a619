//! The host that goes on: what it takes from other commands, what they see of it, and how it stops, by real signals.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::approvals::PRICED;
use crate::stage::{Ended, Stage, agentry, begin, end, guest};

/// A host that serves a home; it is gone when this is.
pub struct Server {
    child: Child,
}

/// Starts one, and waits until it says that it is ready.
pub fn serve(command: &mut Command) -> Server {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("it is piped")).read_line(&mut line).expect("it says something");
    if !line.contains(" serves ") {
        let mut why = String::new();
        child.stderr.take().expect("it is piped").read_to_string(&mut why).expect("text");
        panic!("it is not ready: {line}{why}");
    }
    Server { child }
}

impl Server {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().is_ok_and(|status| status.success()), "it is gone");
    }

    /// Waits for its end; its exit code and what it said.
    pub fn end(mut self) -> (i32, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                break status;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not stop");
            thread::sleep(Duration::from_millis(20));
        };
        let mut said = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("text");
        (status.code().unwrap_or(-1), said)
    }

    /// What a crash does: no goodbye, and it is gone when this returns.
    pub fn kill(mut self) {
        self.child.kill().expect("it is there");
        self.child.wait().expect("it is gone");
    }

    /// Stops it in good order.
    pub fn stop(self) -> String {
        self.signal("-TERM");
        let (code, said) = self.end();
        assert_eq!(code, 0, "{said}");
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A home in which `steps` may wait as it likes.
pub fn stage() -> Stage {
    let stage = Stage::new();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"steps\"\nmemory = { read = [\"team/**\"], write = [\"team/**\"] }\n[budget]\nwall_run = \"100s\"\n");
    stage
}

/// Begins `steps` on the host; its id.
fn detach(stage: &Stage, input: &Value) -> String {
    let begun = end(stage.agentry("run").arg("--detach").arg(guest("steps")).args(["--input", &input.to_string()]));
    begun.with(0).stdout.trim().to_owned()
}

fn wait(stage: &Stage, run: &str) -> Ended {
    end(stage.agentry("wait").args([run, "--json"]))
}

/// The run as `ps` shows it, once this holds of it.
fn until(stage: &Stage, run: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let runs = end(stage.agentry("ps").arg("--json")).with(0).json();
        let found = runs.as_array().expect("a list").iter().find(|found| found["run"] == run).cloned();
        if let Some(found) = found.clone().filter(&holds) {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not come: {found:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn sleeps(run: &Value) -> bool {
    run["live"]["waits_for"] == "sleep"
}

/// All runs, as `ps` lists them.
fn runs_of(stage: &Stage) -> Value {
    end(stage.agentry("ps").arg("--json")).with(0).json()
}

#[test]
fn what_is_ordered_before_a_host_serves_waits_until_it_does() {
    let stage = Stage::granting(&guest("echo"));
    end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
    let child = stage.agentry("serve").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut server = Server { child };
    // It can be reached from here on, and says that it serves a moment later.
    while !stage.home().join("control/host.sock").exists() {
        assert!(server.child.try_wait().expect("it is ours").is_none(), "it ended");
        thread::sleep(Duration::from_millis(1));
    }
    let ordered = end(&mut stage.run(&guest("echo"), &json!(2))).with(0);
    assert_eq!(ordered.json()["output"], json!(2));
    server.stop();
}

#[test]
fn runs_are_ordered_listed_and_waited_for_while_a_host_serves() {
    let stage = stage();
    let server = serve(&mut stage.agentry("serve"));
    let runs: Vec<_> = (0..3).map(|_| detach(&stage, &json!([["sleep", "1500"]]))).collect();
    for run in &runs {
        let live = until(&stage, run, sleeps)["live"].clone();
        assert_eq!((&live["state"], &live["calls"]), (&json!("waiting"), &json!(1)), "{live}");
        assert!(live["memory_bytes"].as_u64() > Some(60_000) && live["since_ms"].as_u64() > Some(0), "{live}");
    }
    let page = end(&mut stage.agentry("ps")).with(0).stdout;
    assert!(page.contains("sleeps since"), "{page}");
    let late = end(stage.agentry("wait").args([&runs[0], "--timeout", "50ms"])).with(5);
    late.complains("is not over");
    end(stage.agentry("wait").args([&runs[0], "--timeout", "soon"])).with(2);
    for run in &runs {
        let report = wait(&stage, run).with(0).json();
        assert_eq!((&report["run"], &report["output"]), (&json!(run), &json!(["slept"])), "{report}");
        until(&stage, run, |found| found["status"] == "done" && found["live"].is_null());
    }
    end(stage.agentry("wait").arg("zzzz")).with(2).complains("there is no run `zzzz`");
    // A replay beside the host leaves no trace of itself, and the host does not notice.
    let before = runs_of(&stage);
    let replayed = end(stage.agentry("replay").args([&runs[0], "--json"])).with(0).json();
    assert_eq!((&replayed["run"], &replayed["same"]), (&json!(&runs[0]), &json!(true)), "{replayed}");
    assert_eq!(runs_of(&stage), before);
    end(stage.agentry("replay").arg("zzzz")).with(2).complains("there is no run `zzzz`");
    let said = server.stop();
    assert!(said.contains("0 go on in the next host"), "{said}");
    stage.replays();
}

#[test]
fn a_run_on_the_host_is_shown_as_one_of_its_own() {
    let stage = Stage::granting(&guest("ask"));
    let script = stage.write("script.jsonl", PRICED);
    let input = json!({"prompt": "What is a whale?", "max_tokens": 32});
    let alone = end(&mut stage.run_on(PRICED, &guest("ask"), &input)).with(0).json();
    let model = format!("scripted:{}", script.display());
    let server = serve(stage.agentry("serve").args(["--model", &model]));
    let there = end(&mut stage.run(&guest("ask"), &input)).with(0);
    let report = there.json();
    for part in ["output", "cost_microusd", "refusals", "status"] {
        assert_eq!(report[part], alone[part], "{part}: {report}\n{alone}");
    }
    assert_eq!(report["usage"]["models"], alone["usage"]["models"]);
    let waited = wait(&stage, report["run"].as_str().expect("an id")).with(0).json();
    assert_eq!(waited, report);
    // What the host has, a run on it cannot choose.
    end(stage.run(&guest("ask"), &input).args(["--model", &model])).with(5).complains("a host serves this home");
    end(stage.run(&guest("ask"), &input).args(["--model", &model, "--detach"])).with(2).complains("--detach leaves");
    server.stop();
}

#[test]
fn a_run_that_cannot_begin_on_the_host_says_so_as_elsewhere() {
    let stage = stage();
    end(stage.agentry("run").arg("--detach").arg(guest("steps"))).with(5).complains("no host that takes orders");
    let server = serve(&mut stage.agentry("serve"));
    let refused = end(stage.agentry("run").arg("--detach").arg(guest("echo"))).with(3);
    assert!(refused.stderr.contains("denied  echo → run: no policy file grants anything"), "{}", refused.stderr);
    let refused = end(&mut stage.run(&guest("echo"), &json!({}))).with(3);
    assert_eq!(refused.json()["refusals"][0]["code"], "no-grant", "{}", refused.stdout);
    for more in [&[][..], &["--detach"]] {
        end(stage.agentry("run").arg("./nothing.wasm").args(more)).with(2).complains("cannot read");
        end(stage.agentry("run").arg(guest("steps")).args(["--input", "{"]).args(more)).with(2).complains("not JSON");
    }
    server.stop();
}

#[test]
fn whoever_watches_a_run_may_go_and_the_run_goes_on() {
    let stage = stage();
    let server = serve(&mut stage.agentry("serve"));
    let steps = json!([["sleep", "1000"], ["sleep", "1"]]);
    let watching = begin(&mut stage.run(&guest("steps"), &steps));
    let begun = Instant::now();
    while end(stage.agentry("ps").arg("--json")).json()[0]["live"].is_null() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not begin");
    }
    watching.kill();
    let report = wait(&stage, "last").with(0).json();
    assert_eq!(report["output"], json!(["slept", "slept"]));
    // A Ctrl-C there stops the run here.
    let watching = begin(&mut stage.run(&guest("steps"), &json!([["sleep", "90000"]])));
    let begun = Instant::now();
    while !sleeps(&end(stage.agentry("ps").arg("--json")).json()[0]) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not begin");
    }
    watching.interrupt();
    assert_eq!(watching.end().with(1).json()["status"], "stopped");
    server.stop();
}

#[test]
fn a_run_is_killed_with_a_reason_and_only_while_it_goes_on() {
    let stage = stage();
    end(stage.agentry("kill").arg("last")).with(2).complains("nothing has run");
    let server = serve(&mut stage.agentry("serve"));
    let run = detach(&stage, &json!([["sleep", "90000"]]));
    end(stage.agentry("kill").arg("zzzz")).with(2).complains("there is no run `zzzz`");
    end(stage.agentry("kill").args([&run, "--because", "it asks too much"])).with(0);
    let report = wait(&stage, &run).with(1).json();
    assert_eq!(report["failure"], "the run was stopped: it asks too much", "{report}");
    end(stage.agentry("kill").arg(&run)).with(2).complains("is over: stopped");
    let left = detach(&stage, &json!([["sleep", "90000"]]));
    server.signal("-KILL");
    server.end();
    // It is suspended, and nobody has to go on with it to stop it.
    end(stage.agentry("kill").args([&left, "--because", "nobody wants it"])).with(0);
    let ended = stage.last();
    assert_eq!((&ended["status"], &ended["run"]), (&json!("stopped"), &json!(left)), "{ended}");
    assert!(ended["failure"].as_str().is_some_and(|why| why.contains("nobody wants it")), "{ended}");
    end(stage.agentry("kill").arg(&left)).with(2).complains("is over: stopped");
    stage.replays();
}

#[test]
fn a_run_with_models_of_its_own_is_no_run_for_a_host_that_serves() {
    let stage = stage();
    let server = serve(&mut stage.agentry("serve"));
    let ended = end(&mut stage.run_on(PRICED, &guest("steps"), &json!([]))).with(5);
    ended.complains("a host serves this home");
    assert!(ended.stderr.contains("leave out --model, --root and --policies"), "{}", ended.stderr);
    server.stop();
}

#[test]
fn a_paused_run_does_nothing_until_it_is_let_go() {
    let stage = stage();
    let server = serve(&mut stage.agentry("serve"));
    let run = detach(&stage, &json!([["sleep", "300"], ["sleep", "1"], ["sleep", "1"]]));
    let said = end(stage.agentry("pause").arg(&run)).with(0).stderr;
    assert!(said.contains("is paused"), "{said}");
    thread::sleep(Duration::from_millis(1000));
    let paused = until(&stage, &run, |found| found["live"]["state"] == "paused");
    assert_eq!(paused["live"]["calls"], 1, "its call has ended and it makes no new one: {paused}");
    end(stage.agentry("unpause").arg(&run)).with(0);
    assert_eq!(wait(&stage, &run).with(0).json()["output"], json!(["slept", "slept", "slept"]));
    end(stage.agentry("unpause").arg(&run)).with(2).complains("is over: done");
    end(stage.agentry("pause").arg("nobody")).with(2).complains("no run and no agent `nobody`");
    server.stop();
    end(stage.agentry("pause").arg(&run)).with(5).complains("no host runs in");
    stage.replays();
}

#[test]
fn a_paused_agent_has_no_run_that_goes_on_and_its_deadlines_do() {
    let stage = Stage::new();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"steps\"\n[budget]\nwall_run = \"3s\"\n");
    let server = serve(&mut stage.agentry("serve"));
    let first = detach(&stage, &json!([["sleep", "200"], ["sleep", "1"]]));
    let said = end(stage.agentry("pause").arg("steps")).with(0).stderr;
    assert!(said.contains("agent steps is paused: 1 run"), "{said}");
    let second = detach(&stage, &json!([["sleep", "1"]]));
    until(&stage, &second, |found| found["live"]["state"] == "paused");
    for run in [&first, &second] {
        let report = wait(&stage, run).with(4).json();
        assert_eq!(report["failure"], "the run used up its wall time: 3 s", "{report}");
    }
    end(stage.agentry("unpause").arg("steps")).with(0);
    let third = detach(&stage, &json!([["sleep", "1"]]));
    wait(&stage, &third).with(0);
    server.stop();
}

#[test]
fn what_a_run_says_is_followed_to_its_end() {
    let stage = Stage::new();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"free\"\n[budget]\nwall_run = \"40s\"\n");
    end(stage.agentry("logs").arg("last")).with(2).complains("nothing has run");
    let server = serve(&mut stage.agentry("serve"));
    let begun = end(stage.agentry("run").arg("--detach").arg(guest("free"))).with(0);
    let run = begun.stdout.trim();
    let logs = end(stage.agentry("logs").args([run, "-f", "--json"])).with(0).stdout;
    let lines: Vec<Value> = logs.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    assert_eq!((&lines[0]["kind"], &lines[lines.len() - 1]["status"]), (&json!("began"), &json!("done")), "{logs}");
    let log = lines.iter().find(|line| line["kind"] == "log").expect("it says something");
    assert!(log["text"].as_str().is_some_and(|text| text.contains("this is in the trace")), "{log}");
    let page = end(stage.agentry("logs").arg(run)).with(0).stdout;
    assert!(page.contains("this is in the trace") && page.contains("began test:free@"), "{page}");
    server.stop();
}

#[test]
fn a_second_host_in_a_home_ends_at_once_and_says_what_to_do() {
    let stage = stage();
    let server = serve(&mut stage.agentry("serve"));
    let second = end(&mut stage.agentry("serve")).with(5);
    second.complains("another agentry is using");
    assert!(second.took < Duration::from_secs(10), "{:?}", second.took);
    server.stop();
    // And none is left behind.
    serve(&mut stage.agentry("serve")).stop();
}

#[test]
fn a_host_that_is_to_stop_gives_its_runs_a_while_and_begins_none() {
    let stage = stage();
    end(stage.agentry("serve").args(["--drain", "soon"])).with(2);
    let server = serve(stage.agentry("serve").args(["--drain", "3s"]));
    let short = detach(&stage, &json!([["sleep", "1500"]]));
    let long = detach(&stage, &json!([["sleep", "90000"]]));
    until(&stage, &long, sleeps);
    server.signal("-INT");
    thread::sleep(Duration::from_millis(300));
    let none = end(stage.agentry("run").arg("--detach").arg(guest("steps"))).with(5);
    none.complains("no host that takes orders");
    let (code, said) = server.end();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("1 ended, 1 go on in the next host"), "{said}");
    assert_eq!(wait(&stage, &short).with(0).json()["output"], json!(["slept"]));
    let runs = end(stage.agentry("ps").arg("--json")).json();
    assert!(runs.as_array().expect("a list").iter().all(|run| run["live"].is_null()), "{runs}");
}

#[test]
fn what_a_host_leaves_goes_on_in_the_next_one() {
    let stage = stage();
    let order = json!([["put", "team/board", "a", "b"], ["sleep", "2500"], ["get", "team/board", "a"]]);
    let server = serve(stage.agentry("serve").args(["--drain", "0s"]));
    let run = detach(&stage, &order);
    until(&stage, &run, sleeps);
    server.stop();
    let left = until(&stage, &run, |found| found["status"] == "suspended");
    assert!(left["live"].is_null(), "{left}");
    assert!(!left["rests"].is_null(), "it waits for nothing but time: {left}");
    let server = serve(&mut stage.agentry("serve"));
    until(&stage, &run, |found| found["rests"] == left["rests"]);
    server.kill();
    let server = serve(&mut stage.agentry("serve"));
    let report = wait(&stage, &run).with(0).json();
    assert!(report["output"][1] == "slept" && report["output"][2] != "nothing", "{report}");
    server.stop();
    stage.replays();
}

#[test]
fn a_second_signal_ends_a_host_at_once() {
    let stage = stage();
    let server = serve(stage.agentry("serve").args(["--drain", "1h"]));
    let run = detach(&stage, &json!([["sleep", "90000"]]));
    until(&stage, &run, sleeps);
    let begun = Instant::now();
    server.signal("-TERM");
    thread::sleep(Duration::from_millis(300));
    server.signal("-TERM");
    let (code, said) = server.end();
    assert!(code == 1 && said.contains("stopped at once"), "{code}: {said}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn systemd_is_told_when_the_host_is_ready_and_when_it_stops() {
    let stage = stage();
    let socket = UnixDatagram::bind(stage.path("notify")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let server = serve(stage.agentry("serve").env("NOTIFY_SOCKET", stage.path("notify")));
    let heard = || {
        let mut state = [0; 64];
        let length = socket.recv(&mut state).expect("it is told");
        String::from_utf8_lossy(&state[..length]).into_owned()
    };
    assert_eq!(heard(), "READY=1");
    server.stop();
    assert_eq!(heard(), "STOPPING=1");
}

#[test]
fn people_answer_for_runs_of_a_host_without_a_terminal() {
    let stage = crate::approvals::stage(crate::approvals::CONFIRM);
    let script = stage.write("script.jsonl", PRICED);
    let model = format!("scripted:{}", script.display());
    let server = serve(stage.agentry("serve").args(["--model", &model]));
    let input = json!({"prompt": "sell it", "max_tokens": 32}).to_string();
    let begun = end(stage.agentry("run").arg("--detach").arg(guest("ask")).args(["--input", &input])).with(0);
    let run = begun.stdout.trim();
    let question = crate::approvals::open(&stage, 1).remove(0);
    until(&stage, run, |found| found["live"]["waits_for"] == "approval");
    crate::approvals::approve(&stage, &crate::approvals::id(&question), &[]).with(0);
    assert_eq!(wait(&stage, run).with(0).json()["output"], "an answer");
    server.stop();
}

#[test]
fn a_question_about_a_call_is_the_same_one_on_the_next_host() {
    let stage = crate::approvals::stage(crate::approvals::CONFIRM);
    let script = stage.write("script.jsonl", PRICED);
    let model = format!("scripted:{}", script.display());
    let host = || serve(stage.agentry("serve").args(["--model", &model]));
    let server = host();
    let input = json!({"prompt": "sell it", "max_tokens": 32}).to_string();
    let begun = end(stage.agentry("run").arg("--detach").arg(guest("ask")).args(["--input", &input])).with(0);
    let run = begun.stdout.trim();
    let question = crate::approvals::open(&stage, 1).remove(0);
    // Twice: by a kill, and in good order.
    server.kill();
    host().stop();
    let server = host();
    let again = crate::approvals::open(&stage, 1).remove(0);
    for part in ["id", "expires_ms", "text", "call"] {
        assert_eq!(again[part], question[part], "{part}: {question}\n{again}");
    }
    crate::approvals::approve(&stage, &crate::approvals::id(&question), &[]).with(0);
    assert_eq!(wait(&stage, run).with(0).json()["output"], "an answer");
    crate::approvals::approve(&stage, &crate::approvals::id(&question), &[]).with(3);
    server.stop();
    stage.replays();
}

#[test]
fn a_command_that_needs_a_host_says_how_to_start_one() {
    let none = tempfile::tempdir().expect("a directory");
    let ended = end(agentry().args(["pause", "x", "--home"]).arg(none.path())).with(5);
    ended.complains("no host runs in");
    assert!(ended.stderr.contains("agentry serve"), "{}", ended.stderr);
}

#[test]
fn policies_of_a_host_that_serves_may_lie_elsewhere() {
    let stage = Stage::new();
    let grant =
        "format = 1\nlayer = \"grant\"\nagent = \"steps\"\nfiles = [{ root = \"documents\", access = \"r\" }]\n";
    stage.write("elsewhere/50-steps.toml", grant);
    stage.write("docs/a.txt", "hello");
    let policies = stage.path("elsewhere");
    let root = format!("documents={}", stage.path("docs").display());
    let server = serve(stage.agentry("serve").arg("--policies").arg(&policies).args(["--root", &root]));
    let run = detach(&stage, &json!([["read", "documents", "a.txt"]]));
    assert_eq!(wait(&stage, &run).with(0).json()["output"], json!(["hello"]));
    server.stop();
    end(stage.agentry("serve").args(["--root", "documents"])).with(2);
    end(stage.agentry("serve").args(["--policies", "/nowhere"])).with(2).complains("/nowhere");
    end(stage.agentry("serve").args(["--model", "nobody"])).with(2).complains("there is no model `nobody`");
}
