//! Returns text that is not JSON, past the SDK.
//! Justification: an output is checked by the host, for not every guest has our SDK.

// Only WebAssembly has the export; elsewhere there is nothing here to check.
#[cfg(target_family = "wasm")]
mod agent {
    use agentry::Failure;
    use agentry::bindings::{Guest, export};

    struct Agent;

    impl Guest for Agent {
        async fn run(_: String) -> Result<String, Failure> {
            Ok("{\"answer\": not json".into())
        }
    }

    export!(Agent with_types_in agentry::bindings);
}
