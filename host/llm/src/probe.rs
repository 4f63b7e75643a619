//! Asks a model once with everything that a guest may hint at, and keeps in the home what it refused. A probe is an admin's own act: it is
//! admitted by a kernel of its own, with a grant for this one call, and bounded as any other.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use agentry_kernel::call::{Call, CallId, Class as CallClass, Completion, RunId};
use agentry_kernel::kernel::{Answer, Kernel, Start};
use agentry_kernel::manifest::Manifest;
use agentry_kernel::policy::{Policy, Source};
use agentry_kernel::{Digest, Millis, Permit};
use tokio_util::sync::CancellationToken;

use super::adapt::Lesson;
use super::learned::Learned;
use super::{Entry, Sink};
use agentry_abi::bindings::agentry::agent::llm::{
    Class, Effort, Message, OutputForm, Part, Privacy, Request, Role, Tool, ToolChoice,
};

/// The longest answer of a probe. Models that think need some of it for that.
const ANSWER_TOKENS: u32 = 2048;

/// What a probe found.
#[derive(Debug)]
pub struct Probed {
    /// Whether it answered; else why not, for the admin.
    pub answered: Result<(), String>,
    /// What it does not take, as it is named in requests.
    pub left_out: Vec<String>,
    /// What the calls cost; none if its price is not known.
    pub microusd: Option<u64>,
}

/// Asks the model in the two ways that differ: with hints, and with a tool beside them. What it refused is kept in `home`.
///
/// # Errors
/// If this model is none that is asked over a network, or what was found cannot be kept; a sentence for the admin.
pub async fn probe(home: &Path, entry: &Entry) -> Result<Probed, String> {
    let Some(known) = &entry.known else {
        return Err(format!(
            "`{}` takes all that a guest may ask for: there is nothing to probe\nhint: probe one of agentry.toml",
            entry.model.alias
        ));
    };
    let mut probed = Probed { answered: Ok(()), left_out: Vec::new(), microusd: entry.model.price.map(|_| 0) };
    for request in [hints(), with_tool()] {
        let permit = permit(entry)?;
        let finished = entry.ask(Instant::now(), &permit, request, Sink::NONE, CancellationToken::new()).await;
        probed.microusd =
            probed.microusd.map(|sum| sum.saturating_add(entry.cost(&finished)[agentry_kernel::Resource::Usd]));
        if let Err(failure) = &finished.result {
            probed.answered = Err(finished.note.clone().unwrap_or_else(|| format!("{:?}", failure.why)));
            break;
        }
    }
    let lessons = known.lessons();
    probed.left_out = lessons.iter().map(Lesson::to_string).collect();
    if probed.answered.is_ok() {
        Learned::of_home(home).keep(home, known.origin(), lessons)?;
    }
    Ok(probed)
}

fn hints() -> Request {
    let parts = vec![Part::Text("Answer with the word: yes".to_owned())];
    Request {
        model: String::new(),
        messages: vec![Message { role: Role::User, parts, cache: true }],
        tools: Vec::new(),
        tool_choice: ToolChoice::Automatic,
        output: OutputForm::Text,
        max_output_tokens: Some(ANSWER_TOKENS),
        temperature: Some(0.5),
        top_p: Some(0.9),
        seed: Some(7),
        stop: Vec::new(),
        effort: Some(Effort::Low),
        class: Class::Normal,
        privacy: Privacy::Any,
        deadline_ms: None,
        max_cost_microusd: None,
    }
}

fn with_tool() -> Request {
    let tool = Tool {
        name: "look".to_owned(),
        description: "Looks out of the window.".to_owned(),
        schema_json: r#"{"type":"object","properties":{}}"#.to_owned(),
    };
    Request { tools: vec![tool], ..hints() }
}

/// A permit of a kernel that knows this model and this call alone.
fn permit(entry: &Entry) -> Result<Permit, String> {
    let grant = "format = 1\nlayer = \"grant\"\nagent = \"probe\"\nllm = { models = [\"*\"] }\n";
    let policy = Policy::parse(&[Source { file: "probe.toml", text: grant }], Digest::default());
    let policy = policy.map_err(|_| "the grant of a probe is none".to_owned())?;
    let mut kernel = Kernel::new(Arc::new(policy), vec![entry.model.clone()], Vec::new());
    let manifest: Manifest = serde_json::from_value(serde_json::json!({
        "format": 1, "name": "agentry:probe", "version": "1.0.0", "wit": "0.1.0",
        "wants": {"llm": {"models": ["*"], "why": "it asks what the model takes"}},
    }))
    .map_err(|why| why.to_string())?;
    let (run, now) = (RunId(1), Millis(0));
    // Nobody waits in this kernel and nothing of it is kept, so nothing follows from what is done to it.
    let (started, _) =
        kernel.start(run, &Start { agent: "probe".to_owned(), manifest: Arc::new(manifest), signer: None }, now);
    started.map_err(|refusal| refusal.to_string())?;
    let call = Call::LlmComplete(Completion {
        model: entry.model.alias.clone(),
        messages: Vec::new(),
        settings: Digest::default(),
        input_tokens_max: entry.provider.input_tokens_max(&with_tool()),
        output_tokens_max: Some(u64::from(ANSWER_TOKENS)),
        class: CallClass::Normal,
        local_only: false,
        microusd_max: None,
    });
    match kernel.admit(run, CallId(1), &call, now).0 {
        Answer::Permit(permit) => Ok(permit),
        Answer::Refused(refusal) => Err(refusal.to_string()),
        Answer::Wait(_) | Answer::Ask(_) => Err("the model has no slot".to_owned()),
    }
}
