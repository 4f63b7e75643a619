//! The host's end of the control socket: who may connect, how long a connection may be silent, how many there are.
//!
//! A client that hangs, floods or talks nonsense loses its connection and takes nothing from the runs. Whoever comes while all places are taken waits
//! for one, and those who say nothing meanwhile lose theirs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use agentry_runtime::host::services::Services;
use agentry_store::limits::{
    CONTROL_CONNECTIONS_MAX, CONTROL_HELLO_MAX_MS, CONTROL_IDLE_MAX_MS, CONTROL_REPLY_MAX_BYTES,
    CONTROL_REQUEST_MAX_BYTES, CONTROL_SILENT_MAX_MS,
};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::place::{Place, is_trusted};
use super::table::{self, Reply, Request};
use super::wire::{HELLO_MAX_BYTES, Hello, PROTOCOL, receive, send};
use super::{ControlError, start};
use crate::error::OpError;

/// How long a host that ends still answers what it was asked before.
const LAST_ANSWERS_MAX: Duration = Duration::from_secs(1);
const LAST_ANSWERS_LOOK: Duration = Duration::from_millis(2);

/// Between two looks whether the socket is still there.
const LOOK: Duration = Duration::from_secs(1);

/// How long nobody is let in after the system could not let one in.
const PAUSE: Duration = Duration::from_millis(100);

/// The open socket of a host; it closes when this is dropped.
pub struct Control {
    place: Place,
    listening: JoinHandle<()>,
    busy: Busy,
}

impl Control {
    /// Opens the socket in this home, whose store the caller holds: what lies there is a dead host's.
    pub fn open(home: &Path, services: &Arc<Services>) -> Result<Self, ControlError> {
        let (place, listener) = bound(home)?;
        let busy = Busy::default();
        let listening = tokio::spawn(listen(home.to_owned(), listener, Arc::downgrade(services), busy.clone()));
        Ok(Self { place, listening, busy })
    }
}

fn bound(home: &Path) -> Result<(Place, UnixListener), ControlError> {
    let place = Place::make(home)?;
    place.clear()?;
    let listener = UnixListener::bind(place.address()).map_err(|error| place.unusable(&error))?;
    place.close_socket()?;
    Ok((place, listener))
}

impl Drop for Control {
    fn drop(&mut self) {
        // Whoever answered a run that ends by that hears that it was heard.
        let begun = Instant::now();
        while self.busy.any() && begun.elapsed() < LAST_ANSWERS_MAX {
            std::thread::sleep(LAST_ANSWERS_LOOK);
        }
        self.listening.abort();
        // A socket that stays is replaced by the next host.
        let _ = self.place.clear();
    }
}

/// Lets in who may come. What it does not let in is dropped, and its peer sees the end of the stream.
async fn listen(home: PathBuf, mut listener: UnixListener, services: Weak<Services>, busy: Busy) {
    let (mut connections, mut seats) = (JoinSet::new(), Vec::<Seat>::new());
    let mut looks = tokio::time::interval(LOOK);
    loop {
        let full = connections.len() >= CONTROL_CONNECTIONS_MAX;
        tokio::select! {
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) if is_from_us(&stream) => {
                    let silent = Silence::default();
                    let peer = Peer { stream, silent: silent.clone() };
                    let task = connections.spawn(converse(peer, services.clone(), busy.clone()));
                    seats.push(Seat { task, silent });
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => seats.retain(|seat| !seat.task.is_finished()),
            () = tokio::time::sleep(PAUSE), if full => hang_up(&seats),
            // A socket that somebody removed reaches nobody: it is made again, in the same place. Whoever is connected stays so.
            _ = looks.tick() => {
                if !Place::has_socket(&home) && let Ok((_, again)) = bound(&home) {
                    listener = again;
                }
            }
        }
    }
}

/// How many questions are being answered, and how many runs are told of.
#[derive(Clone, Default)]
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn begin(&self) -> Answering {
        self.0.fetch_add(1, Ordering::AcqRel);
        Answering(self.clone())
    }

    fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

/// One of them, until its answer has gone out.
struct Answering(Busy);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection, as those see it who want its place.
struct Seat {
    task: AbortHandle,
    silent: Silence,
}

/// Since when the host waits for a peer, if it does: for a whole frame of it, or until it reads one.
#[derive(Clone, Default)]
struct Silence(Arc<Mutex<Option<Instant>>>);

impl Silence {
    /// Waits for what the peer says or reads.
    async fn until<T>(&self, done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        *self.0.lock() = Some(Instant::now());
        let done = done.await;
        *self.0.lock() = None;
        done
    }

    fn lasts(&self) -> Duration {
        self.0.lock().map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Others wait, and nobody knows how many, so all who have been silent for long lose their places at once.
fn hang_up(seats: &[Seat]) {
    let silent = seats.iter().filter(|seat| seat.silent.lasts() >= Duration::from_millis(CONTROL_SILENT_MAX_MS));
    silent.for_each(|seat| seat.task.abort());
}

/// The other end of a connection.
pub(super) struct Peer {
    stream: UnixStream,
    silent: Silence,
}

impl Peer {
    /// What it says, within so many milliseconds and bytes.
    async fn hear<T: DeserializeOwned>(&mut self, ms: u64, max: usize) -> io::Result<T> {
        self.silent.until(within(ms, receive(&mut self.stream, max))).await
    }

    /// Says something, and waits until there is room for it.
    pub(super) async fn tell(&mut self, reply: Reply) -> io::Result<()> {
        let sent = send(&mut self.stream, &reply, CONTROL_REPLY_MAX_BYTES);
        self.silent.until(within(CONTROL_IDLE_MAX_MS, sent)).await
    }
}

fn is_from_us(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| is_trusted(peer.uid()))
}

/// One connection, until the peer goes, errs or is silent for too long.
async fn converse(mut peer: Peer, services: Weak<Services>, busy: Busy) -> io::Result<()> {
    within(CONTROL_HELLO_MAX_MS, send(&mut peer.stream, &Hello::ours(), HELLO_MAX_BYTES)).await?;
    let theirs: Hello = peer.hear(CONTROL_HELLO_MAX_MS, HELLO_MAX_BYTES).await?;
    if theirs.protocol != PROTOCOL {
        return Ok(());
    }
    loop {
        let request: Request = peer.hear(CONTROL_IDLE_MAX_MS, CONTROL_REQUEST_MAX_BYTES).await?;
        let Some(services) = services.upgrade() else { return Ok(()) };
        let ask = match request {
            Request::Ask(ask) => ask,
            Request::Start(order) => {
                // A run that ends with its host is told of to its end.
                let _telling = busy.begin();
                start::follow(&mut peer, services, order).await?;
                continue;
            }
        };
        let _answering = busy.begin();
        let reply = table::done(&services, ask).await.map_or_else(Reply::Failed, Reply::Done);
        drop(services);
        let sent = peer.tell(reply).await;
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            peer.tell(Reply::Failed(OpError::broken("the answer is longer than the host may give"))).await?;
        } else {
            sent?;
        }
        // Whoever asks without pause waits for its turn like a run.
        tokio::task::yield_now().await;
    }
}

async fn within<T>(ms: u64, what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(Duration::from_millis(ms), what).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
