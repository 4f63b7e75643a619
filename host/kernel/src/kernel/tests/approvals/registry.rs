//! Another set of tools while runs go on: what was asked about one that is gone or differs is void, and nothing else is.

use super::*;
use crate::tool::ToolsChange;

#[test]
fn a_tool_that_changes_in_between_makes_questions_and_answers_about_it_void() {
    let described = |digest: u8| -> Vec<Tool> {
        tools().into_iter().map(|tool| Tool { definition: Digest([digest; 32]), ..tool }).collect()
    };
    let other = vec![Tool { effect: Effect::Read, ..tools()[0].clone() }, tools()[1].clone()];
    for after in [described(1), other, vec![tools()[1].clone()], Vec::new()] {
        let mut kernel = attended();
        let open = question(&mut kernel, 1, &rules()[0], facts(1));
        let answered = question(&mut kernel, 2, &rules()[0], facts(2));
        kernel.answer(answered.binding.id, &person("local", false), &Vote::Yes, NOW).expect("it fits");
        kernel.closed().clear();
        let change = kernel.set_tools(after.clone());
        let named: Vec<_> = change.changed.iter().chain(&change.removed).map(String::as_str).collect();
        assert!(named.contains(&"mail.send") && change.added.is_empty(), "{change:?}");
        let closed = kernel.closed();
        assert_eq!((closed.len(), &closed[0].how, &closed[0].wake), (1, &How::Void, &vec![open.waiter]));
        assert_eq!(code(kernel.dispatch(open.waiter, facts(1), &mail(), NOW)), Code::NotApproved);
        assert_eq!(code(kernel.dispatch(answered.waiter, facts(2), &mail(), NOW)), Code::NotApproved);
        assert_eq!(held(&kernel), 0);
    }
}

#[test]
fn a_set_of_tools_that_says_the_same_of_one_leaves_the_questions_about_it_open() {
    let mut kernel = attended();
    let open = question(&mut kernel, 1, &rules()[0], facts(1));
    let mut after = tools();
    after.pop();
    after.push(Tool { name: "web.search".into(), ..Tool::default() });
    let change = kernel.set_tools(after);
    let expected =
        ToolsChange { added: vec!["web.search".into()], changed: Vec::new(), removed: vec!["mail.read".into()] };
    assert_eq!(change, expected);
    assert!(kernel.closed().is_empty());
    kernel.answer(open.binding.id, &person("local", false), &Vote::Yes, NOW).expect("it fits");
    let answer = kernel.dispatch(open.waiter, facts(1), &mail(), NOW);
    spend(&mut kernel, answer);
}

#[test]
fn a_tool_is_there_from_the_next_call_on_and_one_that_is_gone_is_refused_by_its_name() {
    let mut kernel = attended();
    let Answer::Permit(permit) = kernel.admit(RUN, CallId(1), &mail(), NOW) else { panic!("it is granted") };
    kernel.set_tools(Vec::new());
    match kernel.admit(RUN, CallId(2), &mail(), NOW) {
        Answer::Refused(refusal) => assert_eq!(refusal.because, "no tool is registered as `mail.send`"),
        other => panic!("{other:?}"),
    }
    assert!(kernel.tools(RUN).is_empty());
    // What had begun ends as it began.
    let _ = kernel.settle(permit, Amounts::of(Resource::ToolCalls, 1), NOW);
    kernel.set_tools(tools());
    let answer = kernel.admit(RUN, CallId(3), &mail(), NOW);
    spend(&mut kernel, answer);
    assert_eq!(held(&kernel), 0);
}
