//! What is on its way to a worker. Nobody waits for a worker that does not read: what it does not take now stays here until it does, or ends. It
//! cannot be more than what its runs asked for.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use agentry_abi::wire::{Broken, Down, Writer};
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;

/// One worker's.
pub(super) struct Outbox {
    stream: Arc<UnixStream>,
    waiting: Mutex<Unsent>,
    /// Rung when there is more than the worker takes.
    more: Notify,
}

#[derive(Default)]
struct Unsent {
    writer: Writer,
    packets: VecDeque<Packet>,
}

struct Packet {
    bytes: Vec<u8>,
    sent: usize,
    /// Goes along with its first byte.
    file: Option<Arc<OwnedFd>>,
}

impl Outbox {
    pub(super) fn new(stream: Arc<UnixStream>) -> Self {
        Self { stream, waiting: Mutex::default(), more: Notify::new() }
    }

    /// Sends a frame, and perhaps a file along with it. A worker that is gone gets nothing, and that is found out by whoever listens.
    ///
    /// # Errors
    /// If it is longer than a frame may be.
    pub(super) fn send(&self, frame: &Down, file: Option<Arc<OwnedFd>>) -> Result<(), Broken> {
        let mut waiting = self.waiting.lock();
        let mut bytes = Vec::new();
        waiting.writer.write(frame, &mut bytes)?;
        waiting.packets.push_back(Packet { bytes, sent: 0, file });
        if self.flush(&mut waiting).is_err() {
            self.more.notify_one();
        }
        Ok(())
    }

    /// Sends what the worker did not take at once, for as long as this is polled.
    pub(super) async fn pump(&self) {
        loop {
            self.more.notified().await;
            while self.stream.writable().await.is_ok() {
                let flushed = self.stream.try_io(Interest::WRITABLE, || self.flush(&mut self.waiting.lock()));
                match flushed {
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Ok(()) | Err(_) => break,
                }
            }
        }
    }

    fn flush(&self, waiting: &mut Unsent) -> std::io::Result<()> {
        while let Some(packet) = waiting.packets.front_mut() {
            match packet.send(&self.stream) {
                Ok(sent) => packet.sent += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(std::io::ErrorKind::WouldBlock.into()),
                Err(_) => {
                    // It is gone.
                    waiting.packets.clear();
                    return Ok(());
                }
            }
            if waiting.packets.front().is_some_and(|packet| packet.sent >= packet.bytes.len()) {
                waiting.packets.pop_front();
            }
        }
        Ok(())
    }
}

impl Packet {
    fn send(&self, to: impl AsFd) -> rustix::io::Result<usize> {
        let (bytes, flags) = ([IoSlice::new(&self.bytes[self.sent..])], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut along = SendAncillaryBuffer::new(&mut room);
        let files = self.file.as_ref().filter(|_| self.sent == 0).map(|file| [file.as_fd()]);
        if let Some(files) = &files {
            along.push(SendAncillaryMessage::ScmRights(files));
        }
        sendmsg(to, &bytes, &mut along, flags)
    }
}
