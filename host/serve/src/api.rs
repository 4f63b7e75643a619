//! What a host is asked and what it answers, as plain data: every face speaks it. The order of variants is the wire's; new ones go to the end.

use std::path::PathBuf;

use agentry_journal::settle_unknown::{Resolution, Resolved};
use agentry_kernel::call::RunId;
use agentry_kernel::kernel::Statement;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use agentry_runtime::approvals::{Said, Saying};
use agentry_runtime::run::activity::Live;
use agentry_runtime::run::events::Event;
use agentry_store::rows::question::{Answering, Inquiry};
use agentry_store::{Key, Value};
use serde::{Deserialize, Serialize};

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

/// What labels are taken off, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Off what.
    pub place: Kept,
    /// Which.
    pub labels: Labels,
    /// In the person's words.
    pub because: String,
}

/// A thing that is kept and has labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kept {
    /// An entry of memory.
    Entry {
        /// Its namespace.
        namespace: String,
        /// Its key.
        key: String,
    },
    /// A file or a directory, by its absolute path without links.
    File(String),
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Entry { namespace, key } => write!(f, "memory {namespace} {key}"),
            Self::File(place) => write!(f, "file {place}"),
        }
    }
}
