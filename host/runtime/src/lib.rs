//! Does: the engine that runs components, the syscalls they make, the drivers that act and the store that remembers.
//!
//! Nothing here decides. Every effect passes [`gate`], where the kernel answers.

pub mod agents;
pub mod approvals;
pub mod config;
pub mod dispatch;
pub mod exec;
pub mod gate;
mod guest;
pub mod host;
mod instance;
pub mod run;
pub mod run_queue;
pub mod shapes;
mod syscalls;
pub mod triggers;
pub mod worker;
pub mod workers;
