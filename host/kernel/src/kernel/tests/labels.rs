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

/// A site that vouches for what is read below `team/board/public` and for nothing else.
const VOUCHING: &str = r#"format = 1
layer = "site"
[[label]]
id = "site/board"
memory = "team/board/**"
adds = ["secret", "untrusted"]
[[label]]
id = "site/public"
memory = "team/board/public/**"
removes = ["secret"]
[[label]]
id = "site/signed"
memory = "team/board/public/signed"
removes = ["untrusted"]
"#;

fn read_at(kernel: &mut Kernel, call: u32, namespace: &str) -> (Labels, Labels) {
    let what = Call::MemoryGet { namespace: namespace.into(), key: "k".into() };
    match kernel.admit(RUN, CallId(call), &what, NOW) {
        Answer::Permit(permit) => {
            let settled = kernel.settle(permit, Amounts::ZERO, NOW);
            (settled.gained, settled.cleared)
        }
        other => panic!("it is granted: {other:?}"),
    }
}

fn vouching() -> Kernel {
    let grant = GRANT.replace("read = [\"team/board\"]", "read = [\"team/board/**\"]");
    let sources = [Source { file: "00-site.toml", text: VOUCHING }, Source { file: "50-scribe.toml", text: &grant }];
    let policy = Policy::parse(&sources, Digest::default()).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let mut kernel = Kernel::new(Arc::new(policy), models(), tools());
    kernel.start(RUN, &start(), NOW).expect("the grant covers it");
    kernel
}

#[test]
fn a_rule_that_removes_a_label_keeps_it_off_the_answer_that_it_vouches_for() {
    let mut kernel = vouching();
    let (untrusted, secret) = (Labels::of(["untrusted"]), Labels::of(["secret"]));
    assert_eq!(read_at(&mut kernel, 1, "team/board/public"), (untrusted.clone(), secret.clone()));
    assert_eq!(kernel.labels(RUN), untrusted);
    // Where two rules vouch, both do; and what nobody vouches for brings all that it has.
    let mut other = vouching();
    assert_eq!(read_at(&mut other, 1, "team/board/public/signed"), (Labels::NONE, secret.and(&untrusted)));
    assert_eq!(read_at(&mut other, 2, "team/board"), (secret.and(&untrusted), Labels::NONE));
}

#[test]
fn reading_what_a_rule_vouches_for_washes_nothing_off_that_was_read_before() {
    let mut kernel = vouching();
    read_at(&mut kernel, 1, "team/board");
    let (gained, cleared) = read_at(&mut kernel, 2, "team/board/public/signed");
    assert!(gained.is_empty() && cleared.is_empty());
    assert_eq!(kernel.labels(RUN), Labels::of(["secret", "untrusted"]), "it still knows what it read");
}

#[test]
fn a_person_takes_labels_off_a_run_that_goes_on_and_off_no_other() {
    let mut kernel = kernel();
    let mut reading = permit(&mut kernel, 1);
    reading.bring(&Labels::of(["secret", "untrusted"]));
    let _ = kernel.settle(reading, Amounts::ZERO, NOW);
    let on_its_way = permit(&mut kernel, 2);
    assert_eq!(kernel.unlabel(RUN, &Labels::of(["secret", "public"])), Some(Labels::of(["secret"])));
    assert_eq!(kernel.labels(RUN), Labels::of(["untrusted"]));
    assert!(on_its_way.carries().has("secret"), "what it carries was made before");
    let _ = kernel.settle(on_its_way, Amounts::ZERO, NOW);
    assert_eq!(kernel.unlabel(RUN, &Labels::of(["secret"])), Some(Labels::NONE));
    assert_eq!(kernel.unlabel(RunId(99), &Labels::every()), None);
    let _ = kernel.finish(RUN, Amounts::ZERO, NOW);
    assert_eq!(kernel.unlabel(RUN, &Labels::every()), None);
}
