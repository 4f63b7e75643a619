//! Says of which publishers nothing is listed because their lists are not believed. It must never hide that something is missing.

use agentry_packages::Fault;

use crate::screen::{self, text};

/// So many are told with the reason.
const TOLD_MAX: usize = 3;

/// Says so beside what is listed.
pub fn tell(all: &[Fault]) {
    for fault in all.iter().take(TOLD_MAX) {
        screen::warn(&text::ours(&format!("what a publisher lists is left out: {fault}")));
    }
    if let Some(more) = all.len().checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        screen::warn(&format!("what {more} more publishers list is left out for reasons of the kind"));
    }
}
