//! Says of which indexes, publishers and packages nothing is shown because they are not believed or not there. It must never hide that something is
//! missing.

use std::fmt::Display;

use agentry_packages::Fault;

use crate::screen::{self, text};

/// So many are told with the reason.
const TOLD_MAX: usize = 3;

/// Publishers, beside what is listed.
pub fn tell(all: &[Fault]) {
    told("what a publisher lists", all);
}

/// Indexes, beside what others list.
pub fn indexes(all: &[Fault]) {
    told("what an index lists", all);
}

/// A signature that a package does not need.
pub fn signature(why: &Fault) {
    told("a signature", std::slice::from_ref(why));
}

/// Packages, beside the pages of others.
pub fn packages(all: &[anyhow::Error]) {
    told("a package", all);
}

fn told(what: &str, all: &[impl Display]) {
    for fault in all.iter().take(TOLD_MAX) {
        screen::warn(&text::ours(&format!("{what} is left out: {fault:#}")));
    }
    if all.len() > TOLD_MAX {
        screen::warn(&format!("{} more are left out for reasons of the kind", all.len() - TOLD_MAX));
    }
}
