//! The host's end of the control socket: who may connect, how long a connection may be silent, how many there are.
//!
//! A client that hangs, floods or talks nonsense loses its connection and takes nothing from the runs.

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use agentry_runtime::host::services::Services;
use agentry_store::limits::{
    CONTROL_CONNECTIONS_MAX, CONTROL_HELLO_MAX_MS, CONTROL_IDLE_MAX_MS, CONTROL_REPLY_MAX_BYTES,
    CONTROL_REQUEST_MAX_BYTES,
};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use super::place::{Place, is_trusted};
use super::table::{self, Reply, Request};
use super::wire::{HELLO_MAX_BYTES, Hello, PROTOCOL, receive, send};
use super::{ControlError, start};
use crate::error::OpError;

/// How long nobody is let in after the system could not let one in.
const PAUSE: Duration = Duration::from_millis(100);

/// The open socket of a host; it closes when this is dropped.
pub struct Control {
    place: Place,
    listening: JoinHandle<()>,
}

impl Control {
    /// Opens the socket in this home, whose store the caller holds: what lies there is a dead host's.
    pub fn open(home: &Path, services: &Arc<Services>) -> Result<Self, ControlError> {
        let place = Place::make(home)?;
        place.clear()?;
        let listener = UnixListener::bind(place.address()).map_err(|error| place.unusable(error))?;
        place.close_socket()?;
        let listening = tokio::spawn(listen(listener, Arc::downgrade(services)));
        Ok(Self { place, listening })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.listening.abort();
        // A socket that stays is replaced by the next host.
        let _ = self.place.clear();
    }
}

/// Lets in who may come. What it does not let in is dropped, and its peer sees the end of the stream.
async fn listen(listener: UnixListener, services: Weak<Services>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < CONTROL_CONNECTIONS_MAX && is_from_us(&stream) => {
                    connections.spawn(converse(stream, services.clone()));
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

fn is_from_us(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| is_trusted(peer.uid()))
}

/// One connection, until the peer goes, errs or is silent for too long.
async fn converse(mut stream: UnixStream, services: Weak<Services>) -> io::Result<()> {
    within(CONTROL_HELLO_MAX_MS, send(&mut stream, &Hello::ours(), HELLO_MAX_BYTES)).await?;
    let theirs: Hello = within(CONTROL_HELLO_MAX_MS, receive(&mut stream, HELLO_MAX_BYTES)).await?;
    if theirs.protocol != PROTOCOL {
        return Ok(());
    }
    loop {
        let request: Request = within(CONTROL_IDLE_MAX_MS, receive(&mut stream, CONTROL_REQUEST_MAX_BYTES)).await?;
        let Some(services) = services.upgrade() else { return Ok(()) };
        let ask = match request {
            Request::Ask(ask) => ask,
            Request::Start(order) => {
                start::follow(&mut stream, services, order).await?;
                continue;
            }
        };
        let reply = table::done(&services, ask).await.map_or_else(Reply::Failed, Reply::Done);
        drop(services);
        let sent = within(CONTROL_IDLE_MAX_MS, send(&mut stream, &reply, CONTROL_REPLY_MAX_BYTES)).await;
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            let reply = Reply::Failed(OpError::broken("the answer is longer than the host may give"));
            within(CONTROL_IDLE_MAX_MS, send(&mut stream, &reply, CONTROL_REPLY_MAX_BYTES)).await?;
        } else {
            sent?;
        }
        // Whoever asks without pause waits for its turn like a run.
        tokio::task::yield_now().await;
    }
}

pub(super) async fn within<T>(ms: u64, what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(Duration::from_millis(ms), what).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
