//! The port: the one seam between the side that runs a guest and the side that decides, acts and writes down. It holds no code of either.
//!
//! The **near** side has the engine: the instance, the syscalls as `wit/` has them, WASI, and the order in which answers are let through to a
//! guest. The **far** side has the gate, the kernel, the journal, what runs did before, and the drivers. Today both are one process and the
//! port is a trait object; nothing but what stands in this module crosses, and all of it is plain data but the future of an answer, which is
//! a message that has yet to come, and a waker, which is the notice that one has.
//!
//! The far side believes one thing that it is told: for which run a port stands, because it made the port. It reads a [`Request`] as the
//! guest's words and no more. What a request must look like, its bytes, the names of its contents, the model behind an alias, what a file or
//! an entry would grow, and the most that it can cost are computed over there, and so is the `Call` that the kernel decides on. What the near
//! side reports is taken where it can only harm the run itself: that its guest saw an answer or let go of it, what it heard, whether it waits.
//! Fuel and memory only an engine can count: they are taken as they are told, never beyond what the run was allowed. A few calls have an answer
//! that rests on no decision ([`QuickCall`]): a near side that is far away may answer these by itself and report them, in order.
//!
//! What both sides hold of one run besides: the token that is cancelled when it is stopped, and nothing else.

mod quick;
mod table;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use agentry_kernel::call::CallId;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

pub use self::quick::{Quick, QuickCall, Untrue};
pub use self::table::*;
use crate::bindings::agentry::agent::llm::Delta;
use crate::bindings::agentry::agent::outcome::Failure;

/// The far side, as the near one sees it: one object a run, so that a run is named by the object and not by its user.
///
/// Nothing here waits. What has yet to come is a future or is polled, and whoever drops it reports that with [`Port::dropped`].
pub trait Port: Send + Sync {
    /// Decides on a syscall, in the order in which the guest makes them. What waits for nothing is answered here and now, without a box and
    /// without being encoded; else the call has begun when this returns.
    fn pass(&self, request: Request) -> Passed;

    /// The guest has the answer of a call that was [`Answer::Later`]. Gives its clock from here on. An answer that has not come cannot have
    /// been seen: such a call is let go of.
    fn seen(&self, call: CallId) -> Millis;

    /// When the answer of a call came, if it has: what the guest's clock shows at least once it has seen it. A side that says nothing of this is told
    /// what the guest saw, and tells the time then.
    fn came(&self, call: CallId) -> Option<Millis> {
        let _ = call;
        None
    }

    /// The guest let go of a call before it saw the answer.
    fn dropped(&self, call: CallId);

    /// Ready when there is something to hear of a streamed answer: pieces, or that there are no more.
    fn poll_pieces(&self, call: CallId, context: &mut Context<'_>) -> Poll<()>;

    /// The guest hears now: all that waits to be heard of it, nothing at the end. What is given is written down as heard.
    ///
    /// # Errors
    /// If what it heard before cannot be read; the guest cannot go on then.
    fn hear(&self, call: CallId) -> Result<Vec<Delta>, String>;

    /// The guest let go of the pieces, but not of the call.
    fn unheard(&self, call: CallId);

    /// Which of those that wait the guest sees next, now that it waits; asked only of a run that has a past. With `rests`, nothing but what
    /// comes to it wakes the guest.
    fn next(&self, rests: bool, waiting: &[Delivery]) -> Next;

    /// Ready when the guest may have a turn: no person holds it, and the disk keeps up with what it causes to be written.
    fn poll_turn(&self, context: &mut Context<'_>) -> Poll<()>;

    /// The guest has had a turn and waits.
    fn waits(&self, rest: Rest);

    /// The guest waited by itself, without a call, until its clock showed this.
    fn slept(&self, until: Millis);

    /// True while the run does again what it did before: its next call stands in its past.
    fn repeats(&self) -> bool;

    /// The time, if the near side may answer a [`QuickCall`] by itself for a while from here on; none if it is to ask. A side that says nothing of
    /// this is asked.
    fn lease(&self) -> Option<Millis> {
        None
    }

    /// The near side has answered this by itself, behind all that it passed, said or answered before. It is decided on, counted and written down
    /// now, as if it had been passed then: no answer of such a call rests on what is decided. By the clock of this side it cannot have been later
    /// than `latest`.
    ///
    /// # Errors
    /// If its time cannot be true. Nothing was done then.
    fn answered(&self, quick: Quick, latest: Millis) -> Result<(), Untrue> {
        let _ = (quick, latest);
        Err(Untrue::Unasked)
    }
}

/// What comes of a syscall.
pub struct Passed {
    /// The answer, now or later.
    pub answer: Answer,
    /// The guest's clock from here on.
    pub clock: Millis,
    /// By which number the pieces of a streamed answer are heard; none if there are none.
    pub pieces: Option<CallId>,
    /// Fuel that the guest has less now, because a run below it has it.
    pub fuel_given: u64,
}

/// An answer that has yet to come.
pub type Coming = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Where the guest gets an answer.
pub enum Answer {
    /// Where it stands. There is nothing to report.
    Now(Reply),
    /// Later. Exactly one of [`Port::seen`] and [`Port::dropped`] follows.
    Later {
        /// The call.
        call: CallId,
        /// True if the guest stands in the call, and sees nothing else meanwhile; else it sees the answer in its turn.
        stands: bool,
        /// What comes.
        coming: Coming,
    },
}

/// What waits to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// The answer of a call.
    Answer(CallId),
    /// Pieces of an answer that is still being written, or that there are no more.
    Pieces(CallId),
}

/// What a guest that waits sees next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// What came first: all that it saw before is behind it.
    First,
    /// This.
    This(Delivery),
    /// Nothing now.
    Nothing,
}

/// How a guest waits after a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// It has nothing left to do before something comes.
    pub rests: bool,
    /// It stands in no call, and nothing that has come waits to be seen.
    pub has_seen_all: bool,
    /// Bytes of its linear memories.
    pub memory_bytes: u64,
}

/// What a guest begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// The input JSON.
    pub input: String,
    /// What its randomness is a function of.
    pub seed: u64,
    /// Its clock.
    pub now: Millis,
    /// When its wall time ends, by its clock.
    pub deadline: Millis,
    /// The wall time that is left of it; none if nothing ends it.
    pub left: Option<Duration>,
    /// The fuel that it has.
    pub fuel: u64,
    /// The linear memory that it may have, in bytes.
    pub memory_bytes: u64,
    /// True if it has a past, which says in which order it sees what comes.
    pub has_past: bool,
    /// What its monotonic clock shows as it begins, in nanoseconds.
    pub clock_from: u64,
    /// True if the host's work for it costs it fuel.
    pub pays_for_work: bool,
}

/// How a guest ended, and what it used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub how: How,
    /// Fuel that it has left, what it gave away included.
    pub fuel_left: u64,
    /// Bytes of its linear memories.
    pub memory_bytes: u64,
    /// What it said last that may explain its end.
    pub last_words: Option<String>,
}

/// The end of a guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum How {
    /// It gave this.
    Output(String),
    /// It said that it failed.
    Failure(Failure),
    /// It left by `exit` with this code.
    Exit(i32),
    /// It ran out of fuel.
    OutOfFuel,
    /// It broke, and had wanted more memory than this before.
    OutOfMemory(u64),
    /// Its stack was full.
    StackOverflow,
    /// It read or wrote outside of its memory.
    OutOfBounds,
    /// It came to an instruction that is never to be reached.
    Unreachable,
    /// Another trap of WebAssembly, in the engine's words.
    Trap(String),
    /// The engine ended it, in its words.
    Engine(String),
    /// There is no room for another instance.
    NoRoom,
    /// Its wall time was over.
    TimedOut,
    /// It was stopped.
    Stopped,
    /// The near side broke down.
    Panicked,
    /// The process of the near side broke down, and would again.
    Lost,
}

#[cfg(test)]
mod tests;
