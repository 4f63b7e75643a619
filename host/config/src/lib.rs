//! Reads what admins wrote: TOML with the exact place of every mistake, files that nobody else may write, references to secrets. It decides
//! nothing, and knows no section of any file: each is parsed beside what it configures.

mod error;
mod excerpt;
pub mod policies;
pub mod reader;
pub mod scrub;
pub mod secret;

pub use self::error::ConfigError;
