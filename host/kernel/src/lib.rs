//! Decides: what an agent may do, what it may cost and whose turn it is.
//!
//! The kernel never acts and never waits. It knows no clock, no file, no thread and no randomness: time and ids are
//! arguments, so everything it decides can be decided again, in a simulation or in a replay.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod approval;
pub mod budget;
pub mod call;
pub mod constraint;
pub mod digest;
mod fold;
pub mod inquiry;
pub mod journal;
pub mod json;
pub mod kernel;
pub mod labels;
pub mod limits;
pub mod manifest;
pub mod model;
mod nesting;
pub mod pattern;
pub mod policy;
pub mod publisher;
pub mod refusal;
pub mod retention;
pub mod rights;
pub mod text;
pub mod time;
pub mod tool;
pub mod url;
mod within;

pub use budget::{Amounts, Limits, Resource};
pub use call::{Call, CallId, RunId};
pub use digest::Digest;
pub use kernel::{Answer, Kernel, Permit};
pub use labels::Labels;
pub use refusal::{Code, Refusal};
pub use time::Millis;
