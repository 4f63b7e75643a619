//! What must be over is over, and what was given is known: runs below one that is stopped, runs whose grant is gone, orders that are made again, tools
//! that stop their guard, and runs that go on in an engine of another shape.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agents::home;
use crate::serve::{Server, serve};
use crate::stage::{Stage, end, guest};

/// A home in which `steps` and `clerk` call `worker`, and whose runs leave memory as soon as they wait.
fn office() -> Stage {
    let calls = "agents = { call = [\"worker\"], max_depth = 1 }\n";
    let stage = home(&[
        ("steps", &format!("{calls}[budget]\nwall_run = \"100s\"\nwall_day = \"3h\"\n")),
        ("clerk", &format!("{calls}[budget]\nwall_run = \"4s\"\n")),
        ("worker", ""),
    ]);
    stage.write("home/agentry.toml", "format = 1\n[idle]\nafter_ms = 0\n");
    stage
}

fn serving(stage: &Stage) -> Server {
    serve(stage.agentry("serve").args(["--drain", "0s"]))
}

fn detach(stage: &Stage, agent: &str, steps: &Value) -> String {
    let run = end(stage.agentry("run").arg("--detach").arg(guest(agent)).args(["--input", &steps.to_string()]));
    run.with(0).stdout.trim().to_owned()
}

fn runs(stage: &Stage) -> Vec<Value> {
    end(stage.agentry("ps").args(["--json", "--limit", "1000"])).with(0).json().as_array().expect("a list").clone()
}

/// All runs, once this holds of them.
fn until(stage: &Stage, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let all = runs(stage);
        if holds(&all) {
            return all;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "it does not come: {all:#?}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn is_open(run: &Value) -> bool {
    run["status"] == "suspended" || run["status"] == "running"
}

/// Everything that any account holds.
fn held(stage: &Stage) -> Vec<Value> {
    let books = end(stage.agentry("budget").arg("--json")).with(0).json();
    let agents = books["agents"].as_array().expect("a list").iter().map(|agent| &agent["lines"]);
    let lines = agents.chain([&books["site"]]).flat_map(|lines| lines.as_array().expect("a list"));
    lines.filter(|line| line["reserved"] != 0).cloned().collect()
}

#[test]
fn whatever_works_for_a_run_that_is_over_ends_with_it_and_gives_back_what_it_held() {
    let stage = office();
    let server = serving(&stage);
    let work = json!([["sleep", "500000"]]).to_string();
    let dropping: Vec<_> = (0..6)
        .map(|n| {
            detach(
                &stage,
                "steps",
                &json!([["drop-agent", (1500 + 137 * n).to_string(), "worker", work], ["sleep", "1"]]),
            )
        })
        .collect();
    let late = detach(&stage, "clerk", &json!([["agent", "worker", work]]));
    let killed: Vec<_> = (0..4).map(|_| detach(&stage, "steps", &json!([["agent", "worker", work]]))).collect();
    until(&stage, |all| {
        let rests = |run: &String| all.iter().any(|found| found["run"] == **run && !found["rests"].is_null());
        killed.iter().all(rests)
    });
    for run in &killed {
        end(stage.agentry("kill").arg(run)).with(0);
    }
    let all = until(&stage, |all| !all.iter().any(is_open));
    let below = all.iter().filter(|run| !run["parent"].is_null());
    assert_eq!(below.clone().count(), dropping.len() + killed.len() + 1, "{all:#?}");
    assert!(below.clone().all(|run| run["status"] == "stopped"), "{all:#?}");
    let of = |id: &String| all.iter().find(|run| run["run"] == **id).expect("it is there")["status"].clone();
    assert!(dropping.iter().all(|run| of(run) == "done") && killed.iter().all(|run| of(run) == "stopped"), "{all:#?}");
    assert_eq!(of(&late), "exhausted", "{all:#?}");
    assert_eq!(held(&stage), Vec::<Value>::new());
    server.stop();
    let server = serving(&stage);
    assert!(held(&stage).is_empty() && !runs(&stage).iter().any(is_open));
    // What was held for each is not spent.
    let books = end(stage.agentry("budget").arg("--json")).json();
    let steps = books["agents"].as_array().expect("a list").iter().find(|agent| agent["agent"] == "steps");
    let lines = steps.expect("it ran")["lines"].as_array().expect("a list").clone();
    let wall = lines.iter().find(|line| line["what"] == "wall-time").expect("it has a limit");
    assert!(wall["spent"].as_u64() < Some(30 * 60 * 1000), "{wall}");
    server.stop();
    stage.replays();
    end(&mut stage.agentry("audit verify")).with(0);
}

#[test]
fn a_run_whose_grant_is_gone_is_killed_all_the_same() {
    let stage = office();
    let server = serving(&stage);
    let run = detach(&stage, "steps", &json!([["sleep", "3600000"]]));
    until(&stage, |all| all.iter().any(|found| found["run"] == *run && !found["rests"].is_null()));
    server.stop();
    fs::remove_file(stage.home().join("policies/50-steps.toml")).expect("it is ours");
    let server = serving(&stage);
    end(stage.agentry("kill").arg(&run).args(["--because", "its grant is gone"])).with(0);
    let all = until(&stage, |all| !all.iter().any(is_open));
    assert_eq!(all[0]["status"], "stopped", "{all:?}");
    assert_eq!(held(&stage), Vec::<Value>::new());
    let report = end(stage.agentry("wait").args([&run, "--json"])).with(1).json();
    assert!(report["failure"].as_str().is_some_and(|why| why.contains("its grant is gone")), "{report}");
    server.stop();
    stage.replays();
}

#[test]
fn a_run_that_called_agents_goes_on_and_is_the_same_in_an_engine_of_another_shape() {
    let shape = |stage: &Stage, shape: &str| {
        stage.write("home/agentry.toml", &format!("format = 1\n[engine]\nshape = \"{shape}\"\n"));
    };
    for (first, second) in [("fast", "dense"), ("dense", "fast")] {
        let put = "memory = { write = [\"team/**\"] }\n";
        let calls = format!("agents = {{ call = [\"worker\"], max_depth = 1 }}\n{put}[budget]\nwall_run = \"1h\"\n");
        let stage = home(&[("steps", &calls), ("worker", put)]);
        shape(&stage, first);
        let server = serving(&stage);
        let work = json!([["put", "team/a", "k", "v"]]).to_string();
        let long = json!([["sleep", "3000"]]).to_string();
        let over = detach(&stage, "steps", &json!([["agent", "worker", work], ["sleep", "1"]]));
        end(stage.agentry("wait").arg(&over)).with(0);
        let called = detach(
            &stage,
            "steps",
            &json!([["agent", "worker", work], ["sleep", "3000"], ["put", "team/a", "x", "y"]]),
        );
        let calling = detach(&stage, "steps", &json!([["put", "team/a", "k", "v"], ["agent", "worker", long]]));
        until(&stage, |all| all.iter().filter(|run| run["agent"] == "worker").count() == 3);
        server.stop();
        shape(&stage, second);
        let server = serving(&stage);
        for run in [&called, &calling] {
            end(stage.agentry("wait").args([run, "--timeout", "90s"])).with(0);
        }
        assert_eq!(held(&stage), Vec::<Value>::new(), "{first} to {second}");
        server.stop();
        stage.replays();
    }
}

#[test]
fn an_order_under_a_key_begins_one_run_however_often_it_is_made() {
    let stage = office();
    let order = |key: &str, input: &str| {
        let mut run = stage.agentry("run");
        run.arg("--detach").arg(guest("steps")).args(["--key", key, "--input", input]);
        end(&mut run)
    };
    end(stage.agentry("run").arg(guest("steps")).args(["--key", "a-1", "--input", "[]"]))
        .with(2)
        .complains("--key is for");
    let server = serving(&stage);
    let first = order("a-1", "[]").with(0).stdout;
    assert_eq!(order("a-1", "[]").with(0).stdout, first);
    order("a-1", "[[\"sleep\", \"1\"]]").with(2).complains("another order");
    order("", "[]").with(2).complains("a key has");
    let crowd: Vec<_> = (0..8).map(|_| order("a-2", "[]")).map(|ended| ended.with(0).stdout).collect();
    assert!(crowd.iter().all(|run| *run == crowd[0]) && crowd[0] != first, "{crowd:?}");
    server.stop();
    // Another host knows it, too.
    let server = serving(&stage);
    assert_eq!(order("a-1", "[]").with(0).stdout, first);
    assert_eq!(runs(&stage).len(), 2);
    server.stop();
}

#[test]
fn commands_that_say_half_of_something_keep_nobody_out() {
    let stage = office();
    let server = serving(&stage);
    let socket = stage.home().join("control/host.sock");
    let half: Vec<UnixStream> = (0..300)
        .map_while(|_| {
            let mut stream = UnixStream::connect(&socket).ok()?;
            stream.set_nonblocking(true).ok()?;
            let _ = stream.write_all(&[200, 0, 0, 0, 1]);
            Some(stream)
        })
        .collect();
    assert!(half.len() > 200, "{}", half.len());
    let listed = end(&mut stage.agentry("ps")).with(0);
    assert!(listed.took < Duration::from_secs(60), "{:?}", listed.took);
    detach(&stage, "steps", &json!([]));
    // Some of them were hung up on.
    let gone = half.into_iter().filter_map(|mut stream| {
        stream
            .set_nonblocking(false)
            .and_then(|()| {
                stream.set_read_timeout(Some(Duration::from_millis(10)))?;
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest)
            })
            .ok()
    });
    assert!(gone.count() > 0);
    server.stop();
}

#[test]
fn a_command_that_stops_its_guard_ends_on_time_and_does_nothing_after() {
    let stage = Stage::new();
    let late = stage.path("late");
    stage.grant(
        "steps",
        "allow = [{ id = \"late\", tool = \"late\", args = \"any\" }]\n[budget]\nwall_run = \"100s\"\n",
    );
    let script = format!(
        "kill -STOP $PPID; kill -KILL $PPID; (setsid sh -c 'sleep 6; echo x >> {0}' &); sleep 6; echo x >> {0}",
        late.display()
    );
    let tools = format!(
        "format = 1\n[tools.late]\ndescription = \"Acts late.\"\neffect = \"idempotent\"\nschema = '{{\"type\": \"object\"}}'\n\
         timeout_ms = 1000\ncommand = {{ program = \"/bin/sh\", args = [\"-c\", {script:?}] }}\n"
    );
    stage.write("home/tools.toml", &tools);
    let begun = Instant::now();
    let report = end(&mut stage.run(&guest("steps"), &json!([["ask", "late", "{}"]]))).json();
    assert!(report["output"][0].as_str().is_none_or(|told| told.starts_with("no: ")), "{report}");
    // Also when its host is killed in the middle of it.
    let server = serving(&stage);
    detach(&stage, "steps", &json!([["ask", "late", "{}"]]));
    thread::sleep(Duration::from_millis(500));
    server.kill();
    thread::sleep(Duration::from_secs(9).saturating_sub(begun.elapsed().min(Duration::from_secs(1))));
    assert!(!late.exists(), "it acted after its time");
}

#[test]
fn a_root_that_has_anything_of_the_home_is_refused() {
    let stage = office();
    let (home, above) = (stage.home(), stage.path(""));
    for bad in [&home, &home.join("policies"), &above] {
        let root = format!("documents={}", bad.display());
        let told = end(stage.agentry("serve").args(["--root", &root])).with(2).stderr;
        assert!(told.contains("contains the home, or lies in it"), "{told}");
    }
}
