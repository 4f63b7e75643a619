//! Cedar's answer to a call: the policy as Cedar's policies, the call as a request with a context.

use std::str::FromStr;

use agentry_kernel::call::Call;
use agentry_kernel::inquiry::Question;
use agentry_kernel::json::Value;
use agentry_kernel::policy::Policy;
use agentry_kernel::url::Url;
use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet, Request, RestrictedExpression,
};
use serde_json::json;

use crate::export::export;
use crate::{Answer, universe};

/// A policy as Cedar has it.
#[derive(Debug)]
pub struct Oracle {
    granted: PolicySet,
    granted_or_asked: PolicySet,
    asked: PolicySet,
    authorizer: Authorizer,
}

impl Oracle {
    /// The oracle for a policy.
    ///
    /// # Panics
    /// If Cedar does not take what the export says: then the export is wrong.
    pub fn of(policy: &Policy) -> Self {
        let exported = export(policy);
        let set = |text: &str| PolicySet::from_str(text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        Self {
            granted: set(&exported.granted),
            granted_or_asked: set(&exported.granted_or_asked),
            asked: set(&exported.asked),
            authorizer: Authorizer::new(),
        }
    }

    /// What Cedar says to a call.
    ///
    /// # Panics
    /// If a policy errs: every one is guarded, so then the export is wrong.
    pub fn answer(&self, question: &Question) -> Answer {
        let request = request(question);
        let allows = |set: &PolicySet| {
            let response = self.authorizer.is_authorized(&request, set, &Entities::empty());
            let errors: Vec<_> = response.diagnostics().errors().collect();
            assert!(errors.is_empty(), "{errors:?}\n{set}");
            response.decision() == Decision::Allow
        };
        if !allows(&self.granted_or_asked) {
            Answer::Deny
        } else if allows(&self.asked) || !allows(&self.granted) {
            Answer::Ask
        } else {
            Answer::Allow
        }
    }
}

fn request(question: &Question) -> Request {
    let (kind, context) = context(question);
    let serde_json::Value::Object(context) = context else { unreachable!("a context is written as an object") };
    let context = context.into_iter().map(|(name, value)| (name, expression(value)));
    let context = Context::from_pairs(context).expect("its names differ");
    let (agent, action) = (entity("Agent", &question.agent), entity("Action", kind));
    Request::new(agent, action, entity("Thing", "it"), context, None).expect("nothing checks it")
}

fn entity(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind).expect("it is a name"), EntityId::new(id))
}

/// What Cedar's own reader of JSON would make of it, without its search for escapes: that took most of the test's time.
fn expression(value: serde_json::Value) -> RestrictedExpression {
    match value {
        serde_json::Value::Bool(value) => RestrictedExpression::new_bool(value),
        serde_json::Value::Number(number) => RestrictedExpression::new_long(number.as_i64().expect("only integers are shown")),
        serde_json::Value::String(text) => RestrictedExpression::new_string(text),
        serde_json::Value::Array(items) => RestrictedExpression::new_set(items.into_iter().map(expression)),
        serde_json::Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, expression(value)));
            RestrictedExpression::new_record(fields).expect("their names differ")
        }
        serde_json::Value::Null => unreachable!("Cedar has no null, so none is shown"),
    }
}

/// The kind of a call, and all that a policy can look at. What a kind does not have is empty.
fn context(question: &Question) -> (&'static str, serde_json::Value) {
    let labels: Vec<&str> = question.labels.iter().collect();
    let mut context = json!({
        "labels": labels, "name": "", "act": "", "root": "", "path": "", "effect": "", "names": [], "args": {}, "kinds": {},
        "sizes": {}, "items": {}, "scheme": "", "host": "", "port": 0, "method": "",
    });
    let act = |word: &str| json!(word);
    let kind = match &question.call {
        Call::ToolsCall { name, value, .. } => {
            context["name"] = json!(name);
            context["effect"] = json!(universe::effect(name));
            arguments(value, &mut context);
            "tool"
        }
        Call::LlmComplete(ask) => {
            context["name"] = json!(ask.model);
            "model"
        }
        Call::MemoryGet { namespace, .. } => {
            (context["name"], context["act"]) = (json!(namespace), act("read"));
            "memory"
        }
        Call::MemoryPut { namespace, .. } => {
            (context["name"], context["act"]) = (json!(namespace), act("write"));
            "memory"
        }
        Call::MemoryDelete { namespace, .. } => {
            (context["name"], context["act"]) = (json!(namespace), act("delete"));
            "memory"
        }
        Call::FilesRead(place) => {
            (context["root"], context["path"], context["act"]) = (json!(place.root), json!(place.path), act("read"));
            "files"
        }
        Call::FilesWrite { place, .. } => {
            (context["root"], context["path"], context["act"]) = (json!(place.root), json!(place.path), act("write"));
            "files"
        }
        Call::FilesDelete(place) => {
            (context["root"], context["path"], context["act"]) = (json!(place.root), json!(place.path), act("delete"));
            "files"
        }
        Call::Fetch(fetch) => {
            let url = Url::parse(&fetch.url).expect("the universe writes canonical addresses");
            (context["scheme"], context["host"]) = (json!(url.scheme.word()), json!(url.name));
            (context["port"], context["path"]) = (json!(url.port), json!(url.path));
            (context["method"], context["effect"]) = (json!(fetch.method), json!("egress"));
            "http"
        }
        other @ (Call::LlmModels
        | Call::LlmStream(_)
        | Call::LlmEmbed { .. }
        | Call::LlmCountTokens { .. }
        | Call::Context(_)
        | Call::MemoryList { .. }
        | Call::Memory { .. }
        | Call::FilesStat(_)
        | Call::FilesList(_)
        | Call::ToolsList
        | Call::HttpFetch { .. }
        | Call::Agents(_)
        | Call::TimersNow
        | Call::TimersSleep { .. }
        | Call::TimersDeadline
        | Call::Human(_)
        | Call::BudgetRemaining
        | Call::BudgetSplit
        | Call::LogEvent { .. }
        | Call::HumanAsk { .. }
        | Call::HumanNotify { .. }
        | Call::AgentsFind { .. }
        | Call::AgentsCall(_)
        | Call::AgentsSend(_)
        | Call::AgentsReply { .. }
        | Call::AgentsReceive { .. }) => panic!("the universe has no {}", other.name()),
    };
    (kind, context)
}

fn arguments(arguments: &Value, context: &mut serde_json::Value) {
    for (name, value) in arguments.entries().unwrap_or_default() {
        context["names"].as_array_mut().expect("it is a list").push(json!(name));
        context["args"][name] = shown(value);
        context["kinds"][name] = json!(kind(value));
        if let Value::Text(text) = value {
            context["sizes"][name] = json!(text.len());
        }
        if let Value::List(items) = value {
            context["sizes"][name] = json!(items.len());
            context["items"][name] = items.iter().map(|item| json!(item_kind(item))).collect();
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::Integer(_) => "integer",
        Value::Text(_) => "text",
        Value::List(_) => "list",
        Value::Null | Value::Decimal(_) | Value::Object(_) => "other",
    }
}

fn item_kind(value: &Value) -> &'static str {
    match kind(value) {
        "list" => "other",
        kind => kind,
    }
}

/// Cedar has neither null nor fractions: they are what equals no literal.
fn shown(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => json!(value),
        Value::Integer(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::List(items) => items.iter().map(shown).collect(),
        Value::Null | Value::Decimal(_) | Value::Object(_) => json!({"strange": value.to_string()}),
    }
}
