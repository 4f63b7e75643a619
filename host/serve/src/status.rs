//! How a host stands, as plain data: what an operator asks first. It has names of agents and models and counts, and never an input, an output, a
//! secret or what a run says.

use std::collections::BTreeMap;

use agentry_kernel::kernel::BalanceLine;
use agentry_kernel::time::{ClockReading, Millis};
use agentry_runtime::host::census::Waiting;
use serde::{Deserialize, Serialize};

/// How a host stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    /// Its version.
    pub version: String,
    /// Its process.
    pub process: u32,
    /// Its time when it was asked.
    pub at: Millis,
    /// For how long it is open.
    pub up_ms: u64,
    /// True while it takes orders.
    pub serves: bool,
    /// True once it is to stop.
    pub stops: bool,
    /// How long ago the loop that begins runs turned; none if it serves nobody.
    pub beat_ms: Option<u64>,
    /// Why a person has locked the home; none if nobody has.
    pub locked: Option<String>,
    /// Runs in memory.
    pub runs: RunsNow,
    /// The same of each agent that has any, those with the most first; of a crowd only these.
    pub agents: Vec<AgentNow>,
    /// Runs of agents that are not listed.
    pub others: u64,
    /// What waits in the store.
    pub waiting: Waiting,
    /// Runs that were ordered and whose turn to begin has not come.
    pub ordered: u64,
    /// Since it opened.
    pub since_open: SinceOpen,
    /// How far the disk is behind.
    pub disk: DiskBehind,
    /// The budgets of the site.
    pub site: Vec<BalanceLine>,
    /// Its time beside the machine's clock.
    pub clock: ClockReading,
    /// The second place of the audit's heads; none if there is none.
    pub heads: Option<HeadsNow>,
    /// Processes that execute agents; none if this one does.
    pub workers: Option<WorkersNow>,
    /// Bytes of the process that are in memory; none where the system does not say.
    pub memory_bytes: Option<u64>,
    /// What cannot be used as it stands, by what it is: the last that could be used is in force. And `store`, while that cannot be
    /// written.
    pub alarms: BTreeMap<String, String>,
}

/// Runs in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsNow {
    /// That compute.
    pub computing: u64,
    /// That wait, by what for.
    pub waiting: BTreeMap<String, u64>,
    /// That a person holds.
    pub paused: u64,
    /// How many there can be at once.
    pub max: u64,
    /// Bytes of all their memories.
    pub memory_bytes: u64,
}

/// The runs of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentNow {
    /// Its name.
    pub agent: String,
    /// All of them.
    pub runs: u64,
    /// Of these, those that compute.
    pub computing: u64,
    /// That a person holds.
    pub paused: u64,
    /// Bytes of their memories.
    pub memory_bytes: u64,
}

/// What has come to pass since a host opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinceOpen {
    /// Runs that began or went on again.
    pub begun: u64,
    /// Runs that ended, or were refused, by how.
    pub ended: BTreeMap<String, u64>,
    /// Models that were asked, by their aliases.
    pub models: BTreeMap<String, ModelAsked>,
}

/// How often a model was asked, and how often that went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelAsked {
    /// In all.
    pub asked: u64,
    /// Of these.
    pub failed: u64,
}

/// How far the disk is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskBehind {
    /// Bytes that the store does not have yet.
    pub bytes: u64,
    /// Batches that it has and has not answered.
    pub batches: u64,
}

/// The second place of the audit's heads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsNow {
    /// The last segment whose head was written there since the host opened.
    pub written: Option<u64>,
    /// Why the next one cannot be written; none if all is well.
    pub failing: Option<String>,
}

/// Processes that execute agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkersNow {
    /// Those that take runs.
    pub alive: u64,
    /// How often a run lost its worker, and went on elsewhere.
    pub lost: u64,
}

impl RunsNow {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.computing + self.paused + self.waiting.values().sum::<u64>()
    }
}

impl HostStatus {
    /// Why no order should be given to it now; none if it is ready.
    pub fn unready(&self) -> Option<&'static str> {
        if self.stops {
            return Some("it stops");
        }
        if !self.serves {
            return Some("it takes no orders");
        }
        if self.locked.is_some() {
            return Some("its home is locked");
        }
        (self.ordered >= ORDERED_MAX).then_some("too many runs wait to begin")
    }
}

/// With so many runs that wait to begin, another host should be asked: three quarters of those that may.
const ORDERED_MAX: u64 = agentry_store::limits::RUNS_ORDERED_MAX as u64 * 3 / 4;
