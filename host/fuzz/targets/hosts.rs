//! Looks for a text that breaks `agentry_fuzz::hosts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agentry_fuzz::feed(bytes, agentry_fuzz::hosts::holds));
