//! A question of an agent and a notice, as people read them. Both are a stranger's words.

use agentry_store::rows::notice::Notice;
use agentry_store::rows::question::{Inquiry, State};
use serde_json::{Value, json};

use super::{BOLD, DIM, HINT, given, styled, text, units};

/// The whole question, and how to answer it.
pub fn page(inquiry: &Inquiry) -> String {
    let id = inquiry.id();
    let head = format!("{} {id}", styled(BOLD, format_args!("agent {} asks", text::line(&inquiry.agent))));
    let mut page = format!("{head}\n{}", text::quoted(&inquiry.text));
    for (number, choice) in (1..).zip(&inquiry.choices) {
        page.push_str(&format!("\n  {number} {}", text::line(choice)));
    }
    if let Some(expires) = inquiry.expires {
        page.push_str(&format!("\n{}", styled(DIM, format_args!("  until {} UTC", units::moment(expires.0)))));
    }
    if inquiry.state == State::Open {
        let what = if inquiry.choices.is_empty() { "TEXT" } else { "TEXT|NUMBER" };
        page.push_str(&format!("\n{}", styled(HINT, given::completed(&format!("  agentry answer {id} {what}")))));
    } else {
        page.push_str(&format!("\n  {}", story(inquiry)));
    }
    page
}

/// What came of it, in a line.
pub fn story(inquiry: &Inquiry) -> String {
    let said = match &inquiry.state {
        State::Answered { text } => format!(": {text}"),
        State::Declined { because } if !because.is_empty() => format!(": {because}"),
        _ => String::new(),
    };
    text::cut(&format!("{} {}{said}", inquiry.state.word(), inquiry.id()), 200)
}

/// A notice in a line or more.
pub fn notice(notice: &Notice) -> String {
    let said = text::line(notice.text.trim_end());
    format!("{} {said}", styled(BOLD, format_args!("agent {} says", text::line(&notice.agent))))
}

/// For programs.
pub fn as_json(inquiry: &Inquiry) -> Value {
    let mut object = json!({
        "id": inquiry.id(),
        "run": inquiry.run.to_string(),
        "call": inquiry.call.0,
        "agent": inquiry.agent,
        "text": inquiry.text,
        "choices": inquiry.choices,
        "asked_ms": inquiry.asked.0,
        "expires_ms": inquiry.expires.map(|at| at.0),
        "state": inquiry.state.word(),
    });
    match &inquiry.state {
        State::Answered { text } => object["answer"] = json!(text),
        State::Declined { because } => object["because"] = json!(because),
        _ => {}
    }
    object
}

/// The same of a notice.
pub fn notice_as_json(notice: &Notice) -> Value {
    let Notice { at, run, call, agent, text } = notice;
    json!({"at_ms": at.0, "run": run.to_string(), "call": call.0, "agent": agent, "text": text})
}
