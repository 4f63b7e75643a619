//! What goes over the control socket: hello, requests, replies, and the frames around them. It reads no more than it was told to.

use std::io;
use std::path::PathBuf;

use agentry_kernel::call::RunId;
use agentry_kernel::kernel::Statement;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::admin::Removal;
use crate::approvals::{Said, Saying};
use crate::drivers::human::{Answering, Inquiry};
use crate::resolve::{Resolution, Resolved};
use crate::run::context::Event;
use crate::run::situation::Live;
use crate::store::{Key, Value};

/// Two processes understand each other if they have the same; raise it with every change of what is below.
pub(super) const PROTOCOL: u16 = 6;

/// A hello is short.
pub(super) const HELLO_MAX_BYTES: usize = 256;

/// Bytes of a frame's length.
pub(super) const LENGTH_BYTES: usize = 4;

/// The first frame in each direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) protocol: u16,
    pub(super) version: String,
}

impl Hello {
    pub(super) fn ours() -> Self {
        Self { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// What a command asks of a running host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A value of the store.
    Get(Key),
    /// Whether the store has a value.
    Has(Key),
    /// Rows of the store; the host may give fewer than there are, but at least one if there is one.
    Scan {
        /// The first key.
        from: Key,
        /// Behind the last.
        to: Key,
        /// True to begin at the end.
        reverse: bool,
        /// The most rows.
        rows: u64,
    },
    /// Agents that are paused until a person answers them.
    Paused,
    /// A person's answer to a question of a run.
    Say(Saying),
    /// What the site and its agents may spend, and what of it is left.
    Budget,
    /// Look at the home's lock now.
    LookAtLock,
    /// A person takes labels off what is kept.
    Unlabel(Removal),
    /// A person takes labels off a run that goes on.
    UnlabelRun {
        /// Which.
        run: RunId,
        /// Which labels.
        labels: Labels,
        /// In the person's words.
        because: String,
    },
    /// A person says what became of a call that nobody knows of.
    Resolve(Resolution),
    /// Begin a run. The answers are [`Reply::News`] and [`Reply::Still`] until it has begun, or until it is over.
    Start(Start),
    /// The runs that go on.
    Live,
    /// Stop a run in good order.
    Stop {
        /// Which.
        run: RunId,
        /// In the person's words.
        because: Option<String>,
    },
    /// Hold a run, or let it go.
    Hold {
        /// Which.
        run: RunId,
        /// True to hold it.
        hold: bool,
    },
    /// A person's answer to a question of an agent.
    Answer(Answering),
    /// Hold the runs of an agent, or let them go.
    HoldAgent {
        /// Its name.
        agent: String,
        /// True to hold them.
        hold: bool,
    },
    /// A person throws a letter away.
    Discard {
        /// Its id.
        letter: String,
    },
}

/// A run that is to begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The component's file, which the host reads: it is the same user's.
    pub component: PathBuf,
    /// The input JSON.
    pub input: Vec<u8>,
    /// Whether to tell what happens in it, until it is over.
    pub watch: bool,
}

/// What is heard of a run that was ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum News {
    /// The order is taken.
    Taken,
    /// It has begun, or was refused, and stands in the journal.
    Begun(RunId),
    /// Something happened in it.
    Event(Box<Event>),
    /// It is over, and how it ended stands in the journal.
    Over(RunId),
}

/// What the host answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Get`].
    Value(Option<Value>),
    /// To [`Request::Has`].
    Has(bool),
    /// To [`Request::Scan`].
    Rows(Vec<(Key, Value)>),
    /// To [`Request::Paused`]: their names, and until when at the latest.
    Paused(Vec<(String, Millis)>),
    /// To [`Request::Say`].
    Said(Said),
    /// To [`Request::Budget`]: the site first.
    Budget(Vec<Statement>),
    /// To [`Request::LookAtLock`]: it is as the home has it.
    Looked,
    /// To [`Request::Unlabel`] and [`Request::UnlabelRun`]: those that were taken off.
    Unlabelled(Labels),
    /// To [`Request::Resolve`].
    Resolved(Resolved),
    /// It could not, or would not; the text says why, with its hint.
    Refused(String),
    /// To [`Request::Start`].
    News(News),
    /// Nothing has happened, and the host is there.
    Still,
    /// This host runs one agent and takes no orders.
    NotServing,
    /// Something that it takes is not to be had now; the text says why, with its hint.
    Unavailable(String),
    /// To [`Request::Live`].
    Live {
        /// The runs that go on.
        runs: Vec<Live>,
        /// The agents whose runs are held.
        held: Vec<String>,
    },
    /// To [`Request::Stop`].
    Stopping,
    /// To [`Request::Hold`]: whether that is news.
    Held(bool),
    /// To [`Request::Answer`]: the question as it stands now.
    Answered(Inquiry),
    /// To [`Request::HoldAgent`]: how many runs it has.
    HeldAgent(u64),
    /// To [`Request::Discard`]: whether it was there.
    Discarded(bool),
}

/// A value as a frame.
pub(super) fn frame(value: &impl Serialize, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; LENGTH_BYTES];
    bytes = postcard::to_extend(value, bytes).map_err(io::Error::other)?;
    let length = bytes.len().saturating_sub(LENGTH_BYTES);
    let head = u32::try_from(length).ok().filter(|_| length <= max).ok_or_else(|| too_long(length))?;
    if let Some(place) = bytes.first_chunk_mut::<LENGTH_BYTES>() {
        *place = head.to_le_bytes();
    }
    Ok(bytes)
}

/// The length of the frame that begins so.
pub(super) fn length(head: [u8; LENGTH_BYTES], max: usize) -> io::Result<usize> {
    let length = usize::try_from(u32::from_le_bytes(head)).unwrap_or(usize::MAX);
    if length > max { Err(too_long(length)) } else { Ok(length) }
}

/// The value in a frame; nothing may stand behind it.
pub(super) fn value<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a frame makes no sense")),
    }
}

/// Sends a value.
pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), value: &impl Serialize, max: usize) -> io::Result<()> {
    stream.write_all(&frame(value, max)?).await?;
    stream.flush().await
}

/// Receives a value.
pub(super) async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin), max: usize) -> io::Result<T> {
    let mut head = [0; LENGTH_BYTES];
    stream.read_exact(&mut head).await?;
    let length = length(head, max)?;
    // Room grows with what really comes, not with what a frame says of itself.
    let mut bytes = Vec::new();
    stream.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    value(&bytes)
}

fn too_long(length: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes is too long"))
}
