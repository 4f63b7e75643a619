//! What can be asked of a host, as plain data: each operation with its answer. Every face reads operations from its own form and writes answers
//! in it; nothing here knows a face, or acts.

use std::path::PathBuf;

use agentry_journal::settle_unknown::{Resolution, Resolved};
use agentry_kernel::call::RunId;
use agentry_kernel::kernel::Statement;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::{ClockReading, Millis};
use agentry_runtime::approvals::{Said, Saying};
use agentry_runtime::host::reload::Reloaded;
use agentry_runtime::run::activity::Live;
use agentry_runtime::run::events::Event;
use agentry_runtime::triggers::{TriggerAct, TriggerLook};
use agentry_store::rows::question::{Answering, Inquiry};
use agentry_store::{Key, Value};
use serde::{Deserialize, Serialize};

use crate::status::HostStatus;

/// One thing that a host can be asked. Why it was not done is an [`crate::error::OpError`], whatever it was.
pub trait Operation {
    /// What it gives.
    type Answer;
}

/// A value of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// Under which key.
    pub key: Key,
}

impl Operation for Get {
    type Answer = Option<Value>;
}

/// The values of several keys, in their order; the host may give fewer than were asked for, but at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetEach {
    /// Under which keys.
    pub keys: Vec<Key>,
}

impl Operation for GetEach {
    type Answer = Vec<Option<Value>>;
}

/// Whether the store has a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Has {
    /// Under which key.
    pub key: Key,
}

impl Operation for Has {
    type Answer = bool;
}

/// Rows of the store; the host may give fewer than there are, but at least one if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// The first key.
    pub from: Key,
    /// Behind the last.
    pub to: Key,
    /// True to begin at the end.
    pub reverse: bool,
    /// The most rows.
    pub rows: u64,
}

impl Operation for Scan {
    type Answer = Vec<(Key, Value)>;
}

/// How the host stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookAtHost;

impl Operation for LookAtHost {
    type Answer = Box<HostStatus>;
}

/// The agents that are paused until a person answers them: their names, and until when at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused;

impl Operation for Paused {
    type Answer = Vec<(String, Millis)>;
}

/// A person's answer to a question of policy.
impl Operation for Saying {
    type Answer = Said;
}

/// A person's answer to a question of an agent; the question as it stands then.
impl Operation for Answering {
    type Answer = Inquiry;
}

/// A person says what became of a call that nobody knows of.
impl Operation for Resolution {
    type Answer = Resolved;
}

/// What the site and its agents may spend, and what of it is left; the site first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget;

impl Operation for Budget {
    type Answer = Vec<Statement>;
}

/// What the host's time is, and what the machine's clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookAtClock;

impl Operation for LookAtClock {
    type Answer = ClockReading;
}

/// A person says that the machine's clock is right; what both said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptClock;

impl Operation for AcceptClock {
    type Answer = ClockReading;
}

/// The host looks at the home's lock now, instead of at its next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookAtLock;

impl Operation for LookAtLock {
    type Answer = ();
}

/// A person takes labels off what is kept; those that it had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlabel {
    /// Off what.
    pub from: Labelled,
    /// Which.
    pub labels: Labels,
    /// In the person's words.
    pub because: String,
}

impl Operation for Unlabel {
    type Answer = Labels;
}

/// A thing that is kept and has labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Labelled {
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

impl std::fmt::Display for Labelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Entry { namespace, key } => write!(f, "memory {namespace} {key}"),
            Self::File(path) => write!(f, "file {path}"),
        }
    }
}

/// A person takes labels off a run that goes on; those that it held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlabelRun {
    /// Which.
    pub run: RunId,
    /// Which labels.
    pub labels: Labels,
    /// In the person's words.
    pub because: String,
}

impl Operation for UnlabelRun {
    type Answer = Labels;
}

/// The runs that go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRuns;

impl Operation for LiveRuns {
    type Answer = Going;
}

/// What goes on in a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Going {
    /// Its runs.
    pub runs: Vec<Live>,
    /// The agents whose runs are held.
    pub held: Vec<String>,
    /// Runs that could not go on when they came back, and why: they are tried again when policy or the agents of the home change.
    pub stranded: Vec<(RunId, String)>,
}

/// A run is stopped in good order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Which.
    pub run: RunId,
    /// In the person's words.
    pub because: Option<String>,
}

impl Operation for Stop {
    type Answer = ();
}

/// A run is held, or let go; whether that is news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which.
    pub run: RunId,
    /// True to hold it.
    pub hold: bool,
}

impl Operation for Hold {
    type Answer = bool;
}

/// The runs of an agent are held, or let go; how many it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldAgent {
    /// Its name.
    pub agent: String,
    /// True to hold them.
    pub hold: bool,
}

impl Operation for HoldAgent {
    type Answer = u64;
}

/// A person throws a letter away, waiting or dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discard {
    /// Its id.
    pub letter: String,
}

impl Operation for Discard {
    type Answer = ();
}

/// A person lets a dead cause of a trigger try again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requeue {
    /// What it is called.
    pub cause: String,
}

impl Operation for Requeue {
    type Answer = ();
}

/// A person throws a cause away: no run is begun for it any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropCause {
    /// What it is called.
    pub cause: String,
}

impl Operation for DropCause {
    type Answer = ();
}

/// A person does something with the triggers that are called so; what they start, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TendTrigger {
    /// One by its id, or all of an agent.
    pub name: String,
    /// What.
    pub act: TriggerAct,
}

impl Operation for TendTrigger {
    type Answer = Vec<String>;
}

/// The triggers that the host knows, and how they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookAtTriggers;

impl Operation for LookAtTriggers {
    type Answer = Vec<TriggerLook>;
}

/// The host reads all that an admin has written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload;

impl Operation for Reload {
    type Answer = Reloaded;
}

/// A run that is to begin. What is heard of it, one after another, is [`News`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The component's file, which the host reads: it is the same user's.
    pub component: PathBuf,
    /// The input JSON.
    pub input: Vec<u8>,
    /// Whether to tell what happens in it, until it is over.
    pub watch: bool,
    /// An order under a key that was given before is that order: its run is told of, and no other begins.
    pub key: Option<String>,
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
