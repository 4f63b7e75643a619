//! The Model Context Protocol over Streamable HTTP, as far as a client needs it that calls tools. It sends nothing itself: whoever has a way to the
//! server lends it as a [`Way`], an agent its host's `http`, and `agentry new` its own.
//!
//! Sources: the revisions 2026-07-28 and 2025-11-25 of the specification, and the HTML standard for event streams. It declares no capability, so no
//! server may ask it for anything; it keeps no connection, so no server tells it anything but answers; and it chooses nothing at random.

mod answer;
mod client;
mod events;
mod message;
mod pinned;

pub use answer::Answer;
pub use client::{About, Client, Post, Reply, Way};
pub use pinned::{Pinned, Tool, is_name};
