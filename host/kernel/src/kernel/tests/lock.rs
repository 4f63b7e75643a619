//! The lock: it bites at the next call and at the next run, costs nothing, and lets go.

use super::*;
use crate::kernel::Lock;

fn lock() -> Option<Lock> {
    Some(Lock { since: NOW, because: "the mail server leaks".into() })
}

#[test]
fn a_locked_kernel_denies_every_new_effect_and_no_budget_moves() {
    let mut kernel = kernel();
    kernel.lock(lock());
    let calls = [
        Call::LlmComplete(ask("small", 10, 10)),
        read("docs", "a"),
        Call::MemoryGet { namespace: "team/board".into(), key: "k".into() },
        Call::ToolsCall { name: "mail.send".into(), arguments: Digest::default(), value: Arc::default() },
    ];
    for (number, call) in (1..).zip(&calls) {
        let no = refused(&mut kernel, (RUN, number), call, NOW);
        assert_eq!(no.code, Code::Locked);
        expect!["an admin has stopped every new effect: the mail server leaks"].assert_eq(&no.because);
    }
    let Answer::Permit(time) = kernel.admit(RUN, CallId(9), &Call::TimersNow, NOW) else {
        panic!("the time is no effect")
    };
    let _ = kernel.give_back(time, NOW);
    let refused = kernel.start(RunId(2), &start(), NOW).expect_err("no run begins");
    assert_eq!(refused.code, Code::Locked);
    kernel.lock(None);
    let Answer::Permit(permit) = kernel.admit(RUN, CallId(10), &calls[1], NOW) else { panic!("it is unlocked") };
    let _ = kernel.give_back(permit, NOW);
}

#[test]
fn a_call_that_waited_is_overtaken_by_a_lock() {
    let mut kernel = kernel();
    let Answer::Permit(permit) = kernel.admit(RUN, CallId(1), &read("docs", "a"), NOW) else { panic!("it is granted") };
    assert_eq!(kernel.overtaken(&permit, "files.read"), None);
    kernel.lock(lock());
    let no = kernel.overtaken(&permit, "files.read").expect("it has not begun");
    assert_eq!((no.code, no.reference), (Code::Locked, Some((RUN, CallId(1)))));
    let _ = kernel.give_back(permit, NOW);
}
