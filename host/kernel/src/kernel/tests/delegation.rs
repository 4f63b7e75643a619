//! What one agent may do for another, and what they may write to each other: no more than all of them may.

use super::*;
use crate::budget::Limits;
use crate::call::{Delegation, Post};
use crate::limits::TREE_RUNS_MAX;

const CHILD: RunId = RunId(2);

const SCRIBE: &str = r#"
memory = { read = ["team/board"], write = ["agent/scribe/**"] }
allow = [{ id = "scribe/mail", tool = "mail.send", rate = "1/h" }]
llm = { models = ["small"], max_tokens = 300 }
agents = { call = ["clerk"], send = ["clerk", "ghost"], receive = ["clerk"], max_depth = 1 }
"#;

const CLERK: &str = r#"
memory = { read = ["team/**"], write = ["team/**", "agent/scribe/**"] }
allow = [{ id = "clerk/mail", tool = "mail.*" }]
llm = { models = ["*"], max_tokens = 500 }
agents = { call = ["scribe"], receive = ["scribe"] }
"#;

fn named(agent: &str) -> Start {
    let text = MANIFEST.replace("acme:scribe", &alloc::format!("acme:{agent}")).replace("\"team/**\",", "\"**\",");
    let text = text.replace("write = [\"agent/scribe/**\"]", "write = [\"**\"]");
    Start {
        agent: agent.into(),
        manifest: Arc::new(Manifest::parse_toml(&text).expect("the manifest is whole")),
        signer: None,
    }
}

/// The grants of both; these tests stand in the scribe's.
fn policy_of_both(tests: &str) -> Policy {
    let grant =
        |agent: &str, rights: &str| alloc::format!("format = 1\nlayer = \"grant\"\nagent = \"{agent}\"\n{rights}");
    let (scribe, clerk) = (grant("scribe", &alloc::format!("{SCRIBE}{tests}")), grant("clerk", CLERK));
    let sources = [
        Source { file: "policies/50-scribe.toml", text: &scribe },
        Source { file: "policies/60-clerk.toml", text: &clerk },
    ];
    Policy::parse(&sources, Digest::default()).expect("the grants are whole")
}

/// A scribe that runs and has called a clerk.
fn kernel_of_both() -> Kernel {
    let mut kernel = Kernel::new(Arc::new(policy_of_both("")), models(), tools());
    kernel.start(RUN, &named("scribe"), NOW).expect("it is granted");
    let share = kernel.split(RUN, Limits::NONE.with(Resource::Fuel, 1000), u64::MAX, NOW).expect("it has as much");
    kernel.start_child(CHILD, &named("clerk"), share, NOW).expect("it is granted");
    kernel
}

fn refused(kernel: &mut Kernel, run: RunId, what: &Call) -> String {
    match kernel.admit(run, CallId(7), what, NOW) {
        Answer::Refused(no) => no.to_string(),
        other => panic!("{what:?} was not refused: {other:?}"),
    }
}

fn put(namespace: &str) -> Call {
    let (namespace, key) = (namespace.into(), "k".into());
    Call::MemoryPut { namespace, key, content: Digest::default(), bytes: 1, grows: 1 }
}

#[test]
fn a_child_may_do_what_it_and_its_caller_may() {
    let mut kernel = kernel_of_both();
    let Answer::Permit(permit) = kernel.admit(CHILD, CallId(1), &put("agent/scribe/x"), NOW) else {
        panic!("both may write there")
    };
    let _ = kernel.give_back(permit, NOW);
    expect![[r#"
        denied  clerk → memory.put: agent `clerk` works for agent `scribe` here: agent `scribe` may not write memory `team/board`
          rule  scribe/memory   policies/50-scribe.toml:5
          arg   namespace = team/board, allowed agent/scribe/**
          hint  add "team/board" to `write` of `memory` in policies/50-scribe.toml
          ref   0000000000002/7"#]]
    .assert_eq(&refused(&mut kernel, CHILD, &put("team/board")));
}

#[test]
fn the_shorter_answer_of_both_is_what_a_child_may_ask_for() {
    let mut kernel = kernel_of_both();
    let open = Completion { output_tokens_max: None, ..ask("small", 10, 0) };
    let Answer::Permit(permit) = kernel.admit(CHILD, CallId(1), &Call::LlmComplete(open), NOW) else {
        panic!("both may ask")
    };
    assert_eq!((permit.output_tokens_max(), permit.held()[Resource::TokensOut]), (300, 300));
    let _ = kernel.give_back(permit, NOW);
    let no = refused(&mut kernel, CHILD, &Call::LlmComplete(ask("small", 10, 400)));
    assert!(no.contains("works for agent `scribe` here: the answer may not be as long"), "{no}");
}

#[test]
fn what_a_child_uses_counts_in_the_rate_of_its_caller() {
    let mut kernel = kernel_of_both();
    let send = tool_call("mail.send", "{}");
    let Answer::Permit(permit) = kernel.admit(CHILD, CallId(1), &send, NOW) else { panic!("both may send") };
    let rated: Vec<_> = kernel.follows.rated.iter().map(|rated| rated.rule.clone()).collect();
    assert_eq!(rated, ["scribe/mail"]);
    let _ = kernel.settle(permit, Amounts::ZERO, NOW);
    assert!(refused(&mut kernel, RUN, &send).contains("scribe/mail"));
    assert!(refused(&mut kernel, CHILD, &send).contains("works for agent `scribe` here"));
}

#[test]
fn calls_nest_as_deep_as_each_caller_above_says() {
    let mut kernel = kernel_of_both();
    let call = |agent: &str| {
        Call::AgentsCall(Delegation { agent: agent.into(), input: Digest::default(), share: Vec::new(), fuel: 0 })
    };
    let Answer::Permit(permit) = kernel.admit(RUN, CallId(1), &call("clerk"), NOW) else { panic!("it may call it") };
    let _ = kernel.give_back(permit, NOW);
    let no = refused(&mut kernel, CHILD, &call("scribe"));
    assert!(no.contains("works for agent `scribe` here: agent `scribe` may not call agent `scribe`"), "{no}");
    let no = refused(&mut kernel, CHILD, &call("clerk"));
    assert!(no.contains("agent `clerk` may not call agent `clerk`"), "{no}");
    let no = refused(&mut kernel, RUN, &call("Clerk"));
    assert!(no.contains("`agent` may have lowercase letters"), "{no}");
}

#[test]
fn a_letter_needs_a_writer_that_may_and_a_receiver_that_takes_it() {
    let mut kernel = kernel_of_both();
    let post = |agent: &str| Post { agent: agent.into(), content: Digest::default(), bytes: 1 };
    let Answer::Permit(permit) = kernel.admit(RUN, CallId(1), &Call::AgentsSend(post("clerk")), NOW) else {
        panic!("it may write")
    };
    let _ = kernel.give_back(permit, NOW);
    expect![[r#"
        denied  scribe → agents.send: there is no agent `ghost` that letters could go to
          arg   agent = ghost, allowed an agent that has a grant
          hint  write a grant for agent `ghost`
          ref   0000000000001/7"#]]
    .assert_eq(&refused(&mut kernel, RUN, &Call::AgentsSend(post("ghost"))));
    kernel.start(RunId(3), &named("clerk"), NOW).expect("it is granted");
    let no = refused(&mut kernel, RunId(3), &Call::AgentsSend(post("scribe")));
    assert!(no.contains("agent `clerk` may not write to agent `scribe`"), "{no}");
    let reply = Call::AgentsReply { letter: "clerk/0".into(), post: post("scribe") };
    let Answer::Permit(permit) = kernel.admit(RunId(3), CallId(1), &reply, NOW) else { panic!("it may answer") };
    let _ = kernel.give_back(permit, NOW);
    // A child does not get at the mailbox of the agent that it is.
    let receive = Call::AgentsReceive { timeout_ms: None };
    for call in [&receive, &reply] {
        let no = refused(&mut kernel, CHILD, call);
        assert!(no.contains("has no right to the mailbox of another agent"), "{no}");
    }
    let Answer::Permit(permit) = kernel.admit(RunId(3), CallId(2), &receive, NOW) else { panic!("it may take it") };
    let _ = kernel.give_back(permit, NOW);
}

#[test]
fn a_test_of_a_policy_names_an_agent_that_is_called_or_gets_a_letter() {
    let tests = "[[test]]\nexpect = \"allow\"\ncall = { agent = \"clerk\" }\n\
                 [[test]]\nexpect = \"deny:no-grant\"\ncall = { agent = \"other\" }\n\
                 [[test]]\nexpect = \"allow\"\ncall = { letter = \"clerk\" }\n\
                 [[test]]\nexpect = \"allow\"\ncall = { letter = \"ghost\" }\n";
    let failed = policy_of_both(tests).failed_tests(tools());
    let failed: Vec<_> = failed.iter().map(|mistake| mistake.message.as_str()).collect();
    expect![[r#"
        ["this test expects \"allow\" and gets \"deny:unknown\": there is no agent `ghost` that letters could go to"]"#]]
    .assert_eq(&alloc::format!("{failed:?}"));
}

#[test]
fn a_tree_has_only_so_many_runs_at_once() {
    let mut kernel = kernel_of_both();
    let one = Limits::NONE.with(Resource::Fuel, 1);
    let mut shares: Vec<_> =
        (1..TREE_RUNS_MAX).map(|_| kernel.split(CHILD, one, u64::MAX, NOW).expect("there is room")).collect();
    for run in [RUN, CHILD] {
        let no = kernel.split(run, one, u64::MAX, NOW).expect_err("it is full");
        assert_eq!((no.code, &*no.because), (Code::Busy, "as many agents work for one run as may"));
    }
    kernel.dissolve(shares.pop().expect("one"));
    let share = kernel.split(RUN, one, u64::MAX, NOW).expect("there is room again");
    kernel.dissolve(share);
    shares.into_iter().for_each(|share| kernel.dissolve(share));
}
