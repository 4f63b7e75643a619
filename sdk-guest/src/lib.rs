//! The library agents are written with.
//!
//! An agent is one function from a JSON input to a JSON output. Everything it can ask of its host is a module here, with
//! the name of its interface in `wit/`; nothing else reaches outside, and each call may be denied.
//!
//! ```no_run
//! # mod agent {
//! use agentry::{Failure, llm, memory};
//!
//! #[derive(serde::Deserialize)]
//! struct Input {
//!     question: String,
//! }
//!
//! #[agentry::agent]
//! async fn run(input: Input) -> Result<String, Failure> {
//!     let answer = llm::ask(&input.question).await?;
//!     memory::namespace("agent/oracle/answers").put_text(&input.question, &answer)?;
//!     Ok(answer)
//! }
//! # }
//! ```
//!
//! Quick calls return at once. Calls that may take long give a [`Call`], which is under way from the moment it exists:
//! await several together with [`futures::join!`], drop one to cancel it.

pub mod agents;
#[doc(hidden)]
pub mod bindings;
pub mod budget;
mod call;
pub mod context;
#[doc(hidden)]
pub mod export;
pub mod files;
mod host;
pub mod http;
pub mod human;
pub mod llm;
pub mod log;
pub mod mcp;
pub mod memory;
pub mod outcome;
pub mod timers;
pub mod tools;
pub mod types;

pub use agentry_macros::agent;
pub use call::Call;
pub use futures;
pub use outcome::{Context, Failure};
pub use types::Error;
