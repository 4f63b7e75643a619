//! Labels at the door: gained before the guest sees the answer, and no hand of the guest on what it had sent before.

use agentry_kernel::Digest;

use agentry_abi::driver::Write;
use agentry_kernel::labels::Labels;

use super::*;

fn tool() -> Call {
    Call::ToolsCall {
        name: "post".to_owned(),
        arguments: Digest::default(),
        value: Arc::new(agentry_kernel::json::Value::Object(Vec::new())),
    }
}

fn secret() -> Labels {
    Labels::of(["secret"])
}

async fn learn(host: &Host, run: &Arc<RunContext>) {
    let read = |_: &Permit| Completed::of(Ok(1u64), Amounts::ZERO).labelled(secret());
    assert_eq!(host.gate.pass_read(run, Call::TimersNow, read).await, Ok(1));
}

/// A call outside that has begun, and tells whether it was cut before it was told to go on.
async fn post(
    host: &Host,
    run: &Arc<RunContext>,
    go_on: oneshot::Receiver<()>,
    cut: oneshot::Sender<bool>,
) -> impl Future<Output = Result<(), Error>> + Send + use<> {
    let (begun, has_begun) = oneshot::channel();
    let sent = host.gate.pass::<(), Error, _, _, _>(run, tool(), |_, cancelled| async move {
        let _ = begun.send(());
        let was_cut = tokio::select! {
            () = cancelled.cancelled() => true,
            _ = go_on => false,
        };
        let _ = cut.send(was_cut);
        Completed::of(Ok(()), Amounts::ZERO)
    });
    has_begun.await.unwrap();
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_is_held_journaled_and_recorded_before_the_answer_is_seen() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let answer = host.gate.pass::<_, Error, _, _, _>(&run, ask("small", 20), |_, _| async move {
        Completed::of(Ok(()), tokens(7)).labelled(secret())
    });
    assert_eq!(answer.await, Ok(()));
    assert_eq!((run.labels(), host.gate.kernel(|kernel| kernel.labels(RunId(1)))), (secret(), secret()));
    learn(&host, &run).await;
    host.gate.end(&run, ending()).await.unwrap();
    assert_eq!(names(&host, 1), ["started", "asked", "labelled", "answered", "observed", "called", "ended"]);
    assert_eq!(host.history.run("last").unwrap().labels, secret());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_tells_something_too() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let what = Call::MemoryDelete { namespace: "agent/scribe/todo".to_owned(), key: "k".to_owned() };
    let conflict = |_: &Permit| Write::<()> { result: Err(Error::Conflict("version 7".to_owned())), labels: secret() };
    assert!(matches!(host.gate.pass_store(&run, what, conflict).await, Err(Error::Conflict(_))));
    assert_eq!(run.labels(), secret());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_sent_before_a_label_came_is_not_cut_by_the_guest_nor_by_its_end() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let (go_on, waits) = oneshot::channel();
    let (told, was_cut) = oneshot::channel();
    let sent = post(&host, &run, waits, told).await;
    learn(&host, &run).await;
    drop(sent);
    let end = tokio::spawn({
        let (gate, run) = (host.gate.clone(), Arc::clone(&run));
        async move { gate.end(&run, ending()).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!end.is_finished(), "when a guest ends says nothing outside");
    go_on.send(()).unwrap();
    assert_eq!(was_cut.await, Ok(false));
    end.await.unwrap().unwrap();
    assert_eq!(names(&host, 1), ["started", "asked", "labelled", "called", "dropped", "answered", "ended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_sent_after_the_label_came_is_the_guests_to_drop() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    learn(&host, &run).await;
    let (_go_on, waits) = oneshot::channel();
    let (told, was_cut) = oneshot::channel();
    drop(post(&host, &run, waits, told).await);
    assert_eq!(was_cut.await, Ok(true));
    host.gate.end(&run, ending()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_stops_a_run_whatever_it_has_sent() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let (_go_on, waits) = oneshot::channel();
    let (told, was_cut) = oneshot::channel();
    let sent = post(&host, &run, waits, told).await;
    learn(&host, &run).await;
    drop(sent);
    run.cancelled.cancel();
    host.gate.end(&run, ending()).await.unwrap();
    assert_eq!(was_cut.await, Ok(true));
}
