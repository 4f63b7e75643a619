//! What a host is made of, for those who look after it: what guests reach, and what only people, triggers and the host itself do.

use std::sync::Arc;

use agentry_drivers::web::System;
use agentry_journal::audit::heads::Teller;

use super::census::Census;
use super::parking::Parking;
use super::policy_watch::PolicyWatch;
use super::pulse::Pulse;
use super::upkeep::Upkeep;
use crate::agents::Agents;
use crate::approvals::People;
use crate::dispatch::drivers::Drivers;
use crate::run_queue::RunQueue;

/// The parts of a host.
pub struct Services {
    /// The gate and the drivers behind it.
    pub drivers: Arc<Drivers>,
    /// Agents by name, and what runs are made of.
    pub agents: Arc<Agents>,
    /// Those who answer for agents.
    pub people: People,
    /// What holds in this home now.
    pub policy_watch: PolicyWatch,
    /// Runs that others want begun here.
    pub run_queue: Arc<RunQueue>,
    /// Runs that leave memory while they wait, and come back.
    pub parking: Parking,
    /// What is done for the store beside runs.
    pub upkeep: Arc<Upkeep>,
    /// What waits in its store.
    pub census: Census,
    /// Whether it goes on.
    pub pulse: Pulse,
    /// Where heads of the log are written to as well, if anywhere.
    pub heads: Option<Teller>,
    /// Names that this host knows by itself.
    pub(crate) names: System,
}
