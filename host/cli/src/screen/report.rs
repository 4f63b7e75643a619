//! What is said at the end of a run: its output, how it ended and the bill.

use agentry_journal::report::Report;
use agentry_kernel::Resource;
use agentry_kernel::journal::Status;
use agentry_kernel::model::Usage;
use agentry_store::rows::run::Cause;
use serde_json::{Map, Value, json};

use super::{BAD, DIM, HINT, given, styled, text, units};

/// The one object that `--json` prints.
pub fn as_json(report: &Report) -> Value {
    let models: Map<String, Value> =
        report.usage.iter().map(|(alias, usage)| (alias.clone(), usage_of(usage))).collect();
    let mut object = json!({
        "run": report.run.to_string(),
        "status": report.status,
        "output": report.output,
        "usage": {
            "models": models,
            "tokens": report.spent[Resource::Tokens],
            "llm_calls": report.spent[Resource::LlmCalls],
            "tool_calls": report.spent[Resource::ToolCalls],
            "fuel": report.spent[Resource::Fuel],
            "wall_ms": report.duration_ms,
        },
        "cost_microusd": report.cost_microusd,
        "refusals": report.refusals.iter().map(super::rows::refusal).collect::<Vec<_>>(),
    });
    if let Some(failure) = &report.failure {
        object["failure"] = json!(failure);
    }
    if let Some(cause) = &report.cause {
        object["cause"] = self::cause_as_json(cause);
    }
    object
}

fn usage_of(usage: &Usage) -> Value {
    let Usage { input_fresh, cache_read, cache_write, output, reasoning, estimated } = usage;
    json!({
        "input_fresh": input_fresh,
        "cache_read": cache_read,
        "cache_write": cache_write,
        "output": output,
        "reasoning": reasoning,
        "estimated": estimated,
    })
}

/// The output for a person: a text as it is, all else as JSON on lines of its own.
pub fn output(report: &Report) -> String {
    match &report.output {
        None => String::new(),
        Some(Value::String(text)) => format!("{}\n", text::output(text.trim_end())),
        Some(value) => format!("{}\n", text::output(&serde_json::to_string_pretty(value).unwrap_or_default())),
    }
}

/// Why it did not succeed, if it did not, and the bill in one line.
pub fn ending(report: &Report) -> String {
    let failure = report.failure.as_deref().map(self::failure);
    // A run that was refused at its start was told so in full as it happened.
    let at_the_door = report.refusals.iter().any(|refusal| refusal.reference.is_none());
    let why = if at_the_door { String::new() } else { failure.unwrap_or_default() };
    let cause = report.cause.as_ref().filter(|_| !at_the_door);
    // What was refused was told in full as it happened, with its hint.
    let hint = report.refusals.is_empty();
    let cause = cause.map(|cause| self::cause(cause, report.failure.as_deref().unwrap_or_default(), hint));
    format!("{why}{}{}\n", cause.unwrap_or_default(), styled(DIM, bill(report)))
}

/// Why it did not succeed. The words may be its agent's: they stand behind a word of ours, so that no line of them can be taken for one of ours.
pub fn failure(failure: &str) -> String {
    format!("{}: {}\n", styled(BAD, "error"), text::whole(failure))
}

/// What was in the way of a run, for programs.
pub fn cause_as_json(cause: &Cause) -> Value {
    let mut object = json!({"kind": cause.kind, "text": cause.text});
    if !cause.hint.is_empty() {
        object["hint"] = json!(cause.hint);
    }
    object
}

/// The same in a line or two; what `told` says already is not said again.
pub fn cause(cause: &Cause, told: &str, hint: bool) -> String {
    let mut lines = String::new();
    if cause.text.is_empty() || !told.contains(&cause.text) {
        let text = text::line(&format!("{}: {}", cause.kind, cause.text));
        lines.push_str(&format!("{}: {text}\n", styled(BAD, "cause")));
    }
    if hint && !cause.hint.is_empty() {
        lines.push_str(&format!("{}: {}\n", styled(HINT, "hint"), text::line(&given::completed(&cause.hint))));
    }
    lines
}

/// `done in 12.3 s · 3 model calls · 1 234 tokens (1 100 read, 134 written) · $0.0012 · 1.2 G fuel · run 0abc…`
fn bill(report: &Report) -> String {
    let (word, _) = super::status::shown(report.status);
    let ended = if report.status == Status::Done { "in" } else { "after" };
    let mut parts = vec![format!("{word} {ended} {}", units::duration(report.duration_ms))];
    let spent = &report.spent;
    if spent[Resource::LlmCalls] > 0 {
        // Those of the runs below it too, which its own usage of models does not have.
        let written = spent[Resource::TokensOut];
        let read = spent[Resource::Tokens].saturating_sub(written);
        parts.push(units::plural(spent[Resource::LlmCalls], "model call"));
        parts.push(format!(
            "{} ({} read, {} written)",
            units::plural(spent[Resource::Tokens], "token"),
            units::count(read),
            units::count(written)
        ));
    }
    parts.push(units::dollars(report.cost_microusd));
    parts.push(format!("{} fuel", units::rough(spent[Resource::Fuel])));
    if report.refused > 0 {
        parts.push(format!("{} refused", report.refused));
    }
    parts.push(format!("run {}", report.run));
    parts.join(" · ")
}
