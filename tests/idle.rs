//! Runs that leave memory while they wait: what waits for nothing but time, letters and people goes, comes back when one of these does, on
//! this host or the next, and neither its answers nor its bill show that it was gone.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agents::home;
use crate::guests::SOON;
use crate::serve::{Server, serve};
use crate::stage::{Stage, begin, end, guest};

const GRANTS: [(&str, &str); 4] = [
    (
        "steps",
        "memory = { read = [\"team/**\"], write = [\"team/**\"] }\n\
         agents = { call = [\"person\"], send = [\"clerk\"], receive = [\"clerk\"] }\n\
         human = { ask = true }\n",
    ),
    ("clerk", "memory = { write = [\"team/**\"] }\nagents = { send = [\"steps\"], receive = [\"steps\"] }\n"),
    ("person", "human = { ask = true }\n"),
    ("sleep-std", ""),
];

/// A home whose runs leave memory as soon as they wait.
fn stage() -> Stage {
    let stage = home(&GRANTS);
    stage.write("home/agentry.toml", "format = 1\n[idle]\nafter_ms = 0\n");
    stage
}

fn order(stage: &Stage, agent: &str, input: &Value) -> Command {
    let mut run = stage.agentry("run");
    run.arg("--detach").arg(guest(agent)).args(["--input", &input.to_string()]);
    run
}

fn detach(stage: &Stage, agent: &str, input: &Value) -> String {
    end(&mut order(stage, agent, input)).with(0).stdout.trim().to_owned()
}

fn seen(stage: &Stage, run: &str) -> Value {
    let runs = end(stage.agentry("ps").arg("--json")).with(0).json();
    runs.as_array().expect("a list").iter().find(|found| found["run"] == run).cloned().unwrap_or_default()
}

/// The run as `ps` shows it, once it is out of memory and something is to bring it back.
fn rests(stage: &Stage, run: &str) -> Value {
    let begun = Instant::now();
    loop {
        let found = seen(stage, run);
        if found["status"] == "suspended" && found["live"].is_null() && !found["rests"].is_null() {
            return found["rests"].clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not rest: {found}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn output(stage: &Stage, run: &str) -> Value {
    end(stage.agentry("wait").args([run, "--timeout", "60s", "--json"])).with(0).json()["output"].clone()
}

fn how_often_it_rested(stage: &Stage, run: &str) -> u64 {
    end(stage.agentry("trace").args([run, "--json"])).with(0).json()["rested"].as_u64().expect("a number")
}

fn serving(stage: &Stage) -> Server {
    serve(&mut stage.agentry("serve"))
}

fn all_is_given_back(stage: &Stage) {
    let books = end(stage.agentry("budget").arg("--json")).json().to_string();
    assert!(!books.contains("\"reserved\":1"), "something is held for a run that is over: {books}");
    stage.replays();
    end(&mut stage.agentry("audit verify")).with(0);
}

#[test]
fn a_run_that_waits_for_time_leaves_memory_and_comes_back_then() {
    let stage = stage();
    let server = serving(&stage);
    let begun = Instant::now();
    let run = detach(
        &stage,
        "steps",
        &json!([["put", "team/board", "a", "b"], ["sleep", "2500"], ["get", "team/board", "a"]]),
    );
    let wake = rests(&stage, &run);
    assert_eq!((&wake["letter"], &wake["person"]), (&json!(false), &json!(false)), "{wake}");
    let page = end(&mut stage.agentry("ps")).with(0).stdout;
    assert!(page.contains("out of memory until"), "{page}");
    assert_eq!(output(&stage, &run), json!(["1", "slept", "\"b\" []"]));
    assert!(begun.elapsed() >= Duration::from_millis(2500), "it slept for {:?}", begun.elapsed());
    assert!(how_often_it_rested(&stage, &run) >= 1);
    server.stop();
    all_is_given_back(&stage);
}

#[test]
fn a_letter_brings_back_the_agent_that_waits_for_it() {
    let stage = stage();
    let server = serving(&stage);
    let clerk = detach(&stage, "clerk", &json!([["receive"], ["reply", "clerk/0", "\"yes\""]]));
    assert_eq!(rests(&stage, &clerk)["letter"], true);
    let steps = detach(&stage, "steps", &json!([["send", "clerk", "lunch", "12"], ["receive", "60000"]]));
    let taken = output(&stage, &clerk);
    assert!(taken[0].to_string().ends_with(r#" steps \"lunch\" 12 []""#) && taken[1] == "answered", "{taken}");
    let answer = output(&stage, &steps)[1].to_string();
    assert!(answer.contains("steps/") && answer.contains(r#" clerk \"Re: lunch\" \"yes\" []"#), "{answer}");
    // One that no letter comes for is told so at its time, however often it was gone.
    let begun = Instant::now();
    let none = detach(&stage, "steps", &json!([["receive", "1500"]]));
    rests(&stage, &none);
    assert_eq!((output(&stage, &none), begun.elapsed() >= Duration::from_millis(1500)), (json!(["none"]), true));
    server.stop();
    all_is_given_back(&stage);
}

#[test]
fn a_letter_for_an_agent_that_rests_starts_no_second_run_of_it() {
    let stage = stage();
    let known = std::fs::read_to_string(stage.home().join("agents.toml")).expect("it is ours");
    stage.write(
        "home/agents.toml",
        &known.replace("[agents.clerk]\n", "[agents.clerk]\nstart = [{ letter = true, input = '[]' }]\n"),
    );
    let server = serving(&stage);
    let clerk = detach(&stage, "clerk", &json!([["receive"]]));
    rests(&stage, &clerk);
    detach(&stage, "steps", &json!([["send", "clerk", "lunch", "12"]]));
    assert!(output(&stage, &clerk)[0].to_string().ends_with(r#" steps \"lunch\" 12 []""#));
    thread::sleep(Duration::from_millis(1200));
    let runs = end(stage.agentry("ps").arg("--json")).with(0).json();
    let clerks = runs.as_array().expect("a list").iter().filter(|run| run["agent"] == "clerk").count();
    assert_eq!(clerks, 1, "{runs}");
    server.stop();
}

#[test]
fn a_person_answers_an_agent_that_is_in_no_memory_and_whose_host_is_gone() {
    let stage = stage();
    let server = serving(&stage);
    let ask = json!([{"ask": {"text": "Which day?"}}]);
    let run = detach(&stage, "person", &ask);
    assert_eq!(rests(&stage, &run)["person"], true);
    end(stage.agentry("answer").args([&format!("{run}/1"), "monday"])).with(0);
    assert_eq!(output(&stage, &run), json!(["monday"]), "while its host serves");

    let run = detach(&stage, "person", &ask);
    rests(&stage, &run);
    server.kill();
    let shown = end(stage.agentry("questions").arg("--json")).with(0).json();
    assert_eq!(shown[0]["state"], "open", "{shown}");
    end(stage.agentry("answer").args([&format!("{run}/1"), "tuesday"])).with(0);
    assert_eq!(seen(&stage, &run)["status"], "suspended");
    let server = serving(&stage);
    assert_eq!(output(&stage, &run), json!(["tuesday"]), "by the next host");
    // Nobody answers in time.
    let late = detach(&stage, "person", &json!([{"ask": {"text": "Which day?", "expires_s": 2}}]));
    rests(&stage, &late);
    assert!(
        output(&stage, &late)[0].as_str().is_some_and(|said| said.contains("timed out")),
        "{}",
        output(&stage, &late)
    );
    server.stop();
    all_is_given_back(&stage);
}

#[test]
fn runs_that_rest_survive_their_host_and_hold_what_they_hold() {
    let stage = stage();
    let server = serving(&stage);
    let sleeper = detach(&stage, "steps", &json!([["sleep", "3000"], ["put", "team/board", "a", "b"]]));
    let reader = detach(&stage, "clerk", &json!([["receive"]]));
    let (wake, _) = (rests(&stage, &sleeper), rests(&stage, &reader));
    let reserved = |stage: &Stage| {
        let books = end(stage.agentry("budget").args(["steps", "--json"])).with(0).json().to_string();
        assert!(!books.contains("\"spent\":100"), "a run that rests is not written off: {books}");
        books.matches("\"reserved\":").count() > books.matches("\"reserved\":0").count()
    };
    assert!(reserved(&stage), "its wall time and its fuel stay held");
    server.kill();
    assert_eq!(seen(&stage, &sleeper)["rests"], wake, "it stands in the store");
    let server = serving(&stage);
    assert!(reserved(&stage));
    assert_eq!(output(&stage, &sleeper), json!(["slept", "1"]));
    assert!(!seen(&stage, &reader)["rests"].is_null(), "what nothing comes for stays where it is");
    server.stop();
    // A letter that comes while nobody serves is found by the next host.
    end(&mut stage.run(&guest("steps"), &json!([["send", "clerk", "lunch", "12"]]))).with(0);
    let server = serving(&stage);
    assert!(output(&stage, &reader)[0].to_string().ends_with(r#" steps \"lunch\" 12 []""#));
    server.stop();
    all_is_given_back(&stage);
}

#[test]
fn an_agent_leaves_memory_together_with_those_that_work_for_it() {
    let stage = stage();
    let server = serving(&stage);
    let asks = r#"[{"sleep":{"ms":1500}},{"ask":{"text":"Which day?"}}]"#;
    let run = detach(&stage, "steps", &json!([["agent", "person", asks], ["put", "team/board", "a", "b"]]));
    let sleeps = rests(&stage, &run);
    assert_eq!(sleeps["person"], false, "it sleeps because its child does");
    let question = || end(stage.agentry("questions").arg("--json")).with(0).json()[0]["id"].clone();
    let begun = Instant::now();
    while rests(&stage, &run)["person"] == false {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not ask");
        thread::sleep(Duration::from_millis(50));
    }
    end(stage.agentry("answer").args([question().as_str().expect("an id"), "monday"])).with(0);
    assert_eq!(output(&stage, &run), json!([r#"["slept","monday"]"#, "1"]));
    assert!(how_often_it_rested(&stage, &run) >= 2);
    server.stop();
    all_is_given_back(&stage);
}

#[test]
fn wall_time_goes_on_for_a_run_that_rests() {
    let stage = stage();
    stage.grant("steps", "memory = { read = [\"team/**\"], write = [\"team/**\"] }\n[budget]\nwall_run = \"2s\"\n");
    let server = serving(&stage);
    let run = detach(&stage, "steps", &json!([["sleep", "3600000"]]));
    rests(&stage, &run);
    let report = end(stage.agentry("wait").args([&run, "--timeout", "30s", "--json"])).with(4).json();
    assert!(report["failure"].as_str().is_some_and(|why| why.contains("used up its wall time")), "{report}");
    server.stop();
    all_is_given_back(&stage);
}

#[test]
fn a_run_that_rests_can_be_killed_and_says_why() {
    let stage = stage();
    let server = serving(&stage);
    let run = detach(&stage, "person", &json!([{"ask": {"text": "Which day?"}}]));
    rests(&stage, &run);
    end(stage.agentry("kill").args([&run, "--because", "nobody will answer"])).with(0);
    let report = end(stage.agentry("wait").args([&run, "--timeout", "30s", "--json"])).with(1).json();
    assert_eq!(report["failure"], "the run was stopped: nobody will answer", "{report}");
    end(stage.agentry("answer").args([&format!("{run}/1"), "monday"])).with(2).complains("no open question");
    server.stop();
    all_is_given_back(&stage);
}

#[test]
fn a_run_that_somebody_watches_or_holds_stays_in_memory_and_so_does_one_that_works() {
    let stage = stage();
    let server = serving(&stage);
    // With a terminal or without: its output goes where it was started.
    let watched = begin(stage.agentry("run").arg(guest("steps")).args(["--input", "[[\"sleep\",\"2500\"]]"]));
    let begun = Instant::now();
    while stage.last()["live"]["waits_for"] != "sleep" {
        assert!(begun.elapsed() < SOON, "{}", stage.last());
        thread::sleep(Duration::from_millis(50));
    }
    // Longer than a run may wait in memory that nobody watches.
    thread::sleep(Duration::from_millis(1000));
    let live = stage.last();
    assert_eq!((&live["status"], &live["live"]["waits_for"]), (&json!("running"), &json!("sleep")), "{live}");
    watched.end().with(0);
    let std = detach(&stage, "sleep-std", &json!(null));
    thread::sleep(Duration::from_millis(600));
    assert!(seen(&stage, &std)["rests"].is_null());
    server.stop();
}

#[test]
fn little_room_sends_those_away_that_wait() {
    let stage = stage();
    let order = json!([["sleep", "4000"]]);
    stage.write("home/agentry.toml", "format = 1\n[idle]\nafter_ms = 3_600_000\n");
    let server = serving(&stage);
    let stays = detach(&stage, "steps", &order);
    thread::sleep(Duration::from_millis(900));
    assert_eq!(seen(&stage, &stays)["live"]["waits_for"], "sleep");
    output(&stage, &stays);
    server.stop();
    stage.write("home/agentry.toml", "format = 1\n[idle]\nafter_ms = 3_600_000\nmemory_mb = 0\n");
    let server = serving(&stage);
    let goes = detach(&stage, "steps", &order);
    rests(&stage, &goes);
    assert_eq!(output(&stage, &goes), json!(["slept"]));
    server.stop();
    for wrong in ["after_ms = -1", "after_ms = \"1m\"", "memory_mb = 1.5", "after = 5"] {
        stage.write("home/agentry.toml", &format!("format = 1\n[idle]\n{wrong}\n"));
        end(&mut stage.agentry("serve")).with(2).complains("agentry.toml:3");
    }
}
