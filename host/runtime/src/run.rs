//! One run from first to last entry.

pub mod context;
