//! Real models: llama.cpp's server and the one in this process, both with the same small weights.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::stage::{Ended, Stage, end, example, guest, repository, skip};

/// llama.cpp's server, started once for all tests.
struct LlamaServer {
    port: u16,
    _child: Child,
}

fn weights() -> Option<PathBuf> {
    std::env::var_os("AGENTRY_TEST_WEIGHTS").map(PathBuf::from)
}

fn server() -> Option<&'static LlamaServer> {
    static SERVER: OnceLock<Option<LlamaServer>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref()
}

fn start() -> Option<LlamaServer> {
    let python = std::env::var_os("AGENTRY_TEST_PYTHON")?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/model_server.py");
    // It ends with us: its standard input closes when this process is gone.
    let mut child = Command::new(python)
        .arg(script)
        .arg(weights()?)
        .arg(free.port().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let ready = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("listening"));
    assert!(ready, "the server ended before it listened");
    std::thread::spawn(move || lines.for_each(drop));
    Some(LlamaServer { port: free.port(), _child: child })
}

fn on_server(component: &std::path::Path, port: u16) -> Stage {
    let stage = Stage::granting(component);
    configure(&stage, port);
    stage
}

fn configure(stage: &Stage, port: u16) {
    stage.write(
        "home/agentry.toml",
        &format!(
            "format = 1\ndefault = \"small\"\n[providers.llama]\nkind = \"openai-compatible\"\n\
             base_url = \"http://127.0.0.1:{port}/v1\"\n[models.small]\nprovider = \"llama\"\nmodel = \"smollm2\"\n\
             context_tokens = 4096\nmax_output_tokens = 256\nslots = 2\nlocal = true\n\
             price = {{ input = 100_000, output = 200_000 }}\n"
        ),
    );
}

/// Two documents of the corpus are enough for one question, and short enough for a small model on a busy machine.
const DOCUMENTS: [&str; 2] = ["bill-of-rights.md", "lincoln.md"];

/// A home for the researcher with its own policy, and what is left of its command but the model.
fn researcher() -> (Stage, Command) {
    let stage = Stage::new();
    let policy = fs::read_to_string(repository("policies/50-researcher.toml")).expect("an example has a policy");
    stage.policy(&policy);
    let documents = stage.directory("documents");
    for name in DOCUMENTS {
        fs::copy(repository("example-agents/researcher/corpus").join(name), documents.join(name)).expect("a document");
    }
    let question = json!({"question": "What does the Bill of Rights say about freedom of speech?", "report": "speech"});
    let mut run = stage.run(&example("researcher"), &question);
    for (root, directory) in [("documents", documents), ("reports", stage.directory("reports"))] {
        run.arg("--root").arg(format!("{root}={}", directory.display()));
    }
    (stage, run)
}

/// What it cites stands where it says, and its report is a file.
fn has_researched(stage: &Stage, ended: Ended) -> Value {
    let report = ended.with(0).json();
    assert_eq!(report["status"], "done", "{report}");
    let citations = report["output"]["citations"].as_array().expect("an output has citations");
    assert!(!citations.is_empty(), "{report}");
    for citation in citations {
        let file = stage.path("documents").join(citation["file"].as_str().expect("a file"));
        let text = fs::read_to_string(file).expect("what it cites is there");
        let line = citation["line"].as_u64().and_then(|line| text.lines().nth(usize::try_from(line).ok()? - 1));
        let quote = citation["quote"].as_str().expect("a quote");
        assert!(!quote.is_empty() && line.is_some_and(|line| line.contains(quote)), "{citation}: {line:?}");
    }
    let written = fs::read_to_string(stage.path("reports/speech.md")).expect("it wrote its report");
    assert!(
        written.contains("## Sources") && written.contains(citations[0]["quote"].as_str().unwrap_or("?")),
        "{written}"
    );
    report
}

fn is_an_answer(report: &Value) {
    assert_eq!(report["status"], "done", "{report}");
    assert!(report["output"].as_str().is_some_and(|text| !text.trim().is_empty()), "{report}");
    assert!(report["usage"]["tokens"].as_u64().is_some_and(|tokens| tokens > 5), "{report}");
}

const QUESTION: &str = "What is the capital of France? Answer in one word.";

#[test]
fn a_real_server_answers_and_its_tokens_are_billed() {
    let Some(server) = server() else { return skip("a_real_server_answers_and_its_tokens_are_billed", "no server") };
    let component = guest("ask");
    let stage = on_server(&component, server.port);
    let report = end(&mut stage.run(&component, &json!({"prompt": QUESTION, "max_tokens": 12}))).with(0).json();
    is_an_answer(&report);
    assert!(report["cost_microusd"].as_u64().is_some_and(|cost| cost > 0), "{report}");
}

#[test]
fn a_stream_of_a_real_server_can_be_cut() {
    let Some(server) = server() else { return skip("a_stream_of_a_real_server_can_be_cut", "no server") };
    let component = guest("stream_drop");
    let stage = on_server(&component, server.port);
    is_an_answer(&end(&mut stage.run(&component, &json!({}))).with(0).json());
}

#[test]
fn the_model_in_this_process_answers_without_key_or_server() {
    let Some(weights) = weights() else {
        return skip("the_model_in_this_process_answers_without_key_or_server", "no weights");
    };
    let component = guest("ask");
    let stage = Stage::granting(&component);
    let mut run = stage.run(&component, &json!({"prompt": QUESTION, "max_tokens": 8}));
    let report = end(run.env("AGENTRY_EMBEDDED_GGUF", weights)).with(0).json();
    is_an_answer(&report);
    assert_eq!(report["cost_microusd"], 0);
}

#[test]
fn the_researcher_works_on_a_real_server() {
    let Some(server) = server() else { return skip("the_researcher_works_on_a_real_server", "no server") };
    let (stage, mut run) = researcher();
    configure(&stage, server.port);
    let report = has_researched(&stage, end(&mut run));
    assert!(report["cost_microusd"].as_u64().is_some_and(|cost| cost > 0), "{report}");
}

#[test]
fn the_researcher_works_on_the_model_in_this_process() {
    let Some(weights) = weights() else {
        return skip("the_researcher_works_on_the_model_in_this_process", "no weights");
    };
    let (stage, mut run) = researcher();
    let report = has_researched(&stage, end(run.env("AGENTRY_EMBEDDED_GGUF", weights)));
    assert_eq!(report["cost_microusd"], 0);
    assert!(report["usage"]["tokens"].as_u64().is_some_and(|tokens| tokens > 50), "{report}");
}

#[test]
fn weights_that_are_there_are_not_fetched_again() {
    let Some(weights) = weights() else {
        return skip("weights_that_are_there_are_not_fetched_again", "no weights");
    };
    let stage = Stage::new();
    let name = weights.file_name().expect("it is a file");
    fs::copy(&weights, stage.directory("home/models").join(name)).expect("room for a copy");
    let nowhere = stage.directory("no-programs");
    let mut fetch = stage.agentry("models");
    fetch.args(["--fetch", "--json"]).env("PATH", nowhere).env_remove("AGENTRY_EMBEDDED_GGUF");
    let ended = end(&mut fetch).with(0);
    assert!(ended.stderr.contains("the weights are there already"), "{}", ended.stderr);
    assert_eq!(ended.json()[0]["trouble"], Value::Null, "{}", ended.stdout);
}

#[test]
fn without_its_weights_the_embedded_model_says_how_to_get_them() {
    let component = guest("ask");
    let stage = Stage::granting(&component);
    let mut run = stage.run(&component, &json!({"prompt": QUESTION}));
    let ended = end(run.env_remove("AGENTRY_EMBEDDED_GGUF")).with(5);
    assert!(!ended.stdout.contains(&stage.home().display().to_string()), "a path reached the guest: {}", ended.stdout);
    let listed = end(&mut stage.agentry("models")).with(0).stdout;
    assert!(listed.contains("agentry models --fetch"), "{listed}");
}
