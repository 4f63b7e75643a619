//! The entries of a journal as rows: one a syscall, with what was asked, when, the decision and the cost.

mod stream;

use agentry_journal;
use agentry_kernel::budget::Shortage;
use agentry_kernel::call::{Call, CallId, Completion, Fetch};
use agentry_kernel::journal::{Entry, Outcome};
use agentry_kernel::refusal::{Refusal, Rule};
use agentry_kernel::{Amounts, Digest, Labels, Millis};
use serde_json::{Value, json};

pub use self::stream::Rows;
use super::{amounts, units};

/// One syscall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub call: CallId,
    /// When it was made.
    pub at: Millis,
    /// When its answer was there; none if it never was.
    pub until: Option<Millis>,
    /// For example `llm.complete`.
    pub name: String,
    /// With which arguments, as far as one line has room.
    pub detail: String,
    /// What came of it.
    pub decision: Decision,
    /// What was set aside for it: the most that it could cost.
    pub held: Amounts,
    /// What it took from the accounts.
    pub spent: Amounts,
    /// The labels that the run gained by it.
    pub gained: Labels,
    /// What files that only observe would have said against it.
    pub shadow_denied: Option<String>,
    /// Who allowed it, if people did.
    pub approved_by: Vec<String>,
    /// What people added to budgets so that it could be made.
    pub raised: Vec<Shortage>,
    /// What somebody outside said of it, for the admin.
    pub note: Option<String>,
    /// What the decision rests on, if the journal says.
    pub basis: Option<Basis>,
    /// The name of its canonical arguments.
    pub arguments: Digest,
    /// The contents that it names.
    pub contents: Vec<Digest>,
}

/// What a decision rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The digest of the policy that was in force.
    pub policy: Digest,
    /// The rule that gave the right; none where none was needed.
    pub rule: Option<Rule>,
}

/// What came of a syscall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was allowed and is not answered, or nobody knows.
    Open,
    /// It waits for people, or waited for them when its run was cut.
    Waits,
    /// It was allowed and went well.
    Done,
    /// It was allowed and did not go well.
    Broke {
        /// The case of `types.error`.
        kind: String,
        /// Its text.
        text: String,
    },
    /// The kernel said no.
    Refused(Box<Refusal>),
}

/// The rows of a run, in the order of its calls.
pub fn rows(entries: &[Entry]) -> Vec<Row> {
    let mut rows = Rows::default();
    entries.iter().for_each(|entry| rows.take(entry));
    rows.rest()
}

fn row(call: CallId, at: Millis, until: Option<Millis>, what: &Call, decision: Decision) -> Row {
    let (name, detail) = (what.name().to_owned(), detail(what));
    let (held, spent, gained, approved_by) = (Amounts::ZERO, Amounts::ZERO, Labels::NONE, Vec::new());
    let (shadow_denied, basis, arguments) = (None, None, agentry_journal::arguments(what));
    let contents = what.spec().contents.collect();
    Row {
        call,
        at,
        until,
        name,
        detail,
        decision,
        held,
        spent,
        gained,
        shadow_denied,
        approved_by,
        raised: Vec::new(),
        note: None,
        basis,
        arguments,
        contents,
    }
}

fn decision(outcome: &Outcome) -> Decision {
    match outcome {
        Outcome::Inline(_) | Outcome::Stored { .. } => Decision::Done,
        Outcome::Error { kind, text, .. } => Decision::Broke { kind: kind.clone(), text: text.clone() },
    }
}

fn detail(call: &Call) -> String {
    match call {
        Call::LlmComplete(question) | Call::LlmStream(question) => asked(question),
        Call::LlmEmbed { model, bytes } => format!("{model}, {}", units::bytes(*bytes)),
        Call::LlmCountTokens { model } => model.clone(),
        Call::MemoryGet { namespace, key } | Call::MemoryDelete { namespace, key } => format!("{namespace} {key}"),
        Call::MemoryPut { namespace, key, bytes, .. } => format!("{namespace} {key}, {}", units::bytes(*bytes)),
        Call::MemoryList { namespace, prefix } => format!("{namespace} {prefix}*"),
        Call::Memory { namespace, .. } => namespace.clone(),
        Call::FilesRead(place) | Call::FilesStat(place) | Call::FilesList(place) | Call::FilesDelete(place) => {
            format!("{}:{}", place.root, place.path)
        }
        Call::FilesWrite { place, bytes, .. } => format!("{}:{}, {}", place.root, place.path, units::bytes(*bytes)),
        Call::ToolsCall { name, .. } => name.clone(),
        Call::HttpFetch { method, url } | Call::Fetch(Fetch { method, url, .. }) => format!("{method} {url}"),
        Call::HumanAsk { expires_ms, .. } => {
            expires_ms.map(|ms| format!("at most {}", units::duration(ms))).unwrap_or_default()
        }
        Call::TimersSleep { ms } => units::duration(*ms),
        Call::AgentsFind { provides } => provides.clone(),
        Call::AgentsCall(delegation) => delegation.agent.clone(),
        Call::AgentsSend(post) => format!("{}, {}", post.agent, units::bytes(post.bytes)),
        Call::AgentsReply { letter, post } => format!("{letter}, {}", units::bytes(post.bytes)),
        Call::AgentsReceive { timeout_ms } => timeout_ms.map(units::duration).unwrap_or_default(),
        Call::LlmModels | Call::ToolsList | Call::HumanNotify { .. } | Call::LogEvent { .. } => String::new(),
        Call::TimersNow | Call::TimersDeadline | Call::BudgetRemaining | Call::BudgetSplit => String::new(),
        Call::Context(_) | Call::Agents(_) | Call::Human(_) => String::new(),
    }
}

fn asked(question: &Completion) -> String {
    let messages = units::plural(question.messages.len() as u64, "message");
    format!("{}, {messages}", question.model)
}

/// A refusal, for programs: the stable word first.
pub fn refusal(refusal: &Refusal) -> Value {
    let mut object = json!({
        "agent": refusal.agent,
        "wanted": refusal.wanted,
        "code": refusal.code.word(),
        "rule": refusal.rule,
        "argument": refusal.argument,
        "because": refusal.because,
        "reference": refusal.reference.map(|(run, call)| format!("{run}/{call}")),
    });
    if !refusal.hint.is_empty() {
        object["hint"] = json!(refusal.hint);
    }
    object
}

impl Row {
    /// For programs; times count from the run's start.
    pub fn as_json(&self, began: Millis) -> Value {
        let mut row = json!({
            "call": self.call.0,
            "at_ms": self.at.since(began),
            "took_ms": self.until.map(|until| until.since(self.at)),
            "name": self.name,
            "detail": self.detail,
            "arguments": self.arguments.to_string(),
            "contents": self.contents.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "decision": self.word(),
            "rule": self.basis.as_ref().and_then(|basis| basis.rule.as_ref()),
            "policy": self.basis.as_ref().map(|basis| basis.policy.to_string()),
            "held": amounts::as_json(&self.held),
            "spent": amounts::as_json(&self.spent),
            "labels": self.gained,
            "observed": self.shadow_denied,
        });
        match &self.decision {
            Decision::Refused(refusal) => row["refusal"] = self::refusal(refusal),
            Decision::Broke { kind, text } => row["error"] = json!({"kind": kind, "text": text}),
            Decision::Open | Decision::Waits | Decision::Done => {}
        }
        if let Some(note) = &self.note {
            row["note"] = json!(note);
        }
        if !self.raised.is_empty() {
            row["raised"] = json!(self.raised);
        }
        if !self.approved_by.is_empty() {
            row["approved_by"] = json!(self.approved_by);
        }
        row
    }

    /// True if its answer was there.
    pub fn is_over(&self) -> bool {
        !matches!(self.decision, Decision::Open | Decision::Waits)
    }

    /// The decision in a word.
    pub fn word(&self) -> &str {
        match &self.decision {
            Decision::Open => "open",
            Decision::Waits => "waits",
            Decision::Done => "allowed",
            Decision::Broke { kind, .. } => kind,
            Decision::Refused(refusal) => refusal.code.word(),
        }
    }
}
