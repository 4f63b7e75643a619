//! What must hold of every text that policies, packages and agents are read from. Each file states the properties of one of them
//! as `holds`, which panics at a text that breaks one; a fuzzer feeds it, and a test feeds it what fuzzers kept.

#[cfg(feature = "fuzzer")]
pub mod answers;
pub mod arguments;
pub mod decisions;
#[cfg(feature = "fuzzer")]
pub mod events;
pub mod hosts;
pub mod manifest;
pub mod paths;
pub mod policy;

use agentry_kernel::Digest;
use agentry_kernel::policy::{Mistake, Policy, Source};

/// A property of texts.
pub type Holds = fn(&str);

/// All of them, by the name of their target and their corpus.
pub const ALL: [(&str, Holds); 6] = [
    ("policy", policy::holds),
    ("arguments", arguments::holds),
    ("manifest", manifest::holds),
    ("hosts", hosts::holds),
    ("paths", paths::holds),
    ("decisions", decisions::holds),
];

/// Stands on a line of its own between the parts of an input.
const BETWEEN: &str = "\n-----\n";

/// Feeds a property with what a fuzzer made; the kernel is only ever given text.
pub fn feed(bytes: &[u8], holds: Holds) {
    if let Ok(text) = core::str::from_utf8(bytes) {
        holds(text);
    }
}

/// The files of one policy.
fn parse(files: &[&str]) -> Result<Policy, Vec<Mistake>> {
    let sources: Vec<Source<'_>> = files.iter().map(|text| Source { file: "p.toml", text }).collect();
    Policy::parse(&sources, Digest::default())
}

/// What is told to a person stays where it is printed: it moves no cursor and turns no writing around.
fn is_plain(shown: &str) -> bool {
    let turns = |char| matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !shown.chars().any(|char| (char.is_control() && char != '\n') || turns(char))
}
