//! Runs that go on after their host: what they hold stays theirs, what nobody knows is spent, and nothing is counted twice.

use super::*;
use crate::budget::Limits;
use crate::journal::{BasisId, Entry, Outcome, Started, Unfinished};
use crate::kernel::{Afterwards, Lost};
use crate::labels::Labels;

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

/// A run that has asked a model leaves and goes on under its id; what was permitted before, and what it holds now.
fn in_its_next_life(kernel: &mut Kernel, ask: &Call) -> (Permit, Amounts) {
    let mut entries = journal(kernel, &[]);
    let before = permit(kernel, ask);
    let (call, held) = (CallId(7), *before.held());
    entries.push(Entry::Asked { call, at: NOW, what: ask.clone(), held, basis: BasisId::NONE });
    kernel.suspend(RUN, NOW);
    let past = Unfinished::of(&entries).expect("it has not ended");
    kernel.resume(RUN, &start(), &past, None, NOW).expect("the grant covers it");
    (before, held)
}

#[test]
fn a_permit_of_a_run_that_left_closes_against_none_of_its_later_lives() {
    let ask = Call::LlmComplete(ask("small", 100, 50));
    for forfeits in [false, true] {
        let mut kernel = Kernel::new(policy(GRANT), models(), tools());
        let (mut before, held) = in_its_next_life(&mut kernel, &ask);
        before.bring(&Labels::of(["secret"]));
        // It asks again, and has one call in flight.
        let Answer::Wait(_) = kernel.admit(RUN, CallId(7), &ask, NOW) else { panic!("the one slot is taken") };
        let stands = (kernel.books("scribe"), kernel.balances(RUN, NOW), kernel.labels(RUN));
        let settled = if forfeits {
            kernel.forfeit(before, 7, NOW)
        } else {
            kernel.settle(before, Amounts::of(Resource::Tokens, 90), NOW)
        };
        assert_eq!((settled.spent, settled.gained), (Amounts::ZERO, Labels::NONE));
        assert_eq!((kernel.books("scribe"), kernel.balances(RUN, NOW), kernel.labels(RUN)), stands);
        // The slot that it had is free all the same.
        let ready = kernel.ready().pop().expect("whoever waited for it has it");
        assert_eq!(*ready.permit.held(), held);
        kernel.settle(ready.permit, Amounts::of(Resource::Tokens, 90), NOW);
        kernel.finish(RUN, Amounts::ZERO, NOW);
        assert!(kernel.books("scribe").expect("it ran").day.held.is_zero());
        assert!(kernel.balances(RUN, NOW).is_empty(), "nothing keeps it");
    }
}

#[test]
fn what_a_run_that_left_had_set_aside_is_nobodys_and_takes_nothing_of_others() {
    let mut kernel = Kernel::new(policy(GRANT), models(), tools());
    let entries = journal(&mut kernel, &[]);
    let share = kernel.split(RUN, Limits::NONE.with(Resource::Tokens, 500), 100, NOW).expect("it has as much");
    let late = kernel.split(RUN, Limits::NONE.with(Resource::Tokens, 300), 100, NOW).expect("it has as much");
    kernel.suspend(RUN, NOW);
    let past = Unfinished::of(&entries).expect("it has not ended");
    // Somebody else begins where its account was, and it goes on itself.
    const OTHER: RunId = RunId(2);
    kernel.start(OTHER, &start(), NOW).expect("the grant covers it");
    kernel.resume(RUN, &start(), &past, None, NOW).expect("the grant covers it");
    let theirs = kernel.split(OTHER, Limits::NONE.with(Resource::Tokens, 600), 100, NOW).expect("it has as much");
    let stands = (kernel.books("scribe"), kernel.balances(OTHER, NOW), kernel.balances(RUN, NOW));
    kernel.start_child(RunId(3), &start(), late, NOW).expect_err("who set it aside is not there any more");
    kernel.dissolve(share);
    assert_eq!((kernel.books("scribe"), kernel.balances(OTHER, NOW), kernel.balances(RUN, NOW)), stands);
    kernel.dissolve(theirs);
    for run in [RUN, OTHER] {
        kernel.finish(run, Amounts::ZERO, NOW);
        assert!(kernel.balances(run, NOW).is_empty(), "nothing keeps it");
    }
}
