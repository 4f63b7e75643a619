//! Does: the engine that runs components, the syscalls they make, the drivers that act and the store that remembers.
//!
//! Nothing here decides. Every effect passes [`gate`], where the kernel answers.

pub mod agents;
pub mod approvals;
pub mod config;
pub mod exec;
pub mod gate;
pub mod host;
pub mod run;
pub mod run_queue;
pub mod shapes;
pub mod syscalls;
pub mod triggers;
