//! The door, with a real kernel behind it and a real store below.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::llm::Failure;
use agentry_kernel::journal::{Entry, Status};
use agentry_kernel::{Amounts, Call, CallId, Resource, RunId};
use agentry_store::ids::HostId;
use agentry_store::{Expect, keys};
use tokio::sync::{mpsc, oneshot};

use super::fixture::{Filling, Host, NOW, ask, host, host_named, host_on, opening};
use agentry_abi::driver::Completed;
use agentry_abi::fault;

use super::*;
use crate::run::events::{Event, Observer};

mod hosts;
mod labels;
mod letters;
mod parked;
mod relocation;
mod storage;
mod unseen;

fn tokens(amount: u64) -> Amounts {
    Amounts::of(Resource::Tokens, amount)
}

fn names(host: &Host, run: u64) -> Vec<&'static str> {
    let entries = host.history.entries(RunId(run)).expect("the store can be read");
    let name = |entry: &Entry| match entry {
        Entry::Started(_) => "started",
        Entry::Asked { .. } => "asked",
        Entry::Refused { .. } => "refused",
        Entry::Answered { .. } => "answered",
        Entry::Called { .. } => "called",
        Entry::Observed { dropped: false, .. } => "observed",
        Entry::Observed { dropped: true, .. } => "dropped",
        Entry::Questioned { .. } => "questioned",
        Entry::Approved { .. } => "approved",
        Entry::Raised { .. } => "raised",
        Entry::Ended(_) => "ended",
        Entry::Labelled { .. } => "labelled",
        Entry::ShadowDenied { .. } => "shadow-denied",
        _ => "the host's own",
    };
    // What decisions rest on is told where that is tested.
    entries.iter().filter(|entry| !matches!(entry, Entry::Basis { .. })).map(name).collect()
}

fn ending() -> Ending {
    Ending { status: Status::Done, output: b"\"ok\"".to_vec(), failure: None, cause: None, used: Amounts::ZERO }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_leaves_its_whole_story() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let now = host.gate.call_now(&run, Call::TimersNow, |_| Ok(run.clock.now().0));
    assert_eq!(now, Ok(NOW.0));
    let answer = host.gate.pass::<_, Error, _, _, _>(&run, ask("small", 20), |permit, _| async move {
        assert_eq!(permit.held()[Resource::Tokens], 30);
        Completed::of(Ok("x".repeat(1000)), tokens(7))
    });
    assert_eq!(answer.await.map(|text| text.len()), Ok(1000));
    assert_eq!(host.tokens(), (7, 0));
    let record = host.gate.end(&run, ending()).await.expect("the store can be written");
    assert_eq!((record.status, record.calls, record.spent[Resource::Tokens]), (Status::Done, 2, 7));
    assert_eq!(names(&host, 1), ["started", "called", "asked", "answered", "observed", "ended"]);
    assert_eq!(host.history.run("last").unwrap(), record);
    let entries = host.history.entries(RunId(1)).unwrap();
    let stored = entries.iter().find_map(|entry| match entry {
        Entry::Answered { outcome: Outcome::Stored { content, .. }, .. } => Some(content),
        _ => None,
    });
    let content = stored.expect("a long answer is stored by name");
    let stored: String = postcard::from_bytes(&host.history.blob(content).unwrap().unwrap()).unwrap();
    assert_eq!(stored.len(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_is_written_down_and_costs_nothing() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let (sender, mut seen) = tokio::sync::mpsc::channel(8);
    let run = host.watched(1, Observer::channel(sender));
    let content = Content::of(*b"never stored");
    let name = content.digest;
    let acted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&acted);
    let asking = CallRequest::with(ask("large", 20), vec![content]);
    let before = host.books();
    let answer = host.gate.pass::<(), Failure, _, _, _>(&run, asking, move |_, _| async move {
        count.fetch_add(1, Ordering::Relaxed);
        Completed::of(Ok(()), tokens(7))
    });
    let Err(Failure { why: Error::Denied(denial), partial: None }) = answer.await else { panic!("it is denied") };
    assert_eq!((denial.code.as_str(), denial.reference), ("no-grant", format!("{}/1", RunId(1))));
    assert_eq!((acted.load(Ordering::Relaxed), host.books()), (0, before));
    assert!(matches!(seen.recv().await, Some(Event::Refused(refusal)) if refusal.wanted == "llm.complete"));
    host.gate.end(&run, ending()).await.unwrap();
    assert_eq!(names(&host, 1), ["started", "refused", "ended"]);
    assert_eq!(host.history.blob(&name).unwrap(), None);
    assert_eq!((run.tally().refused, run.tally().refusals.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_intent_of_an_external_effect_is_durable_before_it_begins() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let history = host.history.clone();
    let answer = host.gate.pass::<_, Error, _, _, _>(&run, ask("small", 20), move |permit, _| async move {
        let entries = history.entries(RunId(1)).expect("the store can be read");
        let asked = matches!(entries.last(), Some(Entry::Asked { call: CallId(1), held, .. }) if held == permit.held());
        Completed::of(Ok(asked), tokens(1))
    });
    assert_eq!(answer.await, Ok(true));
    let history = host.history.clone();
    let answer = host.gate.pass::<_, Error, _, _, _>(&run, ask("small", 20), move |_, _| async move {
        let entries = history.entries(RunId(1)).expect("the store can be read");
        let answered = entries.iter().any(|entry| matches!(entry, Entry::Answered { call: CallId(1), .. }));
        Completed::of(Ok(answered), tokens(1))
    });
    assert_eq!(answer.await, Ok(true), "an outcome is durable before the next external effect");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_call_is_cancelled_and_billed_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let (begun, has_begun) = oneshot::channel();
    let call = host.gate.pass::<(), Error, _, _, _>(&run, ask("small", 20), |_, cancelled| async move {
        let _ = begun.send(());
        cancelled.cancelled().await;
        Completed::of(Err(Error::Cancelled), tokens(5))
    });
    let call = tokio::spawn(call);
    has_begun.await.unwrap();
    call.abort();
    assert!(call.await.is_err_and(|error| error.is_cancelled()), "it is dropped before the run ends");
    host.gate.end(&run, ending()).await.unwrap();
    assert_eq!(host.tokens(), (5, 0));
    assert_eq!(names(&host, 1), ["started", "asked", "dropped", "answered", "ended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_dropped_before_it_was_polled_never_acts() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    drop(host.gate.pass::<(), Error, _, _, _>(&run, ask("small", 20), |_, cancelled| async move {
        cancelled.cancelled().await;
        Completed::of(Err(Error::Cancelled), Amounts::ZERO)
    }));
    host.gate.end(&run, ending()).await.unwrap();
    assert_eq!(host.tokens(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_panics_is_unavailable_and_pays_its_worst_case() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let answer =
        host.gate.pass::<(), Error, _, _, _>(&run, ask("small", 20), |_, _| async { panic!("a driver broke") });
    assert!(matches!(answer.await, Err(Error::Unavailable(_))));
    assert_eq!(host.tokens(), (30, 0));
    let answer = host.gate.call_now::<()>(&run, Call::TimersNow, |_| panic!("a driver broke"));
    assert!(matches!(answer, Err(Error::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_its_slot_and_one_that_went_away_lets_the_next_in() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let (finish, finished) = oneshot::channel::<()>();
    let answer = |text: &'static str| {
        host.gate.pass::<_, Error, _, _, _>(&run, ask("small", 20), move |_, _| async move {
            Completed::of(Ok(text.to_owned()), tokens(1))
        })
    };
    let first = host.gate.pass::<_, Error, _, _, _>(&run, ask("small", 20), |_, _| async move {
        let _ = finished.await;
        Completed::of(Ok("first".to_owned()), tokens(1))
    });
    let (second, third) = (answer("second"), tokio::spawn(answer("third")));
    drop(second);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!third.is_finished());
    finish.send(()).unwrap();
    assert_eq!(first.await.as_deref(), Ok("first"));
    assert_eq!(third.await.unwrap().as_deref(), Ok("third"));
    host.gate.end(&run, ending()).await.unwrap();
    assert_eq!(host.tokens(), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_and_its_entry_are_one_transaction_and_conflicts_are_tried_again() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let store = Arc::clone(host.gate.journal().store());
    let put = |host: &Host| {
        let what = Call::MemoryDelete { namespace: "agent/scribe/todo".to_owned(), key: "k".to_owned() };
        let store = Arc::clone(&store);
        let write = move || {
            let old = store.get(b"x").map_err(|error| fault::stored(&error))?;
            let next = old.as_ref().map_or(0, |old| old[0]) + 1;
            let mut batch = agentry_store::Batch::default();
            batch.expect(b"x".to_vec(), old.map_or(Expect::Absent, Expect::Equals));
            batch.put(b"x".to_vec(), vec![next]);
            Ok((batch, next))
        };
        host.gate.pass_store(&run, what, move |_| write().into())
    };
    let calls: Vec<_> = (0..8).map(|_| put(&host)).collect();
    let mut got: Vec<u8> = futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    got.sort_unstable();
    assert_eq!(got, [1, 2, 3, 4, 5, 6, 7, 8]);
    let called = names(&host, 1).iter().filter(|name| **name == "called").count();
    assert_eq!(called, 8, "the entries are as durable as the writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_host_held_stays_held_for_runs_that_can_go_on() {
    let home = tempfile::tempdir().unwrap();
    {
        let host = host(home.path()).await;
        let run = host.run(1);
        let (begun, has_begun) = oneshot::channel();
        let call = host.gate.pass::<(), Error, _, _, _>(&run, ask("small", 20), |_, _| async move {
            let _ = begun.send(());
            std::future::pending().await
        });
        has_begun.await.unwrap();
        // As a killed process leaves it: what is on disk now, and nothing more.
        std::fs::create_dir(home.path().join("copy")).unwrap();
        for file in ["store.redb", "store.wal"] {
            std::fs::copy(home.path().join(file), home.path().join("copy").join(file)).unwrap();
        }
        drop(call);
    }
    let host = host(&home.path().join("copy")).await;
    assert_eq!(host.tokens(), (0, 30), "what it holds is held until it goes on");
    assert_eq!(host.history.run("last").map(|record| record.status), Ok(Status::Suspended));
    assert_eq!(names(&host, 1), ["started", "asked"]);
    assert_eq!(host.history.store().has(&keys::open(RunId(1))), Ok(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_not_granted_is_shown_as_denied() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = Arc::new(RunContext::new(RunId(3), "stranger", NOW, Observer::nobody()));
    let mut stranger = opening();
    stranger.start.agent = "stranger".to_owned();
    let refusal = host.gate.begin(&run, stranger).expect_err("nobody granted it anything");
    assert_eq!(refusal.wanted, "run");
    host.gate.journal().flush().await.unwrap();
    assert_eq!(host.history.run("last").unwrap().status, Status::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn quick_calls_reach_the_disk_soon_without_anybody_waiting() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    for _ in 0..100 {
        host.gate.call_now(&run, Call::TimersNow, |_| Ok(1u64)).unwrap();
    }
    let mut waited = 0;
    while names(&host, 1).len() < 101 || run.trail.backlog() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        waited += 1;
        assert!(waited < 400, "entries reach the disk by themselves");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_begins_and_only_the_runs_that_lost_something_are_over() {
    let home = tempfile::tempdir().unwrap();
    let (store, full) = Filling::open(home.path());
    let host = host_on(store).await;
    let run = host.run(1);
    host.gate.journal().flush().await.unwrap();
    let (sender, mut heard) = mpsc::channel(8);
    host.gate.watch(Observer::channel(sender));
    let begun = Arc::new(AtomicUsize::new(0));
    let call = |run: &Arc<RunContext>| {
        let begun = Arc::clone(&begun);
        host.gate.pass::<_, Error, _, _, _>(run, ask("small", 20), |_, _| async move {
            Completed::of(Ok(begun.fetch_add(1, Ordering::Relaxed)), tokens(1))
        })
    };
    full.store(true, Ordering::Release);
    let Err(Error::Unavailable(failed)) = call(&run).await else { panic!("its intent cannot be written") };
    assert_eq!((failed.reason.as_str(), failed.retry_after_ms), ("the host's disk is full", Some(10_000)));
    assert_eq!((begun.load(Ordering::Relaxed), host.tokens()), (0, (0, 0)));
    full.store(false, Ordering::Release);
    assert!(matches!(call(&run).await, Err(Error::Unavailable(_))), "a journal with a hole is not gone on with");
    assert!(run.cancelled.is_cancelled());
    assert!(host.gate.end(&run, ending()).await.is_err());
    assert!(host.gate.store_fails().is_some());
    assert!(matches!(heard.try_recv(), Ok(Event::Alarm(why)) if why.contains("the disk of the store is full")));
    let other = host.run(2);
    assert_eq!(call(&other).await, Ok(0));
    let record = host.gate.end(&other, ending()).await.expect("there is room again");
    assert_eq!((record.status, host.tokens()), (Status::Done, (1, 0)));
    assert_eq!(host.gate.store_fails(), None);
    assert!(matches!(heard.try_recv(), Ok(Event::Notice(_))) && heard.try_recv().is_err(), "each is told once");
    assert_eq!(names(&host, 2), ["started", "asked", "answered", "observed", "ended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_holds_that_had_to_wait_is_durable_before_it_begins() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let (scribe, porter) = (host.run(1), Arc::new(RunContext::new(RunId(2), "porter", NOW, Observer::nobody())));
    let mut begins = opening();
    begins.start.agent = "porter".to_owned();
    host.gate.begin(&porter, begins).expect("the run is granted");
    let (finish, finished) = oneshot::channel::<()>();
    let first = host.gate.pass::<(), Error, _, _, _>(&scribe, ask("small", 20), |_, _| async move {
        let _ = finished.await;
        Completed::of(Ok(()), tokens(1))
    });
    let store = Arc::clone(host.gate.journal().store());
    let second = host.gate.pass::<u64, Error, _, _, _>(&porter, ask("small", 20), move |_, _| async move {
        let bytes = store.get(&keys::books(HostId::FIRST, "porter")).unwrap().expect("it was written");
        let books = agentry_store::rows::run::books(&bytes).unwrap();
        Completed::of(Ok(books.day.held[Resource::Tokens]), tokens(1))
    });
    finish.send(()).unwrap();
    assert_eq!(first.await, Ok(()));
    assert_eq!(second.await, Ok(30), "a host that is killed now writes it off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nobody_waits_for_any_more_ends_and_holds_nothing() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    let allowance = agentry_kernel::budget::Allowance { fuel: 7, wall_ms: 1000, memory_bytes: 0 };
    let unended = host.gate.unended(&run, &allowance);
    let call = host.gate.pass::<(), Error, _, _, _>(&run, ask("small", 20), |_, cancelled| async move {
        cancelled.cancelled().await;
        Completed::of(Err(Error::Cancelled), tokens(5))
    });
    drop((call, unended));
    let mut waited = 0;
    while host.history.run("last").map(|record| record.status) != Ok(Status::Stopped) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        waited += 1;
        assert!(waited < 1000, "it ends by itself");
    }
    assert_eq!(host.tokens().1, 0);
    let account = host.gate.kernel(|kernel| *kernel.account("scribe").unwrap());
    assert_eq!((account.spent[Resource::Fuel], account.held), (7, Amounts::ZERO));
    assert_eq!(names(&host, 1).last(), Some(&"ended"));
    let next = host.run(2);
    let answer = host.gate.pass::<_, Error, _, _, _>(&next, ask("small", 20), |_, _| async move {
        Completed::of(Ok("the slot is free".to_owned()), tokens(1))
    });
    assert_eq!(answer.await.as_deref(), Ok("the slot is free"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_counts_more_than_was_held_empties_the_account_and_is_told_of() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let (sender, mut seen) = tokio::sync::mpsc::channel(8);
    let run = host.watched(1, Observer::channel(sender));
    let call = || {
        host.gate.pass::<_, Error, _, _, _>(&run, ask("small", 20), |_, _| async move {
            Completed::of(Ok(()), tokens(u64::MAX))
        })
    };
    assert_eq!(call().await, Ok(()));
    assert_eq!(host.tokens(), (1000, 0), "the limit of the day, and not a token more");
    assert!(matches!(call().await, Err(Error::Exhausted(_))));
    let mut told = Vec::new();
    while let Ok(event) = seen.try_recv() {
        if let Event::Log { line, .. } = event {
            told.push(line);
        }
    }
    assert_eq!(told, ["call 1 cost 18446744073709550615 tokens beyond the budget, which is empty now"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_does_nothing_but_write_is_stopped() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    run.trail.wrote(FLOOD_BYTES + 1);
    let calls = run.calls();
    assert!(matches!(host.gate.call_now(&run, Call::TimersNow, |_| Ok(1u64)), Err(Error::Unavailable(_))));
    assert!(run.cancelled.is_cancelled());
    assert_eq!(run.calls(), calls, "and nothing more of it is written down");
}
