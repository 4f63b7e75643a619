//! The socket from both ends: who may speak, what is too much, and that nobody who hangs harms the others.

use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agentry_engine::prepare::Preparer;
use agentry_kernel::call::RunId;
use agentry_runtime::approvals::Saying;
use agentry_runtime::host::{Host, Options};
use agentry_store::limits::{CONTROL_CONNECTIONS_MAX, CONTROL_PAGE_MAX_ROWS, CONTROL_SILENT_MAX_MS};
use agentry_store::{Batch, Page, Range, Store, StoreError};

use super::table::{Answer, Ask, Reply, Request};
use super::wire::{HELLO_MAX_BYTES, Hello, frame};
use super::{Client, ControlError, OverSocket, RemoteStore, ask};
use crate::OpenError;
use crate::api::{Discard, Get, Has, Hold, Stop};
use crate::error::{Kind, Next, OpError};

async fn host(home: &Path) -> Result<Host, OpenError> {
    let policies = home.join("policies");
    std::fs::create_dir_all(&policies).unwrap();
    let roots = std::collections::BTreeMap::new();
    crate::open(Options {
        home: home.to_owned(),
        policies,
        roots,
        model: None,
        models: Vec::new(),
        preparer: Preparer::InProcess,
        accept_older: false,
        one_run: false,
    })
    .await
}

fn socket(home: &Path) -> PathBuf {
    home.join("control/host.sock")
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn is_served(home: &Path) -> bool {
    ask(home, Has { key: b"v".to_vec() }) == Ok(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_read_through_the_host_that_has_it() {
    let home = tempfile::tempdir().unwrap();
    let running = host(home.path()).await.unwrap();
    let store = running.services().drivers.gate.journal().store();
    let rows = CONTROL_PAGE_MAX_ROWS + 10;
    let mut batch = Batch::default();
    (0..rows).for_each(|row| batch.put(format!("~{row:06}").into_bytes(), b"value".to_vec()));
    store.commit(batch).await.unwrap();
    let remote = RemoteStore::over(Client::connect(home.path()).unwrap());
    assert_eq!(remote.get(b"~000001"), Ok(Some(b"value".to_vec())));
    assert_eq!((remote.get(b"~"), remote.has(b"~000002")), (Ok(None), Ok(true)));
    for (range, page) in [
        (Range::of(b"~"), Page { rows: usize::MAX, bytes: usize::MAX }),
        (Range::of(b"~").reversed(), Page { rows: rows - 1, bytes: usize::MAX }),
        (Range::of(b"~"), Page { rows: 20, bytes: 30 }),
        (Range::of(b"z"), Page { rows: 1, bytes: 1 }),
    ] {
        assert_eq!(remote.scan(&range, page), store.scan(&range, page), "{range:?} {page:?}");
    }
    assert_eq!(remote.commit(Batch::default()).await, Err(StoreError::ReadOnly));
    assert!(crate::home::history(home.path()).unwrap().is_some(), "ps reads while a host runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_somebody_removed_is_made_again() {
    let home = tempfile::tempdir().unwrap();
    let _running = host(home.path()).await.unwrap();
    let removes: [fn(&Path); 2] = [
        |home| std::fs::remove_file(socket(home)).unwrap(),
        |home| std::fs::remove_dir_all(home.join("control")).unwrap(),
    ];
    for remove in removes {
        assert!(is_served(home.path()));
        remove(home.path());
        let begun = Instant::now();
        while !socket(home.path()).exists() || !is_served(home.path()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "nobody reaches the host");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!((mode(&home.path().join("control")), mode(&socket(home.path()))), (0o700, 0o600));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_user_reaches_the_socket_and_a_dead_one_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    assert!(matches!(Client::connect(home.path()), Err(ControlError::NoHost { .. })));
    let running = host(home.path()).await.unwrap();
    assert_eq!((mode(&home.path().join("control")), mode(&socket(home.path()))), (0o700, 0o600));
    drop(running);
    assert!(!socket(home.path()).exists(), "a host takes its socket away");
    // One that was killed does not.
    drop(std::os::unix::net::UnixListener::bind(socket(home.path())).unwrap());
    assert!(matches!(Client::connect(home.path()), Err(ControlError::NoHost { .. })));
    let again = host(home.path()).await.unwrap();
    assert!(is_served(home.path()));
    drop(again);
    std::fs::set_permissions(home.path().join("control"), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(Client::connect(home.path()), Err(ControlError::Place { .. })), "others could have put it there");
    let closed = host(home.path()).await.unwrap();
    assert_eq!(mode(&home.path().join("control")), 0o700);
    drop(closed);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::remove_dir_all(home.path().join("control")).unwrap();
    symlink(elsewhere.path(), home.path().join("control")).unwrap();
    assert!(matches!(host(home.path()).await, Err(OpenError::Control(ControlError::Place { .. }))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_with_a_long_path_has_a_socket_too() {
    let home = tempfile::tempdir().unwrap();
    let deep = home.path().join("d".repeat(120)).join("e".repeat(120));
    std::fs::create_dir_all(&deep).unwrap();
    let _running = host(&deep).await.unwrap();
    assert!(is_served(&deep));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_lose_their_places_to_others_at_once() {
    let home = tempfile::tempdir().unwrap();
    let running = host(home.path()).await.unwrap();
    let mut batch = Batch::default();
    // More than lies in a socket, and no more: each is written down for whoever does not read it.
    batch.put(b"~long".to_vec(), vec![7; 300 << 10]);
    running.services().drivers.gate.journal().store().commit(batch).await.unwrap();
    let hello = frame(&Hello::ours(), HELLO_MAX_BYTES).unwrap();
    let long = frame(&Request::Ask(Get { key: b"~long".to_vec() }.into_ask()), 1000).unwrap();
    let (half, unread) = ([hello.clone(), vec![9, 0]].concat(), [hello, long].concat());
    for (what, said) in [("says nothing", Vec::new()), ("says half of it", half), ("never reads", unread)] {
        // More than there are places: those behind them come and hang, too.
        let hanging: Vec<_> = (0..CONTROL_CONNECTIONS_MAX + CONTROL_CONNECTIONS_MAX / 4)
            .map(|_| {
                let mut stream = UnixStream::connect(socket(home.path())).unwrap();
                stream.write_all(&said).unwrap();
                stream
            })
            .collect();
        let begun = Instant::now();
        while !is_served(home.path()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Far below the time of a peer that nobody waits for, on a busy machine, too.
        let most = Duration::from_millis(4 * CONTROL_SILENT_MAX_MS);
        assert!(begun.elapsed() < most, "one that {what} keeps others out for {:?}", begun.elapsed());
        drop(hanging);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_floods_or_talks_nonsense_is_hung_up_on() {
    let home = tempfile::tempdir().unwrap();
    let _running = host(home.path()).await.unwrap();
    let hello = frame(&Hello::ours(), HELLO_MAX_BYTES).unwrap();
    let old = frame(&Hello { protocol: 0, version: "0.0.1".to_owned() }, HELLO_MAX_BYTES).unwrap();
    let longest = [hello.clone(), u32::MAX.to_le_bytes().to_vec()].concat();
    let nonsense = [hello.clone(), frame(&vec![0xffu8; 40], 1000).unwrap()].concat();
    for said in [old, u32::MAX.to_le_bytes().to_vec(), vec![0; 4], longest, nonsense] {
        let mut stream = UnixStream::connect(socket(home.path())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(&said).unwrap();
        let mut heard = Vec::new();
        // It may be reset, for what was said was not all read.
        let _ = stream.read_to_end(&mut heard);
        assert_eq!(heard, hello, "it says hello and no more");
    }
    let mut flood = UnixStream::connect(socket(home.path())).unwrap();
    flood.write_all(&hello).unwrap();
    flood.set_nonblocking(true).unwrap();
    let request = frame(&Request::Ask(Has { key: b"v".to_vec() }.into_ask()), 1000).unwrap();
    // It never reads an answer, so at some point nothing more goes in.
    while flood.write_all(&request).is_ok() {}
    assert!(is_served(home.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_keeps_its_kind_and_what_to_do_next_over_the_socket() {
    let home = tempfile::tempdir().unwrap();
    let none = ask(home.path(), Hold { run: RunId(7), hold: true }).unwrap_err();
    assert_eq!((none.kind, none.next), (Kind::NoHost, Some(Next::Serve)));
    let running = host(home.path()).await.unwrap();
    let asked = [
        ask(home.path(), Hold { run: RunId(7), hold: true }).map(drop),
        ask(home.path(), Stop { run: RunId(7), because: None }),
    ];
    assert_eq!(asked, [Err(OpError::not_here(RunId(7))), Err(OpError::not_here(RunId(7)))]);
    let saying = Saying { question: "abc".to_owned(), name: None, code: None, no: None };
    let here = OpError::from(running.say(saying.clone()).await.unwrap_err());
    assert_eq!(here.kind, Kind::NotFound);
    assert_eq!(ask(home.path(), saying), Err(here), "over the socket it is what it is in the process");
}

/// Whoever adds an operation puts it to the end and raises the protocol: an older host would take one for another.
#[test]
fn operations_have_the_numbers_that_they_had() {
    let first = |value: &Request| frame(value, 1000).unwrap()[4..6].to_vec();
    let of = |ask: Ask| first(&Request::Ask(ask));
    assert_eq!(of(Has { key: Vec::new() }.into_ask()), [0, 1]);
    assert_eq!(of(Stop { run: RunId(1), because: None }.into_ask()), [0, 12]);
    assert_eq!(of(Discard { letter: String::new() }.into_ask()), [0, 15]);
    let failed = Reply::Failed(OpError::not_here(RunId(1)));
    assert_eq!(frame(&failed, 1000).unwrap()[4..6], [1, 3], "the kind is the first that stands in an error");
    assert_eq!(frame(&Reply::Done(Answer::Discard(())), 1000).unwrap()[4..], [0, 15]);
}
