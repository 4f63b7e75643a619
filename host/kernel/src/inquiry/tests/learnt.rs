//! What a journal tells of what a run held at a call, and what is learnt of calls that did something.

use super::*;

#[test]
fn what_a_run_held_at_a_call_is_read_out_of_its_journal() {
    let (at, labels) = (NOW, |label: &str| Labels::of([label]));
    let started = Started {
        at,
        agent: "clerk".into(),
        package: String::new(),
        component: Digest::default(),
        input: Digest::default(),
        seed: 1,
        policy: Digest::default(),
        engine: String::new(),
        held: Amounts::ZERO,
    };
    let outcome = || Outcome::Inline(Vec::new());
    let entries = [
        Entry::Started(started),
        Entry::Labelled { call: CallId(0), at, labels: labels("untrusted") },
        // A call that is told in one entry, and one that is asked and answered.
        Entry::Labelled { call: CallId(1), at, labels: labels("secret") },
        Entry::Called { call: CallId(1), at, what: Call::TimersNow, outcome: outcome(), basis: BasisId::NONE },
        Entry::Asked { call: CallId(2), at, what: Call::TimersNow, held: Amounts::ZERO, basis: BasisId::NONE },
        Entry::Labelled { call: CallId(2), at, labels: labels("client") },
        Entry::Answered { call: CallId(2), at, outcome: outcome(), spent: Amounts::ZERO },
        Entry::Unlabelled { at, place: String::new(), labels: labels("secret"), because: String::new() },
        Entry::Called { call: CallId(3), at, what: Call::TimersNow, outcome: outcome(), basis: BasisId::NONE },
    ];
    let past = Past::of(RunId(7), &entries, |_| None).expect("it began");
    let held = |place| past.labels_at(place).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!([held(0), held(1), held(2)], ["untrusted", "secret untrusted", "client untrusted"]);
}

#[test]
fn what_did_nothing_is_not_learnt_and_what_holds_another_stands_alone() {
    let mut runs = [past(&[
        (r#"{"root":"out","path":"archive","act":"read"}"#, None),
        (r#"{"root":"out","path":"archive/x.md","act":"read"}"#, None),
        (r#"{"root":"out","path":"archive/y.md","act":"write"}"#, None),
        (r#"{"root":"out","path":"gone","act":"read"}"#, None),
        (r#"{"root":"out","path":"","act":"delete"}"#, None),
    ])];
    runs[0].calls[3].failed = Some("not-found".into());
    runs[0].calls[4].failed = Some("invalid".into());
    let text = learn(&crate::inquiry::Suggestion { agent: "clerk", package: None, runs: &runs, policy: None });
    let files: Vec<&str> = text.lines().filter(|line| line.starts_with("at = ")).collect();
    assert_eq!(files, ["at = \"/archive\"", "at = \"/archive/y.md\"", "at = \"/gone\"    # was not there"], "{text}");
    assert!(replay(&scenario(&[SITE, &text]), &runs[..]).iter().all(|changed| changed.call == Some(CallId(5))));
}
