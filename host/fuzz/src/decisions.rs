//! Whole decisions: a policy and calls. What the questions about policies answer is what the kernel does, a no moves no budget,
//! and taking something away never gives.

use std::sync::Arc;

use agentry_kernel::inquiry::{DiffVerdict, Question, Verdict, Scenario, diff, explain, read_call, show_call};
use agentry_kernel::json;
use agentry_kernel::kernel::{Answer, Kernel, Start};
use agentry_kernel::manifest::Manifest;
use agentry_kernel::model::Model;
use agentry_kernel::policy::Policy;
use agentry_kernel::tool::{Effect, Tool};
use agentry_kernel::{Call, CallId, Labels, Millis, RunId};

use crate::{BETWEEN, is_plain, parse};

const NOW: Millis = Millis(1_800_000_000_000);
const RUN: RunId = RunId(1);
const CALLS_MAX: usize = 4;

/// A package that asks for whatever these policies speak of.
const PACKAGE: &str = r#"format = 1
name = "acme:a"
version = "1.0.0"
wit = "0.1.0"
[wants]
llm = { models = ["*"], why = "x" }
memory = { read = ["**"], write = ["**"], why = "x" }
files = [{ root = "r", access = "rw", why = "x" }]
tools = [{ tool = "*", why = "x" }]
http = { why = "x" }
"#;

/// An input is the files of a policy, and last a part with calls, a line each; agent `a` makes them.
pub fn holds(text: &str) {
    let mut parts: Vec<&str> = text.split(BETWEEN).collect();
    let Some(calls) = parts.pop() else { return };
    let Ok(policy) = parse(&parts) else { return };
    let scenario = scenario(policy);
    let narrower = narrowed(&parts).map(|policy| scenario.under(Arc::new(policy)));
    if let Some(narrower) = &narrower {
        assert_ne!(diff(&scenario, narrower).verdict(), DiffVerdict::Wider, "to forbid is wider");
    }
    let values = calls.lines().take(CALLS_MAX).filter_map(|line| json::parse(line).ok());
    for call in values.filter_map(|value| read_call(&value).ok()) {
        assert_eq!(read_call(&show_call(&call)).as_ref().map(show_call), Ok(show_call(&call)));
        asked(&scenario, narrower.as_ref(), &call);
        decided(&scenario, &call);
    }
}

fn scenario(policy: Policy) -> Scenario {
    let model = |alias: &str| Model {
        alias: alias.into(),
        price: None,
        context_tokens: 1000,
        output_tokens_max: 100,
        slots: 1,
        local: true,
    };
    let tool = |name: &str, effect| Tool { name: name.into(), effect, ..Tool::default() };
    Scenario {
        policy: Arc::new(policy),
        models: vec![model("small"), model("large")],
        tools: vec![tool("t", Effect::Read), tool("mail.send", Effect::Egress), tool("pay.send", Effect::Irreversible)],
        at: NOW,
    }
}

/// The same policy, and one more rule that forbids.
fn narrowed(files: &[&str]) -> Option<Policy> {
    let forbid = "format = 1\nlayer = \"site\"\n[[forbid]]\nid = \"fuzz/one-more\"\ntool = \"*\"\n";
    parse(&[files, &[forbid]].concat()).ok()
}

/// Explained as answered; whoever has read more or is forbidden more gets no more.
fn asked(scenario: &Scenario, narrower: Option<&Scenario>, call: &Call) {
    let question = |labels| Question { agent: "a".into(), package: None, labels, call: call.clone() };
    let (plain, marked) = (question(Labels::NONE), question(Labels::of(["secret", "untrusted"])));
    let answer = scenario.ask(&plain);
    let explained = explain(scenario, &plain);
    assert_eq!(explained.verdict, answer, "it is explained otherwise than it is answered");
    for other in &explained.otherwise {
        assert!(is_plain(&other.what), "{:?}", other.what);
    }
    if let Some(refusal) = answer.refusal() {
        assert!(is_plain(&refusal.to_string()), "{refusal:?}");
    }
    assert!(!scenario.ask(&marked).exceeds(&answer), "reading more allows more");
    if let Some(narrower) = narrower {
        let then = narrower.ask(&plain);
        assert!(!then.exceeds(&answer), "one more rule that forbids allows more");
        assert!(
            !matches!(call, Call::ToolsCall { .. }) || matches!(then, Verdict::Refused(_)),
            "a forbid is passed by"
        );
    }
}

/// In a run: what is looked at is what is admitted, and a no moves nothing.
fn decided(scenario: &Scenario, call: &Call) {
    let manifest = Arc::new(Manifest::parse_toml(PACKAGE).expect("it is a manifest"));
    let mut kernel = Kernel::new(Arc::clone(&scenario.policy), scenario.models.clone(), scenario.tools.clone());
    if kernel.start(RUN, &Start { agent: "a".into(), manifest, signer: None }, NOW).0.is_err() {
        return;
    }
    kernel.attend(RUN);
    let (before, looked) = (kernel.statements(NOW), kernel.look(RUN, call, NOW));
    match kernel.admit(RUN, CallId(1), call, NOW).0 {
        Answer::Refused(refusal) => {
            assert_eq!(kernel.statements(NOW), before, "a no moved a budget: {refusal}");
            // A budget may say no where right says yes.
            assert!(looked.as_ref().err().is_none_or(|looked| looked.code == refusal.code), "{looked:?} {refusal:?}");
        }
        Answer::Permit(permit) => {
            assert_eq!(looked, Ok(()));
            let _ = kernel.give_back(permit, NOW);
            assert_eq!(kernel.statements(NOW), before, "what was given back is not back");
        }
        Answer::Wait(_) | Answer::Ask(_) => assert_eq!(looked, Ok(())),
    }
}
