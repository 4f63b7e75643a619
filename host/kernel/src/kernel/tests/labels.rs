//! Labels of a run: gained with the answer, carried by what is asked after it, never lost.

use super::*;
use crate::labels::Labels;

fn permit(kernel: &mut Kernel, call: u32) -> Permit {
    match kernel.admit(RUN, CallId(call), &read("docs", "a"), NOW) {
        Answer::Permit(permit) => permit,
        other => panic!("it is granted: {other:?}"),
    }
}

#[test]
fn a_run_gains_the_labels_of_an_answer_when_it_is_settled_and_each_once() {
    let mut kernel = kernel();
    let mut first = permit(&mut kernel, 1);
    first.bring(&Labels::of(["secret"]));
    assert!(kernel.labels(RUN).is_empty(), "the guest has not seen it yet");
    assert_eq!(kernel.settle(first, Amounts::ZERO, NOW).gained, Labels::of(["secret"]));
    let mut second = permit(&mut kernel, 2);
    second.bring(&Labels::of(["secret", "untrusted"]));
    assert_eq!(kernel.settle(second, Amounts::ZERO, NOW).gained, Labels::of(["untrusted"]));
    assert_eq!(kernel.labels(RUN), Labels::of(["secret", "untrusted"]));
}

#[test]
fn a_call_carries_what_its_run_held_when_it_was_admitted() {
    let mut kernel = kernel();
    let before = permit(&mut kernel, 1);
    let mut reading = permit(&mut kernel, 2);
    reading.bring(&Labels::of(["secret"]));
    let _ = kernel.settle(reading, Amounts::ZERO, NOW);
    let after = permit(&mut kernel, 3);
    assert_eq!((before.carries(), after.carries()), (&Labels::NONE, &Labels::of(["secret"])));
    for permit in [before, after] {
        assert!(kernel.settle(permit, Amounts::ZERO, NOW).gained.is_empty());
    }
}

#[test]
fn a_permit_that_is_given_back_brings_nothing() {
    let mut kernel = kernel();
    let mut unused = permit(&mut kernel, 1);
    unused.bring(&Labels::of(["secret"]));
    let _ = kernel.give_back(unused, NOW);
    assert!(kernel.labels(RUN).is_empty());
}

#[test]
fn the_labels_of_a_run_outlive_a_reload_and_end_with_the_run() {
    let mut kernel = kernel();
    let mut reading = permit(&mut kernel, 1);
    reading.bring(&Labels::of(["secret"]));
    let _ = kernel.settle(reading, Amounts::ZERO, NOW);
    kernel.reload(policy(GRANT));
    assert_eq!(kernel.labels(RUN), Labels::of(["secret"]));
    let _ = kernel.finish(RUN, Amounts::ZERO, NOW);
    assert!(kernel.labels(RUN).is_empty());
}
