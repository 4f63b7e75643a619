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
    if all.len() > TOLD_MAX {
        let more = all.len() - TOLD_MAX;
        screen::warn(&format!("what {more} more publishers list is left out for reasons of the kind"));
    }
}
