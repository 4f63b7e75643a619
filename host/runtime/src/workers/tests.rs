//! Workers that lie, stall and die, played by the test: whatever they do, they end, and no run but their own sees anything of it.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use agentry_abi::bindings::agentry::agent::llm::Delta;
use agentry_abi::port::{
    Answer, Delivery, Next, Passed, Quick, QuickCall, Request, Rest, Syscall as _, TimersNow, Untrue,
};
use agentry_abi::wire::{self, Batch, Down, Handle, Hello, Reader, Said, Up, Writer};
use agentry_kernel::call::CallId;
use agentry_kernel::time::Millis;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use agentry_store::limits::{COMPONENTS_LOADED_MAX, QUICK_CALLS_MAX};

use super::memory::MemoryBound;
use super::process::Process;
use super::*;

const NOW: Millis = Millis(1_000);
const DEADLINE: Millis = Millis(61_000);

/// A far side that says the time.
#[derive(Default)]
struct Clock {
    passed: AtomicU32,
    slept: parking_lot::Mutex<Vec<Millis>>,
    answered: parking_lot::Mutex<Vec<Quick>>,
    repeats: bool,
    asks: bool,
}

impl Port for Clock {
    fn pass(&self, _: Request) -> Passed {
        self.passed.fetch_add(1, Ordering::SeqCst);
        Passed { answer: Answer::Now(TimersNow::reply(Ok(NOW.0))), clock: NOW, pieces: None, fuel_given: 0 }
    }

    fn seen(&self, _: CallId) -> Millis {
        NOW
    }

    fn dropped(&self, _: CallId) {}

    fn poll_pieces(&self, _: CallId, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn hear(&self, _: CallId) -> Result<Vec<Delta>, String> {
        Ok(Vec::new())
    }

    fn unheard(&self, _: CallId) {}

    fn next(&self, _: bool, _: &[Delivery]) -> Next {
        Next::First
    }

    fn poll_turn(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn waits(&self, _: Rest) {}

    fn slept(&self, until: Millis) {
        self.slept.lock().push(until);
    }

    fn repeats(&self) -> bool {
        self.repeats
    }

    fn lease(&self) -> Option<Millis> {
        (!self.asks).then_some(NOW)
    }

    fn answered(&self, quick: Quick, latest: Millis) -> Result<(), Untrue> {
        if quick.at > latest {
            return Err(Untrue::NotCome);
        }
        self.answered.lock().push(quick);
        Ok(())
    }
}

/// A worker whose words the test chooses.
struct Played {
    stream: UnixStream,
    reader: Reader,
    writer: Writer,
}

impl Played {
    async fn say(&mut self, up: Up) {
        let mut bytes = Vec::new();
        self.writer.write(&up, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn hear(&mut self) -> Down {
        loop {
            if let Some(down) = self.reader.read().unwrap() {
                return down;
            }
            let mut bytes = [0; 1024];
            let count = self.stream.read(&mut bytes).await.unwrap();
            assert!(count > 0, "the other side hung up");
            self.reader.take(&bytes[..count]);
        }
    }

    /// Takes a component if there is one to take, and begins a run.
    async fn begin(&mut self) -> Handle {
        loop {
            match self.hear().await {
                Down::Load { component, .. } => self.say(Up::Loaded { component, result: Ok(()) }).await,
                Down::Begin { run, .. } => return run,
                Down::Ping => {}
                other => panic!("{other:?} before it begins"),
            }
        }
    }
}

/// A worker, which is a process that does nothing, and who speaks for it.
async fn played() -> (Arc<Worker>, Played) {
    played_within(MemoryBound::default()).await
}

/// The same, with so much memory.
async fn played_within(bound: MemoryBound) -> (Arc<Worker>, Played) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    let (ours, theirs) = (UnixStream::from_std(ours.into()).unwrap(), UnixStream::from_std(theirs.into()).unwrap());
    let mut played = Played { stream: theirs, reader: Reader::of_kernel(), writer: Writer::default() };
    let mut idle = Command::new("sleep");
    idle.arg("1000");
    let process = Process::start(idle).await.unwrap();
    let hello = Hello { version: wire::VERSION, settings: Digest::default(), landlocked: true };
    played.say(Up::Hello(hello)).await;
    (Worker::bounded(ours, process, Digest::default(), bound).await.unwrap(), played)
}

fn beginning() -> Beginning {
    Beginning {
        input: "{}".to_owned(),
        seed: 7,
        now: NOW,
        deadline: DEADLINE,
        left: None,
        fuel: 100,
        memory_bytes: 1 << 20,
        has_past: false,
        clock_from: 1,
        pays_for_work: true,
    }
}

/// A run in this worker.
fn run(worker: &Arc<Worker>, port: &Arc<Clock>, stop: &CancellationToken) -> tokio::task::JoinHandle<Gone> {
    run_beside(worker, port, stop, &Arc::new(Semaphore::new(0)))
}

/// The same, where there is room for so many workers of one run.
fn run_beside(
    worker: &Arc<Worker>,
    port: &Arc<Clock>,
    stop: &CancellationToken,
    own: &Arc<Semaphore>,
) -> tokio::task::JoinHandle<Gone> {
    let (worker, port, stop, own) = (Slot::of(worker, false), Arc::clone(port), stop.clone(), Arc::clone(own));
    tokio::spawn(async move {
        let code = Sealed::of(Digest::default(), &Wants::default(), b"code").unwrap();
        assert!(worker.prepare(&code).await.is_ok());
        worker.execute(&code, port, &stop, beginning(), Some(&own)).await
    })
}

/// Two runs in a worker that then does this: both are lost, it is gone, and why.
async fn check_lie(why: &str, lie: impl AsyncFnOnce(&mut Played, Handle)) {
    let (worker, mut played) = played().await;
    let (port, stop) = (Arc::new(Clock::default()), CancellationToken::new());
    let runs = [run(&worker, &port, &stop), run(&worker, &port, &stop)];
    let one = played.begin().await;
    played.begin().await;
    lie(&mut played, one).await;
    for run in runs {
        assert!(matches!(run.await.unwrap(), Gone::Lost), "{why}");
    }
    assert!(worker.is_gone());
    assert_eq!(worker.why(), Some(why));
}

#[tokio::test]
async fn a_worker_that_lies_ends_and_its_runs_go_on_elsewhere() {
    check_lie("it spoke for a run that it does not have", async |played, one| {
        played.say(Up::Of(Handle(one.0 ^ 1), Said::Repeats)).await;
    })
    .await;
    check_lie("it began twice", async |played, _| played.say(Up::Fails(String::new())).await).await;
    check_lie("it sent a frame that is longer than one may be", async |played, _| {
        played.stream.write_all(&[0xff; 12]).await.unwrap();
    })
    .await;
    check_lie("it sent a frame twice, or left one out", async |played, one| {
        let mut bytes = Vec::new();
        played.writer.write(&Up::Of(one, Said::Pass(Box::new(TimersNow {}.into()))), &mut bytes).unwrap();
        played.stream.write_all(&[bytes.clone(), bytes].concat()).await.unwrap();
    })
    .await;
    check_lie("it sent a frame that means nothing", async |played, _| {
        let mut bytes = Vec::new();
        played.writer.write(&Up::Pong, &mut bytes).unwrap();
        bytes[12] = 0x7f;
        played.stream.write_all(&bytes).await.unwrap();
    })
    .await;
    check_lie("it ended", async |played, _| {
        // As when it is killed.
        played.stream.shutdown().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_run_that_has_ended_is_spoken_for_no_more() {
    let (worker, mut played) = played().await;
    let (port, stop) = (Arc::new(Clock::default()), CancellationToken::new());
    let one = run(&worker, &port, &stop);
    let first = played.begin().await;
    let other = run(&worker, &port, &stop);
    played.begin().await;
    let how = How::Trap("x".repeat(1 << 20));
    let ended = || Said::Ended(Box::new(Ended { how: how.clone(), fuel_left: 3, memory_bytes: 4, last_words: None }));
    played.say(Up::Of(first, ended())).await;
    let Gone::Ended(Ended { how: How::Trap(why), fuel_left: 3, .. }) = one.await.unwrap() else {
        panic!("it ended otherwise")
    };
    assert!(why.len() < 1 << 16, "what is written down of it is bounded");
    played.say(Up::Of(first, ended())).await;
    assert!(matches!(other.await.unwrap(), Gone::Lost));
    assert_eq!(worker.why(), Some("it spoke for a run that it does not have"));
}

#[tokio::test]
async fn a_worker_that_does_not_let_go_of_a_run_is_ended_and_only_that_run_with_it() {
    let (worker, mut played) = played().await;
    let port = Arc::new(Clock::default());
    let (stop, goes_on) = (CancellationToken::new(), CancellationToken::new());
    let stopped = run(&worker, &port, &stop);
    let first = played.begin().await;
    let innocent = run(&worker, &port, &goes_on);
    played.begin().await;
    stop.cancel();
    assert_eq!(played.hear().await, Down::Stop(first));
    let Gone::Ended(ended) = stopped.await.unwrap() else { panic!("it was stopped") };
    assert_eq!((ended.how, ended.fuel_left), (How::Stopped, 0), "what it burnt nobody can tell");
    assert!(matches!(innocent.await.unwrap(), Gone::Lost));
    assert_eq!(worker.why(), Some("it did not let go of a run that was over"));
}

#[tokio::test]
async fn a_run_that_nobody_waits_for_is_told_so_and_reaches_nothing_any_more() {
    let (worker, mut played) = played().await;
    let (port, stop) = (Arc::new(Clock::default()), CancellationToken::new());
    let dropped = run(&worker, &port, &stop);
    let first = played.begin().await;
    played.say(Up::Of(first, Said::Pass(Box::new(TimersNow {}.into())))).await;
    assert!(matches!(played.hear().await, Down::Passed(_)));
    dropped.abort();
    assert_eq!(played.hear().await, Down::Stop(first));
    played.say(Up::Of(first, Said::Pass(Box::new(TimersNow {}.into())))).await;
    assert_eq!(played.hear().await, Down::Over);
    assert_eq!(port.passed.load(Ordering::SeqCst), 1);
    let ended = Ended { how: How::Stopped, fuel_left: 0, memory_bytes: 0, last_words: None };
    played.say(Up::Of(first, Said::Ended(Box::new(ended)))).await;
    // It let go in time, so it is there for the next one.
    let next = run(&worker, &port, &stop);
    played.begin().await;
    assert!(!worker.is_gone());
    next.abort();
}

#[tokio::test]
async fn no_guest_has_waited_for_longer_than_time_has_passed() {
    for repeats in [false, true] {
        let (worker, mut played) = played().await;
        let (port, stop) = (Arc::new(Clock { repeats, ..Clock::default() }), CancellationToken::new());
        let _run = run(&worker, &port, &stop);
        let first = played.begin().await;
        played.say(Up::Of(first, Said::Slept(Millis(u64::MAX)))).await;
        played.say(Up::Of(first, Said::Repeats)).await;
        assert_eq!(played.hear().await, Down::Repeats(repeats));
        let slept = port.slept.lock().clone();
        let latest = if repeats { DEADLINE } else { Millis(DEADLINE.0 - 1) };
        assert!(matches!(slept.as_slice(), [until] if *until <= latest), "{slept:?}");
    }
}

#[tokio::test]
async fn a_run_that_takes_its_worker_for_too_long_goes_on_elsewhere_and_its_neighbour_stays() {
    let (worker, mut played) = played().await;
    let (port, stop) = (Arc::new(Clock::default()), CancellationToken::new());
    let (greedy, room) = (run(&worker, &port, &stop), Arc::new(Semaphore::new(1)));
    let first = played.begin().await;
    let neighbour = run_beside(&worker, &port, &stop, &room);
    let second = played.begin().await;
    played.say(Up::Of(first, Said::Overran)).await;
    assert!(matches!(greedy.await.unwrap(), Gone::Overran));
    assert_eq!(played.hear().await, Down::Stop(first));
    // What it does until it is gone is no part of the run: that goes on by its journal.
    played.say(Up::Of(first, Said::Pass(Box::new(TimersNow {}.into())))).await;
    assert_eq!(played.hear().await, Down::Over);
    let ended = || Box::new(Ended { how: How::Stopped, fuel_left: 0, memory_bytes: 0, last_words: None });
    played.say(Up::Of(first, Said::Ended(ended()))).await;
    // The other one has the worker for itself now, and keeps it, whatever it does.
    played.say(Up::Of(second, Said::Overran)).await;
    played.say(Up::Of(second, Said::Repeats)).await;
    assert_eq!(played.hear().await, Down::Repeats(false));
    while !worker.is_own() {
        tokio::task::yield_now().await;
    }
    assert_eq!(room.available_permits(), 0);
    played.say(Up::Of(second, Said::Ended(ended()))).await;
    assert!(matches!(neighbour.await.unwrap(), Gone::Ended(_)));
    assert_eq!((worker.why(), room.available_permits()), (Some("its run is over"), 1));
}

#[tokio::test]
async fn a_worker_that_has_more_memory_than_its_runs_may_have_together_ends() {
    let (worker, _played) = played_within(MemoryBound { base: 0, place: 0, run: 0 }).await;
    // It has no run, and no process has nothing.
    worker.gone().await;
    assert_eq!(worker.why(), Some("it has more memory than its runs may have together"));
}

fn answered(times: &[Millis]) -> Said {
    let mut batch = Batch::default();
    times.iter().for_each(|at| batch.push(Quick { at: *at, call: QuickCall::TimersNow }).unwrap());
    Said::Answered(batch)
}

#[tokio::test]
async fn a_worker_that_answers_what_it_was_to_ask_or_by_a_time_that_cannot_be_ends() {
    check_lie("it answered what it was to ask", async |played, one| {
        played.say(Up::Of(one, answered(&[NOW]))).await;
    })
    .await;
    check_lie("it answered with a time that had not come", async |played, one| {
        played.say(Up::Of(one, Said::Pass(Box::new(TimersNow {}.into())))).await;
        let Down::Passed(passed) = played.hear().await else { panic!("it was asked") };
        assert_eq!(passed.lease, Some(NOW));
        played.say(Up::Of(one, answered(&[NOW, NOW.plus(60_000)]))).await;
    })
    .await;
    check_lie("it sent a frame that means nothing", async |played, one| {
        // As many as a batch holds, and the number of them set one higher: postcard has it in two bytes behind those of the run.
        let mut bytes = Vec::new();
        played.writer.write(&Up::Of(one, answered(&[NOW; QUICK_CALLS_MAX])), &mut bytes).unwrap();
        let count = postcard::to_allocvec(&QUICK_CALLS_MAX).unwrap();
        let at = bytes.windows(count.len()).position(|window| window == count).unwrap();
        bytes[at] += 1;
        played.stream.write_all(&bytes).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_a_worker_answered_is_heard_in_order_and_not_once_nobody_waits_for_the_run() {
    let (worker, mut played) = played().await;
    let (port, stop) = (Arc::new(Clock::default()), CancellationToken::new());
    let dropped = run(&worker, &port, &stop);
    let first = played.begin().await;
    played.say(Up::Of(first, Said::Pass(Box::new(TimersNow {}.into())))).await;
    assert!(matches!(played.hear().await, Down::Passed(_)));
    let before = Millis(NOW.0 - 1);
    played.say(Up::Of(first, answered(&[before, NOW]))).await;
    played.say(Up::Of(first, Said::Repeats)).await;
    assert_eq!(played.hear().await, Down::Repeats(false));
    let heard: Vec<Millis> = port.answered.lock().iter().map(|quick| quick.at).collect();
    assert_eq!(heard, [before, NOW]);
    dropped.abort();
    assert_eq!(played.hear().await, Down::Stop(first));
    played.say(Up::Of(first, answered(&[NOW]))).await;
    played.say(Up::Of(first, Said::Repeats)).await;
    assert_eq!(played.hear().await, Down::Over);
    assert_eq!(port.answered.lock().len(), 2);
}

#[tokio::test]
async fn a_run_that_is_to_ask_for_everything_is_given_no_time() {
    let (worker, mut played) = played().await;
    let (port, stop) = (Arc::new(Clock { asks: true, ..Clock::default() }), CancellationToken::new());
    let _run = run(&worker, &port, &stop);
    let first = played.begin().await;
    played.say(Up::Of(first, Said::Pass(Box::new(TimersNow {}.into())))).await;
    let Down::Passed(passed) = played.hear().await else { panic!("it was asked") };
    assert_eq!(passed.lease, None);
}

#[tokio::test]
async fn a_worker_of_another_program_is_not_taken() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut played = Played { stream: theirs, reader: Reader::of_kernel(), writer: Writer::default() };
    let mut idle = Command::new("sleep");
    idle.arg("1000");
    let process = Process::start(idle).await.unwrap();
    let hello = Hello { version: wire::VERSION + 1, settings: Digest::default(), landlocked: true };
    played.say(Up::Hello(hello)).await;
    let refused = Worker::over(ours, process, Digest::default()).await.err().unwrap();
    assert_eq!(refused, "the program is another one than when this host began");
    let mut missing = Command::new("/nonexistent");
    missing.arg("worker");
    assert!(Process::start(missing).await.is_err());
}

#[tokio::test]
async fn a_component_that_is_forgotten_while_it_is_loaded_is_sent_again() {
    let (worker, mut played) = played().await;
    let wanted = COMPONENTS_LOADED_MAX + 8;
    let prepared: Vec<_> = (0..wanted)
        .map(|count| {
            let (worker, mut digest) = (Arc::clone(&worker), Digest::default());
            digest.0[..8].copy_from_slice(&count.to_le_bytes());
            tokio::spawn(async move {
                let code = Sealed::of(digest, &Wants::default(), b"code").unwrap();
                worker.prepare(&code).await.is_ok()
            })
        })
        .collect();
    // It says nothing until it was told of all of them, and then answers in order, also what it is told meanwhile.
    let mut told = Vec::new();
    while told.len() < wanted {
        if let Down::Load { component, .. } = played.hear().await {
            told.push(component);
        }
    }
    let answers = tokio::spawn(async move {
        for component in told {
            played.say(Up::Loaded { component, result: Ok(()) }).await;
        }
        loop {
            if let Down::Load { component, .. } = played.hear().await {
                played.say(Up::Loaded { component, result: Ok(()) }).await;
            }
        }
    });
    for one in prepared {
        assert!(tokio::time::timeout(Duration::from_secs(10), one).await.expect("it is not forgotten").unwrap());
    }
    answers.abort();
}
