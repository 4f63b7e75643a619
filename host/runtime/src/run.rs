//! One run while it is in memory, as the side of the gate knows it. It is state: it decides nothing and does nothing.

pub mod activity;
pub(crate) mod acts;
pub mod cause;
pub mod context;
pub(crate) mod end;
pub mod events;
pub(crate) mod parent;
pub mod recording;
