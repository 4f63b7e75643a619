//! People that agents ask and tell: who may, what is asked, what an answer comes to, and what is too much.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::refusals::costs_nothing;
use crate::serve::serve;
use crate::stage::{Ended, Running, Stage, begin, end, guest};

fn stage(grant: &str) -> Stage {
    let stage = Stage::new();
    stage
        .policy(&format!("format = 1\nlayer = \"grant\"\nagent = \"person\"\n{grant}\n[budget]\nwall_run = \"60s\"\n"));
    stage
}

const BOTH: &str = "human = { ask = true, notify = true }";

fn run(stage: &Stage, steps: &Value) -> Ended {
    end(&mut stage.run(&guest("person"), steps))
}

fn wait(stage: &Stage, steps: &Value) -> Running {
    begin(stage.run(&guest("person"), steps).arg("--wait"))
}

/// What is asked, once there are so many open questions.
pub fn open(stage: &Stage, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let found = end(stage.agentry("questions").arg("--json")).with(0).json();
        let found = found.as_array().expect("a list").clone();
        if found.len() == count {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "not {count} open questions: {found:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn id(question: &Value) -> String {
    question["id"].as_str().expect("a question has an id").to_owned()
}

fn answer(stage: &Stage, id: &str, more: &[&str]) -> Ended {
    end(stage.agentry("answer").arg(id).args(more))
}

#[test]
fn a_person_answers_a_question_in_their_own_words() {
    let stage = stage(BOTH);
    let running = wait(&stage, &json!([{"ask": {"text": "When does it\n\u{1b}[31mbegin?"}}]));
    let question = open(&stage, 1).remove(0);
    assert_eq!((&question["agent"], &question["state"]), (&json!("person"), &json!("open")), "{question}");
    assert_eq!((&question["call"], &question["expires_ms"]), (&json!(1), &Value::Null), "{question}");
    let page = end(&mut stage.agentry("questions")).with(0).stdout;
    assert!(page.contains("When does it") && page.contains("agentry answer") && !page.contains('\u{1b}'), "{page}");
    answer(&stage, "zzz", &["x"]).with(2).complains("no open question is called `zzz`");
    answer(&stage, &id(&question), &[]).with(2);
    answer(&stage, &id(&question), &["Tuesday at ten"]).with(0);
    let report = running.end().with(0).json();
    assert_eq!(report["output"], json!(["Tuesday at ten"]), "{report}");
    answer(&stage, &id(&question), &["Wednesday"]).with(2).complains("no open question");
    let all = end(stage.agentry("questions").args(["--all", "--json"])).with(0).json();
    assert_eq!((&all[0]["state"], &all[0]["answer"]), (&json!("answered"), &json!("Tuesday at ten")), "{all}");
    assert!(open(&stage, 0).is_empty());
    stage.replays();
}

#[test]
fn an_answer_is_one_of_the_choices_if_there_are_some() {
    let stage = stage(BOTH);
    let running = wait(&stage, &json!([{"ask": {"text": "Which?", "choices": ["red", "blue"]}}]));
    let question = id(&open(&stage, 1)[0]);
    let wrong = answer(&stage, &question, &["green"]).with(2);
    wrong.complains("`green` is none of the answers");
    assert!(wrong.stderr.contains("`red`, `blue`"), "{}", wrong.stderr);
    answer(&stage, &question, &[&"x".repeat(17 * 1024)]).with(2).complains("an answer has at most");
    // The beginning of its id is enough.
    // Nobody says yes or no to it, and its number is as good as its words.
    let yes = end(stage.agentry("approve").arg(&question)).with(2);
    yes.complains("is an agent's question");
    assert!(yes.stderr.contains(&format!("agentry answer {question}")), "{}", yes.stderr);
    answer(&stage, &question, &["3"]).with(2).complains("`3` is none of the answers");
    answer(&stage, &question[..5], &["2"]).with(0);
    assert_eq!(running.end().with(0).json()["output"], json!(["blue"]));
}

#[test]
fn whoever_declines_may_say_why_and_whoever_is_silent_lets_it_expire() {
    let stage = stage(BOTH);
    let ask = |text: &str| json!({"ask": {"text": text}});
    let late = json!({"ask": {"text": "Now?", "expires_s": 1}});
    let running = wait(&stage, &json!([ask("One?"), ask("Two?"), late]));
    answer(&stage, &id(&open(&stage, 1)[0]), &["--decline", "x"]).with(2);
    answer(&stage, &id(&open(&stage, 1)[0]), &["x", "--because", "y"]).with(2);
    answer(&stage, &id(&open(&stage, 1)[0]), &["--decline"]).with(0);
    let begun = Instant::now();
    let second = loop {
        if let Some(second) = open(&stage, 1).pop().filter(|question| question["text"] == "Two?") {
            break second;
        }
        assert!(begun.elapsed() < Duration::from_secs(30));
    };
    answer(&stage, &id(&second), &["--decline", "--because", "ask the boss"]).with(0);
    let report = running.end().with(0).json();
    let told: Vec<_> = report["output"].as_array().expect("a list").iter().map(|told| told.as_str().unwrap()).collect();
    assert!(told[0].starts_with("no: unavailable") && told[0].contains("a person declines to answer"), "{told:?}");
    assert!(told[1].contains("declines to answer: ask the boss") && told[2].starts_with("no: timed"), "{told:?}");
    let all = end(stage.agentry("questions").args(["--all", "--json"])).with(0).json();
    let states: Vec<_> = all.as_array().expect("a list").iter().map(|question| question["state"].clone()).collect();
    assert_eq!(states, ["declined", "declined", "expired"]);
    stage.replays();
}

#[test]
fn where_nobody_can_be_asked_a_question_is_denied_at_once() {
    let stage = stage(BOTH);
    let ended = run(&stage, &json!([{"ask": {"text": "Anybody?"}}])).with(0);
    let report = ended.json();
    assert_eq!(report["refusals"][0]["code"], "not-approved", "{report}");
    assert!(ended.stderr.contains("nobody can be asked here") && ended.stderr.contains("--wait"), "{}", ended.stderr);
    assert!(report["output"][0].as_str().is_some_and(|told| told.starts_with("no: denied (not-approved")), "{report}");
    assert!(ended.took < Duration::from_secs(30));
    costs_nothing(&stage, &report);
    assert_eq!(end(stage.agentry("questions").args(["--all", "--json"])).json(), json!([]));
}

#[test]
fn to_ask_and_to_tell_are_granted_each_by_its_name() {
    let steps = json!([{"notify": {"text": "Done."}}, {"ask": {"text": "May I?"}}]);
    for (grant, tells) in [("human = { notify = true }", true), ("human = { ask = true }", false), ("", false)] {
        let stage = stage(grant);
        let told = run(&stage, &steps).with(0).json();
        let (told, asked) = (told["output"][0].as_str().unwrap(), told["output"][1].as_str().unwrap());
        assert_eq!(told == "told", tells, "{grant}: {told}");
        assert!(tells || told.starts_with("no: denied (no-grant"), "{grant}: {told}");
        let code = if grant.contains("ask") { "not-approved" } else { "no-grant" };
        assert!(asked.starts_with(&format!("no: denied ({code}")), "{grant}: {asked}");
        assert_eq!(
            end(stage.agentry("notices").arg("--json")).json().as_array().map(Vec::len),
            Some(usize::from(tells))
        );
    }
}

#[test]
fn a_notice_reaches_who_watches_and_who_looks_later() {
    let stage = stage(BOTH);
    let ended = run(&stage, &json!([{"notify": {"text": "It is \u{1b}[2Jdone."}}])).with(0);
    assert!(ended.stderr.contains("agent person says It is") && !ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    let notices = end(stage.agentry("notices").arg("--json")).with(0).json();
    assert_eq!((&notices[0]["agent"], &notices[0]["call"]), (&json!("person"), &json!(1)), "{notices}");
    run(&stage, &json!([{"notify": {"text": "Again."}}])).with(0);
    let newest = end(stage.agentry("notices").args(["--limit", "1", "--json"])).with(0).json();
    assert_eq!((newest.as_array().map(Vec::len), &newest[0]["text"]), (Some(1), &json!("Again.")), "{newest}");
    end(stage.agentry("notices").args(["--limit", "many"])).with(2);
    let logs = end(stage.agentry("logs").arg("last")).with(0).stdout;
    assert!(logs.contains("tells people Again."), "{logs}");
    stage.replays();
}

#[test]
fn an_agent_that_floods_people_is_told_to_stop() {
    let stage = stage(BOTH);
    let steps = json!([{"notify": {"text": "hello", "times": 101}}, {"notify": {"text": ""}},
        {"notify": {"text": "x".repeat(9000)}}, {"ask": {"text": "?", "choices": ["a", "a"]}}]);
    let report = run(&stage, &steps).with(0).json();
    let told = report["output"].as_array().expect("a list");
    assert!(told[0].as_str().is_some_and(|told| told.contains("at most 100 things")), "{report}");
    assert!(told[1..].iter().all(|told| told.as_str().is_some_and(|told| told.starts_with("no: invalid"))), "{report}");
    let notices = end(stage.agentry("notices").args(["--limit", "1000", "--json"])).json();
    assert_eq!(notices.as_array().map(Vec::len), Some(100));
    let running = wait(&stage, &json!([{"ask_many": {"times": 9}}]));
    let questions = open(&stage, 8);
    questions.iter().for_each(|question| {
        answer(&stage, &id(question), &["yes"]).with(0);
    });
    let told = running.end().with(0).json()["output"][0].as_str().expect("a text").to_owned();
    assert_eq!(told.matches("yes").count(), 8, "{told}");
    assert_eq!(told.matches("8 questions of this agent are open").count(), 1, "{told}");
    stage.replays();
}

#[test]
fn a_question_that_nobody_wants_answered_any_more_is_closed() {
    let stage = stage(BOTH);
    let steps = json!([{"ask_and_drop": {"text": "Never mind?"}}, {"sleep": {"ms": 300}}]);
    end(stage.run(&guest("person"), &steps).arg("--wait")).with(0);
    let running = wait(&stage, &json!([{"ask": {"text": "Still there?"}}]));
    let question = id(&open(&stage, 1)[0]);
    running.interrupt();
    running.end().with(1);
    answer(&stage, &question, &["yes"]).with(2).complains("no open question");
    let all = end(stage.agentry("questions").args(["--all", "--json"])).with(0).json();
    let states: Vec<_> = all.as_array().expect("a list").iter().map(|question| question["state"].clone()).collect();
    assert!(states.iter().all(|state| state == "withdrawn" || state == "gone"), "{all}");
}

#[test]
fn a_question_is_asked_and_answered_at_the_terminal_of_its_run() {
    let stage = stage(BOTH);
    for (typed, told) in [("\nTuesday\n", "Tuesday"), ("/decline\n", "a person declines")] {
        let words: Vec<String> = std::iter::once(crate::stage::agentry().get_program().to_string_lossy().into_owned())
            .chain(["run".into(), guest("person").display().to_string(), "--home".into()])
            .chain([stage.home().display().to_string(), "--input".into()])
            .chain([json!([{"ask": {"text": "Which day?"}}]).to_string()])
            .map(|word| format!("'{}'", word.replace('\'', "'\\''")))
            .collect();
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &words.join(" "), "/dev/null"]).env("NO_COLOR", "1").env_remove("AGENTRY_HOME");
        let Ok(mut terminal) = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
            return crate::stage::skip("a_question_is_asked_and_answered_at_the_terminal_of_its_run", "no `script`");
        };
        open(&stage, 1);
        let mut keys = terminal.stdin.take().expect("it is piped");
        std::io::Write::write_all(&mut keys, typed.as_bytes()).expect("it listens");
        let ended = terminal.wait_with_output().expect("it ends");
        drop(keys);
        let screen = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(screen.contains("Which day?") && screen.contains(told), "{screen}");
    }
}

#[test]
fn on_a_host_that_serves_a_question_waits_for_whoever_comes() {
    let stage = stage(BOTH);
    let server = serve(&mut stage.agentry("serve"));
    let steps = json!([{"ask": {"text": "Which day?"}}]).to_string();
    let begun = end(stage.agentry("run").arg("--detach").arg(guest("person")).args(["--input", &steps])).with(0);
    let run = begun.stdout.trim();
    let question = open(&stage, 1).remove(0);
    assert_eq!(question["run"], run, "{question}");
    let live = end(stage.agentry("ps").arg("--json")).json()[0]["live"].clone();
    assert_eq!(live["waits_for"], "person", "{live}");
    answer(&stage, &id(&question), &["Tuesday"]).with(0);
    let report = end(stage.agentry("wait").args([run, "--json"])).with(0).json();
    assert_eq!(report["output"], json!(["Tuesday"]));
    server.stop();
    stage.replays();
}
