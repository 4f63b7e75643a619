//! A budget that ran out and people who may add to it: what they are asked, what a yes adds, and what no yes can.

use super::*;
use crate::approval::{ApprovalId, Approver, Facts};
use crate::budget::{Shortage, Window};
use crate::kernel::{Unasked, Vote};

const ASKING: &str = "format = 1\nlayer = \"grant\"\nagent = \"scribe\"\nllm = { models = [\"dear\"] }\n\
    allow = [{ id = \"scribe/mail\", tool = \"mail.send\" }]\n[budget]\nusd_day = \"0.002\"\ntool_calls_run = 1\n\
    on_exhausted = \"ask\"\nwall_run = \"60s\"\n";
/// Micro-USD that the dear model takes for 100 tokens.
const COST: u64 = 1000;

fn kernel_with(site: &str) -> Kernel {
    let site = alloc::format!("format = 1\nlayer = \"site\"\n{site}");
    let sources = [Source { file: "00-site.toml", text: &site }, Source { file: "50-scribe.toml", text: ASKING }];
    let policy = Policy::parse(&sources, Digest::default()).expect("both are whole");
    let mut kernel = Kernel::new(Arc::new(policy), models(), tools());
    kernel.start(RUN, &start(), NOW).expect("the grant covers it");
    kernel.attend(RUN);
    kernel
}

fn dear() -> Call {
    Call::LlmComplete(ask("dear", 50, 50))
}

/// Spends this much money for the run.
fn spend(kernel: &mut Kernel, microusd: u64) {
    let permit = permit(kernel, &dear());
    let _ = kernel.settle(permit, Amounts::of(Resource::Usd, microusd), NOW);
}

fn asking(kernel: &mut Kernel, call: &Call) -> Unasked {
    match kernel.admit(RUN, CallId(9), call, NOW) {
        Answer::Ask(unasked) => unasked,
        other => panic!("nobody is asked: {other:?}"),
    }
}

/// Asks, answers and dispatches.
fn answered(kernel: &mut Kernel, call: &Call, vote: &Vote) -> Answer {
    let unasked = asking(kernel, call);
    let asked = kernel.ask(unasked, (ApprovalId(1), None), Facts::default(), NOW).expect("it asks little");
    let who = Approver { name: "alice".into(), groups: Vec::new(), proven: false };
    kernel.answer(ApprovalId(1), &who, vote, NOW).expect("it counts");
    kernel.dispatch(asked.waiter, Facts::default(), call, NOW)
}

fn no() -> Vote {
    Vote::No { because: "not today".into() }
}

fn day(kernel: &Kernel) -> (u64, u64, u64) {
    let account = kernel.account("scribe").expect("it ran");
    (account.spent[Resource::Usd], account.held[Resource::Usd], account.given[Resource::Usd])
}

#[test]
fn a_person_is_asked_for_what_lacks_and_their_yes_adds_just_that() {
    let mut kernel = kernel_with("");
    spend(&mut kernel, COST);
    spend(&mut kernel, 700);
    let unasked = asking(&mut kernel, &dear());
    let short = Shortage { what: Resource::Usd, window: Window::Day, limit: 2000, spent: 1700, reserved: 0, more: 700 };
    assert_eq!(unasked.short(), [short]);
    assert_eq!((unasked.worst()[Resource::Usd], unasked.held()), (COST, &Amounts::ZERO));
    assert_eq!((&*unasked.required().rule.id, unasked.required().rule.line), ("scribe/budget", 9));
    let _ = kernel.decline(unasked, "it is text", NOW);
    assert_eq!(day(&kernel), (1700, 0, 0), "nothing is held while nobody has answered");
    let Answer::Permit(permit) = answered(&mut kernel, &dear(), &Vote::Yes) else { panic!("they said yes") };
    assert_eq!(day(&kernel), (1700, COST, 700));
    let raised = kernel.entries().into_iter().find_map(|entry| match entry {
        crate::journal::Entry::Raised { raised, .. } => Some(raised),
        _ => None,
    });
    assert_eq!(raised.as_deref(), Some([short].as_slice()));
    let _ = kernel.settle(permit, Amounts::of(Resource::Usd, COST), NOW);
    assert_eq!(day(&kernel), (2700, 0, 700));
    let tomorrow = NOW.plus(DAY_MS);
    let lines = kernel.statements(tomorrow).remove(1).lines;
    let money = lines.iter().find(|line| (line.what, line.window) == (Resource::Usd, Window::Day));
    assert_eq!(money.map(|line| (line.limit, line.given)), Some((Some(2000), 0)), "it was for that day");
}

#[test]
fn a_no_is_the_ordinary_exhaustion_and_says_who_did_not_want_it() {
    let mut kernel = kernel_with("");
    spend(&mut kernel, COST);
    spend(&mut kernel, COST);
    let Answer::Refused(refusal) = answered(&mut kernel, &dear(), &no()) else { panic!("they said no") };
    assert_eq!(refusal.code.word(), "exhausted");
    expect![[r#"
        exhausted  scribe → llm.complete: the budget of money for today does not hold the most that this can take; alice said no: not today
          rule  scribe/budget   50-scribe.toml:7
          arg   usd_day = 0.001 USD, allowed up to 0.00 USD (limit 0.002 USD)
          hint  raise `usd_day` of the budget in 50-scribe.toml, or wait: it refills in 16 h 0 min
          ref   0000000000001/9"#]]
    .assert_eq(&refusal.to_string());
    assert_eq!(day(&kernel), (2000, 0, 0));
}

#[test]
fn a_yes_adds_what_lacks_when_the_call_is_made_and_never_more_than_was_asked() {
    // The first question is about 700 while a call is out that may take 1000; what that takes changes what lacks.
    for (taken, raised) in [(1000, Some(700)), (400, Some(100)), (100, Some(0))] {
        let mut kernel = kernel_with("");
        spend(&mut kernel, 700);
        let out = permit(&mut kernel, &dear());
        let unasked = asking(&mut kernel, &dear());
        assert_eq!(unasked.short()[0].more, 700);
        let asked = kernel.ask(unasked, (ApprovalId(1), None), Facts::default(), NOW).expect("it asks little");
        let _ = kernel.settle(out, Amounts::of(Resource::Usd, taken), NOW);
        let who = Approver { name: "alice".into(), groups: Vec::new(), proven: false };
        kernel.answer(ApprovalId(1), &who, &Vote::Yes, NOW).expect("it counts");
        let Answer::Permit(_) = kernel.dispatch(asked.waiter, Facts::default(), &dear(), NOW) else {
            panic!("{taken}")
        };
        assert_eq!(Some(day(&kernel).2), raised, "{taken}");
    }
    // Two questions of 700 each, and both said yes to: the second would need 1700.
    let mut kernel = kernel_with("");
    spend(&mut kernel, COST);
    spend(&mut kernel, 700);
    let who = Approver { name: "alice".into(), groups: Vec::new(), proven: false };
    let mut answers = Vec::new();
    for id in [1, 2] {
        let facts = Facts { call: Digest([id; 32]), ..Facts::default() };
        let unasked = asking(&mut kernel, &dear());
        let asked = kernel.ask(unasked, (ApprovalId(u64::from(id)), None), facts, NOW).expect("it asks little");
        kernel.answer(ApprovalId(u64::from(id)), &who, &Vote::Yes, NOW).expect("it counts");
        answers.push((asked.waiter, facts));
    }
    let [first, second] = [0, 1].map(|at| kernel.dispatch(answers[at].0, answers[at].1, &dear(), NOW));
    assert!(matches!((&first, &second), (Answer::Wait(_) | Answer::Permit(_), Answer::Refused(_))), "{second:?}");
    assert_eq!(day(&kernel), (1700, COST, 700));
}

#[test]
fn the_limits_of_the_site_are_never_raised() {
    for site in
        ["budget = { usd_day = \"0.002\" }", "budget = { usd_minute = \"0.002\" }", "budget = { usd_run = \"0.002\" }"]
    {
        let mut kernel = kernel_with(&alloc::format!("[ceiling]\n{site}\n"));
        spend(&mut kernel, COST);
        spend(&mut kernel, COST);
        let refusal = refusal(&mut kernel, &dear());
        assert_eq!(refusal.code.word(), "exhausted", "{site}");
    }
    let mut kernel = kernel_with("[ceiling]\nbudget = { tool_calls_run = 2 }\n");
    let mail = tool_call("mail.send", "{}");
    let _ = permit(&mut kernel, &mail);
    let Answer::Permit(_) = answered(&mut kernel, &mail, &Vote::Yes) else { panic!("the site lets it have two") };
    assert_eq!(refusal(&mut kernel, &mail).code.word(), "exhausted", "and not a third");
}

#[test]
fn without_a_person_or_the_word_it_is_the_ordinary_refusal() {
    let mut alone = kernel_with("");
    alone.runs.get_mut(&RUN).expect("it runs").attended = false;
    let mut silent = kernel_of(&ASKING.replace("on_exhausted = \"ask\"\n", ""));
    silent.attend(RUN);
    for kernel in [&mut alone, &mut silent] {
        spend(kernel, COST);
        spend(kernel, COST);
        assert_eq!(refusal(kernel, &dear()).code.word(), "exhausted");
    }
}

#[test]
fn a_budget_asks_the_people_that_it_names_and_a_ceiling_asks_nobody() {
    let parse = |text: &str| Policy::parse(&[Source { file: "x.toml", text }], Digest::default());
    let grant = |more: &str| {
        alloc::format!("format = 1\nlayer = \"grant\"\nagent = \"a\"\n[budget]\nusd_day = \"1.00\"\n{more}\n")
    };
    let named = "on_exhausted = \"ask\"\napproval = { from = \"group:ops\", factor = \"totp\", quorum = 2 }";
    let policy = parse(&grant(named)).expect("it is whole");
    let ask = policy.grants[0].budget.ask.clone().expect("it asks");
    assert_eq!((ask.from.to_string(), ask.quorum, ask.rule.line), ("group:ops".into(), 2, 6));
    assert!(parse(&grant("on_exhausted = \"deny\"")).expect("it is whole").grants[0].budget.ask.is_none());
    let ceiling = "format = 1\nlayer = \"site\"\n[ceiling]\nbudget = { usd_day = \"1.00\", on_exhausted = \"ask\" }\n";
    for (text, told) in [
        (grant("on_exhausted = \"aks\""), "unknown on_exhausted \"aks\""),
        (grant("approval = { from = \"anyone\" }"), "`approval` of a budget says whom to ask, and nobody is asked"),
        (ceiling.into(), "unknown key `on_exhausted` in `budget` of the ceiling"),
    ] {
        assert_eq!(parse(&text).expect_err("it is refused")[0].message, told);
    }
}
