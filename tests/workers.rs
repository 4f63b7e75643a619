//! Agents in processes of their own: they do what they do in the host's, they have nothing else, and what becomes of one of them is no other run's
//! business. All other tests have them too, as every home that says nothing else; whether they notice is asked by `AGENTRY_ISOLATED=none`.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::guests::SOON;
use crate::serve::{Server, serve};
use crate::stage::{Stage, begin, end, guest, repository};

/// What a process of agents is started as.
const VERB: &str = "worker";

/// A home whose agents are executed in processes of their own.
fn stage() -> Stage {
    let stage = Stage::new();
    isolate(&stage, "process");
    stage
}

fn isolate(stage: &Stage, isolation: &str) {
    stage.write("home/agentry.toml", &format!("format = 1\n[engine]\nisolation = \"{isolation}\"\n"));
}

/// A part of `/proc/PID`; nothing if that has gone.
fn proc(pid: u32, part: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{part}")).unwrap_or_default()
}

fn status(pid: u32, line: &str) -> String {
    let status = String::from_utf8(proc(pid, "status")).expect("it is text");
    let found = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    found.unwrap_or_default().trim().to_owned()
}

/// The processes that execute agents for this host.
pub fn workers(host: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("it is there").flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter(|pid| {
        let words = proc(*pid, "cmdline");
        words.split(|byte| *byte == 0).nth(1) == Some(VERB.as_bytes()) && status(*pid, "PPid") == host.to_string()
    })
    .collect()
}

pub fn kill(pid: u32) {
    // It may have ended by itself.
    let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
}

fn until<T>(what: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(begun.elapsed() < SOON, "it does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn detach(stage: &Stage, agent: &str, input: &Value) -> String {
    let mut run = stage.run(&guest(agent), input);
    end(run.arg("--detach")).with(0).json()["run"].as_str().expect("its id").to_owned()
}

fn wait(stage: &Stage, run: &str) -> Value {
    end(stage.agentry("wait").args([run, "--json"])).json()
}

fn row(stage: &Stage, run: &str) -> Value {
    let runs = end(stage.agentry("ps").arg("--json")).with(0).json();
    runs.as_array().expect("a list").iter().find(|row| row["run"] == run).cloned().unwrap_or_default()
}

/// Waits until this run waits for a time.
fn until_it_sleeps(stage: &Stage, run: &str) {
    until(|| (row(stage, run)["live"]["waits_for"] == "sleep").then_some(()));
}

#[test]
fn a_run_in_a_process_of_its_own_ends_as_in_the_hosts_and_each_executes_again_what_the_other_did() {
    const GUESTS: [(&str, &str); 7] = [
        ("echo", r#"{"text": "grün 🦀", "numbers": [1, -2, 3.5]}"#),
        ("grow", "null"),
        ("gigabyte", "null"),
        ("recurse", "null"),
        ("panic", "null"),
        ("memory", "100"),
        ("ask", r#"{"prompt": "count"}"#),
    ];
    for (agent, input) in GUESTS {
        let stage = Stage::granting(&guest(agent));
        let told = || {
            let input = serde_json::from_str(input).expect("it is JSON");
            let answers = "{\"script\": 1, \"repeat\": true}\n{\"chunks\": [\"one \", \"two\"]}\n";
            let report = end(&mut stage.run_on(answers, &guest(agent), &input)).json();
            json!([report["status"], report["output"], report["failure"]])
        };
        isolate(&stage, "process");
        let apart = told();
        isolate(&stage, "none");
        assert_eq!(told(), apart, "{agent}");
        for isolation in ["process", "none"] {
            isolate(&stage, isolation);
            if apart[0] == "done" {
                stage.replays();
            }
        }
    }
}

#[test]
fn one_run_has_one_process() {
    let stage = stage();
    stage.grant("steps", "");
    // Whoever looks whether processes start must not be taken for somebody whom one is busy with.
    for _ in 0..5 {
        let run = begin(&mut stage.run(&guest("steps"), &json!([["sleep", "300"]])));
        until(|| (!workers(run.pid()).is_empty()).then_some(()));
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(workers(run.pid()).len(), 1);
        run.end().with(0);
    }
}

#[test]
fn an_isolation_that_there_is_not_is_told_with_its_line() {
    let stage = stage();
    isolate(&stage, "proces");
    end(&mut stage.agentry("serve")).with(2).complains("agentry.toml:3");
    let refused = end(&mut stage.agentry("serve"));
    assert!(refused.stderr.contains("process"), "{}", refused.stderr);
}

/// A home that says nothing of it, whatever others are to say.
fn unsaid() -> Stage {
    let stage = Stage::new();
    stage.write("home/agentry.toml", "format = 1\n# of isolation: nothing\n");
    stage.grant("spin", "[budget]\nwall_run = \"100s\"\nfuel_run = 1_000_000_000_000\n");
    stage
}

fn maps(pid: u32) -> String {
    String::from_utf8_lossy(&proc(pid, "maps")).into_owned()
}

/// Address space, in KiB.
fn reserved(pid: u32) -> u64 {
    status(pid, "VmSize").trim_end_matches(" kB").parse().expect("a number")
}

/// This process has its connection, code, the memory of guests, and nothing of the home.
fn has_nothing_else(worker: u32, home: &str) {
    assert_eq!(String::from_utf8_lossy(&proc(worker, "environ")), "");
    assert_eq!(status(worker, "NoNewPrivs"), "1");
    assert_eq!(fs::read_link(format!("/proc/{worker}/cwd")).expect("its directory").to_string_lossy(), "/");
    for file in fs::read_dir(format!("/proc/{worker}/fd")).expect("its files").flatten() {
        let to = fs::read_link(file.path()).unwrap_or_default().display().to_string();
        let known = ["socket:", "anon_inode:", "/dev/null", "/memfd:"].iter().any(|known| to.starts_with(known));
        assert!(known || to == format!("/proc/{worker}/pagemap"), "{to}");
    }
    assert!(!maps(worker).contains(home), "{}", maps(worker));
    assert!(reserved(worker) > 64 << 20, "the worker has room for guests: {}", reserved(worker));
}

/// This process has nothing of an engine: no room for guests, no code of theirs, no thread that executes them.
fn has_no_engine(host: u32) {
    assert!(reserved(host) < 8 << 20, "it has room for guests: {} kB", reserved(host));
    let threads = fs::read_dir(format!("/proc/{host}/task")).expect("its threads").flatten();
    for thread in threads {
        let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        assert!(!name.starts_with("guest") && !name.starts_with("ticks"), "{name}");
    }
    let executable = |line: &&str| line.contains("r-xp") && !line.contains('/') && !line.contains("[v");
    assert_eq!(maps(host).lines().find(executable), None, "code that no program has");
}

#[test]
fn a_process_of_agents_has_its_connection_and_nothing_else_and_the_hosts_has_no_engine() {
    let stage = unsaid();
    let home = stage.home().display().to_string();
    let confined = |host| until(|| workers(host).into_iter().find(|pid| status(*pid, "Seccomp") == "2"));
    // Of a host that goes on, and of one that is there for one run.
    let server = serve(stage.agentry("serve").env("SOME_KEY", "hush"));
    let run = detach(&stage, "spin", &json!(null));
    let worker = confined(server.pid());
    until(|| (row(&stage, &run)["status"] == "running").then_some(()));
    has_nothing_else(worker, &home);
    has_no_engine(server.pid());
    end(stage.agentry("kill").arg(&run)).with(0);
    server.stop();
    let alone = begin(stage.run(&guest("spin"), &json!(null)).env("SOME_KEY", "hush"));
    let worker = confined(alone.pid());
    until(|| (stage.last()["status"] == "running").then_some(()));
    has_nothing_else(worker, &home);
    has_no_engine(alone.pid());
    alone.interrupt();
    alone.end().with(1);
}

#[test]
fn where_no_process_for_agents_starts_nothing_is_executed_and_a_person_is_told_what_to_do() {
    let stage = unsaid();
    // As a system that gives such a process no room: its host has enough.
    let starved = |verb: &str, more: &[&str]| {
        let command = stage.agentry(verb);
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -v 16000000; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
        shell.args(more).env_remove("AGENTRY_HOME").env("NO_COLOR", "1");
        end(&mut shell).with(5)
    };
    let spin = guest("spin").display().to_string();
    for refused in [starved("run", &[&spin]), starved("serve", &[])] {
        assert!(refused.stderr.contains("no process for agents starts"), "{}", refused.stderr);
        assert!(refused.stderr.contains("isolation = \"none\""), "{}", refused.stderr);
    }
    let runs = end(stage.agentry("ps").arg("--json")).with(0).json();
    assert_eq!(runs, json!([]), "nothing has begun");
}

#[test]
fn what_a_process_of_agents_answers_by_itself_stands_in_the_journal_as_the_agent_saw_it() {
    let stage = stage();
    stage.grant("steps", "");
    // More than a worker keeps to itself, and a wait for longer than it may answer by the time that it was told.
    let steps: Vec<Vec<String>> = (0..900)
        .map(|at| match at {
            450 => vec!["sleep".to_owned(), "150".to_owned()],
            at if at % 3 == 0 => vec!["log".to_owned(), format!("line {at}")],
            _ => vec!["now".to_owned()],
        })
        .collect();
    let report = end(&mut stage.run(&guest("steps"), &json!(steps))).with(0).json();
    let saw: Vec<u64> =
        report["output"].as_array().expect("a list").iter().filter_map(|word| word.as_str()?.parse().ok()).collect();
    assert!(saw.len() > 500 && saw.is_sorted() && saw[saw.len() - 1] - saw[0] >= 150, "{saw:?}");
    let calls = stage.calls();
    let name = |step: &[String]| match step[0].as_str() {
        "sleep" => "timers.sleep",
        "log" => "log.event",
        _ => "timers.now",
    };
    let made: Vec<&str> = calls.iter().filter_map(|call| call["name"].as_str()).collect();
    assert_eq!(made, steps.iter().map(|step| name(step)).collect::<Vec<_>>(), "each, in its order");
    // Executed again, each gets the answer of then, so the agent says again what it saw: wherever it is.
    for isolation in ["process", "none"] {
        isolate(&stage, isolation);
        stage.replays();
    }
}

#[test]
fn a_run_goes_on_when_its_process_is_killed_and_sees_nothing_of_it() {
    let stage = stage();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"steps\"\nmemory = { read = [\"team/**\"], write = [\"team/**\"] }\n[budget]\nwall_run = \"100s\"\n");
    let server = serve(&mut stage.agentry("serve"));
    let steps = json!([["put", "team/board", "todo", "buy milk"], ["sleep", "1500"], ["get", "team/board", "todo"]]);
    let run = detach(&stage, "steps", &steps);
    until_it_sleeps(&stage, &run);
    let before = workers(server.pid());
    before.iter().for_each(|worker| kill(*worker));
    let report = wait(&stage, &run);
    assert_eq!(report["output"].as_array().map(Vec::len), Some(3), "{report}");
    assert!(report["output"][2].as_str().is_some_and(|got| got.contains("buy milk")), "{report}");
    assert!(workers(server.pid()).iter().all(|worker| !before.contains(worker)));
    stage.replays();
    server.stop();
}

#[test]
fn guests_that_have_the_host_work_without_end_are_stopped_at_once_and_their_neighbours_go_on() {
    let stage = stage();
    stage.grant("busy-host", "[budget]\nwall_run = \"100s\"\nfuel_run = 1_000_000_000_000\n");
    stage.grant("steps", "[budget]\nwall_run = \"100s\"\n");
    let server = serve(&mut stage.agentry("serve"));
    let neighbour = detach(&stage, "steps", &json!([["sleep", "3000"]]));
    for with in ["clock", "wait", "budget"] {
        let busy: Vec<_> = (0..3).map(|_| detach(&stage, "busy_host", &json!({"with": with}))).collect();
        for run in &busy {
            until(|| (row(&stage, run)["status"] == "running").then_some(()));
            end(stage.agentry("kill").arg(run)).with(0);
            let ended = wait(&stage, run);
            assert_eq!(ended["status"], "stopped", "{with}: {ended}");
        }
    }
    assert_eq!(wait(&stage, &neighbour)["output"], json!(["slept"]));
    server.stop();
}

#[test]
fn a_host_that_is_killed_takes_its_processes_along_and_the_next_one_goes_on() {
    let stage = stage();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"steps\"\n[budget]\nwall_run = \"100s\"\n");
    let server = serve(&mut stage.agentry("serve"));
    let run = detach(&stage, "steps", &json!([["sleep", "2000"]]));
    until_it_sleeps(&stage, &run);
    let left = workers(server.pid());
    assert!(!left.is_empty());
    server.kill();
    until(|| left.iter().all(|worker| proc(*worker, "cmdline").is_empty()).then_some(()));
    let server: Server = serve(&mut stage.agentry("serve"));
    assert_eq!(wait(&stage, &run)["output"], json!(["slept"]));
    stage.replays();
    server.stop();
}

#[test]
fn a_process_that_is_stopped_is_replaced_and_its_runs_go_on() {
    let stage = stage();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"steps\"\n[budget]\nwall_run = \"100s\"\n");
    let server = serve(&mut stage.agentry("serve"));
    let run = detach(&stage, "steps", &json!([["sleep", "1000"], ["sleep", "1"]]));
    until_it_sleeps(&stage, &run);
    let before = workers(server.pid());
    for worker in &before {
        assert!(Command::new("kill").args(["-STOP", &worker.to_string()]).status().is_ok_and(|done| done.success()));
    }
    // Its answer waits in a process that does nothing; the host asks whether it is there, and gives it up.
    assert_eq!(wait(&stage, &run)["output"], json!(["slept", "slept"]));
    // Another one that had nothing to do may be given up a moment later.
    until(|| before.iter().all(|worker| proc(*worker, "cmdline").is_empty()).then_some(()));
    stage.replays();
    server.stop();
}

#[test]
fn a_run_that_breaks_every_process_ends_and_says_so_and_no_other_does() {
    let stage = stage();
    stage.grant("spin", "[budget]\nwall_run = \"100s\"\nfuel_run = 1_000_000_000_000\n");
    stage.grant("steps", "[budget]\nwall_run = \"100s\"\n");
    let server = serve(&mut stage.agentry("serve"));
    let spin = detach(&stage, "spin", &json!(null));
    let mut killed = 0;
    // As if it were the run that breaks them: each that has one is killed.
    while row(&stage, &spin)["ended_ms"].is_null() {
        for worker in workers(server.pid()).into_iter().filter(|worker| status(*worker, "Seccomp") == "2") {
            kill(worker);
            killed += 1;
        }
        assert!(killed < 1000, "it goes on for ever");
        std::thread::sleep(Duration::from_millis(100));
    }
    let ended = row(&stage, &spin);
    assert_eq!(ended["failure"], "each process that executed the agent broke down", "{ended}");
    assert!(killed >= 8, "{killed}");
    let next = detach(&stage, "steps", &json!([["sleep", "1"]]));
    assert_eq!(wait(&stage, &next)["output"], json!(["slept"]));
    end(&mut stage.agentry("audit verify")).with(0);
    server.stop();
}

/// The same command on a system that cannot keep a process from files by their names.
fn without_landlock(command: &Command) -> Command {
    let mut without = Command::new("python3");
    without.arg(repository("tests/no_landlock.py")).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => without.env(name, value),
            None => without.env_remove(name),
        };
    }
    without
}

#[test]
fn a_system_without_landlock_executes_agents_and_people_are_warned() {
    let stage = stage();
    stage.grant("echo", "");
    let missing = "this system has no Landlock";
    let run = || stage.run(&guest("echo"), &json!({"still": "here"}));
    let ended = end(&mut without_landlock(&run())).with(0);
    assert!(ended.stderr.contains("warning") && ended.stderr.contains(missing), "{}", ended.stderr);
    let finding = end(&mut without_landlock(stage.agentry("doctor").arg("--json"))).stdout;
    assert!(finding.contains("kept from files by their calls alone: no Landlock"), "{finding}");
    // A host that serves says it in its log, and what it begins is confined by its calls all the same.
    let server = serve(&mut without_landlock(&stage.agentry("serve")));
    end(&mut run()).with(0);
    let worker = until(|| workers(server.pid()).into_iter().next());
    assert_eq!(status(worker, "NoNewPrivs"), "1");
    until(|| (status(worker, "Seccomp") == "2" && status(worker, "Seccomp_filters") != "1").then_some(()));
    let said = server.stop();
    assert!(said.contains(missing), "{said}");
    // On one that has it nobody is told anything.
    let ended = end(&mut run()).with(0);
    assert!(!ended.stderr.contains("Landlock"), "{}", ended.stderr);
}

/// An agent of two parts, one of which gives the other a string of 75 million characters twenty times, in another encoding: each is one piece of
/// work for the engine, which nothing interrupts.
fn overrunning(stage: &Stage) -> std::path::PathBuf {
    let component = wat::parse_str(include_str!("overrun.wat")).expect("it is WebAssembly");
    let file = stage.path("overrun.wasm");
    fs::write(&file, component).expect("a file");
    file
}

#[test]
fn a_guest_that_has_its_process_work_in_one_piece_goes_on_in_one_of_its_own_and_its_neighbour_stays() {
    let stage = stage();
    stage.grant("evil", "[budget]\nwall_run = \"100s\"\nmemory_mb = 256\n");
    stage.grant("steps", "[budget]\nwall_run = \"100s\"\n");
    let overruns = overrunning(&stage);
    let server = serve(&mut stage.agentry("serve"));
    // One beside it in each of those that it could be given.
    let neighbours: Vec<_> = (0..4).map(|_| detach(&stage, "steps", &json!([["sleep", "15000"]]))).collect();
    neighbours.iter().for_each(|run| until_it_sleeps(&stage, run));
    let before = workers(server.pid());
    let run = end(stage.run(&overruns, &json!(null)).arg("--detach")).with(0).json()["run"].clone();
    let run = run.as_str().expect("its id");
    // The nineteenth field: by how much it stands behind others.
    let nice = |pid| String::from_utf8_lossy(&proc(pid, "stat")).split(' ').nth(18).map(str::to_owned);
    let own = until(|| workers(server.pid()).into_iter().find(|pid| nice(*pid).as_deref() == Some("15")));
    assert!(!before.contains(&own), "it is moved, and not those beside it");
    assert!(before.iter().all(|worker| !proc(*worker, "cmdline").is_empty()), "none was ended for it");
    assert_eq!(wait(&stage, run)["output"], json!("hi"));
    until(|| proc(own, "cmdline").is_empty().then_some(()));
    for run in &neighbours {
        assert_eq!(wait(&stage, run)["output"], json!(["slept"]));
    }
    server.stop();
    stage.replays();
}
