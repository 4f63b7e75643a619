//! Looks for bytes that break `agentry_fuzz::events::holds`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agentry_fuzz::events::holds(bytes));
