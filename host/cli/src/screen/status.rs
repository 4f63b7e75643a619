//! The word and the colour of how a run stands, the same on every screen.

use agentry_kernel::journal::Status;
use anstyle::Style;

use super::{BAD, BOLD, GOOD};

/// How a run stands, in a word and its colour.
pub fn shown(status: Status) -> (&'static str, Style) {
    let style = match status {
        Status::Running | Status::Suspended => BOLD,
        Status::Done => GOOD,
        Status::Failed | Status::Denied | Status::Exhausted | Status::Unavailable | Status::Stopped => BAD,
    };
    (status.word(), style)
}
