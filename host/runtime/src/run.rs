//! One run while it is in memory: what everything on the way of its syscalls knows of it. It is state: it decides nothing and does nothing.

pub mod activity;
pub(crate) mod acts;
pub mod cause;
pub mod context;
pub(crate) mod delivery;
pub(crate) mod end;
pub mod events;
pub(crate) mod parent;
pub mod recording;
pub(crate) mod slice;
