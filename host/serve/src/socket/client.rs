//! The other end of the control socket: a command that asks a running host. Each wait has an end.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use agentry_store::limits::{
    CONTROL_ANSWER_MAX_MS, CONTROL_HELLO_MAX_MS, CONTROL_REPLY_MAX_BYTES, CONTROL_REQUEST_MAX_BYTES,
};
use agentry_store::{Batch, Key, Page, Range, Store, StoreError, Value};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::ControlError;
use super::place::Place;
use super::wire::{HELLO_MAX_BYTES, Hello, LENGTH_BYTES, PROTOCOL, frame, length, value};
use crate::api::{News, Reply, Request, Start};

/// A connection to the host that runs in a home.
#[derive(Debug)]
pub struct Client {
    stream: Mutex<UnixStream>,
}

impl Client {
    /// Connects, and says hello.
    ///
    /// # Errors
    /// [`ControlError::NoHost`] if nobody listens; others if the host is of another version or does not answer.
    pub fn connect(home: &Path) -> Result<Self, ControlError> {
        let none = || ControlError::NoHost { home: home.display().to_string() };
        let place = Place::find(home)?.ok_or_else(none)?;
        let stream = UnixStream::connect(place.address()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => none(),
            _ => lost(&error),
        })?;
        let patience = Duration::from_millis(CONTROL_HELLO_MAX_MS);
        stream.set_read_timeout(Some(patience)).map_err(|error| lost(&error))?;
        stream.set_write_timeout(Some(patience)).map_err(|error| lost(&error))?;
        let host: Hello = receive(&stream, HELLO_MAX_BYTES).map_err(|error| lost(&error))?;
        if host.protocol != PROTOCOL {
            return Err(ControlError::Version { host: host.version, ours: env!("CARGO_PKG_VERSION") });
        }
        let hello = frame(&Hello::ours(), HELLO_MAX_BYTES).and_then(|hello| (&stream).write_all(&hello));
        hello.map_err(|error| lost(&error))?;
        let patience = Duration::from_millis(CONTROL_ANSWER_MAX_MS);
        stream.set_read_timeout(Some(patience)).map_err(|error| lost(&error))?;
        Ok(Self { stream: Mutex::new(stream) })
    }

    /// Asks one thing.
    ///
    /// # Errors
    /// [`ControlError::Refused`] if the host says no; [`ControlError::Lost`] if it does not answer.
    pub fn ask(&self, request: &Request) -> Result<Reply, ControlError> {
        let stream = self.stream.lock();
        let frame = frame(request, CONTROL_REQUEST_MAX_BYTES).map_err(|error| lost(&error))?;
        let reply = (&*stream).write_all(&frame).and_then(|()| receive(&stream, CONTROL_REPLY_MAX_BYTES));
        said(reply.map_err(|error| lost(&error))?)
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
    pub fn taken(&mut self) -> Result<(), ControlError> {
        match self.news()? {
            News::Taken => Ok(()),
            _ => Err(ControlError::Lost { why: "it answered another question".to_owned() }),
        }
    }

    /// Waits for the next news.
    ///
    /// # Errors
    /// [`ControlError::Refused`] and [`ControlError::Unavailable`] if it does not begin, [`ControlError::NotServing`] if the host takes no
    /// orders, [`ControlError::Lost`] if it is gone.
    pub fn news(&mut self) -> Result<News, ControlError> {
        loop {
            let reply = receive(&self.stream, CONTROL_REPLY_MAX_BYTES).map_err(|error| lost(&error))?;
            match said(reply)? {
                Reply::Still => {}
                Reply::News(news) => return Ok(news),
                _ => return Err(ControlError::Lost { why: "it answered another question".to_owned() }),
            }
        }
    }
}

fn said(reply: Reply) -> Result<Reply, ControlError> {
    match reply {
        Reply::Refused(why) => Err(ControlError::Refused(why)),
        Reply::Unavailable(why) => Err(ControlError::Unavailable(why)),
        Reply::NotServing => Err(ControlError::NotServing),
        reply => Ok(reply),
    }
}

/// The store of a running host, to be read.
#[derive(Debug)]
pub struct RemoteStore(Client);

impl RemoteStore {
    /// The store behind this connection.
    pub fn over(client: Client) -> Self {
        Self(client)
    }

    fn ask<T>(&self, request: &Request, of: impl FnOnce(Reply) -> Option<T>) -> Result<T, StoreError> {
        let reply = self.0.ask(request).map_err(|error| StoreError::Host { why: error.to_string() })?;
        of(reply).ok_or_else(|| StoreError::Host { why: "the host answered another question".to_owned() })
    }
}

impl Store for RemoteStore {
    fn commit(&self, _: Batch) -> BoxFuture<'static, Result<(), StoreError>> {
        std::future::ready(Err(StoreError::ReadOnly)).boxed()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.ask(&Request::Get(key.to_vec()), |reply| match reply {
            Reply::Value(value) => Some(value),
            _ => None,
        })
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.ask(&Request::Has(key.to_vec()), |reply| match reply {
            Reply::Has(has) => Some(has),
            _ => None,
        })
    }

    fn scan(&self, range: &Range, page: Page) -> Result<Vec<(Key, Value)>, StoreError> {
        let Range { mut from, mut to, reverse } = range.clone();
        let (mut found, mut bytes) = (Vec::new(), 0);
        while found.len() < page.rows {
            let rows = u64::try_from(page.rows - found.len()).unwrap_or(u64::MAX);
            let request = Request::Scan { from: from.clone(), to: to.clone(), reverse, rows };
            let rows = self.ask(&request, |reply| match reply {
                Reply::Rows(rows) => Some(rows),
                _ => None,
            })?;
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
