//! An agent that fails says why, and so do its host, its log and its trace: the cause, the budget and its line, the panic and its place.

use std::fs;

use serde_json::{Value, json};

use crate::package::Sections;
use crate::stage::{Ended, Stage, agentry, end, guest};

/// What `run`, `wait`, `logs` and `trace` say of the last run's cause; they say the same.
fn cause(stage: &Stage, ended: &Ended) -> Value {
    let told = ended.json()["cause"].clone();
    let traced = end(stage.agentry("trace").args(["last", "--json"])).with(0).json();
    assert_eq!(traced["cause"], told, "{traced}");
    let logs = end(stage.agentry("logs").args(["last", "--json"])).with(0).stdout;
    let last: Value = serde_json::from_str(logs.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["cause"], told, "{last}");
    let text = told["text"].as_str().unwrap_or_default();
    for verb in ["logs", "trace"] {
        let page = end(stage.agentry(verb).arg("last")).with(0).stdout;
        assert!(text.is_empty() || page.replace('\n', " ").contains(text), "{verb} does not say `{text}`:\n{page}");
    }
    told
}

fn part<'a>(cause: &'a Value, key: &str) -> &'a str {
    cause[key].as_str().unwrap_or_default()
}

#[test]
fn a_budget_that_ends_a_run_names_its_limit_and_the_line_to_change() {
    for (name, line, raised) in [
        ("spin", "fuel_run = 1_000_000_000", "fuel_run = 2_000_000_000"),
        ("grow", "memory_mb = 32", "memory_mb = 64"),
        ("sleep_year", "wall_run = \"3s\"", "wall_run = \"6s\""),
    ] {
        let component = guest(name);
        let stage = Stage::granting_within(&component, line);
        let ended = end(&mut stage.run(&component, &json!({}))).with(4);
        let cause = cause(&stage, &ended);
        let key = line.split(' ').next().expect("a key");
        assert_eq!(part(&cause, "kind"), "exhausted", "{cause}");
        let place = part(&cause, "text").split(&format!("`{key}` in ")).nth(1).expect("it names the line").to_owned();
        let (file, number) = place.rsplit_once(':').expect("a file and a line");
        let policy = fs::read_to_string(file).expect("the file is there");
        let number: usize = number.parse().expect("a number");
        assert_eq!(policy.lines().nth(number - 1), Some(line), "{cause}");
        assert!(part(&cause, "hint").contains(raised), "{cause}");
        // What the hint says is read.
        stage.write("home/policies/50-grant.toml", &policy.replace(line, raised));
        end(&mut stage.agentry("policy check")).with(0);
    }
}

#[test]
fn a_budget_that_nobody_set_says_which_line_to_add() {
    let component = guest("grow");
    let stage = Stage::granting_within(&component, "");
    let ended = end(&mut stage.run(&component, &json!({}))).with(4);
    let cause = cause(&stage, &ended);
    assert!(part(&cause, "text").contains("where no file sets another"), "{cause}");
    assert!(part(&cause, "hint").contains("add `memory_mb = 128` below [budget]"), "{cause}");
}

#[test]
fn a_denied_call_that_ended_a_run_is_its_cause_with_rule_and_remedy() {
    let component = guest("ask");
    let stage = Stage::new();
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"ask\"\nllm = { models = [\"small-*\"] }\n");
    let ended = end(&mut stage.run_on("{\"text\": \"x\"}\n", &component, &json!({"prompt": "x"}))).with(3);
    let cause = cause(&stage, &ended);
    assert_eq!(part(&cause, "kind"), "denied", "{cause}");
    assert!(
        part(&cause, "text").contains("may not use model `scripted`") && part(&cause, "text").contains("ask/llm in "),
        "{cause}"
    );
    assert!(part(&cause, "hint").contains("add \"scripted\" to `models`"), "{cause}");
}

#[test]
fn a_token_budget_that_ran_out_is_named_with_its_limit() {
    let component = guest("ask");
    let stage = Stage::granting_within(&component, "tokens_run = 5");
    let ended = end(&mut stage.run_on("{\"text\": \"x\"}\n", &component, &json!({"prompt": "hello there"}))).with(4);
    let cause = cause(&stage, &ended);
    assert_eq!(part(&cause, "kind"), "exhausted", "{cause}");
    assert!(part(&cause, "hint").contains("tokens_run"), "{cause}");
}

#[test]
fn a_model_that_breaks_is_the_cause_in_its_own_words() {
    let component = guest("ask");
    let stage = Stage::granting(&component);
    let script = "{\"error\": {\"kind\": \"unavailable\", \"text\": \"the provider is on fire\"}}\n";
    let ended = end(&mut stage.run_on(script, &component, &json!({"prompt": "x"}))).with(5);
    let cause = cause(&stage, &ended);
    assert_eq!((part(&cause, "kind"), part(&cause, "text")), ("unavailable", "the provider is on fire"), "{cause}");
}

#[test]
fn a_panic_is_told_whole_with_file_and_line() {
    let component = guest("panic");
    let stage = Stage::granting(&component);
    let ended = end(&mut stage.run(&component, &json!({}))).with(1);
    let failure = ended.json()["failure"].as_str().expect("a failure").to_owned();
    assert!(failure.contains("panic.rs:") && failure.contains("the guest gave up on purpose"), "{failure}");
    let page = end(stage.agentry("logs").arg("last")).with(0).stdout;
    assert!(
        page.contains("panic.rs:") && page.contains("the guest gave up on purpose") && !page.contains("\\n"),
        "{page}"
    );
}

/// The echo guest under another manifest.
fn echo(stage: &Stage, more: &str) -> Ended {
    let bare = stage.path("plain-of-another-toolchain.wasm");
    fs::write(&bare, Sections::of(&fs::read(guest("echo")).expect("echo is built")).bare().component())
        .expect("a component");
    stage.write("agent.toml", &format!("name = \"local:plain\"\nversion = \"0.1.0\"\n{more}"));
    end(agentry().arg("build").arg(&bare))
}

const SHAPE: &str = "input_schema = '''\n{\"type\": \"object\", \"required\": [\"say\"], \"additionalProperties\": false, \"properties\": \
    {\"say\": {\"type\": \"string\", \"description\": \"what is said\"}, \"times\": {\"type\": \"integer\"}}}\n'''\n";

#[test]
fn an_input_that_is_not_what_the_agent_takes_begins_no_run_and_costs_nothing() {
    let stage = Stage::new();
    echo(&stage, SHAPE).with(0);
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"plain\"\n");
    let plain = stage.path("plain.wasm");
    for (input, place) in [(json!({}), "say"), (json!({"say": 7}), "`/say`"), (json!({"say": "x", "no": 1}), "no")] {
        let refused = end(&mut stage.run(&plain, &input)).with(2);
        refused.complains("does not take this input");
        assert!(refused.stderr.contains(place), "{}", refused.stderr);
    }
    stage.costs_nothing(&[]);
    let report = end(&mut stage.run(&plain, &json!({"say": "x"}))).with(0).json();
    assert_eq!(report["output"], json!({"say": "x"}));
}

#[test]
fn an_output_that_is_not_what_the_agent_gives_fails_its_run() {
    let stage = Stage::new();
    echo(&stage, "output_schema = '{\"type\": \"object\", \"required\": [\"say\"]}'\n").with(0);
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"plain\"\n");
    let plain = stage.path("plain.wasm");
    let report = end(&mut stage.run(&plain, &json!([1]))).with(1).json();
    assert!(report["failure"].as_str().is_some_and(|why| why.contains("output_schema")), "{report}");
    end(&mut stage.run(&plain, &json!({"say": 1}))).with(0);
    stage.replays();
}

#[test]
fn a_schema_that_is_none_is_told_when_the_package_is_built() {
    let stage = Stage::new();
    for bad in ["{\"type\": \"objekt\"}", "{", "{\"$ref\": \"https://example.org/x\"}", "{\"not\": {\"$ref\": \"#\"}}"]
    {
        echo(&stage, &format!("input_schema = '{bad}'\n"))
            .with(2)
            .complains("`input_schema` of the manifest is no JSON Schema");
    }
}

#[test]
fn a_value_that_would_keep_its_schema_busy_for_long_is_refused() {
    let stage = Stage::new();
    let choices = vec!["{\"items\": {\"type\": \"integer\"}}"; 100].join(", ");
    echo(
        &stage,
        &format!("input_schema = '{{\"anyOf\": [{choices}]}}'\noutput_schema = '{{\"anyOf\": [{choices}]}}'\n"),
    )
    .with(0);
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"plain\"\n");
    let plain = stage.path("plain.wasm");
    end(&mut stage.run(&plain, &json!([1, 2, 3]))).with(0);
    let long = vec![1; 10_000];
    end(&mut stage.run(&plain, &json!(long))).with(2).complains("make it smaller, or say less in the schema");
    echo(&stage, &format!("output_schema = '{{\"anyOf\": [{choices}]}}'\n")).with(0);
    let report = end(&mut stage.run(&plain, &json!(long))).with(1).json();
    assert!(report["failure"].as_str().is_some_and(|why| why.contains("make it smaller")), "{report}");
}

#[test]
fn words_and_flags_become_the_input_that_the_schema_names() {
    let stage = Stage::new();
    echo(&stage, SHAPE).with(0);
    stage.policy("format = 1\nlayer = \"grant\"\nagent = \"plain\"\n");
    let run = |words: &[&str]| end(stage.agentry("run").arg(stage.path("plain.wasm")).arg("--json").args(words));
    let given = |words: &[&str]| run(words).with(0).json()["output"].clone();
    assert_eq!(given(&["buy milk tomorrow"]), json!({"say": "buy milk tomorrow"}));
    assert_eq!(given(&["--say", "milk", "--times", "3"]), json!({"say": "milk", "times": 3}));
    assert_eq!(given(&["times=2", "milk", "and", "bread"]), json!({"say": "milk and bread", "times": 2}));
    let misspelt = run(&["--tiems", "3", "milk"]).with(2);
    misspelt.complains("takes no `tiems`");
    assert!(misspelt.stderr.contains("did you mean `--times`?"), "{}", misspelt.stderr);
    run(&["--times", "many"]).with(2).complains("is of type integer");
    end(stage.agentry("run").arg(guest("echo")).arg("hello"))
        .with(2)
        .complains("does not say what its input is made of");
    let help = end(stage.agentry("run").arg(stage.path("plain.wasm")).arg("--help")).with(0).stdout;
    assert!(
        help.contains("Input of plain:") && help.contains("--say <STRING>") && help.contains("what is said"),
        "{help}"
    );
    let inspected = end(agentry().arg("inspect").arg(stage.path("plain.wasm"))).with(0).stdout;
    assert!(inspected.contains("takes as its input"), "{inspected}");
}

#[test]
fn all_wants_that_are_missing_are_told_at_once_as_lines_to_paste() {
    let stage = Stage::new();
    let bare = stage.path("plain-of-another-toolchain.wasm");
    fs::write(&bare, Sections::of(&fs::read(guest("steps")).expect("steps is built")).bare().component())
        .expect("a component");
    let head = "name = \"local:plain\"\nversion = \"0.1.0\"\n";
    stage.write("agent.toml", head);
    let refused = end(agentry().arg("build").arg(&bare)).with(2);
    refused.complains("`memory`");
    let lines = refused.stderr.split("and build again:\n").nth(1).expect("lines to paste").to_owned();
    for heading in ["[wants.memory]", "[[wants.tools]]", "[[wants.files]]", "[wants.agents]"] {
        assert!(lines.contains(heading), "{lines}");
    }
    // Pasted, they are enough.
    stage.write("agent.toml", &format!("{head}{lines}"));
    end(agentry().arg("build").arg(&bare)).with(0);
}

#[test]
fn a_want_that_asks_for_nothing_is_an_error() {
    let stage = Stage::new();
    for (want, says) in [
        ("[wants.memory]\nwhy = \"x\"\n", "`wants.memory` asks for nothing"),
        ("[wants.memory]\nread = []\nwrite = []\nwhy = \"x\"\n", "`wants.memory` asks for nothing"),
        ("[wants.llm]\nmodels = []\nwhy = \"x\"\n", "`wants.llm.models` is empty"),
        ("[wants]\nfiles = []\n", "`wants.files` asks for nothing"),
        ("[wants]\ntools = []\n", "`wants.tools` asks for nothing"),
        ("[wants.http]\nhosts = []\nwhy = \"x\"\n", "`wants.http.hosts` asks for nothing"),
        ("[wants.agents]\ncall = []\nwhy = \"x\"\n", "`wants.agents.call` asks for nothing"),
    ] {
        echo(&stage, want).with(2).complains(says);
    }
}
