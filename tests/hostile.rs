//! Components that are made to break whoever reads them: each is refused in one line that names the limit, soon, and a host that is
//! given one lives on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::package::Sections;
use crate::serve::serve;
use crate::stage::{Stage, agentry, begin, end, guest};

/// No limit of the preparer lets it work for longer than this, on a machine that does little else.
const SOON: Duration = Duration::from_secs(60);

const MANIFEST: &str = r#"{"format":1,"name":"acme:evil","seq":1,"version":"1.0.0","wants":{},"wit":"0.1.0"}"#;

/// A component of these sections, and a manifest.
fn component(sections: &[u8]) -> Vec<u8> {
    let bare = [b"\0asm\x0d\0\x01\0", sections].concat();
    Sections::of(&bare).and(MANIFEST).component()
}

fn section(id: u8, body: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(body.len()), body].concat()
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f).to_le_bytes()[0];
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A component type in a component type, and so on.
fn deep_types(depth: usize) -> Vec<u8> {
    let mut body = vec![1];
    for _ in 0..depth {
        body.extend([0x41, 1, 1]);
    }
    body.extend([0x41, 0]);
    component(&section(7, &body))
}

/// A component that is given one function again and again, whose type has four hundred thousand parts that are compared each time.
fn huge_validation(times: usize) -> Vec<u8> {
    let tuple = |parts: usize, part: u8| [&[0x6f][..], &leb(parts), &vec![part; parts]].concat();
    // A tuple of floats, a tuple of such tuples, and a function that takes one; the function is imported.
    let function = [0x40, 1, 1, b'x', 1, 1, 0];
    let types = section(7, &[&[3][..], &tuple(10_000, 0x7d), &tuple(40, 0), &function].concat());
    let import = section(10, &[1, 0, 1, b'f', 1, 2]);
    let taken = section(4, &[b"\0asm\x0d\0\x01\0", &types[..], &import].concat());
    let instance = [0, 0, 1, 1, b'f', 1, 0];
    let given = section(5, &[leb(times), instance.repeat(times)].concat());
    component(&[types, import, taken, given].concat())
}

/// A component with so many instances of a module of these sections more.
fn with_instances(component: &[u8], sections: &[u8], times: usize) -> Vec<u8> {
    let mut modules = 0;
    let mut rest = &component[8..];
    while let Some((id, behind)) = rest.split_first() {
        let (mut length, mut shift) = (0, 0);
        let mut behind = behind.iter();
        for byte in behind.by_ref() {
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        modules += usize::from(*id == 1);
        rest = &behind.as_slice()[length..];
    }
    let module = [b"\0asm\x01\0\0\0", sections].concat();
    let instance = [&[0][..], &leb(modules), &[0]].concat();
    let instances = [leb(times), instance.repeat(times)].concat();
    [component.to_vec(), section(1, &module), section(2, &instances)].concat()
}

fn case(stage: &Stage, name: &str, bytes: &[u8]) -> PathBuf {
    let file = stage.path(name);
    fs::write(&file, bytes).expect("a file");
    file
}

/// Every case, and the words that its refusal must have.
fn cases(stage: &Stage) -> Vec<(PathBuf, &'static str)> {
    let echo = fs::read(guest("echo")).expect("echo is built");
    let pipe = stage.path("pipe.wasm");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    vec![
        (case(stage, "deep.wasm", &deep_types(5_000)), "2 MiB of stack"),
        (case(stage, "deeper.wasm", &deep_types(200_000)), "2 MiB of stack"),
        (case(stage, "validation.wasm", &huge_validation(20_000)), "instances count exceeds limit of 1000"),
        (case(stage, "text.wasm", b"#!/bin/sh\necho hello\n"), "not WebAssembly"),
        (case(stage, "cut.wasm", &echo[..echo.len() / 2]), "truncated"),
        (case(stage, "empty.wasm", b""), "empty"),
        (pipe, "not a regular file"),
    ]
}

fn is_refused(mut command: std::process::Command, file: &Path, of: &str) {
    let refused = end(&mut command).with(2);
    refused.complains(of);
    assert!(refused.took < SOON, "{} took {:?}", file.display(), refused.took);
}

#[test]
fn what_is_made_to_break_its_reader_is_refused_with_the_limit_by_every_command() {
    let stage = Stage::new();
    for (file, of) in cases(&stage) {
        let with = |mut command: std::process::Command, words: &[&str]| {
            command.args(words).arg(&file);
            command
        };
        is_refused(with(agentry(), &["inspect"]), &file, of);
        is_refused(with(stage.agentry("run"), &[]), &file, of);
    }
    assert_eq!(end(stage.agentry("ps").arg("--json")).with(0).json(), json!([]));
    stage.costs_nothing(&[]);
}

#[test]
fn runs_of_many_parts_wait_for_each_other_and_shut_nobody_else_out() {
    let stage = Stage::new();
    stage.grant("steps", "[budget]\nwall_run = \"100s\"\n");
    stage.write("home/agentry.toml", "format = 1\n[engine]\nruns_max = 8\n");
    let slim = guest("steps");
    let wide = case(&stage, "wide.wasm", &with_instances(&fs::read(&slim).expect("it is built"), &[], 115));
    let server = serve(&mut stage.agentry("serve"));
    let detach = |component: &Path, ms: &str| {
        let mut run = stage.run(component, &json!([["sleep", ms]]));
        end(run.arg("--detach")).with(0).json()["run"].as_str().expect("its id").to_owned()
    };
    // Two of them have more parts than the engine of so small a host has beside those of all others.
    let first = detach(&wide, "90000");
    let others = [(); 2].map(|()| begin(&mut stage.run(&wide, &json!([["sleep", "1"]]))));
    for _ in 0..2 {
        assert_eq!(end(&mut stage.run(&slim, &json!([["sleep", "1"]]))).with(0).json()["output"], json!(["slept"]));
    }
    let runs = end(stage.agentry("ps").arg("--json")).with(0).json();
    let runs = runs.as_array().expect("a list");
    let going: Vec<_> = runs.iter().filter(|row| row["ended_ms"].is_null()).map(|row| &row["run"]).collect();
    assert_eq!((going, runs.len()), (vec![&json!(first)], 3), "the others have not begun: {runs:?}");
    end(stage.agentry("kill").arg(&first)).with(0);
    for other in others {
        assert_eq!(other.end().with(0).json()["output"], json!(["slept"]));
    }
    server.stop();
}

#[test]
fn what_has_more_or_larger_parts_than_an_instance_may_have_is_refused_by_the_limits_name() {
    let stage = Stage::granting(&guest("echo"));
    let echo = fs::read(guest("echo")).expect("echo is built");
    let memory = section(5, &[&[1, 0][..], &leb(65_536)].concat());
    let table = section(4, &[&[1, 0x70, 0][..], &leb(10_000_000)].concat());
    let cases = [
        (
            "instances.wasm",
            with_instances(&echo, &[], 130),
            "core module instances, which exceeds the configured maximum of",
        ),
        (
            "memories.wasm",
            with_instances(&echo, &section(5, &[1, 0, 1]), 5),
            "linear memories, which exceeds the configured maximum of",
        ),
        (
            "memory.wasm",
            with_instances(&echo, &memory, 1),
            "minimum byte size of 4294967296 which exceeds the limit of",
        ),
        (
            "tables.wasm",
            with_instances(&echo, &section(4, &[1, 0x70, 0, 1]), 40),
            "tables, which exceeds the configured maximum of",
        ),
        ("table.wasm", with_instances(&echo, &table, 1), "minimum element size of 10000000 which exceeds the limit of"),
    ];
    for (name, bytes, of) in cases {
        let file = case(&stage, name, &bytes);
        let mut run = stage.agentry("run");
        run.arg(&file).args(["--input", "1"]);
        is_refused(run, &file, of);
    }
}

#[test]
fn a_host_that_is_given_what_breaks_its_reader_lives_on() {
    let stage = Stage::granting(&guest("echo"));
    let server = serve(&mut stage.agentry("serve"));
    for (file, of) in cases(&stage) {
        let mut detached = stage.agentry("run");
        detached.arg("--detach").arg(&file);
        is_refused(detached, &file, of);
        end(&mut stage.run(&guest("echo"), &json!({"still": "here"}))).with(0);
    }
    server.stop();
}

#[test]
fn a_host_that_is_to_stop_waits_for_no_component_that_is_made_ready() {
    let stage = Stage::granting(&guest("echo"));
    // It is read for three seconds of a processor.
    let slow = case(&stage, "slow.wasm", &huge_validation(990));
    let server = serve(stage.agentry("serve").args(["--drain", "0s"]));
    let ordered = begin(stage.agentry("run").arg("--detach").arg(&slow));
    std::thread::sleep(Duration::from_millis(600));
    let stopped = Instant::now();
    server.stop();
    assert!(stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
    ordered.end().with(5).complains("stops");
}

#[test]
fn an_agent_of_the_home_that_breaks_its_reader_harms_no_other() {
    let stage = Stage::granting(&guest("echo"));
    let deep = case(&stage, "deep.wasm", &deep_types(5_000));
    let known = format!(
        "format = 1\n[agents.evil]\ncomponent = \"{}\"\n[agents.echo]\ncomponent = \"{}\"\n",
        deep.display(),
        guest("echo").display()
    );
    stage.write("home/agents.toml", &known);
    let agents = end(stage.agentry("agents").arg("--json")).with(0);
    assert!(agents.stdout.contains("2 MiB of stack"), "{}", agents.stdout);
    let server = serve(&mut stage.agentry("serve"));
    end(stage.agentry("run").args(["--detach", "evil"])).with(2).complains("2 MiB of stack");
    end(&mut stage.run(&guest("echo"), &json!({"still": "here"}))).with(0);
    server.stop();
}

#[test]
fn a_manifest_is_attached_to_nothing_that_breaks_its_reader() {
    let stage = Stage::new();
    let manifest =
        stage.write("agent.toml", "format = 1\nname = \"acme:evil\"\nversion = \"1.0.0\"\nwit = \"0.1.0\"\n");
    let bare = Sections::of(&deep_types(5_000)).bare().component();
    let file = case(&stage, "deep.wasm", &bare);
    let out = stage.path("out.wasm");
    let mut build = agentry();
    build.arg("build").arg(&file).arg("--manifest").arg(manifest).arg("--out").arg(&out);
    is_refused(build, &file, "2 MiB of stack");
    assert!(!out.exists());
}

pub mod busy_host {
    use super::*;

    #[test]
    fn guests_that_have_the_host_work_without_end_take_nobody_elses_time() {
        let component = guest("busy_host");
        let stage = Stage::new();
        stage.grant("busy-host", "[budget]\nwall_run = \"100s\"\nfuel_run = 1_000_000_000_000\n");
        stage.grant("echo", "[budget]\nwall_run = \"40s\"\n");
        let server = serve(&mut stage.agentry("serve"));
        for with in ["clock", "wait", "budget"] {
            let mut busy = Vec::new();
            for _ in 0..2 {
                let mut order = stage.run(&component, &json!({"with": with}));
                let order = end(order.arg("--detach")).with(0).json();
                busy.push(order["run"].as_str().expect("its id").to_owned());
            }
            end(&mut stage.run(&guest("echo"), &json!({"still": "here"}))).with(0);
            let live = end(stage.agentry("ps").arg("--json")).with(0);
            assert!(live.took < SOON, "{:?}", live.took);
            for run in &busy {
                let goes_on = live
                    .json()
                    .as_array()
                    .is_some_and(|rows| rows.iter().any(|row| row["run"] == json!(run) && row["status"] == "running"));
                assert!(goes_on, "{with}: run {run} kept the others until its end: {}", live.stdout);
                end(stage.agentry("kill").arg(run)).with(0);
                let ended = end(stage.agentry("wait").arg(run));
                assert!(ended.took < SOON && ended.code != 0, "{with}: it was stopped after {:?}", ended.took);
            }
        }
        server.stop();
    }

    #[test]
    fn what_the_host_does_for_a_guest_ends_with_its_fuel_and_costs_the_same_in_both_isolations() {
        const FUEL: u64 = 100_000_000;
        for shape in ["fast", "dense"] {
            let stage = Stage::new();
            stage.grant("busy-host", &format!("[budget]\nwall_run = \"100s\"\nfuel_run = {FUEL}\n"));
            let memory = "memory = { read = [\"team/**\"], write = [\"team/**\"] }\n";
            stage.grant("steps", &format!("{memory}[budget]\nwall_run = \"100s\"\n"));
            let everywhere = |component: &str, input: &serde_json::Value| {
                ["process", "none"].map(|isolation| {
                    let engine = format!("[engine]\nisolation = \"{isolation}\"\nshape = \"{shape}\"\n");
                    stage.write("home/agentry.toml", &format!("format = 1\n{engine}"));
                    let report = end(&mut stage.run(&guest(component), input)).json();
                    // Executed again here, wherever it began.
                    stage.replays();
                    (report["usage"]["fuel"].as_u64().expect("it tells"), report["status"].clone())
                })
            };
            // One that waits takes time and hardly any of a processor.
            for with in ["clock", "budget"] {
                let ended = everywhere("busy_host", &json!({"with": with}));
                assert!(ended.iter().all(|one| *one == (FUEL, json!("exhausted"))), "{with}: {ended:?}");
            }
            let long = "y".repeat(9000);
            let does =
                json!([["put", "team/a", "k", "x"], ["log", "one"], ["sleep", "1"], ["put", "team/b", "k", long]]);
            let [apart, here] = everywhere("steps", &does);
            assert!(apart == here && apart.0 > 10_000, "{apart:?} {here:?}");
        }
    }
}
