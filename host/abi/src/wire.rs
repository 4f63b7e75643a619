//! The port between two processes, as frames: what a worker says, what the kernel process says, how each is framed. It holds no code of either
//! side but that which takes frames apart, and that takes nothing which is not whole, in its order and within its bound.
//!
//! A worker has one connection, which begins with [`Up::Hello`]. It names a run by a [`Handle`], which is random and which it alone was given;
//! so the kernel process believes which run spoke, and nothing else of what [`crate::port`] says that it does not believe. To each frame that
//! [`Up::waits`] for one, exactly one [`Down::answers`]; all else goes unasked.

mod batch;

use agentry_kernel::call::CallId;
use agentry_kernel::digest::Digest;
use agentry_kernel::time::Millis;
use agentry_store::limits::{WORKER_FRAME_MAX_BYTES, WORKER_SAID_MAX_BYTES};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::batch::Batch;
use crate::bindings::agentry::agent::llm::Delta;
use crate::port::{Beginning, Delivery, Ended, Next, Reply, Request, Rest};

/// Of the frames and of their order. Both sides are one program; a program that was replaced while it ran has workers of the next version.
pub const VERSION: u32 = 3;

/// What names a run on a connection: random, and known to both ends of that connection alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Handle(pub u128);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

/// From a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Up {
    /// Its first word.
    Hello(Hello),
    /// It does not begin, for this reason.
    Fails(String),
    /// A component is ready for guests, or why it will never be.
    Loaded {
        /// Which.
        component: Digest,
        /// Why not: what is wrong, and what to do about it.
        result: Result<(), (String, String)>,
    },
    /// Something of a run.
    Of(Handle, Said),
    /// It is there.
    Pong,
}

/// How a worker introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of its program.
    pub version: u32,
    /// The engine and its settings: code that was compiled for others is not loaded.
    pub settings: Digest,
    /// Whether the system keeps it from every file.
    pub landlocked: bool,
}

/// What the worker of a run says of it: the [`Port`](crate::port::Port), method by method, and its guest's end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Said {
    /// [`pass`](crate::port::Port::pass).
    Pass(Box<Request>),
    /// [`seen`](crate::port::Port::seen).
    Seen(CallId),
    /// The same of an answer that came with its time, by which the worker has set the guest's clock itself.
    Saw(CallId),
    /// [`dropped`](crate::port::Port::dropped).
    Dropped(CallId),
    /// [`hear`](crate::port::Port::hear).
    Hear(CallId),
    /// [`unheard`](crate::port::Port::unheard).
    Unheard(CallId),
    /// [`next`](crate::port::Port::next).
    Next {
        /// Nothing but what comes to it wakes the guest.
        rests: bool,
        /// What waits.
        waiting: Vec<Delivery>,
    },
    /// May the guest have turns from here on? See [`poll_turn`](crate::port::Port::poll_turn).
    Turn,
    /// [`waits`](crate::port::Port::waits).
    Waits(Rest),
    /// [`slept`](crate::port::Port::slept).
    Slept(Millis),
    /// [`repeats`](crate::port::Port::repeats).
    Repeats,
    /// [`answered`](crate::port::Port::answered), one after the other. It stands before whatever its worker says next of the run.
    Answered(Batch),
    /// A turn of its guest took its worker for too long. Said once.
    Overran,
    /// Its guest is gone. The handle is worth nothing from here on.
    Ended(Box<Ended>),
}

/// To a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Down {
    /// Makes a component ready. Its machine code comes along as a sealed file.
    Load {
        /// Which.
        component: Digest,
        /// What it may be linked to, as the JSON of a manifest has it.
        wants: String,
    },
    /// Begins a run.
    Begin {
        /// How it is called here.
        run: Handle,
        /// Of which component, which was sent before.
        component: Digest,
        /// What it begins with.
        beginning: Box<Beginning>,
    },
    /// A run is to end now.
    Stop(Handle),
    /// What came of a request.
    Passed(Box<Passed>),
    /// The guest's clock.
    Clock(Millis),
    /// What the guest hears now, and whether there is more to hear at once.
    Heard(Result<Vec<Delta>, String>, bool),
    /// What the guest sees next.
    Next(Next),
    /// Whether it may have turns. If not, [`Down::Opens`] follows.
    Turn(bool),
    /// Whether it does again what it did before.
    Repeats(bool),
    /// This run is over; its guest gets nothing any more.
    Over,
    /// The answer of a call has come.
    Answer(Handle, CallId, Box<Came>),
    /// There is something to hear of a call.
    Pieces(Handle, CallId),
    /// A guest that asked in vain may ask for turns again.
    Opens(Handle),
    /// Say something.
    Ping,
}

/// [`crate::port::Passed`] on its way. What is there already comes along, as a run that is executed again must find it; what has yet to come
/// follows by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    /// The answer, or where it is to be seen.
    pub answer: Result<Reply, Later>,
    /// The guest's clock from here on.
    pub clock: Millis,
    /// By which number the pieces of a streamed answer are heard, and whether there is something to hear.
    pub pieces: Option<(CallId, bool)>,
    /// Fuel that the guest has less now.
    pub fuel_given: u64,
    /// [`lease`](crate::port::Port::lease).
    pub lease: Option<Millis>,
}

/// [`Answer::Later`](crate::port::Answer::Later) on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Later {
    /// The call.
    pub call: CallId,
    /// True if the guest stands in it.
    pub stands: bool,
    /// The answer, if it has come.
    pub came: Option<Box<Came>>,
}

/// An answer that has come, with all that its worker would ask for next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Came {
    /// The answer.
    pub reply: Reply,
    /// [`came`](crate::port::Port::came).
    pub at: Option<Millis>,
    /// True if the guest may have turns from here on, as if it had asked: see [`Said::Turn`].
    pub turn: bool,
}

impl Said {
    /// True if its worker does nothing before it is answered.
    pub fn waits(&self) -> bool {
        match self {
            Self::Pass(_) | Self::Seen(_) | Self::Hear(_) | Self::Next { .. } | Self::Turn | Self::Repeats => true,
            Self::Saw(_) | Self::Dropped(_) | Self::Unheard(_) | Self::Waits(_) | Self::Slept(_) => false,
            Self::Answered(_) | Self::Overran | Self::Ended(_) => false,
        }
    }
}

impl Down {
    /// True if it answers what a worker waits for.
    pub fn answers(&self) -> bool {
        match self {
            Self::Passed(_) | Self::Clock(_) | Self::Heard(..) | Self::Next(_) => true,
            Self::Turn(_) | Self::Repeats(_) | Self::Over => true,
            Self::Load { .. } | Self::Begin { .. } | Self::Stop(_) | Self::Answer(..) => false,
            Self::Pieces(..) | Self::Opens(_) | Self::Ping => false,
        }
    }
}

/// Why a connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A frame is longer than one may be.
    TooLong,
    /// A frame has another number than the one that is next: it was left out, or sent twice.
    OutOfOrder,
    /// A frame is nothing that is known here.
    Nonsense,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it sent a frame that is longer than one may be",
            Self::OutOfOrder => "it sent a frame twice, or left one out",
            Self::Nonsense => "it sent a frame that means nothing",
        })
    }
}

/// What stands in front of a frame: its length and its number.
const HEAD_BYTES: usize = 12;

/// Of what has been read, as much room is kept as most frames need.
const KEPT_BYTES: usize = 256 * 1024;

/// Puts frames into bytes.
#[derive(Debug, Default)]
pub struct Writer {
    number: u64,
}

impl Writer {
    /// One more frame, behind those in `bytes`.
    ///
    /// # Errors
    /// If it would be too long; nothing is written then.
    pub fn write<T: Serialize>(&mut self, frame: &T, bytes: &mut Vec<u8>) -> Result<(), Broken> {
        let begins = bytes.len();
        bytes.extend_from_slice(&[0; HEAD_BYTES]);
        let written = postcard::to_extend(frame, std::mem::take(bytes));
        *bytes = written.map_err(|_| Broken::Nonsense)?;
        let length = bytes.len() - begins - HEAD_BYTES;
        if length > WORKER_FRAME_MAX_BYTES {
            bytes.truncate(begins);
            return Err(Broken::TooLong);
        }
        let (head, number) = (&mut bytes[begins..], self.number);
        head[..4].copy_from_slice(&u32::try_from(length).map_err(|_| Broken::TooLong)?.to_le_bytes());
        head[4..HEAD_BYTES].copy_from_slice(&number.to_le_bytes());
        self.number += 1;
        Ok(())
    }
}

/// Takes frames out of bytes, in whatever pieces these come.
#[derive(Debug)]
pub struct Reader {
    /// The longest frame.
    most: usize,
    bytes: Vec<u8>,
    /// How much of it has been read.
    read: usize,
    number: u64,
}

impl Reader {
    /// Of what a worker says, which may have been taken over.
    pub fn of_worker() -> Self {
        Self { most: WORKER_SAID_MAX_BYTES, bytes: Vec::new(), read: 0, number: 0 }
    }

    /// Of what the kernel process says.
    pub fn of_kernel() -> Self {
        Self { most: WORKER_FRAME_MAX_BYTES, ..Self::of_worker() }
    }

    /// Bytes that came.
    pub fn take(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.bytes.drain(..self.read);
            self.read = 0;
        }
        self.bytes.extend_from_slice(bytes);
        // What one long frame took is not kept for those that follow.
        if self.bytes.capacity() > KEPT_BYTES && self.bytes.len() < KEPT_BYTES {
            self.bytes.shrink_to(KEPT_BYTES);
        }
    }

    /// The next frame, if all of it has come.
    ///
    /// # Errors
    /// If there is none: nothing behind it can be read either.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Broken> {
        let unread = &self.bytes[self.read..];
        let Some((head, rest)) = unread.split_first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let (length, number) = (&head[..4], &head[4..]);
        let length = length.try_into().map(u32::from_le_bytes).map_err(|_| Broken::Nonsense)?;
        let length = usize::try_from(length).map_err(|_| Broken::TooLong)?;
        // Before it is waited for.
        if length > self.most {
            return Err(Broken::TooLong);
        }
        if number != self.number.to_le_bytes() {
            return Err(Broken::OutOfOrder);
        }
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        let (frame, behind) = postcard::take_from_bytes(frame).map_err(|_| Broken::Nonsense)?;
        if !behind.is_empty() {
            return Err(Broken::Nonsense);
        }
        self.read += HEAD_BYTES + length;
        self.number += 1;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests;
