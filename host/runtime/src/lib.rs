//! Does: the engine that runs components, the syscalls they make, the drivers that act and the store that remembers.
//!
//! Nothing here decides. Every effect passes [`gate`], where the kernel answers.

pub mod admin;
pub mod agents;
pub mod approvals;
pub mod audit;
pub mod clock;
mod components;
pub mod config;
pub mod control;
pub mod drivers {
    //! One file per effect: each spends a permit, and none calls another.
    pub mod files;
    pub mod http;
    pub mod human;
    pub mod llm;
    pub mod mail;
    pub mod memory;
    pub mod tools;
}
pub mod engine;
pub mod gate;
pub mod history;
pub mod host;
pub mod journal;
pub mod limits;
pub mod package;
pub mod parcel;
pub mod policies;
pub mod prices;
pub mod resolve;
pub mod run;
pub mod secrets;
pub mod shapes;
pub mod statements;
pub mod store;
pub mod syscalls;
pub mod triggers;
mod web;
