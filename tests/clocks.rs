//! Clocks of machines that are wrong for a while: ahead by seconds or years, set back, right again. Nothing is refilled for it, nothing is used twice,
//! and nothing waits for a day that was never there.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::lies::Astray;
use crate::serve::{Server, serve};
use crate::stage::{Stage, end, guest, skip};

const DAY_S: i64 = 24 * 60 * 60;
const DECADE_S: i64 = 3_652 * DAY_S;

/// A home in which `steps` may pay ten times a day, and whose runs leave memory as soon as they wait.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.grant(
        "steps",
        "allow = [{ id = \"pay\", tool = \"pay\", args = \"any\" }]\n[budget]\nusd_day = \"0.010\"\nwall_run = \"1h\"\n",
    );
    stage.write(
        "home/tools.toml",
        "format = 1\n[tools.pay]\ndescription = \"Pays.\"\neffect = \"idempotent\"\nschema = '{\"type\": \"object\"}'\n\
         price_microusd = 1000\ncommand = { program = \"/bin/sh\", args = [\"-c\", \"printf paid\"] }\n",
    );
    stage.write("home/agentry.toml", "format = 1\n[idle]\nafter_ms = 0\n");
    stage
}

/// How far ahead a clock is that shows noon, so that no test runs over midnight.
fn noon() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    DAY_S / 2 - i64::try_from(now).expect("a date of these days") % DAY_S
}

fn serving(stage: &Stage, clock: &Astray) -> Server {
    serve(clock.told_to(&mut stage.agentry("serve")))
}

/// How many of so many payments were made.
fn pays(stage: &Stage, clock: &Astray, times: usize) -> usize {
    let input = Value::from(vec![json!(["ask", "pay", "{}"]); times]);
    let report = end(clock.told_to(&mut stage.run(&guest("steps"), &input))).json();
    report["output"].as_array().map_or(0, |told| told.iter().filter(|word| *word == "paid").count())
}

/// What `steps` has spent today, and in how many seconds that is over.
fn today(stage: &Stage, clock: &Astray) -> (u64, u64) {
    let books = end(clock.told_to(stage.agentry("budget").arg("--json"))).with(0).json();
    let agents = books["agents"].as_array().expect("a list");
    let steps = agents.iter().find(|agent| agent["agent"] == "steps").expect("it ran");
    let usd =
        steps["lines"].as_array().expect("a list").iter().find(|line| line["what"] == "usd").expect("it has a limit");
    (usd["spent"].as_u64().expect("a number"), usd["refills_in_s"].as_u64().expect("it refills"))
}

fn reading(stage: &Stage, clock: &Astray) -> Value {
    end(clock.told_to(stage.agentry("clock").arg("--json"))).with(0).json()
}

/// Until the host has seen how its clock was set.
fn until(stage: &Stage, clock: &Astray, holds: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    while !holds(&reading(stage, clock)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not come: {}", reading(stage, clock));
        thread::sleep(Duration::from_millis(50));
    }
}

fn sends_nothing_twice(stage: &Stage) {
    stage.replays();
    end(&mut stage.agentry("audit verify")).with(0);
}

#[test]
fn a_clock_that_was_ahead_and_is_right_again_leaves_nothing_stuck() {
    let stage = stage();
    let Some(clock) = Astray::new(&stage) else {
        return skip("a_clock_that_was_ahead_and_is_right_again_leaves_nothing_stuck", "there is no `cc`");
    };
    let noon = noon();
    clock.set(noon);
    let server = serving(&stage, &clock);
    assert_eq!(pays(&stage, &clock, 9), 9);
    for ahead in [3_600, DAY_S, DECADE_S] {
        clock.set(noon + ahead);
        until(&stage, &clock, |reading| reading["ahead_ms"].as_u64() > Some(0));
        // Neither is a day over, nor a wait that began before.
        let (spent, left) = today(&stage, &clock);
        assert!(spent >= 9_000 && left <= 86_400 / 2 && left > 86_400 / 3, "{spent} {left}");
        clock.set(noon);
        until(&stage, &clock, |reading| reading["ahead_ms"] == 0 && reading["behind_ms"] == 0);
    }
    clock.set(noon + DECADE_S);
    until(&stage, &clock, |reading| reading["ahead_ms"].as_u64() > Some(0));
    assert_eq!(pays(&stage, &clock, 2), 1, "the day has not refilled");
    // Both clocks are looked at each second for what a person should know.
    thread::sleep(Duration::from_secs(4));
    let said = server.stop();
    assert!(said.contains("has leapt ahead by") && said.contains("agentry clock accept"), "{said}");
    // Nor does another host believe it, nor one that comes when it is right again miss anything.
    let server = serving(&stage, &clock);
    assert_eq!(pays(&stage, &clock, 2), 0);
    server.stop();
    clock.set(noon);
    let server = serving(&stage, &clock);
    let (spent, left) = today(&stage, &clock);
    assert!(spent == 10_000 && left <= 86_400 / 2, "{spent} {left}");
    let sleeps = end(clock.told_to(&mut stage.run(&guest("steps"), &json!([["sleep", "1500"]])))).with(0).json();
    assert_eq!(sleeps["output"], json!(["slept"]));
    end(clock.told_to(&mut stage.agentry("clock accept"))).with(0);
    server.stop();
    end(stage.agentry("clock accept").arg("now")).with(2);
    sends_nothing_twice(&stage);
}

#[test]
fn a_run_on_a_machine_whose_clock_leapt_says_so_and_goes_by_the_time_of_the_home() {
    let stage = stage();
    let Some(clock) = Astray::new(&stage) else {
        return skip(
            "a_run_on_a_machine_whose_clock_leapt_says_so_and_goes_by_the_time_of_the_home",
            "there is no `cc`",
        );
    };
    let noon = noon();
    let run = |ahead: i64| {
        clock.set(noon + ahead);
        end(clock.told_to(&mut stage.run(&guest("steps"), &json!([["sleep", "1"]])))).with(0).stderr
    };
    assert!(!run(0).contains("goes by its own time"), "both agree");
    let said = run(DECADE_S);
    assert!(said.contains("the machine is ahead by 36") && said.contains(" d "), "a length is read in days: {said}");
    assert!(said.contains("goes by its own time") && said.contains("agentry clock accept"), "{said}");
    assert!(!run(0).contains("goes by its own time"), "it is right again");
}

#[test]
fn runs_are_listed_as_they_began_though_a_clock_was_wrong_and_is_set_back() {
    let stage = stage();
    let Some(clock) = Astray::new(&stage) else {
        return skip("runs_are_listed_as_they_began_though_a_clock_was_wrong_and_is_set_back", "there is no `cc`");
    };
    let runs = |times: usize| {
        for _ in 0..times {
            end(clock.told_to(&mut stage.run(&guest("steps"), &json!([])))).with(0);
        }
    };
    let listed = || {
        let ps = end(clock.told_to(stage.agentry("ps").arg("--json"))).with(0).json();
        ps.as_array().expect("a list").iter().map(|run| run["run"].clone()).collect::<Vec<_>>()
    };
    runs(1);
    clock.set(DECADE_S);
    end(clock.told_to(&mut stage.agentry("clock accept"))).with(0);
    runs(2);
    let mut before = listed();
    clock.set(0);
    let doctor = end(clock.told_to(&mut stage.agentry("doctor"))).stdout;
    assert!(doctor.contains("the machine is behind by") && doctor.contains("agentry clock accept"), "{doctor}");
    // One that waits meanwhile in a host that serves, and one that does in none.
    let server = serving(&stage, &clock);
    let sleep = json!([["sleep", "600000"]]).to_string();
    let mut order = stage.agentry("run");
    let waits = end(clock.told_to(order.arg("--detach").arg(guest("steps")).args(["--input", &sleep]))).with(0);
    before.insert(0, json!(waits.stdout.trim()));
    assert_eq!(listed(), before);
    end(clock.told_to(&mut stage.agentry("clock accept"))).with(0);
    assert_eq!(listed(), before, "what began by the wrong clock keeps its order");
    server.stop();
    runs(1);
    let after = listed();
    assert_eq!((after.len(), &after[1..]), (5, &before[..]), "the newest is the one that began last");
    let last = end(clock.told_to(stage.agentry("trace last").arg("--json"))).with(0).json();
    assert_eq!(last["run"], after[0]);
    // Ended by a person, it stays in its place and has no second one.
    end(clock.told_to(stage.agentry("kill").arg(waits.stdout.trim()))).with(0);
    assert_eq!(listed(), after);
    end(clock.told_to(stage.agentry("ps --limit 2").args(["--json", "--after"]).arg(after[1].as_str().expect("an id")))).with(0);
    end(&mut stage.agentry("audit verify")).with(0);
}

#[test]
fn a_wait_ends_on_time_though_the_clock_is_set_back() {
    let stage = stage();
    let Some(clock) = Astray::new(&stage) else {
        return skip("a_wait_ends_on_time_though_the_clock_is_set_back", "there is no `cc`");
    };
    let server = serving(&stage, &clock);
    let sleep = json!([["sleep", "3000"]]).to_string();
    let run = end(stage.agentry("run").arg("--detach").arg(guest("steps")).args(["--input", &sleep])).with(0);
    thread::sleep(Duration::from_millis(500));
    clock.set(-DAY_S);
    let begun = Instant::now();
    end(stage.agentry("wait").args([run.stdout.trim(), "--timeout", "100s"])).with(0);
    assert!(begun.elapsed() < Duration::from_secs(60));
    server.stop();
    sends_nothing_twice(&stage);
}

#[test]
fn what_was_used_in_a_false_future_counts_for_now_once_a_person_says_so() {
    let stage = stage();
    let Some(clock) = Astray::new(&stage) else {
        return skip("what_was_used_in_a_false_future_counts_for_now_once_a_person_says_so", "there is no `cc`");
    };
    let noon = noon();
    // Nobody can know that this is not so: the home is new.
    clock.set(noon + DECADE_S);
    let server = serving(&stage, &clock);
    assert_eq!(pays(&stage, &clock, 4), 4);
    let sleep = json!([["sleep", "2000"]]).to_string();
    let order = |component: &Path| {
        let mut run = stage.agentry("run");
        let run = end(clock.told_to(run.arg("--detach").arg(component).args(["--input", &sleep]))).with(0);
        run.stdout.trim().to_owned()
    };
    let rests = order(&guest("steps"));
    clock.set(noon);
    until(&stage, &clock, |reading| reading["behind_ms"].as_u64() > Some(0));
    // Time goes on from where it was: nothing is stuck, and nothing is given.
    end(stage.agentry("wait").args([&rests, "--timeout", "100s"])).with(0);
    let (spent, left) = today(&stage, &clock);
    assert!(spent == 4_000 && left <= 86_400, "{spent} {left}");
    let rests = order(&guest("steps"));
    let accepted = end(clock.told_to(&mut stage.agentry("clock accept"))).with(0);
    assert!(accepted.stderr.contains("accepted") || accepted.stdout.contains("accepted"), "{}", accepted.stderr);
    let now = reading(&stage, &clock);
    assert!(now["behind_ms"] == 0 && now["ahead_ms"] == 0, "{now}");
    assert_eq!(pays(&stage, &clock, 8), 6, "what was used then counts for today");
    end(stage.agentry("wait").args([&rests, "--timeout", "100s"])).with(0);
    server.stop();
    // The same where nobody serves, by the next host.
    let server = serving(&stage, &clock);
    let (spent, left) = today(&stage, &clock);
    assert!(spent == 10_000 && left <= 86_400 / 2, "{spent} {left}");
    server.stop();
    let page = end(clock.told_to(&mut stage.agentry("clock"))).with(0).stdout;
    assert!(page.contains("home") && page.contains("machine"), "{page}");
    end(stage.agentry("clock").arg("set")).with(2);
    sends_nothing_twice(&stage);
}
