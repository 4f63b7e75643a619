//! One door to the terminal: in `host/cli` nothing prints but `screen.rs`, which escapes what a screen forgot.

use super::{Findings, Tree};

/// Where the door is.
const DOOR: &str = "host/cli/src/screen.rs";

/// What prints beside it.
const PAST_IT: [&str; 6] = ["println!(", "eprintln!(", "print!(", "anstream::stdout", "anstream::stderr", "dbg!("];

pub(super) fn check(tree: &Tree, findings: &mut Findings) {
    for file in tree.rust("host/cli/src").filter(|file| !file.path.ends_with(DOOR)) {
        for (number, line) in file.lines() {
            for word in PAST_IT {
                if line.contains(word) {
                    findings.file(file, number, format_args!("`{word}` passes by the screen: use `crate::screen`"));
                }
            }
        }
    }
}
