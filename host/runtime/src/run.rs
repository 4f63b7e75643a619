//! One run from first to last entry.

pub mod context;
pub(crate) mod limiter;
pub(crate) mod lines;
