//! What syscalls reach: the one door and the drivers behind it. It is all of a host that a guest's call can touch.

use std::sync::Arc;

use agentry_drivers::files::{Files, Marks, StorageUsage};
use agentry_drivers::http::Http;
use agentry_drivers::human::Human;
use agentry_drivers::mail::Mail;
use agentry_drivers::memory::Memory;
use agentry_drivers::tools::Tools;
use agentry_llm::Models;
use agentry_packages::signers::Signers;

use super::delegate::Delegate;
use crate::gate::Gate;

/// What every run of a host shares.
pub struct Drivers {
    /// The one door.
    pub gate: Gate,
    /// Models.
    pub models: Models,
    /// Memory.
    pub memory: Memory,
    /// Named roots.
    pub files: Files,
    /// Labels of what lies in them.
    pub marks: Marks,
    /// Who keeps what lies in them.
    pub usage: StorageUsage,
    /// Questions of agents to people, and notices.
    pub human: Human,
    /// Tools behind adapters.
    pub tools: Tools,
    /// The web.
    pub http: Http,
    /// Mailboxes.
    pub mail: Arc<Mail>,
    /// Other agents of this host.
    pub delegate: Arc<dyn Delegate>,
    /// Who signed what is installed.
    pub signers: Signers,
}
