//! Hosts that are killed again and again, at any instant: each effect is counted where it arrives, each letter where it is read, and each
//! run comes to the end that it would have come to undisturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::agents::home;
use crate::conditions::{Conditions, Dice};
use crate::provider::{last, piece};
use crate::serve::serve;
use crate::stage::{Stage, end, guest};
use crate::web::{Site, say};
use crate::workers::{kill, workers};

/// Of these, each with its own home, so that some begin while others are killed.
const HOMES: usize = 2;

/// Runs of the workload in each home: those that work, in so many rounds, and those that answer their letters.
const LABORERS: usize = 20;
const CLERKS: usize = 4;
const ROUNDS: usize = 8;

/// Each has a letter a round, and somebody who helps every second round.
const LETTERS: usize = LABORERS * ROUNDS;
const HELPED: usize = ROUNDS / 2;
const _: () = assert!(LETTERS.is_multiple_of(CLERKS) && ROUNDS.is_multiple_of(2));

/// How often a host is killed in all, unless `AGENTRY_CRASHES` says otherwise.
const CRASHES: usize = 60;

/// Of so many hosts, one is stopped in good order instead: what runs leaves memory.
const STOPPED_ONE_IN: u64 = 8;

/// The longest that a host lives between two kills, in milliseconds: at first, and where nothing comes of that.
const LIVES_MAX_MS: u64 = 150;
const LIVES_LONG_MS: u64 = 4000;

/// How often a process of agents is killed, unless `AGENTRY_WORKER_KILLS` says otherwise, and how long that may take in all.
const WORKER_KILLS: usize = 50;
const LIFE_MAX: Duration = Duration::from_secs(600);

/// How often each key came, by path.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<BTreeMap<(String, String), usize>>>);

impl Counter {
    fn count(&self, path: &str, key: &str) {
        let mut counted = self.0.lock().expect("no test panics with it");
        *counted.entry((path.to_owned(), key.to_owned())).or_default() += 1;
    }

    /// How many different things arrived, anywhere.
    fn different(&self) -> usize {
        self.0.lock().expect("no test panics with it").len()
    }

    /// How many different things arrived at this path, and how many requests that were.
    fn at(&self, path: &str) -> (usize, usize) {
        let counted = self.0.lock().expect("no test panics with it");
        let times = counted.iter().filter(|((at, _), _)| at.ends_with(path)).map(|(_, times)| *times);
        (times.clone().count(), times.sum())
    }
}

/// A model and three tools on one server.
fn world(counter: &Counter) -> Site {
    let counter = counter.clone();
    Site::that(move |asked, stream| {
        if asked.line.is_empty() {
            // Whoever asked was killed before it had said what.
            return Ok(());
        }
        counter.count(asked.path(), asked.header("idempotency-key").expect("each has a key"));
        // So that there is something to cut.
        thread::sleep(Duration::from_millis(10));
        if asked.path().ends_with("/chat/completions") {
            let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
            let question = body["messages"][0]["content"].to_string();
            let events: Vec<String> =
                [piece(&format!("answer to {question}"))].into_iter().chain(last(10, 5)).collect();
            let events: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
            return say(stream, 200, &[("content-type", "text/event-stream")], &events);
        }
        say(stream, 200, &[("content-type", "text/plain")], "noted")
    })
}

fn stage(world: &Site) -> Stage {
    // A clock that is wrong by an hour while no host runs is an hour that passed.
    const TIME: &str = "[budget]\nwall_run = \"24h\"\n";
    const TOOLS: &str = "allow = [{ id = \"test\", tool = \"test.*\", args = \"any\" }]\n";
    let laborer = format!(
        "llm = {{ models = [\"small\"] }}\nmemory = {{ write = [\"team/**\"] }}\n\
         agents = {{ call = [\"worker\"], send = [\"clerk\"], receive = [\"clerk\"], max_depth = 1 }}\n{TOOLS}\
         {TIME}usd_day = \"50.00\"\n"
    );
    let worker = format!("memory = {{ write = [\"team/**\"] }}\n{TOOLS}{TIME}");
    let clerk = format!("agents = {{ receive = [\"laborer\"] }}\n{TIME}");
    let stage = home(&[("laborer", &laborer), ("worker", &worker), ("clerk", &clerk)]);
    let port = world.port();
    stage.write(
        "home/agentry.toml",
        &format!(
            "format = 1\ndefault = \"small\"\n[providers.near]\nkind = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
             [models.small]\nprovider = \"near\"\nmodel = \"m\"\ncontext_tokens = 8192\nmax_output_tokens = 64\nslots = 4\n\
             price = {{ input = 1_000_000, output = 2_000_000 }}\n\
             # Whoever waits for a letter when somebody looks leaves memory, and comes back with it.\n\
             [idle]\nafter_ms = 0\n"
        ),
    );
    let tool = |name: &str, effect: &str| {
        format!(
            "[tools.\"test.{name}\"]\ndescription = \"For a test.\"\neffect = \"{effect}\"\nschema = '{{\"type\": \"object\"}}'\n\
             http = {{ url = \"http://127.0.0.1:{port}/{name}\" }}\n"
        )
    };
    let tools = [tool("note", "idempotent"), tool("help", "idempotent"), tool("sell", "irreversible")].concat();
    let file = stage.write("home/tools.toml", &format!("format = 1\n{tools}"));
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    stage
}

/// What was ordered in one home, by run.
#[derive(Default)]
struct Ordered {
    laborers: BTreeMap<String, String>,
    clerks: Vec<String>,
}

/// Orders the whole workload once more.
fn order(stage: &Stage, ordered: &mut Ordered) {
    let begin = |agent: &str, input: &Value| {
        let begun = end(stage.agentry("run").arg("--detach").arg(guest(agent)).args(["--input", &input.to_string()]));
        begun.with(0).stdout.trim().to_owned()
    };
    for _ in 0..LABORERS {
        let name = format!("laborer-{}", ordered.laborers.len());
        ordered.laborers.insert(begin("laborer", &json!({"name": name, "rounds": ROUNDS})), name);
    }
    for _ in 0..CLERKS {
        ordered.clerks.push(begin("clerk", &json!(vec![["answer"]; LETTERS / CLERKS])));
    }
}

fn runs(stage: &Stage, limit: usize) -> Vec<Value> {
    let runs = end(stage.agentry("ps").args(["--json", "--limit", &limit.to_string()])).with(0).json();
    runs.as_array().expect("a list").clone()
}

/// True if all that was ordered is done; a run that ended otherwise fails the test. Of each batch there are so many runs, and those of the last one are the newest,
/// but for `others`.
fn all_are_done(stage: &Stage, others: usize) -> bool {
    let runs = runs(stage, LABORERS * (HELPED + 2) + CLERKS + others);
    let ended_otherwise =
        |run: &&Value| !["done", "running", "suspended"].contains(&run["status"].as_str().unwrap_or_default());
    assert_eq!(runs.iter().find(ended_otherwise), None, "none of them fails");
    runs.iter().all(|run| run["status"] == "done")
}

fn output(stage: &Stage, run: &str) -> Value {
    end(stage.agentry("wait").args([run, "--json"])).with(0).json()["output"].clone()
}

/// What came of one home.
#[derive(Default)]
struct Tally {
    killed: usize,
    stopped: usize,
    runs: usize,
    requests: usize,
    again: usize,
    letters: usize,
    files: usize,
    unknown: usize,
}

/// Kills hosts of one home so many times.
fn disturb(seed: u64, crashes: usize) -> Tally {
    let counter = Counter::default();
    let world = world(&counter);
    let stage = stage(&world);
    let (mut dice, mut tally, mut ordered) = (Dice(seed), Tally::default(), Ordered::default());
    let day = today();
    let mut conditions = Conditions::of(&stage);
    let (mut lives_max_ms, mut came_far) = (LIVES_MAX_MS, false);
    while tally.killed < crashes {
        let before = counter.different();
        conditions.draw(&stage, &mut dice);
        let server = conditions.serve(&stage);
        // To ask a host that has just begun takes longer than it may live.
        if !came_far && all_are_done(&stage, conditions.files()) {
            // It begins anew, in the same home.
            order(&stage, &mut ordered);
        }
        thread::sleep(Duration::from_millis(dice.below(lives_max_ms)));
        if dice.below(STOPPED_ONE_IN) == 0 {
            server.stop();
            tally.stopped += 1;
        } else {
            server.kill();
            tally.killed += 1;
        }
        came_far = counter.different() > before;
        // A host that lives too short a time for what a machine does in it would be killed for ever.
        lives_max_ms = if came_far { LIVES_MAX_MS } else { (lives_max_ms * 3 / 2).min(LIVES_LONG_MS) };
    }
    conditions.settle(&stage);
    let server = conditions.serve(&stage);
    let sold = laborers_are_as_undisturbed(&stage, &ordered);
    each_letter_was_read_once(&stage, &ordered);
    conditions.each_file_began_one_run(&stage);
    server.stop();
    effects_are_counted_once(&counter, &ordered, &sold, &mut tally);
    all_is_settled(&stage, day);
    let all = runs(&stage, 100_000);
    let helped = all.iter().filter(|run| run["agent"] == "worker").count();
    assert_eq!(helped, ordered.laborers.len() * (HELPED + 1), "each call of an agent is one run");
    assert!(all.iter().all(|run| run["status"] == "done"), "{all:?}");
    tally.runs = all.len();
    tally.files = conditions.files();
    tally.letters = 2 * ordered.laborers.len() * ROUNDS;
    tally
}

/// Kills the processes of agents of one host so many times, while it goes on.
fn disturb_workers(seed: u64, kills: usize) -> Tally {
    let counter = Counter::default();
    let world = world(&counter);
    let stage = stage(&world);
    let config = fs::read_to_string(stage.path("home/agentry.toml")).expect("it is there");
    // Whatever all homes are to say.
    stage.write("home/agentry.toml", &config.replace("isolation = \"none\"", "isolation = \"process\""));
    let (mut dice, mut tally, mut ordered) = (Dice(seed), Tally::default(), Ordered::default());
    let day = today();
    let server = serve(&mut stage.agentry("serve"));
    order(&stage, &mut ordered);
    let mut last = Instant::now();
    while tally.killed < kills {
        assert!(last.elapsed() < LIFE_MAX, "it makes no progress: {} kills", tally.killed);
        thread::sleep(Duration::from_millis(dice.below(LIVES_MAX_MS)));
        let all = workers(server.pid());
        match dice.below(all.len().max(1) as u64).try_into().ok().and_then(|one: usize| all.get(one)) {
            Some(worker) => {
                kill(*worker);
                tally.killed += 1;
                last = Instant::now();
            }
            None if all_are_done(&stage, 0) => order(&stage, &mut ordered),
            None => {}
        }
    }
    let sold = laborers_are_as_undisturbed(&stage, &ordered);
    each_letter_was_read_once(&stage, &ordered);
    server.stop();
    effects_are_counted_once(&counter, &ordered, &sold, &mut tally);
    all_is_settled(&stage, day);
    tally.runs = runs(&stage, 100_000).len();
    tally
}

/// Gives what each sold; of that it may be that nobody knows.
fn laborers_are_as_undisturbed(stage: &Stage, ordered: &Ordered) -> Vec<String> {
    let mut sold = Vec::new();
    for (run, name) in &ordered.laborers {
        let output = output(stage, run);
        let rounds: Vec<String> = serde_json::from_value(output["rounds"].clone()).expect("a list");
        let expected = (0..ROUNDS).map(|round| {
            let version = round + 1;
            let helped = match round % 2 {
                0 => format!(r#"["noted","{}"]"#, round / 2 + 1),
                _ => "alone".to_owned(),
            };
            format!("answer to \"{name} {round}\", noted, version {version}, {helped}")
        });
        assert_eq!(rounds, expected.collect::<Vec<_>>(), "{name}");
        for said in output["sold"].as_array().expect("a list") {
            sold.push(said.as_str().expect("text").to_owned());
        }
    }
    sold
}

/// Letters and answers to them: each stands in what one run gives, once; and of what a run read of one writer, the earlier ones came earlier.
fn each_letter_was_read_once(stage: &Stage, ordered: &Ordered) {
    let wrote = |of: &dyn Fn(&str) -> String| -> BTreeSet<(String, usize)> {
        ordered
            .laborers
            .values()
            .flat_map(|name| (0..ROUNDS).map(|round| (of(name), round)).collect::<Vec<_>>())
            .collect()
    };
    let mut letters = BTreeMap::new();
    for run in &ordered.clerks {
        let told: Vec<String> = serde_json::from_value(output(stage, run)).expect("a list");
        let mut before: BTreeMap<String, usize> = BTreeMap::new();
        for told in told {
            // clerk/f3c0… laborer "laborer-3" 7 []
            let words: Vec<&str> = told.split(' ').collect();
            let [id, "laborer", subject, round, "[]"] = words[..] else { panic!("{told}") };
            let (name, round) = (subject.trim_matches('"').to_owned(), round.parse().expect("a number"));
            let earlier = before.insert(name.clone(), round);
            assert!(earlier < Some(round), "read out of order: {told} behind {earlier:?}");
            let once = letters.insert(letter(id, "clerk"), (name, round));
            assert_eq!(once, None, "read twice: {told}");
        }
    }
    assert_eq!(letters.values().cloned().collect::<BTreeSet<_>>(), wrote(&str::to_owned));
    assert_eq!(letters.len(), ordered.laborers.len() * ROUNDS, "sent twice");
    let mut answers = BTreeMap::new();
    for (run, name) in &ordered.laborers {
        let got: Vec<(String, String, String)> =
            serde_json::from_value(output(stage, run)["letters"].clone()).expect("a list");
        assert_eq!(got.len(), ROUNDS);
        for (id, subject, round) in got {
            let once = answers.insert(letter(&id, "laborer"), (subject, round.parse().expect("a number")));
            assert_eq!(once, None, "{name} read {id} a second time");
        }
    }
    assert_eq!(answers.len(), letters.len());
    assert_eq!(answers.into_values().collect::<BTreeSet<_>>(), wrote(&|name| format!("Re: {name}")));
    for waiting in [["--json"].as_slice(), &["--json", "--dead"]] {
        assert_eq!(end(stage.agentry("mail").args(waiting)).with(0).json(), json!([]), "somebody has yet to read it");
    }
}

/// Which one it is of a mailbox.
fn letter(id: &str, mailbox: &str) -> String {
    let letter = id.strip_prefix(mailbox).and_then(|rest| rest.strip_prefix('/'));
    letter.unwrap_or_else(|| panic!("no letter to {mailbox}: {id}")).to_owned()
}

/// Who asked twice asked under one key, so whoever looks at it does it once; and what cannot be undone was not asked for twice at all.
fn effects_are_counted_once(counter: &Counter, ordered: &Ordered, sold: &[String], tally: &mut Tally) {
    let laborers = ordered.laborers.len();
    for (path, each) in [("/completions", ROUNDS), ("/note", ROUNDS), ("/help", HELPED)] {
        let (different, requests) = counter.at(path);
        assert_eq!(different, laborers * each, "{path}");
        tally.requests += requests;
        tally.again += requests - different;
    }
    let (different, requests) = counter.at("/sell");
    assert_eq!(different, requests, "what cannot be undone was done twice");
    assert_eq!(sold.len(), laborers * 2);
    let done = sold.iter().filter(|said| ["noted", r#"["noted"]"#].contains(&said.as_str())).count();
    let nobody_knows = |said: &&String| *said == "nobody knows" || said.starts_with(r#"["no: interrupted"#);
    tally.unknown = sold.iter().filter(nobody_knows).count();
    assert_eq!(done + tally.unknown, sold.len(), "{sold:?}");
    assert!((done..=sold.len()).contains(&requests), "{requests} sold, {done} of which are known");
    tally.requests += requests;
}

/// Days of UTC: the books of one that is over are empty.
fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs() / (24 * 60 * 60)
}

/// Nothing is held, the books have what the runs say that they took, and no journal has a gap or tells what did not happen.
fn all_is_settled(stage: &Stage, day: u64) {
    let mut took: BTreeMap<(String, String), u64> = BTreeMap::new();
    for run in runs(stage, 100_000) {
        // Whoever called an agent pays for it. Its own bill has all of that, but for the time that both were there.
        let (below, agent) = (!run["parent"].is_null(), run["agent"].as_str().expect("a name"));
        let payer = if below { "laborer" } else { agent };
        let spent = run["spent"].as_object().expect("amounts by name").iter();
        for (what, amount) in spent.filter(|(what, _)| !below || *what == "wall-time") {
            *took.entry((payer.to_owned(), what.clone())).or_default() += amount.as_u64().expect("a number");
        }
    }
    let budget = end(stage.agentry("budget").arg("--json")).with(0).json();
    nothing_is_held(&budget);
    for agent in budget["agents"].as_array().expect("a list") {
        for line in agent["lines"].as_array().expect("a list") {
            let (who, what) = (agent["agent"].as_str().expect("a name"), line["what"].as_str().expect("a name"));
            let key = (who.to_owned(), what.to_owned());
            if line["window"] == "day" && today() == day {
                let (spent, took) = (line["spent"].as_u64().expect("a number"), took.get(&key).copied().unwrap_or(0));
                // What was held for a write of which no journal knows is taken for written.
                let is_right = if what == "written" { spent >= took } else { spent == took };
                assert!(is_right, "{who} took {took}: {line}");
            }
        }
    }
    end(&mut stage.agentry("audit verify")).with(0);
    stage.replays();
}

fn nothing_is_held(budget: &Value) {
    match budget {
        Value::Object(map) => map.iter().for_each(|(key, value)| match key.as_str() {
            "reserved" => assert_eq!(value, 0, "something is held for runs that are over: {budget}"),
            _ => nothing_is_held(value),
        }),
        Value::Array(list) => list.iter().for_each(nothing_is_held),
        _ => {}
    }
}

#[test]
fn hosts_killed_at_any_instant_lose_no_work_and_do_nothing_twice() {
    let crashes = std::env::var("AGENTRY_CRASHES").ok().and_then(|number| number.parse().ok()).unwrap_or(CRASHES);
    let begun = Instant::now();
    let homes = (1..=HOMES).map(|home| {
        let crashes = crashes / HOMES + usize::from(home <= crashes % HOMES);
        thread::spawn(move || disturb(0x5eed_5eed_5eed * home as u64, crashes))
    });
    let mut all = Tally::default();
    for home in homes.collect::<Vec<_>>() {
        let one = home.join().expect("all of it holds");
        all.killed += one.killed;
        all.stopped += one.stopped;
        all.runs += one.runs;
        all.requests += one.requests;
        all.again += one.again;
        all.letters += one.letters;
        all.files += one.files;
        all.unknown += one.unknown;
    }
    let Tally { killed, stopped, runs, requests, again, letters, files, unknown } = all;
    eprintln!(
        "{killed} kills and {stopped} stops in {} s: {runs} runs, {letters} letters, {files} files, {requests} requests, {again} asked again under their \
         key, {unknown} of which nobody knows",
        begun.elapsed().as_secs()
    );
}

#[test]
fn processes_of_agents_killed_at_any_instant_cost_nothing_and_nothing_is_asked_twice() {
    let kills = std::env::var("AGENTRY_WORKER_KILLS").ok().and_then(|number| number.parse().ok());
    let begun = Instant::now();
    let tally = disturb_workers(0x5eed_5eed_5eed, kills.unwrap_or(WORKER_KILLS));
    let Tally { killed, runs, requests, again, unknown, .. } = tally;
    eprintln!("{killed} kills in {} s: {runs} runs, {requests} requests", begun.elapsed().as_secs());
    assert_eq!((again, unknown), (0, 0), "the host was there all the time, and so were the answers");
}
