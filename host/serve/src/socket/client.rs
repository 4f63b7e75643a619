//! The other end of the control socket: a command that asks a running host. Each wait has an end.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_store::limits::{CONTROL_ANSWER_MAX_MS, CONTROL_REPLY_MAX_BYTES, CONTROL_REQUEST_MAX_BYTES};
use agentry_store::{Batch, Key, Measured, Page, Range, Row, Store, StoreError, Value, measure_by_reading};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::ControlError;
use super::place::Place;
use super::table::{OverSocket, Reply, Request};
use super::wire::{HELLO_MAX_BYTES, Hello, LENGTH_BYTES, PROTOCOL, frame, length, value};
use crate::api::{Get, GetEach, Has, News, Scan, Start};
use crate::error::{Kind, OpError};
use crate::upkeep::{CloseView, Measure, OpenView, ViewGet, ViewHas, ViewScan};

/// Keys of one question: a key is short of 5 KiB, and a question of a MiB.
const KEYS_AT_ONCE: usize = 200;

/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection to the host that runs in a home.
#[derive(Debug)]
pub struct Client {
    stream: Mutex<UnixStream>,
    home: PathBuf,
}

impl Client {
    /// Connects, and says hello. In a crowd it waits for its turn: as long as it has asked for nothing, it may come again.
    ///
    /// # Errors
    /// [`ControlError::NoHost`] if nobody listens; others if the host is of another version or does not answer.
    pub fn connect(home: &Path) -> Result<Self, ControlError> {
        let begun = Instant::now();
        loop {
            match Self::connect_once(home) {
                Err(ControlError::Lost { .. }) if begun.elapsed() < Duration::from_millis(CONTROL_ANSWER_MAX_MS) => {
                    std::thread::sleep(PAUSE);
                }
                connected => return connected,
            }
        }
    }

    fn connect_once(home: &Path) -> Result<Self, ControlError> {
        let none = || ControlError::NoHost { home: home.display().to_string() };
        let place = Place::find(home)?.ok_or_else(none)?;
        let stream = UnixStream::connect(place.address()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => none(),
            _ => lost(&error),
        })?;
        let patience = Duration::from_millis(CONTROL_ANSWER_MAX_MS);
        stream.set_read_timeout(Some(patience)).map_err(|error| lost(&error))?;
        stream.set_write_timeout(Some(patience)).map_err(|error| lost(&error))?;
        let host: Hello = receive(&stream, HELLO_MAX_BYTES).map_err(|error| lost(&error))?;
        if host.protocol != PROTOCOL {
            return Err(ControlError::Version { host: host.version, ours: env!("CARGO_PKG_VERSION") });
        }
        let hello = frame(&Hello::ours(), HELLO_MAX_BYTES).and_then(|hello| (&stream).write_all(&hello));
        hello.map_err(|error| lost(&error))?;
        Ok(Self { stream: Mutex::new(stream), home: home.to_owned() })
    }

    /// Has the host do one thing.
    ///
    /// # Errors
    /// What the host says, or that it does not answer.
    pub fn ask<O: OverSocket>(&self, operation: O) -> Result<O::Answer, OpError> {
        let stream = self.stream.lock();
        let request = Request::Ask(operation.into_ask());
        let frame = frame(&request, CONTROL_REQUEST_MAX_BYTES).map_err(|error| lost(&error))?;
        let reply = (&*stream).write_all(&frame).and_then(|()| receive(&stream, CONTROL_REPLY_MAX_BYTES));
        match reply.map_err(|error| lost(&error))? {
            Reply::Done(answer) => Ok(O::answer_of(answer).ok_or(ControlError::Another)?),
            Reply::Failed(error) => Err(error),
            Reply::News(_) | Reply::Still => Err(ControlError::Another.into()),
        }
    }

    /// Orders a run.
    ///
    /// # Errors
    /// [`ControlError::Lost`] if the host is gone. Whether it takes the order is the first news.
    pub fn start(self, start: Start) -> Result<Following, ControlError> {
        let stream = self.stream.into_inner();
        let frame = frame(&Request::Start(start), CONTROL_REQUEST_MAX_BYTES).map_err(|error| lost(&error))?;
        (&stream).write_all(&frame).map_err(|error| lost(&error))?;
        Ok(Following { stream })
    }
}

/// What is heard of a run that was ordered, one after another. Whoever stops listening takes nothing from the run.
#[derive(Debug)]
pub struct Following {
    stream: UnixStream,
}

impl Following {
    /// Waits until the order is taken.
    ///
    /// # Errors
    /// As [`Following::news`].
    pub fn taken(&mut self) -> Result<(), OpError> {
        match self.news()? {
            News::Taken => Ok(()),
            News::Begun(_) | News::Event(_) | News::Over(_) => Err(ControlError::Another.into()),
        }
    }

    /// Waits for the next news.
    ///
    /// # Errors
    /// Why it does not begin; [`crate::error::Kind::NotServing`] if the host takes no orders.
    pub fn news(&mut self) -> Result<News, OpError> {
        loop {
            let reply = receive(&self.stream, CONTROL_REPLY_MAX_BYTES);
            match reply.map_err(|error| unheard(&error))? {
                Reply::Still => {}
                Reply::News(news) => return Ok(news),
                Reply::Failed(error) => return Err(error),
                Reply::Done(_) => return Err(ControlError::Another.into()),
            }
        }
    }
}

/// The store of a running host, to be read: as it is, or as it was when a view of it was opened. Whoever reads slowly and is hung up on comes
/// again; a view is the host's, and there for whichever connection asks for it.
#[derive(Debug)]
pub struct RemoteStore {
    client: Arc<Mutex<Client>>,
    view: Option<u64>,
}

impl RemoteStore {
    /// The store behind this connection.
    pub fn over(client: Client) -> Self {
        Self { client: Arc::new(Mutex::new(client)), view: None }
    }

    fn ask<O: OverSocket + Clone>(&self, operation: O) -> Result<O::Answer, StoreError> {
        let mut client = self.client.lock();
        let answer = match client.ask(operation.clone()) {
            Err(error) if matches!(error.kind, Kind::Unavailable { .. }) => match Client::connect_once(&client.home) {
                Ok(again) => {
                    *client = again;
                    client.ask(operation)
                }
                Err(_) => Err(error),
            },
            answer => answer,
        };
        answer.map_err(|error| StoreError::Host { why: error.to_string() })
    }

    fn rows(&self, scan: Scan) -> Result<Vec<Row>, StoreError> {
        match self.view {
            None => self.ask(scan),
            Some(view) => self.ask(ViewScan { view, scan }),
        }
    }
}

impl Drop for RemoteStore {
    fn drop(&mut self) {
        if let Some(view) = self.view {
            // A host that does not hear it closes the view by itself.
            let _ = self.ask(CloseView { view });
        }
    }
}

impl Store for RemoteStore {
    fn commit(&self, _: Batch) -> BoxFuture<'static, Result<(), StoreError>> {
        std::future::ready(Err(StoreError::ReadOnly)).boxed()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let get = Get { key: key.to_vec() };
        match self.view {
            None => self.ask(get),
            Some(view) => self.ask(ViewGet { view, get }),
        }
    }

    fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Value>>, StoreError> {
        if self.view.is_some() {
            return keys.iter().map(|key| self.get(key)).collect();
        }
        let mut values = Vec::with_capacity(keys.len());
        while let Some(rest) = keys.get(values.len()..).filter(|rest| !rest.is_empty()) {
            let part = &rest[..rest.len().min(KEYS_AT_ONCE)];
            let some = self.ask(GetEach { keys: part.to_vec() })?;
            if some.is_empty() || some.len() > part.len() {
                return Err(StoreError::Host { why: ControlError::Another.to_string() });
            }
            values.extend(some);
        }
        Ok(values)
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        let has = Has { key: key.to_vec() };
        match self.view {
            None => self.ask(has),
            Some(view) => self.ask(ViewHas { view, has }),
        }
    }

    fn measure(&self, range: &Range) -> Result<Measured, StoreError> {
        match self.view {
            None => self.ask(Measure { range: range.clone() }),
            Some(_) => measure_by_reading(self, range),
        }
    }

    fn snapshot(&self) -> Result<Arc<dyn Store>, StoreError> {
        if self.view.is_some() {
            return Err(StoreError::no_view());
        }
        let view = self.ask(OpenView)?;
        Ok(Arc::new(Self { client: Arc::clone(&self.client), view: Some(view) }))
    }

    fn scan(&self, range: &Range, page: Page) -> Result<Vec<(Key, Value)>, StoreError> {
        let Range { mut from, mut to, reverse } = range.clone();
        let (mut found, mut bytes) = (Vec::new(), 0);
        while found.len() < page.rows {
            let rows = u64::try_from(page.rows - found.len()).unwrap_or(u64::MAX);
            let rows = self.rows(Scan { from: from.clone(), to: to.clone(), reverse, rows })?;
            let Some((last, _)) = rows.last() else { return Ok(found) };
            if reverse {
                to.clone_from(last);
            } else {
                from = Range { from, to: Key::new(), reverse }.after(last).from;
            }
            for (key, value) in rows {
                let size = key.len() + value.len();
                if !found.is_empty() && bytes + size > page.bytes {
                    return Ok(found);
                }
                bytes += size;
                found.push((key, value));
            }
        }
        Ok(found)
    }
}

fn receive<T: DeserializeOwned>(mut stream: &UnixStream, max: usize) -> io::Result<T> {
    let mut head = [0; LENGTH_BYTES];
    stream.read_exact(&mut head)?;
    let length = length(head, max)?;
    let mut bytes = Vec::new();
    stream.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    value(&bytes)
}

/// An order went out, and what became of it was not heard.
fn unheard(error: &io::Error) -> ControlError {
    let ControlError::Lost { why } = lost(error) else { return lost(error) };
    ControlError::Unheard { why }
}

fn lost(error: &io::Error) -> ControlError {
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            "it hung up, because it ends or because too many ask it".to_owned()
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it is silent".to_owned(),
        _ => error.to_string(),
    };
    ControlError::Lost { why }
}
