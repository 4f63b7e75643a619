//! Looks for bytes that break `agentry_fuzz::answers::vectors`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agentry_fuzz::answers::vectors(bytes));
