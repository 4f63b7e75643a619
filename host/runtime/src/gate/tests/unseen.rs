//! What the other side of the port tells of an answer, and what is believed of it.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_has_not_come_cannot_have_been_seen() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let (begun, has_begun) = oneshot::channel();
    let (told, was_cut) = oneshot::channel();
    let call = host.gate.pass::<(), Error, _, _, _>(&run, ask("small", 20), |_, cancelled| async move {
        let _ = begun.send(());
        cancelled.cancelled().await;
        let _ = told.send(());
        Completed::of(Err(Error::Cancelled), tokens(5))
    });
    has_begun.await.unwrap();
    let Given::Later(Later { unseen, coming, .. }) = call.answer else { panic!("it takes time") };
    unseen.seen();
    assert_eq!(was_cut.await, Ok(()), "the guest has let go of it");
    drop(coming);
    host.gate.end(&run, ending()).await.unwrap();
    assert_eq!(host.tokens(), (5, 0));
    assert_eq!(names(&host, 1), ["started", "asked", "dropped", "answered", "ended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_moves_the_clock_when_it_is_seen_and_not_when_it_comes() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let agentry_abi::clock::Clock::Set(clock) = host.gate.clock().clone() else { panic!("a test sets it") };
    let (go_on, waits) = oneshot::channel::<()>();
    let call = host.gate.pass::<(), Error, _, _, _>(&run, ask("small", 20), |_, _| async move {
        let _ = waits.await;
        Completed::of(Ok(()), tokens(5))
    });
    clock.store(NOW.0 + 70, Ordering::Relaxed);
    go_on.send(()).unwrap();
    let Given::Later(Later { unseen, coming, .. }) = call.answer else { panic!("it takes time") };
    assert_eq!(coming.await, Ok(()));
    assert_eq!(run.clock.now(), NOW);
    unseen.seen();
    assert_eq!(run.clock.now(), NOW.plus(70));
    host.gate.end(&run, ending()).await.unwrap();
    assert_eq!(names(&host, 1), ["started", "asked", "answered", "observed", "ended"]);
}
