//! What happened in a run, in order: enough to resume, replay, audit and explain it.
//!
//! The runtime writes entries and never reads them to decide. Contents are named by digest and stored once. What the
//! host completed (`Answered`) and what the guest saw (`Observed`) are two entries, because with several calls in
//! flight their orders differ.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::approval::ApprovalId;
use crate::budget::{Amounts, Shortage};
use crate::call::{Call, CallId, RunId};
use crate::digest::Digest;
use crate::labels::Labels;
use crate::refusal::{Refusal, Rule};
use crate::time::Millis;

mod fork;
mod unfinished;

pub use fork::up_to;
pub use unfinished::{Open, Unfinished, Wake};

/// The version of this format. It stands before each stored entry; older ones stay readable. From version 6 on, the contents of all calls
/// are there; before, an export left out those of letters, of questions and of what other agents were asked. From version 7 on, a journal
/// says which part of it came out of a file. From version 8 on, that of a host says which journals went.
pub const FORMAT: u8 = 8;

/// What a decision rests on, as the journal of its run names it: see [`Entry::Basis`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BasisId(pub u32);

impl BasisId {
    /// Nobody wrote it down: older formats did not, and what is asked of no run rests on nothing.
    pub const NONE: Self = Self(0);
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// Always the first.
    Started(Started),
    /// The kernel admitted a call and its effect is about to happen.
    Asked {
        /// Which.
        call: CallId,
        /// When it was admitted.
        at: Millis,
        /// What was asked.
        what: Call,
        /// What is held for it.
        held: Amounts,
        /// What the yes rests on.
        basis: BasisId,
    },
    /// The kernel refused a call; nothing else happened.
    Refused {
        /// Which.
        call: CallId,
        /// When.
        at: Millis,
        /// What was asked.
        what: Call,
        /// Why not.
        refusal: Refusal,
        /// The policy that it rests on.
        basis: BasisId,
    },
    /// The host completed a call.
    Answered {
        /// Which.
        call: CallId,
        /// When.
        at: Millis,
        /// The answer that the guest gets.
        outcome: Outcome,
        /// What it took from the accounts.
        spent: Amounts,
    },
    /// A call without an outside effect, admitted and completed in one step.
    Called {
        /// Which.
        call: CallId,
        /// When.
        at: Millis,
        /// What was asked.
        what: Call,
        /// The answer that the guest got.
        outcome: Outcome,
        /// What the yes rests on.
        basis: BasisId,
    },
    /// The guest saw the completion of a call, or dropped the call before.
    Observed {
        /// Which.
        call: CallId,
        /// True if it dropped the call.
        dropped: bool,
    },
    /// Always the last.
    Ended(Ended),
    /// The run gained labels by a call. It stands before the entry that tells of the answer, or right behind it.
    Labelled {
        /// Which.
        call: CallId,
        /// When.
        at: Millis,
        /// Those that the run did not hold before.
        labels: Labels,
    },
    /// A call waits for people.
    Questioned {
        /// Which.
        call: CallId,
        /// When they were asked.
        at: Millis,
        /// What was asked for.
        what: Call,
        /// The question.
        id: ApprovalId,
        /// The rule that wants their yes.
        rule: Rule,
        /// The name of all that a yes is bound to.
        binding: Digest,
        /// What is held for the call meanwhile.
        held: Amounts,
        /// From then on a yes is good for nothing.
        expires: Millis,
    },
    /// People said yes to a call, and it is about to be made.
    Approved {
        /// Which.
        call: CallId,
        /// When it was looked at again.
        at: Millis,
        /// The question.
        id: ApprovalId,
        /// The name of all that the yes was bound to.
        binding: Digest,
        /// Who said yes.
        by: Vec<String>,
    },
    /// The kernel admitted a call that files with `mode = "observe"` would have refused. It stands before what came of it.
    ShadowDenied {
        /// Which.
        call: CallId,
        /// When.
        at: Millis,
        /// What they would have said.
        refusal: Refusal,
    },
    /// A rule of the site kept labels off the run with an answer that it vouches for.
    Cleared {
        /// Which.
        call: CallId,
        /// When.
        at: Millis,
        /// Those of the answer that the run did not hold before.
        labels: Labels,
        /// The rule.
        rule: Rule,
    },
    /// Another policy is in force from here on. This and all below stand in the journal of the host, [`RunId::HOST`](crate::RunId::HOST).
    Reloaded {
        /// When.
        at: Millis,
        /// Its digest.
        policy: Digest,
    },
    /// The policy directory, or the registry of tools, cannot be used as it is; the last good one stays in force.
    Kept {
        /// When.
        at: Millis,
        /// What is wrong, cut.
        why: String,
    },
    /// An admin stopped every new effect.
    Locked {
        /// When.
        at: Millis,
        /// In the admin's words; empty if there were none.
        because: String,
    },
    /// An admin let effects go on.
    Unlocked {
        /// When.
        at: Millis,
    },
    /// A person took labels off what is kept; or off a run, and then it stands in the journal of that run.
    Unlabelled {
        /// When.
        at: Millis,
        /// Off what, as it is shown.
        place: String,
        /// Those that it had.
        labels: Labels,
        /// In the person's words.
        because: String,
    },
    /// What decisions of this run rest on from here on. It stands before the first of them; the same number names something else
    /// only behind another entry of this kind.
    Basis {
        /// Its number in this run, from 1.
        id: BasisId,
        /// The digest of the policy in force.
        policy: Digest,
        /// The rule that gives the right; none where none is needed, and for refusals, which carry theirs.
        rule: Option<Rule>,
    },
    /// People added to budgets with their yes to a call, as much as it lacked.
    Raised {
        /// Which.
        call: CallId,
        /// When.
        at: Millis,
        /// The question.
        id: ApprovalId,
        /// What was added to which account.
        raised: Vec<Shortage>,
    },
    /// The guest took pieces of an answer that was still being written; with none it saw that there are no more. It stands among the
    /// entries that tell what else it saw, in that order.
    Heard {
        /// Which.
        call: CallId,
        /// The pieces, encoded.
        pieces: Vec<u8>,
    },
    /// A call waits for its turn at a model. It is asked for when that has come.
    Queued {
        /// Which.
        call: CallId,
        /// When the guest made it.
        at: Millis,
        /// What it asks for.
        what: Call,
        /// What is held for it meanwhile.
        held: Amounts,
    },
    /// The run goes on by its journal: its host had stopped, or it had left memory while it waited. Calls without an answer follow.
    Resumed {
        /// When.
        at: Millis,
    },
    /// The host stopped between a call and its answer. Where whether it happened is not known, what was held for it counts as spent;
    /// where it cannot have happened or costs nothing, nothing does.
    Unknown {
        /// Which.
        call: CallId,
        /// When that was seen.
        at: Millis,
        /// What counts as spent.
        spent: Amounts,
    },
    /// A person said what became of such a call.
    Resolved {
        /// Which.
        call: CallId,
        /// When.
        at: Millis,
        /// Whether it happened.
        happened: bool,
        /// What goes back to the accounts, because it did not.
        returned: Amounts,
        /// In the person's words.
        because: String,
    },
    /// A call runs another agent. It stands before the first entry of that run.
    Spawned {
        /// Which.
        call: CallId,
        /// The run below this one.
        run: RunId,
    },
    /// A person threw a letter away. It stands in the journal of the host.
    Discarded {
        /// When.
        at: Millis,
        /// Its id.
        letter: String,
    },
    /// Something started the run by itself: the time, a letter, a change, a request. It stands right behind its first entry.
    Triggered {
        /// When.
        at: Millis,
        /// What, as people read it.
        by: String,
    },
    /// All before is the past of another run up to a call. This run has it in common with that one, and has not paid for it.
    Forked {
        /// When.
        at: Millis,
        /// The other run.
        from: RunId,
        /// The first call that is this run's own.
        call: CallId,
    },
    /// The run leaves memory because all that it waits for is time, letters and people. Time goes on for it until it is resumed.
    Rested {
        /// When.
        at: Millis,
        /// The calls that it waits for. If one of them has an answer, that came at the last moment, and the guest has yet to see it.
        calls: Vec<CallId>,
    },
    /// What was learnt of a call that only the admin is told: the reason of somebody outside, in their words. It stands before the
    /// answer, which the guest sees.
    Noted {
        /// Which.
        call: CallId,
        /// When.
        at: Millis,
        /// The words; without keys.
        note: String,
    },
    /// All before came out of a file: another home wrote it, or somebody who says that one did. Nothing of it was decided, held or paid
    /// here, and nothing of it counts here.
    Imported {
        /// When.
        at: Millis,
        /// The key that signed the file; none if nobody did.
        signer: Option<Digest>,
    },
    /// A run out of a file goes on here for the first time. From here on its books, limits and labels are this home's.
    Adopted {
        /// When.
        at: Millis,
        /// Fuel, wall time and memory that this home gives it.
        held: Amounts,
        /// What it holds: labels of strangers' data, those of what it read by the policy of this home, and those that the file says.
        labels: Labels,
    },
    /// The host has other tools from here on. It stands in the journal of the host.
    ToolsSet {
        /// When.
        at: Millis,
        /// Those that were not there, by name.
        added: Vec<String>,
        /// Those of which the admin says something else: open questions about them are void.
        changed: Vec<String>,
        /// Those that are gone.
        removed: Vec<String>,
    },
    /// A person said that the clock of the machine is right, and the host goes by it from here on. It stands in the journal of the host.
    ClockAccepted {
        /// When, by that clock.
        at: Millis,
        /// What the host went by before.
        was: Millis,
    },
    /// A person had a home go on that was set back to an earlier day. It stands in the journal of the host.
    OlderAccepted {
        /// When.
        at: Millis,
        /// How many segments the second place knew of that are not here.
        missing: u64,
    },
    /// The journals of runs that are over went; of each segment its place in the chain is left. It stands in the journal of the host.
    Pruned {
        /// When.
        at: Millis,
        /// Of these.
        runs: Vec<PrunedRun>,
    },
}

/// A run whose journal went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunedRun {
    /// Which.
    pub run: RunId,
    /// How many segments it had.
    pub segments: u64,
    /// The name of what went: see `agentry_journal::segment::gone`.
    pub digest: Digest,
}

/// All that a run is a function of, besides its outcomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// When.
    pub at: Millis,
    /// The agent's name.
    pub agent: String,
    /// `publisher:name@version` of the package.
    pub package: String,
    /// The component's digest.
    pub component: Digest,
    /// The input JSON, by name.
    pub input: Digest,
    /// The seed of its randomness.
    pub seed: u64,
    /// The digest of the policy in force.
    pub policy: Digest,
    /// The engine and its settings.
    pub engine: String,
    /// Fuel, wall time and memory that it was given.
    pub held: Amounts,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Millis,
    /// How.
    pub status: Status,
    /// The output JSON or the failure's sentence, by name.
    pub output: Digest,
    /// All that the run took from its accounts.
    pub spent: Amounts,
}

/// How a run ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not yet.
    Running,
    /// With an output.
    Done,
    /// The agent said that it failed, or broke.
    Failed,
    /// Policy was in the way.
    Denied,
    /// A budget was in the way.
    Exhausted,
    /// Something that it needs was not to be had.
    Unavailable,
    /// A person stopped it.
    Stopped,
    /// Not yet: it is not in memory, and its journal brings it back.
    Suspended,
}

impl Status {
    /// All ways for a run to be over.
    pub const ENDS: [Self; 6] =
        [Self::Done, Self::Failed, Self::Denied, Self::Exhausted, Self::Unavailable, Self::Stopped];

    /// In one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::Stopped => "stopped",
            Self::Suspended => "suspended",
        }
    }
}

/// The answer to a call, as the guest gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It went well; the encoded answer is short enough to stand here.
    Inline(Vec<u8>),
    /// It went well; the encoded answer is stored by name.
    Stored {
        /// The encoded answer.
        content: Digest,
        /// Its size.
        bytes: u64,
    },
    /// It did not go well.
    Error {
        /// The case of `types.error`: `unavailable`, `not-found`, …
        kind: String,
        /// Its text.
        text: String,
        /// What came before it broke, encoded and stored by name.
        partial: Option<Digest>,
    },
}

impl Outcome {
    /// Bytes of the answer that are stored by name.
    pub fn stored_bytes(&self) -> u64 {
        match self {
            Self::Stored { content: _, bytes } => *bytes,
            // What came before an answer broke is never more than was asked for, and its size does not stand here.
            Self::Inline(_) | Self::Error { .. } => 0,
        }
    }
}
