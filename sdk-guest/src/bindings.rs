//! The syscall table of `wit/` as Rust types and functions, made by `wit_bindgen`; nothing here is written by hand.
//!
//! Two interfaces are written by hand instead, in `types.rs` and `outcome.rs`, so that errors read as sentences.
#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    unused,
    clippy::all,
    reason = "generated from wit/, where the documentation stands"
)]

wit_bindgen::generate!({
    world: "agent",
    path: "../wit",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export",
    default_bindings_module: "::agentry::bindings",
    additional_derives: [PartialEq],
    with: {
        "agentry:agent/types@0.1.0": crate::types,
        "agentry:agent/outcome@0.1.0": crate::outcome,
    },
});
