//! What is the same as before, and what is the first thing that is not.

use agentry_kernel::budget::Amounts;
use agentry_kernel::call::Place;
use agentry_kernel::journal::BasisId;
use agentry_store::RedbStore;

use super::*;

fn past(home: &std::path::Path, calls: &[Call], status: Status) -> Recording {
    let (at, name) = (Millis(5), Digest::default());
    let started = Started {
        at,
        agent: "scribe".to_owned(),
        package: "acme:scribe@1.0.0".to_owned(),
        component: name,
        input: name,
        seed: 1,
        policy: name,
        engine: String::new(),
        held: Amounts::ZERO,
    };
    let call = |(number, what): (u32, &Call)| Entry::Called {
        call: CallId(number),
        at,
        what: what.clone(),
        outcome: Outcome::Inline(vec![1]),
        basis: BasisId::NONE,
    };
    let ended = Entry::Ended(Ended { at, status, output: name, spent: Amounts::ZERO });
    let entries = std::iter::once(Entry::Started(started)).chain((1..).zip(calls).map(call)).chain([ended]);
    Recording::of(Arc::new(RedbStore::open(home).unwrap()), entries.collect()).unwrap()
}

fn difference(past: &Recording) -> String {
    match past.verdict() {
        Some(Verdict::Differs(difference)) => difference.to_string(),
        other => panic!("no difference: {other:?}"),
    }
}

#[tokio::test]
async fn the_first_call_that_is_another_one_is_named_and_a_later_one_is_not() {
    let home = tempfile::tempdir().unwrap();
    let read = |path: &str| Call::FilesRead(Place { root: "docs".to_owned(), path: path.to_owned() });
    let past = past(home.path(), &[Call::TimersNow, read("a")], Status::Done);
    assert!(matches!(past.recall(CallId(1), &Call::TimersNow), Step::Recordable(_)) && past.verdict().is_none());
    assert!(matches!(past.recall(CallId(2), &read("b")), Step::Over));
    assert!(matches!(past.recall(CallId(3), &Call::TimersNow), Step::Over));
    assert_eq!(difference(&past), "call 2 was files.read docs:a, and now it is files.read docs:b");
}

#[tokio::test]
async fn a_call_too_many_or_too_few_and_another_end_are_differences() {
    let home = tempfile::tempdir().unwrap();
    let more = past(home.path(), &[], Status::Done);
    assert!(matches!(more.recall(CallId(1), &Call::TimersNow), Step::Over));
    assert_eq!(difference(&more), "call 1 was not made, and now it is timers.now");
    drop(more);
    let fewer = past(home.path(), &[Call::TimersNow], Status::Done);
    fewer.close(0, Status::Done, Digest::default(), "");
    assert_eq!(difference(&fewer), "call 1 was timers.now, and now it is not made");
    drop(fewer);
    let other = past(home.path(), &[], Status::Done);
    other.close(0, Status::Failed, Digest::default(), "no");
    assert_eq!(difference(&other), "the run was done with , and now it failed with no");
}

#[tokio::test]
async fn what_lies_behind_a_cut_from_outside_is_no_difference() {
    let home = tempfile::tempdir().unwrap();
    let past = past(home.path(), &[Call::TimersNow], Status::Stopped);
    assert!(matches!(past.recall(CallId(1), &Call::TimersNow), Step::Recordable(_)));
    assert!(matches!(past.recall(CallId(2), &Call::TimersNow), Step::Over));
    assert_eq!(past.verdict(), Some(&Verdict::Cut));
    past.close(1, Status::Done, Digest::default(), "");
    assert_eq!(past.verdict(), Some(&Verdict::Cut));
}
