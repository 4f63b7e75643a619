//! The near end of a connection whose other side the test plays: what is asked, what is answered here, and in which order both are told.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_abi::port::{
    Answer, Beginning, Ended, How, LogEvent, Next, Passed, Port as _, QuickCall, Rest, Syscall as _, TimersNow,
};
use agentry_abi::wire::{self, Down, Handle, Reader, Said, Up, Writer};
use agentry_kernel::time::Millis;
use tokio_util::sync::CancellationToken;

use super::line::Line;
use super::remote::Remote;

const RUN: Handle = Handle(7);
const NOW: Millis = Millis(1_000);

/// The other side: it answers what waits for an answer, until the run has ended; all that it heard.
fn kernel(mut stream: UnixStream, lease: Option<Millis>) -> JoinHandle<Vec<Said>> {
    std::thread::spawn(move || {
        let (mut reader, mut writer, mut heard) = (Reader::of_worker(), Writer::default(), Vec::new());
        loop {
            let Some(up) = reader.read::<Up>().unwrap() else {
                let mut bytes = [0; 4096];
                let count = stream.read(&mut bytes).unwrap();
                reader.take(&bytes[..count]);
                continue;
            };
            let Up::Of(RUN, said) = up else { panic!("{up:?} is not of the run") };
            let answer = match &said {
                Said::Pass(_) => {
                    let answer = Ok(TimersNow::reply(Ok(NOW.0)));
                    let passed = wire::Passed { answer, clock: NOW, pieces: None, fuel_given: 0, lease };
                    Some(Down::Passed(Box::new(passed)))
                }
                Said::Next { .. } => Some(Down::Next(Next::First)),
                _ => None,
            };
            let over = matches!(said, Said::Ended(_));
            heard.push(said);
            if let Some(answer) = answer {
                let mut bytes = Vec::new();
                writer.write(&answer, &mut bytes).unwrap();
                stream.write_all(&bytes).unwrap();
            }
            if over {
                return heard;
            }
        }
    })
}

/// A run whose other side gives this lease.
fn remote(lease: Option<Millis>) -> (Remote, JoinHandle<Vec<Said>>) {
    let (near, far) = UnixStream::pair().unwrap();
    let beginning = Beginning {
        input: String::new(),
        seed: 1,
        now: NOW,
        deadline: Millis(61_000),
        left: None,
        fuel: 1,
        memory_bytes: 1,
        has_past: false,
        clock_from: 1,
        pays_for_work: true,
    };
    let line = Arc::new(Line::new(near.into()));
    (Remote::new(line, RUN, CancellationToken::new(), &beginning), kernel(far, lease))
}

fn ended() -> Ended {
    Ended { how: How::Stopped, fuel_left: 0, memory_bytes: 0, last_words: None }
}

fn now(passed: Passed) -> u64 {
    match passed.answer {
        Answer::Now(reply) => TimersNow::read(reply).unwrap().unwrap(),
        Answer::Later { .. } => panic!("it is answered at once"),
    }
}

fn line(text: &str) -> LogEvent {
    LogEvent { level: Level::Info, line: text.to_owned() }
}

/// What was heard, a word each; of a batch, how much it held.
fn words(heard: &[Said]) -> Vec<String> {
    let word = |said: &Said| match said {
        Said::Pass(_) => "pass".to_owned(),
        Said::Answered(batch) => format!("answered {}", batch.clone().into_iter().count()),
        Said::Next { .. } => "next".to_owned(),
        Said::Waits(_) => "waits".to_owned(),
        Said::Ended(_) => "ended".to_owned(),
        other => format!("{other:?}"),
    };
    heard.iter().map(word).collect()
}

#[test]
fn what_is_answered_here_is_told_before_whatever_is_said_next() {
    let (remote, kernel) = remote(Some(NOW));
    assert_eq!(now(remote.pass(TimersNow {}.into())), NOW.0, "the first is asked");
    let one = now(remote.pass(TimersNow {}.into()));
    let _ = remote.pass(line("two").into());
    let three = now(remote.pass(TimersNow {}.into()));
    assert!(NOW.0 <= one && one <= three, "{one} {three}");
    let _ = remote.next(true, &[]);
    // How it waits is known, but not what it said since.
    let rest = Rest { rests: false, ..Rest::default() };
    remote.waits(rest);
    let _ = remote.pass(line("four").into());
    remote.waits(rest);
    remote.waits(rest);
    let _ = remote.pass(line("five").into());
    remote.ended(ended());
    let heard = kernel.join().unwrap();
    let told = words(&heard);
    assert_eq!(told, ["pass", "answered 3", "next", "waits", "answered 1", "waits", "answered 1", "ended"]);
    let Said::Answered(batch) = &heard[1] else { panic!("it is what was answered") };
    let batch: Vec<_> = batch.clone().into_iter().collect();
    assert_eq!(batch.iter().map(|quick| quick.at.0).collect::<Vec<_>>()[0], one, "with what the guest saw");
    assert_eq!(batch[1].call, QuickCall::LogEvent(line("two")));
}

#[test]
fn without_a_lease_everything_is_asked() {
    let (remote, kernel) = remote(None);
    for _ in 0..3 {
        assert_eq!(now(remote.pass(TimersNow {}.into())), NOW.0);
    }
    remote.ended(ended());
    assert_eq!(words(&kernel.join().unwrap()), ["pass", "pass", "pass", "ended"]);
}

#[test]
fn a_clock_that_a_wait_has_moved_is_not_behind_that() {
    let (remote, kernel) = remote(Some(NOW));
    let _ = remote.pass(TimersNow {}.into());
    remote.slept(Millis(50_000));
    assert_eq!(now(remote.pass(TimersNow {}.into())), 50_000);
    remote.ended(ended());
    assert!(words(&kernel.join().unwrap()).ends_with(&["answered 1".to_owned(), "ended".to_owned()]));
}

#[tokio::test]
async fn what_comes_in_one_piece_with_an_answer_is_told_of_and_delivered() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let line = Line::new(near.into());
    let (mut writer, mut bytes) = (Writer::default(), Vec::new());
    for down in [Down::Turn(true), Down::Ping] {
        writer.write(&down, &mut bytes).unwrap();
    }
    far.write_all(&bytes).unwrap();
    assert!(line.ask(None, &Up::Of(RUN, Said::Turn)) == Down::Turn(true));
    // The connection has nothing more, so it says nothing.
    let told = tokio::time::timeout(std::time::Duration::from_secs(10), line.ordered());
    assert!(told.await.is_ok(), "nobody is told");
    line.look();
    assert!(line.order().is_some_and(|(order, _)| order == Down::Ping));
}
