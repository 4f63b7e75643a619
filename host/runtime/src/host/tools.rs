//! Tools that change while a host runs: `tools.toml` is read anew, or the program around the host brings others. A set of which anything makes
//! no sense changes nothing.

use std::path::Path;

use agentry_config::policies::PoliciesError;
use agentry_drivers::tools::config::{ToolsConfig, ToolsError};
use agentry_drivers::tools::{NotAdded, Registry};
use agentry_kernel::tool::ToolsChange;

use crate::dispatch::drivers::Drivers;

/// Why a host keeps the tools that it has.
#[derive(Debug, thiserror::Error)]
pub enum ToolsNotSet {
    /// The registry cannot be read, or makes no sense.
    #[error(transparent)]
    File(#[from] ToolsError),
    /// One of them cannot be a tool of this host.
    #[error(transparent)]
    Tool(#[from] NotAdded),
    /// The policy in force says by its own tests what it decides, and would decide something else with these.
    #[error("a test of the policy would fail with these tools\n{0}")]
    Tests(PoliciesError),
}

/// Puts the tools of the `tools.toml` in `home` in the place of those that are there, beside those that the program brings.
pub(super) fn reread(drivers: &Drivers, home: &Path) -> Result<ToolsChange, ToolsNotSet> {
    put(drivers, drivers.tools.with_file(ToolsConfig::load(home)?)?)
}

/// Has the kernel decide on this set from here on, and calls go to it. Whoever changes tools holds `Tools::changing`.
pub(super) fn put(drivers: &Drivers, registry: Registry) -> Result<ToolsChange, ToolsNotSet> {
    let tools = registry.kernel_tools();
    let failed = drivers.gate.kernel(|kernel| kernel.policy().failed_tests(tools.clone()));
    if !failed.is_empty() {
        return Err(ToolsNotSet::Tests(PoliciesError::Mistakes(failed)));
    }
    Ok(drivers.gate.set_tools(tools, || drivers.tools.put(registry)))
}
