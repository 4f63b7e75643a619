//! Returns text that is not JSON, past the SDK.
//! Justification: an output is checked by the host, for not every guest has our SDK.

use agentry::Failure;
use agentry::bindings::{Guest, export};

struct Agent;

impl Guest for Agent {
    async fn run(_: String) -> Result<String, Failure> {
        Ok("{\"answer\": not json".into())
    }
}

#[cfg(target_family = "wasm")]
export!(Agent with_types_in agentry::bindings);
