//! What acts: memory, files, mailboxes, people, tools, the web. Each driver spends a permit on one effect; none decides, and none calls another.
//! What several use lies beside them: the way to the web, and secrets by handle.

pub mod files;
#[cfg(test)]
mod fixture;
pub mod http;
pub mod human;
pub mod mail;
pub mod memory;
pub mod secrets;
pub mod tools;
pub mod web;
