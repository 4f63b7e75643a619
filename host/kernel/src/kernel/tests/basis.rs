//! What decisions rest on: the rule by its place, the policy by its digest, each named once.

use super::*;
use crate::journal::{BasisId, Entry};

fn named(kernel: &mut Kernel) -> Option<(BasisId, Digest, String)> {
    kernel.entries().pop().map(|entry| match entry {
        Entry::Basis { id, policy, rule } => {
            (id, policy, rule.map_or_else(|| "none".into(), |rule| alloc::format!("{}:{}", rule.id, rule.line)))
        }
        other => panic!("not what a decision rests on: {other:?}"),
    })
}

#[test]
fn a_yes_names_the_rule_that_gave_the_right_once_and_then_by_number() {
    let mut kernel = kernel();
    let get = Call::MemoryGet { namespace: "team/board".into(), key: "a".into() };
    let cases = [
        (Call::TimersNow, 1, "none"),
        (get, 2, "scribe/memory:8"),
        (read("docs", "out/a"), 3, "scribe/files:9"),
        (read("docs", "b"), 4, "scribe/files:9"),
        (tool_call("mail.send", "{}"), 5, "scribe/mail:10"),
        (Call::LlmComplete(ask("small", 1, 1)), 6, "scribe/llm:7"),
    ];
    for (call, number, rule) in &cases {
        for again in [false, true] {
            let yes = permit(&mut kernel, call);
            assert_eq!(yes.basis(), BasisId(*number), "{call:?}");
            let expected = (!again).then(|| (BasisId(*number), Digest::default(), String::from(*rule)));
            assert_eq!(named(&mut kernel), expected, "{call:?}");
            kernel.give_back(yes, NOW);
        }
    }
    assert_eq!(kernel.basis_of_no(RUN), BasisId(7));
    assert_eq!(named(&mut kernel), Some((BasisId(7), Digest::default(), "none".into())));
}

#[test]
fn under_another_policy_the_same_call_rests_on_something_else() {
    let mut kernel = kernel();
    let call = tool_call("mail.send", "{}");
    assert_eq!(permit(&mut kernel, &call).basis(), BasisId(1));
    let _ = kernel.entries();
    let text = alloc::format!("# One more line.\n{GRANT}");
    let source = Source { file: "policies/50-scribe.toml", text: &text };
    let epoch = Digest([7; 32]);
    kernel.reload(Arc::new(Policy::parse(&[source], epoch).expect("it is whole")));
    assert_eq!(permit(&mut kernel, &call).basis(), BasisId(2));
    assert_eq!(named(&mut kernel), Some((BasisId(2), epoch, "scribe/mail:11".into())));
}

#[test]
fn what_is_asked_of_no_run_rests_on_nothing() {
    let mut kernel = kernel();
    assert_eq!(kernel.basis_of_no(RunId(9)), BasisId::NONE);
    assert_eq!(named(&mut kernel), None);
}
