//! People who answer for agents: the exact call, one answer for one call, and after each no nothing was spent or sent.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::refusals::costs_nothing;
use crate::stage::{Ended, Running, Stage, agentry, begin, end, guest, skip};

/// Each call of the scripted model waits for these people.
pub const TOTP: &str = r#"from = "group:ops", factor = "totp", ttl = "100s""#;
pub const CONFIRM: &str = r#"from = "anyone", factor = "confirm", ttl = "100s""#;

pub const PRICED: &str = "{\"script\": 1, \"repeat\": true, \"price\": {\"input\": 1000000, \"output\": 2000000}}\n\
                      {\"text\": \"an answer\", \"usage\": {\"input_fresh\": 7, \"output\": 3}}\n";

const STEP_S: u64 = 30;

/// A home in which `ask` and `ask-many` may ask a model, and people must say yes to each call.
pub fn stage(approval: &str) -> Stage {
    let stage = Stage::new();
    for agent in ["ask", "ask-many"] {
        let grant = format!(
            "format = 1\nlayer = \"grant\"\nagent = \"{agent}\"\nllm = {{ models = [\"scripted\"], max_tokens = 100 }}\n\
             [budget]\ntokens_run = 1_000_000\nusd_run = \"20.00\"\nwall_run = \"110s\"\n"
        );
        stage.write(&format!("home/policies/50-{agent}.toml"), &grant);
    }
    site(&stage, approval, "");
    stage
}

pub fn site(stage: &Stage, approval: &str, more: &str) {
    let site = format!(
        "format = 1\nlayer = \"site\"\n[[require]]\nid = \"site/ask\"\nmodel = \"scripted\"\n\
         approval = {{ {approval} }}\nwhy = \"A person reads each question first.\"\n{more}"
    );
    stage.write("home/policies/00-site.toml", &site);
}

/// Starts `ask`, which waits for people.
pub fn ask(stage: &Stage, prompt: &str) -> Running {
    begin(stage.run_on(PRICED, &guest("ask"), &json!({"prompt": prompt, "max_tokens": 32})).arg("--wait"))
}

pub fn many(stage: &Stage, prompts: &[String]) -> Running {
    begin(stage.run_on(PRICED, &guest("ask_many"), &json!(prompts)).arg("--wait"))
}

pub fn approvals(stage: &Stage) -> Value {
    end(stage.agentry("approvals").args(["--all", "--json"])).with(0).json()
}

/// The open questions, once there are so many.
pub fn open(stage: &Stage, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let all = approvals(stage);
        let questions = all["questions"].as_array().expect("a list");
        let open: Vec<_> = questions.iter().filter(|question| question["state"] == "open").cloned().collect();
        if open.len() == count {
            return open;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "not {count} open questions: {all}");
        thread::sleep(Duration::from_millis(50));
    }
}

pub fn id(question: &Value) -> String {
    question["id"].as_str().expect("a question has an id").to_owned()
}

pub fn approve(stage: &Stage, id: &str, more: &[&str]) -> Ended {
    end(stage.agentry("approve").arg(id).args(more))
}

pub fn deny(stage: &Stage, id: &str, because: &str) -> Ended {
    end(stage.agentry("deny").args([id, "--because", because]))
}

/// It was denied for want of a yes; gives the reason.
pub fn is_not_approved(stage: &Stage, ended: Ended) -> String {
    let report = ended.with(3).json();
    let refusal = &report["refusals"][0];
    assert_eq!((&refusal["code"], &refusal["rule"]["id"]), (&json!("not-approved"), &json!("site/ask")), "{report}");
    costs_nothing(stage, &report);
    refusal["because"].as_str().expect("a reason").to_owned()
}

/// An approver, and the app that they hold in their hand.
pub struct Person {
    pub totp: totp_rs::Totp,
}

pub fn enrol(stage: &Stage, name: &str, group: &str) -> Person {
    let added = end(stage.agentry("approver add").args([name, "--group", group])).with(0);
    assert!(added.stdout.contains('█'), "no QR code:\n{}", added.stdout);
    assert!(added.stdout.contains("\nkey ") && added.stdout.contains("\nhint: "), "nothing to type:\n{}", added.stdout);
    let uri = added.stdout.lines().find(|line| line.starts_with("otpauth://totp/")).expect("an address");
    Person { totp: totp_rs::Totp::from_url(uri).expect("an app reads it") }
}

impl Person {
    /// The code of the step that lies so many steps from now.
    pub fn code(&self, steps: i64) -> String {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
        while steps < 0 && now() % STEP_S > STEP_S - 8 {
            // It would be too old when it arrives.
            thread::sleep(Duration::from_millis(200));
        }
        let now = now();
        self.totp.generate(now.saturating_add_signed(steps * STEP_S as i64)).to_string()
    }

    pub fn wrong(&self) -> String {
        let near: Vec<_> = (-2..=3).map(|steps| self.code(steps)).collect();
        (0..).map(|code| format!("{code:06}")).find(|code| !near.contains(code)).expect("most codes are wrong")
    }
}

#[test]
fn without_a_person_a_call_is_denied_at_once() {
    let stage = stage(CONFIRM);
    let ended = end(&mut stage.run_on(PRICED, &guest("ask"), &json!({"prompt": "hello"})));
    assert!(ended.stderr.contains("--wait"), "{}", ended.stderr);
    assert!(is_not_approved(&stage, ended).contains("nobody can be asked"));
    assert_eq!(approvals(&stage)["questions"], json!([]), "nobody was asked");
}

#[test]
fn a_person_says_yes_to_the_exact_call_and_it_is_made_once() {
    let stage = stage(TOTP);
    let alice = enrol(&stage, "alice", "ops");
    let running = ask(&stage, "sell the car\u{202e}\u{1b}[2J");
    let question = &open(&stage, 1)[0];
    assert_eq!((&question["agent"], &question["title"]), (&json!("ask"), &json!("llm.complete scripted")));
    assert_eq!(question["rule"]["id"], "site/ask");
    assert_eq!(question["why"], "A person reads each question first.");
    assert!(question["text"].as_str().is_some_and(|text| text.contains("sell the car")), "{question}");
    assert!(question["held"]["usd"].as_u64().is_some_and(|usd| usd > 0), "{question}");
    let page = end(&mut stage.agentry("approvals")).with(0).stdout;
    assert!(page.contains("sell the car") && page.contains("group:ops, by code"), "{page}");
    assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'), "it is not escaped: {page:?}");
    let id = id(question);
    approve(&stage, &id, &[]).with(3).complains("needs a code");
    approve(&stage, &id, &["--as", "alice"]).with(3).complains("by a code only");
    let code = alice.code(0);
    approve(&stage, &id[..6], &["--as", "alice", "--code", &code]).with(0);
    let report = running.end().with(0).json();
    assert_eq!((&report["output"], &report["cost_microusd"]), (&json!("an answer"), &json!(13)));
    let calls = stage.calls();
    let call = calls.iter().find(|call| call["name"] == "llm.complete").expect("it stands in the journal");
    assert_eq!((&call["decision"], &call["approved_by"]), (&json!("allowed"), &json!(["alice"])));

    // Neither the answer nor its code is good for another one.
    let again = ask(&stage, "sell the car\u{202e}\u{1b}[2J");
    let second = self::id(&open(&stage, 1)[0]);
    approve(&stage, &id, &["--code", &alice.code(1)]).with(3).complains("no open question");
    approve(&stage, &second, &["--code", &code]).with(3).complains("used already");
    deny(&stage, &second, "not twice").with(0);
    assert!(is_not_approved(&stage, again.end()).contains("local said no: not twice"));
}

#[test]
fn a_no_has_a_reason_and_costs_nothing() {
    let stage = stage(CONFIRM);
    let running = ask(&stage, "sell the car");
    let id = id(&open(&stage, 1)[0]);
    end(stage.agentry("deny").arg(&id)).with(2);
    deny(&stage, &id, "it is not for sale\u{1b}[2J").with(0);
    let because = is_not_approved(&stage, running.end());
    assert!(because.contains("local said no: it is not for sale") && !because.contains('\u{1b}'), "{because}");
    let all = approvals(&stage);
    assert_eq!(all["questions"][0]["state"], "denied", "{all}");
    approve(&stage, &id, &[]).with(3).complains(": local said no already");
}

#[test]
fn whoever_is_not_asked_cannot_say_yes_and_of_a_quorum_each_counts_once() {
    let stage = stage(r#"from = "group:ops", factor = "totp", quorum = 2, ttl = "100s""#);
    let (alice, bob) = (enrol(&stage, "alice", "ops"), enrol(&stage, "bob", "ops"));
    let eve = enrol(&stage, "eve", "interns");
    let running = ask(&stage, "hello");
    let id = id(&open(&stage, 1)[0]);
    approve(&stage, &id, &["--as", "eve", "--code", &eve.code(0)]).with(3).complains("not one of those who are asked");
    approve(&stage, &id, &["--code", &alice.code(0)]).with(3).complains("whose code");
    approve(&stage, &id, &["--as", "bob", "--code", &alice.code(0)]).with(3).complains("code is wrong");
    assert!(approve(&stage, &id, &["--as", "alice", "--code", &alice.code(-1)]).with(0).stderr.contains("1 more must"));
    approve(&stage, &id, &["--as", "alice", "--code", &alice.code(0)]).with(3).complains("has said yes already");
    assert_eq!(open(&stage, 1)[0]["yes"], json!(["alice"]));
    approve(&stage, &id, &["--as", "bob", "--code", &bob.code(0)]).with(0);
    running.end().with(0);
    let calls = stage.calls();
    let call = calls.iter().find(|call| call["name"] == "llm.complete").expect("it stands in the journal");
    assert_eq!(call["approved_by"], json!(["alice", "bob"]));
}

#[test]
fn a_code_is_taken_as_apps_show_it_and_a_slip_of_the_hand_is_no_wrong_code() {
    let stage = stage(TOTP);
    let alice = enrol(&stage, "alice", "ops");
    let running = ask(&stage, "sell the car");
    let id = id(&open(&stage, 1)[0]);
    for slip in ["12345", "abcdef", "1234567", ""] {
        let said = approve(&stage, &id, &["--as", "alice", "--code", slip]).with(2).stderr;
        assert!(said.contains("the 6 digits that the app shows"), "{said}");
    }
    let misspelt = approve(&stage, &id, &["--as", "alcie", "--code", "123456"]).with(3);
    assert!(misspelt.stderr.contains("did you mean `alice`?"), "{}", misspelt.stderr);
    let code = alice.code(0);
    let apart = format!("{} {}", &code[..3], &code[3..]);
    approve(&stage, &id, &["--as", "alice", "--code", &apart]).with(0);
    running.end().with(0);
}

#[test]
fn whoever_guesses_codes_is_locked_out() {
    let stage = stage(TOTP);
    let alice = enrol(&stage, "alice", "ops");
    let running = ask(&stage, "hello");
    let id = id(&open(&stage, 1)[0]);
    for _ in 0..4 {
        approve(&stage, &id, &["--code", &alice.wrong()]).with(3).complains("code is wrong");
    }
    approve(&stage, &id, &["--code", &alice.code(0)]).with(3).complains("too many codes were wrong");
    assert_eq!(open(&stage, 1)[0]["yes"], json!([]), "a guess moved something");
    deny(&stage, &id, "somebody guesses").with(0);
    is_not_approved(&stage, running.end());
}

#[test]
fn a_no_by_name_needs_a_code_of_that_name() {
    let stage = stage(TOTP);
    let alice = enrol(&stage, "alice", "ops");
    let running = ask(&stage, "hello");
    let id = id(&open(&stage, 1)[0]);
    end(stage.agentry("deny").args([&id, "--because", "x", "--as", "alice"])).with(2);
    let deny = |code: &str| end(stage.agentry("deny").args([&id, "--because", "x", "--as", "alice", "--code", code]));
    deny(&alice.wrong()).with(3).complains("code is wrong");
    deny(&alice.code(0)).with(0);
    assert!(is_not_approved(&stage, running.end()).contains("alice said no: x"));
}

#[test]
fn a_question_that_nobody_answers_expires() {
    let stage = stage(r#"from = "anyone", factor = "confirm", ttl = "1s""#);
    let running = ask(&stage, "hello");
    let ended = running.end();
    assert!(ended.took < Duration::from_secs(60), "it took {:?}", ended.took);
    assert!(is_not_approved(&stage, ended).contains("nobody answered in time"));
    assert_eq!(approvals(&stage)["questions"][0]["state"], "expired");
}

#[test]
fn a_forbid_is_never_asked_about() {
    let stage = stage(CONFIRM);
    site(&stage, CONFIRM, "[[forbid]]\nid = \"site/never\"\nmodel = \"scripted\"\nwhy = \"No models today.\"\n");
    let report = ask(&stage, "hello").end().with(3).json();
    assert_eq!(report["refusals"][0]["code"], "forbidden", "{report}");
    costs_nothing(&stage, &report);
    assert_eq!(approvals(&stage)["questions"], json!([]), "somebody was asked");
}

#[test]
fn the_same_call_asked_often_is_one_question_and_one_yes_is_for_one_of_them() {
    let stage = stage(CONFIRM);
    let running = many(&stage, &vec!["the same".to_owned(); 3]);
    let begun = Instant::now();
    while open(&stage, 1)[0]["times"] != 3 {
        assert!(begun.elapsed() < Duration::from_secs(20), "they are not joined");
        thread::sleep(Duration::from_millis(50));
    }
    approve(&stage, &id(&open(&stage, 1)[0]), &[]).with(0);
    let report = running.end().with(0).json();
    let told = report["output"].as_array().expect("a list").clone();
    assert_eq!(told.iter().filter(|answer| *answer == "an answer").count(), 1, "{report}");
    assert_eq!(told.iter().filter(|answer| answer.to_string().contains("not-approved")).count(), 2, "{report}");
    assert_eq!((&report["usage"]["llm_calls"], &report["cost_microusd"]), (&json!(1), &json!(13)), "{report}");
    stage.nothing_moved(&[]);
}

#[test]
fn an_agent_that_asks_people_too_much_is_paused_until_they_answer() {
    let stage = stage(CONFIRM);
    let prompts: Vec<_> = (0..12).map(|number| format!("question {number}")).collect();
    let running = many(&stage, &prompts);
    let questions = open(&stage, 8);
    let paused = approvals(&stage)["paused"].clone();
    assert_eq!(paused[0]["agent"], "ask-many", "{paused}");
    assert!(end(&mut stage.agentry("approvals")).with(0).stdout.contains("agent ask-many asked too much"));
    deny(&stage, &id(&questions[0]), "too many questions").with(0);
    assert_eq!(approvals(&stage)["paused"], json!([]), "an answer lets it go on");
    questions[1..].iter().for_each(|question| drop(deny(&stage, &id(question), "too many questions").with(0)));
    let report = running.end().with(0).json();
    assert_eq!((&report["usage"]["llm_calls"], &report["cost_microusd"]), (&json!(0), &json!(0)), "{report}");
    let told = report["output"].to_string();
    assert!(told.contains("not-approved") && told.contains("paused"), "{told}");
    stage.costs_nothing(&[]);
}

#[test]
fn a_question_whose_run_is_gone_is_marked_so_and_cannot_be_answered() {
    let stage = stage(CONFIRM);
    let script = stage.write("script.jsonl", PRICED);
    let mut run = stage.run(&guest("ask"), &json!({"prompt": "hello"}));
    run.args(["--wait", "--model", &format!("scripted:{}", script.display())]);
    let mut host: Child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let id = id(&open(&stage, 1)[0]);
    host.kill().expect("it runs");
    host.wait().expect("it ends");
    assert_eq!(approvals(&stage)["questions"][0]["state"], "gone");
    approve(&stage, &id, &[]).with(5).complains("no host runs");
    // The next host knows it no more.
    let next = ask(&stage, "another");
    open(&stage, 1);
    approve(&stage, &id, &[]).with(3).complains("no open question");
    let all = approvals(&stage);
    assert_eq!(all["questions"][0]["state"], "gone", "{all}");
    approve(&stage, &self::id(&open(&stage, 1)[0]), &[]).with(0);
    next.end().with(0);
}

#[test]
fn a_person_at_the_terminal_is_asked_there() {
    let stage = stage(CONFIRM);
    let script = stage.write("script.jsonl", PRICED);
    let mut run = agentry();
    run.arg("run").arg(guest("ask")).arg("--home").arg(stage.home()).args(["--input", "{\"prompt\": \"sell it\"}"]);
    run.args(["--model", &format!("scripted:{}", script.display())]);
    let line: Vec<_> =
        std::iter::once(run.get_program()).chain(run.get_args()).map(|word| quoted(&word.to_string_lossy())).collect();
    for (typed, code, said) in [("maybe\ny\n", 0, "an answer"), ("n not today\n", 3, "local said no: not today")] {
        let mut terminal = Command::new("script");
        terminal.args(["-qefc", &line.join(" "), "/dev/null"]).env("NO_COLOR", "1").stdin(Stdio::piped());
        terminal.stdout(Stdio::piped());
        let Ok(mut terminal) = terminal.spawn() else {
            return skip("a_person_at_the_terminal_is_asked_there", "there is no `script`");
        };
        open(&stage, 1);
        let mut keys = terminal.stdin.take().expect("it is piped");
        std::io::Write::write_all(&mut keys, typed.as_bytes()).expect("it listens");
        let ended = terminal.wait_with_output().expect("it ends");
        drop(keys);
        let screen = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert_eq!(ended.status.code(), Some(code), "{screen}");
        assert!(screen.contains("sell it") && screen.contains(said), "{screen}");
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[test]
fn approvers_are_enrolled_listed_and_removed() {
    let stage = Stage::new();
    enrol(&stage, "alice", "ops");
    enrol(&stage, "bob", "interns");
    let list = end(stage.agentry("approver list").arg("--json")).with(0);
    assert_eq!(list.json(), json!([{"name": "alice", "groups": ["ops"]}, {"name": "bob", "groups": ["interns"]}]));
    let secret = fs::read_to_string(stage.path("home/approvers/alice.toml")).expect("it is ours");
    let secret = secret.lines().find_map(|line| line.strip_prefix("secret = ")).expect("a secret").trim_matches('"');
    let all = end(&mut stage.agentry("approver list")).with(0).stdout;
    assert!(all.contains("alice") && !list.stdout.contains(secret) && !all.contains(secret), "{all}");
    end(stage.agentry("approver remove").arg("alice")).with(0);
    assert_eq!(end(stage.agentry("approver list").arg("--json")).json()[0]["name"], "bob");
}

#[test]
fn an_approver_that_cannot_be_is_refused() {
    let stage = Stage::new();
    enrol(&stage, "alice", "ops");
    end(stage.agentry("approver add").arg("alice")).with(2).complains("already");
    end(stage.agentry("approver add").arg("Alice")).with(2).complains("no name");
    end(stage.agentry("approver add").args(["bob", "--group", "a b"])).with(2).complains("no name for a group");
    end(stage.agentry("approver remove").arg("nobody")).with(2).complains("no approver");
    let file = stage.path("home/approvers/alice.toml");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("it is ours");
    end(stage.agentry("approver list").arg("--json")).with(2).complains("others can reach");
}
