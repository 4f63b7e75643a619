//! The word and the colour of how a run stands, the same on every screen.

use agentry_kernel::journal::Status;
use anstyle::Style;

use super::{BAD, BOLD, GOOD};

/// How a run stands, in a word and its colour.
pub fn shown(status: Status) -> (&'static str, Style) {
    match status {
        Status::Running => ("running", BOLD),
        Status::Done => ("done", GOOD),
        Status::Failed => ("failed", BAD),
        Status::Denied => ("denied", BAD),
        Status::Exhausted => ("exhausted", BAD),
        Status::Unavailable => ("unavailable", BAD),
        Status::Stopped => ("stopped", BAD),
        Status::Suspended => ("suspended", BOLD),
    }
}
