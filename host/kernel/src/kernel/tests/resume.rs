//! Runs that go on after their host: what they hold stays theirs, what nobody knows is spent, and nothing is counted twice.

use super::*;
use crate::journal::{BasisId, Entry, Outcome, Started, Unfinished};
use crate::kernel::{Afterwards, Lost};

/// What the journal of a run has that asked a model and sent a mail, and was killed before either answered.
fn journal(kernel: &mut Kernel, calls: &[(u32, Call)]) -> Vec<Entry> {
    let allowance = kernel.start(RUN, &start(), NOW).expect("the grant covers it");
    let held = allowance.held().with(Resource::Memory, allowance.memory_bytes);
    let mut entries = vec![Entry::Started(Started {
        at: NOW,
        agent: "scribe".into(),
        package: String::new(),
        component: Digest::default(),
        input: Digest::default(),
        seed: 1,
        policy: Digest::default(),
        engine: String::new(),
        held,
    })];
    for (number, what) in calls {
        let call = CallId(*number);
        let Answer::Permit(permit) = kernel.admit(RUN, call, what, NOW) else { panic!("not admitted: {what:?}") };
        entries.push(Entry::Asked { call, at: NOW, what: what.clone(), held: *permit.held(), basis: BasisId::NONE });
        // Killed: nobody settles it.
        drop(permit);
    }
    entries
}

/// The next host, with what the last one stored.
fn next(last: &Kernel, past: &Unfinished) -> Kernel {
    let mut next = Kernel::new(policy(GRANT), models(), tools());
    next.restore_site(last.site_books(), &past.holds());
    next.restore("scribe", last.books("scribe").expect("it ran"), &past.holds());
    next
}

fn mail() -> Call {
    let value = json::parse("{}").expect("JSON");
    Call::ToolsCall { name: "mail.send".into(), arguments: Digest::default(), value: Arc::new(value) }
}

#[test]
fn what_a_run_holds_is_held_until_it_goes_on_and_nothing_twice() {
    let ask = Call::LlmComplete(ask("small", 500, 200));
    let mut last = Kernel::new(policy(GRANT), models(), tools());
    let mut entries = journal(&mut last, &[(1, ask.clone())]);
    let past = Unfinished::of(&entries).expect("it has not ended");
    let mut kernel = next(&last, &past);
    let before = kernel.books("scribe").expect("restored").day;
    assert_eq!((before.spent, before.held), (Amounts::ZERO, past.holds()));

    let later = NOW.plus(1000);
    let (allowance, lost) = kernel.resume(RUN, &start(), &past, None, later).expect("the grant covers it");
    assert_eq!(allowance, past.allowance);
    let held = past.open[&CallId(1)].held;
    assert_eq!(lost, [Lost { call: CallId(1), then: Afterwards::Again, spent: held }]);
    let books = kernel.books("scribe").expect("it runs").day;
    assert_eq!((books.spent[Resource::Tokens], books.held), (700, allowance.held()));

    let permit = permit(&mut kernel, &ask);
    kernel.settle(permit, Amounts::of(Resource::Tokens, 100), later);
    kernel.finish(RUN, Amounts::of(Resource::Fuel, 7), later);
    let books = kernel.books("scribe").expect("it ran").day;
    assert!(books.held.is_zero(), "nothing is held for a run that is over: {:?}", books.held);
    assert_eq!((books.spent[Resource::Tokens], books.spent[Resource::Fuel]), (800, 7));

    entries.push(Entry::Resumed { at: later });
    entries.push(Entry::Unknown { call: CallId(1), at: later, spent: held });
    assert_eq!(Unfinished::of(&entries).expect("unfinished").holds(), allowance.held());
}

#[test]
fn what_cannot_be_undone_is_not_made_again() {
    let mut last = Kernel::new(policy(GRANT), models(), tools());
    let entries = journal(&mut last, &[(1, mail()), (2, Call::TimersSleep { ms: 5 })]);
    let past = Unfinished::of(&entries).expect("it has not ended");
    let mut kernel = next(&last, &past);
    let (_, lost) = kernel.resume(RUN, &start(), &past, None, NOW).expect("the grant covers it");
    let then: Vec<_> = lost.iter().map(|lost| lost.then).collect();
    assert_eq!(then, [Afterwards::Interrupted, Afterwards::Again]);
    let calls = |kernel: &Kernel| kernel.books("scribe").expect("it runs").day.spent[Resource::ToolCalls];
    assert_eq!(calls(&kernel), 1);
    kernel.take_back(RUN, "scribe", &lost[0].spent, NOW);
    assert_eq!(calls(&kernel), 0, "a person says that it did not happen");
    kernel.take_back(RUN, "scribe", &lost[0].spent, Millis(NOW.0 - 2 * DAY_MS));
    assert_eq!(calls(&kernel), 0, "a day that is over has nothing to give back");
}

#[test]
fn what_cannot_be_undone_is_not_made_again_by_a_third_host() {
    let mut last = Kernel::new(policy(GRANT), models(), tools());
    let mut entries = journal(&mut last, &[(1, mail())]);
    let past = Unfinished::of(&entries).expect("it has not ended");
    let mut second = next(&last, &past);
    let (_, lost) = second.resume(RUN, &start(), &past, None, NOW).expect("the grant covers it");
    entries.push(Entry::Resumed { at: NOW });
    entries.extend(lost.iter().map(|lost| Entry::Unknown { call: lost.call, at: NOW, spent: lost.spent }));
    // It stops as well, before the guest is told.
    let past = Unfinished::of(&entries).expect("it has not ended");
    let mut third = next(&second, &past);
    let (_, lost) = third.resume(RUN, &start(), &past, None, NOW).expect("the grant covers it");
    assert_eq!(lost, [Lost { call: CallId(1), then: Afterwards::Interrupted, spent: Amounts::ZERO }]);
    let books = third.books("scribe").expect("it runs").day;
    assert_eq!((books.spent[Resource::ToolCalls], books.held), (1, past.allowance.held()));
}

#[test]
fn a_run_that_policy_refuses_now_stays_as_it_is() {
    let mut last = Kernel::new(policy(GRANT), models(), tools());
    let entries = journal(&mut last, &[(1, mail())]);
    let past = Unfinished::of(&entries).expect("it has not ended");
    let mut kernel = next(&last, &past);
    let other = GRANT.replace("agent = \"scribe\"", "agent = \"somebody\"").replace("scribe/", "somebody/");
    kernel.reload(policy(&other));
    let before = kernel.books("scribe");
    kernel.resume(RUN, &start(), &past, None, NOW).expect_err("no grant covers it");
    assert_eq!(kernel.books("scribe"), before);
}

#[test]
fn a_run_that_leaves_memory_and_comes_back_holds_and_has_spent_the_same() {
    let mut kernel = Kernel::new(policy(GRANT), models(), tools());
    let ask = Call::LlmComplete(ask("small", 100, 50));
    let mut entries = journal(&mut kernel, &[]);
    let first = permit(&mut kernel, &ask);
    let (held, spent) = (*first.held(), Amounts::of(Resource::Tokens, 90).with(Resource::LlmCalls, 1));
    kernel.settle(first, spent, NOW);
    let (call, outcome) = (CallId(9), Outcome::Inline(Vec::new()));
    entries.push(Entry::Asked { call, at: NOW, what: ask, held, basis: BasisId::NONE });
    entries.push(Entry::Answered { call, at: NOW, outcome, spent });
    let before = (kernel.books("scribe"), kernel.balances(RUN, NOW));
    kernel.suspend(RUN, NOW);
    assert_eq!(kernel.books("scribe"), before.0);
    let past = Unfinished::of(&entries).expect("it has not ended");
    kernel.resume(RUN, &start(), &past, None, NOW).expect("the grant covers it");
    assert_eq!((kernel.books("scribe"), kernel.balances(RUN, NOW)), before);
}
