//! Requests to the web, for the drivers that make them: dialled only where the address may be, bounded in time and size, and answered
//! without secrets. It follows no redirect, unpacks nothing, keeps no cookies and asks no proxy.

pub mod address;
pub mod hosts;
mod resolver;

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use agentry_store::limits::{HTTP_HEADERS_MAX, HTTP_HEADERS_MAX_BYTES, HTTP_IN_FLIGHT_MAX_BYTES};
use futures::StreamExt;
use parking_lot::Mutex;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, Response, Url, redirect};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use self::address::{Named, Place};
use self::resolver::{Barred, Guarded};
pub use self::resolver::{Resolver, System};

/// Clients that are kept, one for each set of named networks.
const CLIENTS_MAX: usize = 16;

/// How long a connection may take, within the time of the whole.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long a connection is kept for the next request.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Permits of the semaphore of bytes are of this many.
const UNIT_BYTES: usize = 1024;

/// The way to the web.
pub struct Web {
    resolver: Arc<dyn Resolver>,
    clients: Mutex<Vec<(Named, Client)>>,
    in_flight: Arc<Semaphore>,
}

/// A request that is ready to leave.
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// What goes with it, secrets included.
    pub headers: HeaderMap,
    /// Its bytes.
    pub body: Vec<u8>,
    /// From here to the last byte of the answer.
    pub timeout: Duration,
    /// A longer answer is none.
    pub answer_max_bytes: usize,
    /// Which answers are read.
    pub body_of: BodyOf,
}

/// Of which answers the bytes are read. Of others nobody asks for more than the head, however much they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyOf {
    /// Of all.
    Any,
    /// Of those with this status.
    Status(u16),
}

impl BodyOf {
    fn is(self, status: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Status(one) => one == status,
        }
    }
}

/// What came back.
pub struct Incoming {
    /// The status code.
    pub status: u16,
    /// What came with it.
    pub headers: HeaderMap,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The caller has had enough.
    #[error("cancelled")]
    Cancelled,
    /// Time is over.
    #[error("no whole answer in {0:?}")]
    TimedOut(Duration),
    /// Nobody may dial there: nothing left this machine.
    #[error("`{host}` is at {address}, which is {place}")]
    Barred {
        /// The name that was asked for.
        host: String,
        /// Where it is.
        address: IpAddr,
        /// What is there.
        place: Place,
    },
    /// There is no room for another request now: nothing left this machine.
    #[error("too many requests are in flight")]
    Busy,
    /// There was no connection: nothing was asked.
    #[error("no connection: {0}")]
    Unreached(String),
    /// The connection broke, or what came is not HTTP.
    #[error("no answer: {0}")]
    Broken(String),
    /// More came than may.
    #[error("the answer has {0}")]
    TooLong(String),
}

impl Trouble {
    /// True if no byte of the request can have left this machine.
    pub fn is_before_sending(&self) -> bool {
        matches!(self, Self::Barred { .. } | Self::Busy | Self::Unreached(_))
    }
}

impl Web {
    /// A way to the web that asks this resolver for names.
    pub fn new(resolver: Arc<dyn Resolver>) -> Self {
        let units = HTTP_IN_FLIGHT_MAX_BYTES / UNIT_BYTES;
        Self { resolver, clients: Mutex::default(), in_flight: Arc::new(Semaphore::new(units)) }
    }

    /// Sends a request and reads its answer. Addresses that are not public are dialled only if they are `named`.
    pub async fn send(&self, request: Outgoing, named: &Named, cut: &CancellationToken) -> Result<Incoming, Trouble> {
        let timeout = request.timeout;
        let exchange = async {
            let _room = self.room(&request)?;
            literal(&request.url, named)?;
            let client = self.client(named)?;
            let (max, body_of) = (request.answer_max_bytes, request.body_of);
            let host = request.url.host_str().unwrap_or_default().to_owned();
            let sent = client.request(request.method, request.url).headers(request.headers).body(request.body).send();
            let response = sent.await.map_err(|why| trouble(&host, why))?;
            read(response, max, body_of).await
        };
        tokio::select! {
            biased;
            () = cut.cancelled() => Err(Trouble::Cancelled),
            done = tokio::time::timeout(timeout, exchange) => done.unwrap_or(Err(Trouble::TimedOut(timeout))),
        }
    }

    /// Room for a request and its answer, until it is dropped.
    fn room(&self, request: &Outgoing) -> Result<OwnedSemaphorePermit, Trouble> {
        let bytes = request.body.len().saturating_add(request.answer_max_bytes);
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).map_err(|_| Trouble::Busy)?;
        Arc::clone(&self.in_flight).try_acquire_many_owned(units).map_err(|_| Trouble::Busy)
    }

    /// The client for these named networks. Connections are shared by those alone who may dial the same places.
    fn client(&self, named: &Named) -> Result<Client, Trouble> {
        let mut clients = self.clients.lock();
        if let Some((_, client)) = clients.iter().find(|(of, _)| of == named) {
            return Ok(client.clone());
        }
        let guarded = Guarded { resolver: Arc::clone(&self.resolver), named: named.clone() };
        let client = Client::builder()
            .dns_resolver(Arc::new(guarded))
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(4)
            .tcp_nodelay(true)
            .http1_max_headers(HTTP_HEADERS_MAX)
            .build()
            .map_err(|why| Trouble::Unreached(causes(&why)))?;
        if clients.len() == CLIENTS_MAX {
            clients.remove(0);
        }
        clients.push((named.clone(), client.clone()));
        Ok(client)
    }
}

/// An address in place of a name is asked of no resolver.
fn literal(url: &Url, named: &Named) -> Result<(), Trouble> {
    let host = url.host_str().unwrap_or_default();
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => {
            address::check(address, named).map_err(|place| Trouble::Barred { host: host.to_owned(), address, place })
        }
        Err(_) => Ok(()),
    }
}

fn trouble(host: &str, why: reqwest::Error) -> Trouble {
    let mut source = why.source();
    while let Some(cause) = source {
        if let Some(Barred { address, place }) = cause.downcast_ref() {
            return Trouble::Barred { host: host.to_owned(), address: *address, place: *place };
        }
        source = cause.source();
    }
    let is_connect = why.is_connect();
    let causes = causes(&why.without_url());
    if is_connect { Trouble::Unreached(causes) } else { Trouble::Broken(causes) }
}

async fn read(response: Response, max: usize, body_of: BodyOf) -> Result<Incoming, Trouble> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = headers.iter().fold(0, |sum, (name, value)| sum + name.as_str().len() + value.len());
    if headers.len() > HTTP_HEADERS_MAX || bytes > HTTP_HEADERS_MAX_BYTES {
        return Err(Trouble::TooLong(format!("more than {HTTP_HEADERS_MAX_BYTES} bytes of headers")));
    }
    if !body_of.is(status) {
        return Ok(Incoming { status, headers, body: Vec::new() });
    }
    let too_long = || Trouble::TooLong(format!("more than {max} bytes"));
    if response.content_length().is_some_and(|length| length > max as u64) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|why| Trouble::Broken(causes(&why.without_url())))?;
        if body.len().saturating_add(chunk.len()) > max {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Incoming { status, headers, body })
}

/// An error with what caused it, in one line.
fn causes(error: &reqwest::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line.chars().filter(|char| !char.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests;
