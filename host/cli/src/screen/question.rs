//! A question to people on the screen: the exact call, escaped, and all that a yes or a no rests on.

use agentry_kernel::Resource;
use agentry_kernel::approval::Factor;
use agentry_kernel::budget::Shortage;
use agentry_store::rows::approval::{Question, State};
use serde_json::{Value, json};

use super::about::About;
use super::{BAD, BOLD, DIM, GOOD, HINT, amounts, given, styled, text, units};

/// Letters of an id that a person types; fewer are enough while they fit one question only.
const SHORT_LETTERS: usize = 6;

/// What becomes of a question whose host is gone: nobody could take an answer, so the call that asked is made anew.
pub const ASKED_AGAIN: &str = "asked again once a host carries on what asked it";

/// What a person reads where the run is watched: the question, what the admin's files say of it, and how it is answered from elsewhere.
pub fn asks(question: &Question, about: &About) -> String {
    format!("{}{}{}", page(question, question.asked.0), about.page(question), answers(question))
}

/// The question, whole, as it stands at `now_ms`.
pub fn page(question: &Question, now_ms: u64) -> String {
    let Question { id, title, agent, package, run, call, rule, .. } = question;
    let (word, style) = match &question.state {
        State::Open => ("open", HINT),
        State::Approved => ("approved", GOOD),
        State::Denied { .. } => ("denied", BAD),
        other => (other.word(), DIM),
    };
    let mut page = format!(
        "{} {} {}\n",
        styled(BOLD, format_args!("approval {id}")),
        styled(BOLD, text::line(title)),
        styled(style, word)
    );
    let mut line = |name: &str, text: &str| page.push_str(&format!("  {name:<7} {}\n", self::text::line(text)));
    line("agent", &format!("{agent} ({package}), call {call} of run {run}"));
    line("rule", &format!("{}   {}:{}", rule.id, rule.file, rule.line));
    line("asks", &asked(question, now_ms));
    if !question.yes.is_empty() {
        line("yes", &question.yes.join(", "));
    }
    if let State::Denied { by, because } = &question.state {
        line("no", &format!("{by}: {because}"));
    }
    line("labels", &labels(question));
    for short in &question.short {
        line("budget", &budget(short));
    }
    line("cost", &cost(question));
    if question.times > 1 {
        line("asked", &format!("{} times; one yes is for one of them", question.times));
    }
    for part in question.text.lines() {
        line("call", part);
    }
    page
}

/// How it is answered.
pub fn answers(question: &Question) -> String {
    let short: String = question.id.to_string().chars().take(SHORT_LETTERS).collect();
    let proof = if question.factor == Factor::Totp { " --code 123456 --as NAME" } else { "" };
    let hint = format!("hint: agentry approve {short}{proof}, or agentry deny {short} --because TEXT");
    styled(HINT, given::completed(&text::line(&hint)))
}

/// For programs.
pub fn as_json(question: &Question) -> Value {
    let mut json = json!({
        "id": question.id.to_string(),
        "state": question.state.word(),
        "agent": question.agent,
        "package": question.package,
        "run": question.run.to_string(),
        "call": question.call.0,
        "title": question.title,
        "text": question.text,
        "rule": question.rule,
        "from": question.from,
        "factor": question.factor.word(),
        "quorum": question.quorum,
        "yes": question.yes,
        "labels": question.labels.iter().map(|held| json!({"label": held.label, "by": held.by})).collect::<Vec<_>>(),
        "held": amounts::as_json(&question.held),
        "budgets": question.short,
        "asked_ms": question.asked.0,
        "expires_ms": question.expires.0,
        "times": question.times,
        "binding": question.binding.to_string(),
    });
    if let State::Denied { by, because } = &question.state {
        json["denied"] = json!({"by": by, "because": because});
    }
    json
}

fn asked(question: &Question, now_ms: u64) -> String {
    let many = if question.quorum > 1 { format!("{} of ", question.quorum) } else { String::new() };
    let proof = if question.factor == Factor::Totp { ", by code" } else { "" };
    let left = match question.expires.0.checked_sub(now_ms) {
        Some(left) if question.state == State::Open => format!(", within {}", units::duration(left)),
        _ => String::new(),
    };
    format!("{many}{}{proof}{left}", question.from)
}

fn labels(question: &Question) -> String {
    let each = question.labels.iter().map(|held| match &held.by {
        Some(by) => format!("{} (from {by})", held.label),
        None => held.label.clone(),
    });
    let labels = each.collect::<Vec<_>>().join(", ");
    if labels.is_empty() { "none".to_owned() } else { labels }
}

/// A budget that ran out, and what a yes adds to it.
fn budget(short: &Shortage) -> String {
    let Shortage { what, window, limit, spent, reserved, more } = *short;
    format!(
        "{} more of {} for {}: limit {}, spent {}, reserved {}",
        what.show(more),
        what.name(),
        window.name(),
        what.show(limit),
        what.show(spent),
        what.show(reserved)
    )
}

fn cost(question: &Question) -> String {
    let parts = Resource::ALL.into_iter().filter(|what| question.held[*what] > 0);
    let parts: Vec<_> = parts.map(|what| what.show(question.held[what])).collect();
    if parts.is_empty() { "nothing".to_owned() } else { format!("at most {}", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use agentry_kernel::approval::ApprovalId;
    use agentry_kernel::call::{CallId, RunId};
    use agentry_kernel::refusal::Rule;
    use agentry_kernel::{Amounts, Digest, Millis};

    use super::*;

    #[test]
    fn the_exact_call_is_shown_and_cannot_lie() {
        let question = Question {
            id: ApprovalId(7),
            run: RunId(1),
            call: CallId(3),
            agent: "reporter".to_owned(),
            package: "acme:reporter@1.0.0".to_owned(),
            title: "tools.call mail.send".to_owned(),
            text: "{\"body\":\"\u{202e}x\u{1b}[2J\"}\n  rule    harmless".to_owned(),
            rule: Rule { id: "site/mail".to_owned(), file: "00-site.toml".to_owned(), line: 4 },
            from: "group:ops".to_owned(),
            factor: Factor::Totp,
            quorum: 2,
            labels: Vec::new(),
            held: Amounts::of(Resource::ToolCalls, 1),
            short: vec![Shortage {
                what: Resource::ToolCalls,
                window: agentry_kernel::budget::Window::Day,
                limit: 5,
                spent: 4,
                reserved: 1,
                more: 1,
            }],
            asked: Millis(0),
            expires: Millis(60_000),
            binding: Digest::default(),
            times: 2,
            yes: vec!["alice".to_owned()],
            state: State::Open,
        };
        let page = anstream::adapter::strip_str(&page(&question, 1_000)).to_string();
        expect_test::expect![[r#"
            approval 0000000000007 tools.call mail.send open
              agent   reporter (acme:reporter@1.0.0), call 3 of run 0000000000001
              rule    site/mail   00-site.toml:4
              asks    2 of group:ops, by code, within 59.0 s
              yes     alice
              labels  none
              budget  1 tool call more of tool calls for today: limit 5 tool calls, spent 4 tool calls, reserved 1 tool call
              cost    at most 1 tool call
              asked   2 times; one yes is for one of them
              call    {"body":"\u{202e}x\u{1b}[2J"}
              call      rule    harmless
        "#]]
        .assert_eq(&page);
    }
}
