//! Letters, notices and questions at the door: each counts as storage of whoever causes it until it is gone.

use agentry_abi::bindings::agentry::agent::types::ResourceKind;
use agentry_drivers::human::Human;
use agentry_drivers::mail::{Mail, Writer, discard};
use agentry_kernel::Digest;
use agentry_kernel::call::Post;
use agentry_kernel::limits::{KEPT_HEAD_BYTES, QUESTION_KEPT_MAX_BYTES};
use agentry_store::limits::NOTICES_KEPT_MAX;
use agentry_store::rows::notice::Notice;
use agentry_store::rows::question::{Inquiry, State};
use agentry_store::rows::usage;
use agentry_store::{Batch, Page, Range, RedbStore, Store};
use tokio_util::sync::CancellationToken;

use super::storage::{check, porter};
use super::*;

const KIB: usize = 1024;

fn mail(host: &Host) -> Arc<Mail> {
    Arc::new(Mail::new(Arc::clone(host.gate.journal().store())))
}

async fn send(host: &Host, run: &Arc<RunContext>, mail: &Arc<Mail>, bytes: usize) -> Result<String, Error> {
    let writer = Writer { agent: run.agent.clone(), owner: run.payer().to_owned(), run: run.id, now: NOW };
    let (mail, body) = (Arc::clone(mail), "7".repeat(bytes));
    let post = Post { agent: "porter".to_owned(), content: Digest::default(), bytes: bytes as u64 };
    let send = move |permit: &Permit| mail.send(permit, &writer, "porter", "", &body);
    host.gate.pass_store(run, Call::AgentsSend(post), send).await
}

fn scribes(host: &Host) -> u64 {
    check(host).get("scribe").copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_its_writers_storage_until_it_is_taken_or_thrown_away() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let (scribe, porter, mail) = (host.run(1), porter(&host), mail(&host));
    let each = 200 * KIB as u64 + KEPT_HEAD_BYTES;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(send(&host, &scribe, &mail, 200 * KIB).await.expect("there is room"));
    }
    assert_eq!(scribes(&host), 5 * each);
    // A no moves nothing and leaves nothing.
    let before = host.books();
    let Err(Error::Exhausted(no)) = send(&host, &scribe, &mail, 200 * KIB).await else { panic!("it is full") };
    assert!(no.what == ResourceKind::Storage, "{no:?}");
    assert_eq!((host.books(), scribes(&host)), (before, 5 * each));
    let taken = host.gate.pass_letter(&porter, None, &mail).await.unwrap().expect("there are some");
    assert_eq!((&taken.id, scribes(&host)), (&ids[0], 4 * each));
    // One that the guest lets go of goes back, and counts again.
    drop(host.gate.pass_letter(&porter, None, &mail));
    porter.going_back.idle().await;
    assert_eq!(scribes(&host), 4 * each);
    assert!(send(&host, &scribe, &mail, 200 * KIB).await.is_ok(), "there is room again");
    let store = host.gate.journal().store();
    let batch = discard(&**store, &ids[1]).unwrap().expect("it waits");
    let changes = usage::changes(&batch);
    store.commit(batch).await.unwrap();
    host.gate.move_levels(changes);
    assert_eq!(scribes(&host), 4 * each);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_an_earlier_version_counts_from_the_first_start_on() {
    let home = tempfile::tempdir().unwrap();
    {
        let store = RedbStore::open(home.path()).unwrap();
        let golden = include_str!("../../../../../tests/golden/mail-1.hex").lines().next().unwrap();
        let byte = |at| u8::from_str_radix(&golden[at..at + 2], 16).unwrap();
        let row: Vec<u8> = (0..golden.len()).step_by(2).map(byte).collect();
        let mut batch = Batch::default();
        batch.put(keys::letter("porter", 0), row);
        store.commit(batch).await.unwrap();
    }
    let host = host(home.path()).await;
    let level = host.gate.kernel(|kernel| kernel.account("mail").map(|account| account.spent[Resource::Storage]));
    assert_eq!(level, Some(5 + 9 + KEPT_HEAD_BYTES));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_storage_until_a_newer_one_takes_its_place() {
    let home = tempfile::tempdir().unwrap();
    let notice = |run: u64, text: &str| {
        let (at, call, text) = (Millis(NOW.0 - 1), CallId(1), text.to_owned());
        Notice { at, run: RunId(run), call, agent: "porter".to_owned(), text }
    };
    {
        let mut batch = Batch::default();
        for run in 0..NOTICES_KEPT_MAX as u64 {
            let notice = notice(run, "done");
            batch.put(keys::notice(notice.at, notice.run, notice.call), notice.encode("porter"));
        }
        RedbStore::open(home.path()).unwrap().commit(batch).await.unwrap();
    }
    let host = host(home.path()).await;
    let run = host.run(1);
    let human = Human::open(Arc::clone(host.gate.journal().store()), Clock::set(NOW)).await.unwrap();
    let porters = check(&host)["porter"];
    assert_eq!(porters, NOTICES_KEPT_MAX as u64 * (4 + KEPT_HEAD_BYTES));
    let what = Call::HumanNotify { text: Digest::default() };
    let told = Notice { at: NOW, ..notice(1, "all is well") };
    let told = host.gate.pass_store(&run, what, move |_| human.notice(&told, "scribe"));
    assert_eq!(told.await, Ok(()));
    assert_eq!((scribes(&host), check(&host)["porter"]), (11 + KEPT_HEAD_BYTES, porters - 4 - KEPT_HEAD_BYTES));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_storage_while_it_is_open_and_is_not_asked_where_there_is_no_room() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let (run, mail) = (Arc::new(RunContext::new(RunId(1), "scribe", NOW, Observer::nobody())), mail(&host));
    host.gate.begin(&run, Opening { attended: true, ..opening() }).expect("the run is granted");
    let human = Arc::new(Human::open(Arc::clone(host.gate.journal().store()), Clock::set(NOW)).await.unwrap());
    let held = || host.gate.kernel(|kernel| kernel.site_books().day.held[Resource::Storage]);
    let ask = |cancel: &CancellationToken| {
        let (human, cancel, agent) = (Arc::clone(&human), cancel.clone(), run.agent.clone());
        let what = Call::HumanAsk { question: Digest::default(), expires_ms: None };
        host.gate.pass::<String, Error, _, _, _>(&run, what, move |permit, _| async move {
            let (id, call, text) = (permit.run(), permit.call(), "Which day?".to_owned());
            let asked = Inquiry {
                run: id,
                call,
                agent,
                text,
                choices: Vec::new(),
                asked: NOW,
                expires: None,
                state: State::Open,
            };
            let answer = human.ask(asked, (&cancel, &CancellationToken::new()), |_| {}).await;
            Completed::of(answer, Amounts::ZERO)
        })
    };
    let questions = || {
        let page = Page { rows: 10, bytes: usize::MAX };
        host.gate.journal().store().scan(&Range::of(keys::INQUIRIES), page).unwrap().len()
    };
    let cancel = CancellationToken::new();
    let mut first = Box::pin(ask(&cancel));
    while questions() == 0 {
        assert!(futures::poll!(&mut first).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(held(), QUESTION_KEPT_MAX_BYTES);
    cancel.cancel();
    assert_eq!(first.await, Err(Error::Cancelled));
    assert_eq!(held(), 0, "nobody waits for it");
    // Full, but for less than a question.
    let room = usize::try_from(1024 * KIB as u64 - QUESTION_KEPT_MAX_BYTES).unwrap();
    assert!(send(&host, &run, &mail, room).await.is_ok());
    let before = host.books();
    assert!(matches!(ask(&CancellationToken::new()).await, Err(Error::Exhausted(_))));
    assert_eq!((host.books(), questions()), (before, 1), "nobody is asked");
}
