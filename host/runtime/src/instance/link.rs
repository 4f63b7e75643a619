//! A compiled package, linked once for all its guests with the interfaces that its manifest declares.

use std::sync::Arc;

use agentry_abi::bindings::AgentPre;
use agentry_engine::Hosting;
use agentry_engine::package::{self, PackageError};
use agentry_engine::ticks::Ticks;
use agentry_engine::turns::Turns;
use agentry_kernel::manifest::Wants;
use wasmtime::component::Component;

use crate::syscalls::{self, State};

/// A package that is ready for guests.
pub(crate) struct Linked {
    pub(super) agent: AgentPre<State>,
    /// What bounds a slice of its guests by the wall clock.
    pub(super) ticks: Arc<Ticks>,
    /// Whose turn it is among them and others.
    pub(super) turns: Arc<Turns>,
}

impl Linked {
    /// Links it.
    ///
    /// # Errors
    /// If it names an interface of ours and means something else by it.
    pub(crate) fn new(hosting: &Hosting, component: &Component, wants: &Wants) -> Result<Self, PackageError> {
        let linked = syscalls::linker(hosting.inner(), wants)
            .and_then(|linker| linker.instantiate_pre(component))
            .and_then(AgentPre::new);
        let agent = linked.map_err(|error| mistyped(&error))?;
        Ok(Self { agent, ticks: Arc::clone(hosting.ticks()), turns: Arc::clone(hosting.turns()) })
    }
}

/// A component that names an interface of ours and means something else by it.
fn mistyped(error: &wasmtime::Error) -> PackageError {
    let why = format!("{error:#}");
    let why: String = why.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
    PackageError::new(
        format!("the component does not fit this host: {why}"),
        format!("build it against agentry:agent@{}, with the SDK of this host", package::WIT_VERSION),
    )
}
