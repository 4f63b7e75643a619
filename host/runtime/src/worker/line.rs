//! The worker's connection. Its one thread writes a frame and waits for what answers it; what comes meanwhile goes to its run, or waits to be done.
//! A connection that has ended ends the process: there is nobody left to work for.

use std::collections::{HashMap, VecDeque};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use agentry_abi::port::{Ended, How};
use agentry_abi::wire::{Down, Handle, Reader, Said, Up, Writer};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use tokio::sync::Notify;

use super::remote::Remote;

/// The connection.
pub(super) struct Line {
    connection: OwnedFd,
    state: Mutex<LineState>,
    /// Rung when there is something to do.
    rings: Notify,
}

struct LineState {
    reader: Reader,
    /// Came with an answer, behind it, and is delivered by whoever looks next.
    behind: VecDeque<Down>,
    writer: Writer,
    /// That came along, in order.
    files: VecDeque<OwnedFd>,
    runs: HashMap<Handle, Arc<Remote>>,
    orders: VecDeque<(Down, Option<OwnedFd>)>,
}

impl Line {
    pub(super) fn new(connection: OwnedFd) -> Self {
        Self { connection, state: Mutex::new(LineState::new()), rings: Notify::new() }
    }

    /// What tells that something has come.
    ///
    /// # Errors
    /// If the system gives no other descriptor of it.
    pub(super) fn connection(&self) -> std::io::Result<OwnedFd> {
        self.connection.try_clone()
    }

    /// From here on what comes for this run goes to it.
    pub(super) fn enter(&self, run: Handle, remote: Arc<Remote>) {
        self.state.lock().runs.insert(run, remote);
    }

    /// The run is over.
    pub(super) fn leave(&self, run: Handle) {
        self.state.lock().runs.remove(&run);
    }

    /// Ready when there may be an order.
    pub(super) async fn ordered(&self) {
        self.rings.notified().await;
    }

    /// The next one.
    pub(super) fn order(&self) -> Option<(Down, Option<OwnedFd>)> {
        self.state.lock().orders.pop_front()
    }

    /// Says something that nothing answers.
    pub(super) fn say(&self, up: &Up) {
        self.say_behind(None, up);
    }

    /// The same, behind something.
    pub(super) fn say_behind(&self, before: Option<Up>, up: &Up) {
        self.write(&mut self.state.lock(), before.as_ref(), up);
    }

    /// Asks, behind something, and waits.
    pub(super) fn ask(&self, before: Option<Up>, up: &Up) -> Down {
        let mut state = self.state.lock();
        self.write(&mut state, before.as_ref(), up);
        loop {
            while let Some(down) = read(&mut state) {
                if down.answers() {
                    self.keep(&mut state);
                    return down;
                }
                self.deliver(&mut state, down);
            }
            if !self.receive(&mut state) {
                self.wait(PollFlags::IN);
            }
        }
    }

    /// Whoever asked has yet to take its answer up, and may be whom the rest is for; nothing tells of that any more, since it has been received.
    fn keep(&self, state: &mut LineState) {
        while let Some(down) = state.reader.read().unwrap_or_else(|_| gone()) {
            state.behind.push_back(down);
        }
        if !state.behind.is_empty() {
            self.rings.notify_one();
        }
    }

    /// Takes what has come.
    pub(super) fn look(&self) {
        let mut state = self.state.lock();
        loop {
            while let Some(down) = read(&mut state) {
                self.deliver(&mut state, down);
            }
            if !self.receive(&mut state) {
                return;
            }
        }
    }

    fn deliver(&self, state: &mut LineState, down: Down) {
        match down {
            Down::Answer(run, call, came) => state.of(run, |remote| remote.answer(call, *came)),
            Down::Pieces(run, call) => state.of(run, |remote| remote.pieces(call)),
            Down::Opens(run) => state.of(run, Remote::opens),
            Down::Stop(run) => match state.orders.iter().position(|(order, _)| begins(order, run)) {
                Some(order) => {
                    state.orders.remove(order);
                    let ended = Ended { how: How::Stopped, fuel_left: u64::MAX, memory_bytes: 0, last_words: None };
                    self.write(state, None, &Up::Of(run, Said::Ended(Box::new(ended))));
                }
                None => state.of(run, Remote::stop),
            },
            order => {
                let file = if matches!(order, Down::Load { .. }) { state.files.pop_front() } else { None };
                state.orders.push_back((order, file));
                self.rings.notify_one();
            }
        }
    }

    fn write(&self, state: &mut LineState, before: Option<&Up>, up: &Up) {
        let mut bytes = Vec::new();
        for up in before.into_iter().chain([up]) {
            if state.writer.write(up, &mut bytes).is_err() {
                // More than the engine lets a guest say.
                gone();
            }
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match send(&self.connection, rest, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT),
                Err(Errno::INTR) => {}
                Err(_) => gone(),
            }
        }
    }

    /// Takes what there is; false if there is nothing.
    fn receive(&self, state: &mut LineState) -> bool {
        let mut bytes = [0; 16 * 1024];
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut along = RecvAncillaryBuffer::new(&mut room);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        match recvmsg(&self.connection, &mut [IoSliceMut::new(&mut bytes)], &mut along, flags) {
            Ok(received) if received.bytes == 0 => gone(),
            Ok(received) => {
                for message in along.drain() {
                    if let RecvAncillaryMessage::ScmRights(files) = message {
                        state.files.extend(files);
                    }
                }
                state.reader.take(&bytes[..received.bytes]);
                true
            }
            Err(Errno::AGAIN) => false,
            Err(Errno::INTR) => true,
            Err(_) => gone(),
        }
    }

    fn wait(&self, what: PollFlags) {
        // Whatever it says: it is tried again.
        let _ = poll(&mut [PollFd::new(&self.connection, what)], None);
    }
}

impl LineState {
    fn new() -> Self {
        let (files, runs, orders) = (VecDeque::new(), HashMap::new(), VecDeque::new());
        let (reader, behind, writer) = (Reader::of_kernel(), VecDeque::new(), Writer::default());
        Self { reader, behind, writer, files, runs, orders }
    }

    /// Tells a run; one that is over hears nothing.
    fn of(&self, run: Handle, tell: impl FnOnce(&Remote)) {
        if let Some(remote) = self.runs.get(&run) {
            tell(remote);
        }
    }
}

fn read(state: &mut LineState) -> Option<Down> {
    state.behind.pop_front().or_else(|| state.reader.read().unwrap_or_else(|_| gone()))
}

fn begins(order: &Down, run: Handle) -> bool {
    matches!(order, Down::Begin { run: begins, .. } if *begins == run)
}

fn gone() -> ! {
    std::process::exit(0)
}
