//! Providers that are down, hang, lie or say no: the agent gets a typed error, the budget is right, and nothing hangs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::provider::{Behaviour, Server, last, piece};
use crate::stage::{Ended, Stage, agentry, end, guest};
use crate::web::Site;

/// A silent provider is given up after this, and a few tries.
const IDLE_MS: u64 = 500;
/// So no run on one takes longer than this, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

fn stage(port: u16) -> Stage {
    let stage = Stage::granting_within(&guest("ask"), "usd_run = \"0.10\"\nwall_run = \"50s\"");
    stage.write("home/agentry.toml", &config(port));
    stage
}

fn config(port: u16) -> String {
    format!(
        r#"
format = 1
default = "small"

[providers.near]
kind = "openai-compatible"
base_url = "http://127.0.0.1:{port}/v1"
connect_timeout_ms = 500
idle_timeout_ms = {IDLE_MS}

[models.small]
provider = "near"
model = "test-model"
context_tokens = 8192
max_output_tokens = 512
slots = 2
price = {{ input = 1_000_000, output = 2_000_000 }}
"#
    )
}

fn ask(stage: &Stage) -> Ended {
    let ended = end(&mut stage.run(&guest("ask"), &json!({"prompt": "hello", "max_tokens": 32})));
    assert!(ended.took < SOON, "it hung for {:?}", ended.took);
    ended
}

/// The agent is told that the model was not to be had, and pays nothing for what it did not get.
fn is_unavailable(behaviour: Behaviour) -> Value {
    let server = Server::that(behaviour);
    let stage = stage(server.port());
    let report = ask(&stage).with(5).json();
    assert_eq!(report["status"], "unavailable", "{report}");
    let shown = report.to_string();
    assert!(!shown.contains(&server.port().to_string()), "an address reached the guest: {shown}");
    nothing_is_held(&stage, &report);
    report
}

/// What a run holds at its end is nothing: its bill and its journal agree.
fn nothing_is_held(stage: &Stage, report: &Value) {
    let last = stage.last();
    assert_eq!(last["spent"]["usd"].as_u64().unwrap_or(0), report["cost_microusd"].as_u64().unwrap_or(0), "{last}");
    stage.nothing_moved(&[]);
}

#[test]
fn a_model_that_is_not_granted_is_not_asked() {
    let (granted, server) = ("models = [\"*\"]", answering());
    for other in ["models = [\"other\"]", "models = []"] {
        let stage = stage(server.port());
        let grant = std::fs::read_to_string(stage.home().join("policies/50-grant.toml")).expect("it is there");
        stage.policy(&grant.replace(granted, other));
        let report = ask(&stage).with(3).json();
        assert_eq!(report["refusals"][0]["code"], "no-grant", "{report}");
        stage.costs_nothing(&[&server]);
    }
}

#[test]
fn what_one_token_too_few_is_left_for_is_not_asked_and_one_more_is_enough() {
    let server = answering();
    let within = |tokens: u64| {
        let stage = Stage::granting_within(&guest("ask"), &format!("tokens_run = {tokens}"));
        stage.write("home/agentry.toml", &config(server.port()));
        stage
    };
    let measured = within(100_000);
    ask(&measured).with(0);
    let calls = measured.calls();
    let call = calls.iter().find(|call| call["name"] == "llm.complete").expect("it asked");
    let held = call["held"]["tokens"].as_u64().expect("tokens were held");
    let short = within(held - 1);
    assert_eq!(ask(&short).with(4).json()["refusals"][0]["code"], "exhausted");
    short.costs_nothing(&[]);
    assert_eq!(server.asked().len(), 1, "only the one that was allowed was asked");
    let enough = within(held);
    ask(&enough).with(0);
    enough.nothing_moved(&[(&server, 2)]);
}

/// One that answers as it should.
fn answering() -> Server {
    let events: Vec<String> = [piece("hel"), piece("lo")].into_iter().chain(last(10, 5)).collect();
    Server::that(Behaviour::Streams(events))
}

#[test]
fn an_answer_is_streamed_and_billed_as_the_provider_says() {
    let server = answering();
    let stage = stage(server.port());
    let report = ask(&stage).with(0).json();
    assert_eq!(report["output"], "hello");
    assert_eq!(report["usage"]["tokens"], 15);
    assert_eq!(report["cost_microusd"], 10 + 2 * 5);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_server_that_is_down_is_unavailable() {
    let stage = stage(Server::down());
    let report = ask(&stage).with(5).json();
    assert_eq!(report["cost_microusd"], 0);
    nothing_is_held(&stage, &report);
}

#[test]
fn a_server_that_hangs_is_given_up() {
    is_unavailable(Behaviour::Hangs);
}

#[test]
fn garbage_is_an_error_and_no_answer() {
    is_unavailable(Behaviour::Garbage);
    is_unavailable(Behaviour::Streams(vec!["{".to_owned(), "not json".to_owned()]));
}

#[test]
fn a_cut_stream_is_an_error_and_what_came_is_billed() {
    let report = is_unavailable(Behaviour::Cuts(vec![piece("half an ans")]));
    assert!(report["usage"]["tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{report}");
}

#[test]
fn too_many_requests_and_server_errors_are_unavailable() {
    let body = json!({"error": {"message": "slow down"}}).to_string();
    is_unavailable(Behaviour::Says(429, "retry-after: 0\r\n", body.clone()));
    is_unavailable(Behaviour::Says(429, "retry-after: 3600\r\n", body.clone()));
    is_unavailable(Behaviour::Says(500, "", body));
}

#[test]
fn what_a_provider_said_is_shown_to_the_admin_by_whoever_is_asked_and_to_no_guest() {
    let body = json!({"error": {"message": "it burns"}}).to_string();
    let server = Server::that(Behaviour::Says(500, "x-request-id: req_7\r\n", body));
    let stage = stage(server.port());
    let asked = ask(&stage).with(5);
    assert!(asked.stderr.contains("it burns"), "{}", asked.stderr);
    let report = asked.json();
    assert!(!report.to_string().contains("it burns"), "{report}");
    let said = "500 Internal Server Error: it burns (request req_7)";
    for verb in ["trace", "logs"] {
        assert!(end(stage.agentry(verb).arg("last")).with(0).stdout.contains(said), "{verb}");
    }
    let waited = end(stage.agentry("wait").arg("last")).with(5);
    assert!(waited.stderr.contains(said), "{}", waited.stderr);
    let calls = stage.calls();
    let call = calls.iter().find(|call| call["name"] == "llm.complete").expect("it asked");
    assert_eq!(call["note"], said);
}

#[test]
fn a_key_goes_to_its_provider_and_nowhere_else() {
    const KEY: &str = "sk-a-secret-of-the-tests";
    let echo = Behaviour::Says(401, "", json!({"error": {"message": format!("wrong key {KEY}")}}).to_string());
    let server = Server::that(echo);
    let stage = stage(server.port());
    let config = config(server.port()).replace("connect_timeout_ms", "key = { env = \"A_KEY\" }\nconnect_timeout_ms");
    stage.write("home/agentry.toml", &config);
    let mut run = stage.run(&guest("ask"), &json!({"prompt": "hello"}));
    let ended = end(run.env("A_KEY", KEY));
    assert_ne!(ended.code, 0);
    assert!(server.asked()[0].contains(KEY), "the provider got no key");
    let trace = end(stage.agentry("trace").args(["last", "--json"])).stdout;
    for shown in [&ended.stdout, &ended.stderr, &trace] {
        assert!(!shown.contains(KEY), "{shown}");
    }
}

#[test]
fn a_missing_key_is_told_by_its_name_before_anybody_is_asked() {
    let server = Server::that(Behaviour::Hangs);
    let stage = stage(server.port());
    let config =
        config(server.port()).replace("connect_timeout_ms", "key = { env = \"NO_SUCH_KEY\" }\nconnect_timeout_ms");
    stage.write("home/agentry.toml", &config);
    let listed = end(stage.agentry("models").arg("--json")).with(0).json();
    let small = listed.as_array().and_then(|models| models.iter().find(|model| model["alias"] == "small"));
    let trouble = small.map(|model| model["trouble"].to_string()).unwrap_or_default();
    assert!(trouble.contains("NO_SUCH_KEY"), "{listed}");
    end(&mut stage.run(&guest("ask"), &json!({"prompt": "hello"}))).with(5);
    stage.nothing_moved(&[(&server, 0)]);
}

#[test]
fn a_configuration_that_is_wrong_is_told_with_its_line() {
    for (from, to, of) in [
        ("format = 1", "format = 2", "agentry.toml:2"),
        ("kind = \"openai-compatible\"", "kind = \"telepathy\"", "telepathy"),
        ("slots = 2", "slotz = 2", "slotz"),
        ("provider = \"near\"", "provider = \"far\"", "far"),
        ("default = \"small\"", "default = \"large\"", "large"),
        ("price = {", "price = { input = \"cheap\" } #", "agentry.toml:17"),
    ] {
        let stage = Stage::new();
        stage.write("home/agentry.toml", &config(1).replacen(from, to, 1));
        end(&mut stage.agentry("models")).with(2).complains(of);
        end(stage.agentry("run").arg(guest("ask"))).with(2).complains(of);
        std::fs::remove_file(stage.home().join("agentry.toml")).expect("it is ours");
        stage.costs_nothing(&[]);
    }
}

#[test]
fn a_configuration_that_others_may_write_says_nothing_to_anybody() {
    use std::os::unix::fs::PermissionsExt;
    let server = Site::echo();
    let stage = Stage::granting(&guest("ask"));
    let file = stage.write("home/agentry.toml", &config(server.port()));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).expect("it is ours");
    end(&mut stage.agentry("models")).with(2).complains("everybody may write");
    end(&mut stage.run(&guest("ask"), &json!({"prompt": "hello"}))).with(2).complains("everybody may write");
    assert_eq!(end(stage.agentry("ps").arg("--json")).with(0).json(), json!([]), "something ran");
    std::fs::remove_file(&file).expect("it is ours");
    stage.costs_nothing(&[&server]);
}

#[test]
fn a_script_that_is_no_script_is_told_with_its_line() {
    let stage = Stage::granting(&guest("echo"));
    let script = stage.write("bad.jsonl", "{\"text\": \"fine\"}\n{\"txet\": \"not\"}\n");
    let mut run = stage.agentry("run");
    run.arg(guest("echo")).arg("--model").arg(format!("scripted:{}", script.display()));
    end(&mut run).with(2).complains("bad.jsonl:2");
    end(stage.agentry("run").arg(guest("echo")).args(["--model", "nobody"])).with(2).complains("no model `nobody`");
    stage.costs_nothing(&[]);
}

#[test]
fn the_embedded_model_is_there_without_any_configuration() {
    let stage = Stage::new();
    let listed = end(stage.agentry("models").arg("--json")).with(0).json();
    assert_eq!(listed[0]["alias"], "embedded");
    assert_eq!(listed[0]["local"], true);
    assert!(end(agentry().args(["models", "--help"])).stdout.contains("--fetch"));
}

#[test]
fn without_pip_the_weights_are_not_fetched_and_nothing_is_left() {
    let stage = Stage::new();
    let nowhere = stage.directory("no-programs");
    let mut fetch = stage.agentry("models");
    let told = end(fetch.arg("--fetch").env("PATH", nowhere)).with(5).stderr;
    assert!(told.contains("error: `python3` does not start") && told.contains("\nhint: install python3"), "{told}");
    assert_eq!(std::fs::read_dir(stage.path("home/models")).expect("it was made").count(), 0);
}

/// A provider that refuses what it is asked with each of these, and then answers.
fn picky() -> Server {
    let refusal = |name: &str| {
        let message = format!("Unsupported parameter: '{name}' is not supported with this model.");
        Behaviour::Says(400, "", json!({"error": {"message": message, "param": name}}).to_string())
    };
    let events: Vec<String> = [piece("yes")].into_iter().chain(last(10, 5)).collect();
    Server::that(Behaviour::InTurn(vec![refusal("temperature"), refusal("seed"), Behaviour::Streams(events)]))
}

#[test]
fn a_model_is_probed_and_what_it_refused_is_remembered() {
    let server = picky();
    let stage = stage(server.port());
    let probed = end(stage.agentry("models").args(["--probe", "small", "--json"])).with(0).json();
    assert_eq!(probed["left_out"], json!(["temperature", "seed"]), "{probed}");
    assert!(probed["cost_microusd"].as_u64().is_some_and(|cost| cost > 0), "{probed}");
    let asked = server.asked();
    assert_eq!(asked.len(), 4, "two refusals, two answers");
    assert!(asked[0].contains("\"temperature\":") && !asked[3].contains("\"temperature\":"), "{asked:?}");
    let again = end(stage.agentry("models").args(["--probe", "small"])).with(0).stdout;
    assert!(again.contains("does not take temperature, seed"), "{again}");
    assert_eq!(server.asked().len(), 6, "what is remembered is not asked again");
}

#[test]
fn a_model_that_is_not_there_is_not_probed() {
    let server = Server::that(Behaviour::Hangs);
    let stage = stage(server.port());
    end(stage.agentry("models").args(["--probe", "smal"])).with(2).complains("there is no model `smal`");
    end(stage.agentry("models").args(["--probe", "embedded"])).with(2).complains("nothing to probe");
    assert_eq!(server.asked().len(), 0);
    let stage = self::stage(Server::down());
    end(stage.agentry("models").args(["--probe", "small"])).with(5).complains("`small` does not answer");
}

#[test]
fn prices_are_read_from_the_list_of_another_and_told_with_their_age() {
    let stage = Stage::new();
    let config = "format = 1\n[providers.p]\nkind = \"openai\"\nkey = { env = \"NO_SUCH_KEY\" }\n[models.m]\nprovider = \"p\"\nmodel = \"gpt-5.4\"\n";
    stage.write("home/agentry.toml", config);
    let list = stage.write("list.json", r#"{"openai":{"models":{"gpt-5.4":{"cost":{"input":1.5,"output":3}}}}}"#);
    let old = std::time::SystemTime::now() - Duration::from_secs(90 * 86_400);
    std::fs::File::options().write(true).open(&list).and_then(|file| file.set_modified(old)).expect("it is ours");
    let read = end(stage.agentry("models").arg("--prices").arg(&list)).with(0);
    assert!(read.stderr.contains("prices of 1 models read, as models.dev had them on "), "{}", read.stderr);
    assert!(read.stdout.contains("the price of `m` is 90 days old (models.dev, "), "{}", read.stdout);
    let listed = end(stage.agentry("models").arg("--json")).with(0).json();
    assert_eq!(listed[0]["input_microusd_per_mtok"], 1_500_000, "{listed}");
    assert_eq!(listed[0]["price_source"], "models.dev");
}

#[test]
fn what_is_no_list_of_prices_changes_nothing() {
    let stage = Stage::new();
    let list = stage.write("list.json", r#"{"a": 1}"#);
    end(stage.agentry("models").arg("--prices").arg(&list)).with(2).complains("no list of prices");
    end(stage.agentry("models").args(["--prices", "/nowhere/at/all"])).with(2).complains("cannot read or keep");
    assert!(!stage.path("home/prices.json").exists());
}

#[test]
fn what_is_near_is_told_with_the_lines_to_add() {
    let stage = Stage::new();
    let listed = end(stage.agentry("models").env("MISTRAL_API_KEY", "sk-not-shown").env("GROQ_API_KEY", "")).with(0);
    assert!(listed.stdout.contains("MISTRAL_API_KEY is set"), "{}", listed.stdout);
    assert!(listed.stdout.contains("  base_url = \"https://api.mistral.ai/v1\"\n"), "{}", listed.stdout);
    assert!(!listed.stdout.contains("sk-not-shown") && !listed.stdout.contains("GROQ_API_KEY"), "{}", listed.stdout);
}

#[test]
fn vectors_are_asked_for_and_paid_and_a_model_that_makes_none_says_so() {
    let granted = |server: &Server| {
        let stage = Stage::granting_within(&guest("later"), "usd_run = \"0.10\"");
        stage.write("home/agentry.toml", &config(server.port()));
        stage
    };
    let body = json!({"data": [{"index": 0, "embedding": [0.5, 0.25]}], "usage": {"prompt_tokens": 1}}).to_string();
    let server = Server::that(Behaviour::Says(200, "content-type: application/json\r\n", body));
    let report = end(&mut granted(&server).run(&guest("later"), &json!({}))).with(0).json();
    assert_eq!((&report["output"]["llm.embed"], &report["cost_microusd"]), (&json!("answered"), &json!(1)), "{report}");
    assert!(server.asked()[0].starts_with("POST /v1/embeddings "), "{:?}", server.asked());
    let lying = Server::that(Behaviour::Says(200, "", json!({"data": []}).to_string()));
    let report = end(&mut granted(&lying).run(&guest("later"), &json!({}))).with(0).json();
    let told = report["output"]["llm.embed"].to_string();
    assert!(told.contains("sent something that is no answer"), "{told}");
    let denied = Stage::new();
    denied.write("home/agentry.toml", &config(server.port()));
    denied.policy("format = 1\nlayer = \"grant\"\nagent = \"later\"\n");
    let report = end(&mut denied.run(&guest("later"), &json!({}))).with(0).json();
    assert!(report["output"]["llm.embed"].to_string().contains("denied (no-grant"), "{report}");
    assert_eq!(server.asked().len(), 1, "who is not granted it reaches nobody");
}

#[test]
fn an_answer_of_another_form_is_repaired_once_by_a_call_of_its_own() {
    let schema = r#"{"type":"object","required":["city"],"properties":{"city":{"type":"string"}}}"#;
    let says = |text: &str| Behaviour::Streams([piece(text)].into_iter().chain(last(100, 5)).collect());
    let ask = |answers: Vec<Behaviour>| {
        let server = Server::that(Behaviour::InTurn(answers));
        let stage = stage(server.port());
        let input = json!({"prompt": "Where is the Louvre?", "max_tokens": 32, "schema": schema});
        let report = end(&mut stage.run(&guest("ask"), &input)).json();
        (server.asked(), report, stage.calls().iter().filter(|call| call["name"] == "llm.complete").count())
    };
    let (asked, report, calls) = ask(vec![says("It is in Paris."), says(r#"{"city":"Paris"}"#)]);
    assert_eq!((&report["output"], asked.len(), calls), (&json!(r#"{"city":"Paris"}"#), 2, 2), "{report}");
    assert!(!asked[0].contains("Answer again"), "{}", asked[0]);
    let told = "the model's answer is not of the form that was asked for: it is no JSON. Answer again";
    assert!(asked[1].contains("It is in Paris.") && asked[1].contains(told), "{}", asked[1]);
    assert_eq!(report["cost_microusd"], 2 * (100 + 2 * 5), "both were paid: {report}");

    let (asked, report, _) = ask(vec![says("It is in Paris.")]);
    assert_eq!((&report["status"], asked.len()), (&json!("unavailable"), 2), "once and no more: {report}");
}
