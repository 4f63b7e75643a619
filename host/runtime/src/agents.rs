//! The agents that this host knows by name, and runs of them below other runs. Who may call whom is the kernel's to say.

mod child;

use std::path::Path;
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::agents::AgentInfo;
use agentry_abi::bindings::agentry::agent::llm::Tool;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Completed;
use agentry_abi::fault;
use agentry_engine::settings::wide_places;
use agentry_kernel::Call;
use agentry_kernel::call::{Delegation, Post, RunId};
use agentry_kernel::digest::Digest;
use agentry_kernel::manifest::Manifest;
use agentry_store::limits::AGENTS_FOUND_MAX;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub use self::child::{Found, found};
use crate::config::AgentsConfig;
use crate::dispatch::delegate::{Delegate, Delegated};
use crate::dispatch::drivers::Drivers;
use crate::exec::components::{Components, Prepared};
use crate::gate::Gate;
use crate::run::context::RunContext;
use crate::shapes;
use crate::workers::WorkersState;

/// The agents of a host, and what their runs are made of.
pub struct Agents {
    known: RwLock<Arc<AgentsConfig>>,
    /// Others, which a host that serves is to take in their place.
    offer: Mutex<Option<Arc<AgentsConfig>>>,
    offers: Notify,
    components: Components,
    runs_max: usize,
    slots: Arc<Semaphore>,
    /// Places for runs with many parts, besides the one that each has.
    wide: Arc<Semaphore>,
}

/// Room for one run, until it is dropped.
pub(crate) struct RunRoom {
    _slot: OwnedSemaphorePermit,
    _wide: Option<OwnedSemaphorePermit>,
}

impl Agents {
    /// These agents, run from these components, so many at once.
    pub(crate) fn new(known: AgentsConfig, components: Components, runs_max: usize) -> Self {
        let known = RwLock::new(Arc::new(known));
        let (offer, offers) = (Mutex::default(), Notify::new());
        let (slots, wide) = (Semaphore::new(runs_max), Semaphore::new(wide_places(runs_max)));
        Self { known, offer, offers, components, runs_max, slots: Arc::new(slots), wide: Arc::new(wide) }
    }

    /// Those that are known by name.
    pub fn known(&self) -> Arc<AgentsConfig> {
        Arc::clone(&self.known.read())
    }

    /// From now on others are.
    pub(crate) fn put(&self, known: Arc<AgentsConfig>) {
        *self.known.write() = known;
    }

    /// A host that serves is to know these from now on.
    pub(crate) fn offer(&self, known: AgentsConfig) {
        *self.offer.lock() = Some(Arc::new(known));
        self.offers.notify_one();
    }

    /// Those that it is to know, once there are others.
    pub(crate) async fn offered(&self) -> Arc<AgentsConfig> {
        loop {
            if let Some(known) = self.offer.lock().take() {
                return known;
            }
            self.offers.notified().await;
        }
    }

    /// What runs are made of.
    pub(crate) fn components(&self) -> &Components {
        &self.components
    }

    /// How the processes stand that execute guests; none if this process does.
    pub async fn workers(&self) -> Option<WorkersState> {
        self.components.executor().workers_state().await
    }

    /// How many runs there can be at once.
    pub fn runs_max(&self) -> usize {
        self.runs_max
    }

    /// Waits for room for one more run of this component. One of many parts waits for its share of the places for such runs, and keeps no room of
    /// others meanwhile: a crowd of them shuts nobody else out.
    pub(crate) async fn room(&self, prepared: &Prepared) -> RunRoom {
        let never = "the room of a host is never closed";
        let wide = match prepared.wide_places {
            0 => None,
            places => Some(Arc::clone(&self.wide).acquire_many_owned(places).await.expect(never)),
        };
        RunRoom { _slot: Arc::clone(&self.slots).acquire_owned().await.expect(never), _wide: wide }
    }

    /// The same, if there is some.
    pub(crate) fn room_now(&self, prepared: &Prepared) -> Option<RunRoom> {
        let wide = match prepared.wide_places {
            0 => None,
            places => Some(Arc::clone(&self.wide).try_acquire_many_owned(places).ok()?),
        };
        Some(RunRoom { _slot: Arc::clone(&self.slots).try_acquire_owned().ok()?, _wide: wide })
    }

    async fn found(&self, gate: &Gate, run: RunId, provides: &str) -> Result<Vec<AgentInfo>, Error> {
        let mut found = Vec::new();
        let known = self.known();
        for agent in &known.agents {
            if found.len() == AGENTS_FOUND_MAX {
                break;
            }
            if !may_call(gate, run, &agent.name) && !may_write(gate, run, &agent.name) {
                continue;
            }
            let Ok(manifest) = self.manifest(&agent.component).await else { continue };
            if manifest.provides.iter().any(|word| word == provides) {
                let (provides, description) = (manifest.provides.clone(), manifest.description.clone());
                found.push(AgentInfo { name: agent.name.clone(), provides, description });
            }
        }
        Ok(found)
    }

    async fn tools(&self, gate: &Gate, run: &RunContext) -> Vec<Tool> {
        let mut tools = Vec::new();
        let known = self.known();
        for agent in &known.agents {
            if tools.len() == AGENTS_FOUND_MAX {
                break;
            }
            if agent.name == run.agent || !may_call(gate, run.id, &agent.name) {
                continue;
            }
            let Ok(manifest) = self.manifest(&agent.component).await else { continue };
            if let Some(schema) = shapes::object_taken(&manifest) {
                let (name, description) = (agent.name.clone(), manifest.description.clone());
                tools.push(Tool { name, description, schema_json: schema.to_owned() });
            }
        }
        tools
    }

    async fn manifest(&self, component: &Path) -> Result<Arc<Manifest>, Error> {
        self.components.manifest(component).await.map_err(|_| fault::unavailable("its package cannot be used", None))
    }
}

impl Delegate for Agents {
    /// One whose package cannot be used is not found.
    fn find<'a>(
        &'a self,
        gate: &'a Gate,
        run: RunId,
        provides: &'a str,
    ) -> BoxFuture<'a, Result<Vec<AgentInfo>, Error>> {
        self.found(gate, run, provides).boxed()
    }

    fn tools<'a>(&'a self, gate: &'a Gate, run: &'a RunContext) -> BoxFuture<'a, Vec<Tool>> {
        self.tools(gate, run).boxed()
    }

    fn reaches(&self, gate: &Gate, run: RunId, agent: &str) -> bool {
        self.known().get(agent).is_some() && may_call(gate, run, agent)
    }

    fn call(
        self: Arc<Self>,
        drivers: Arc<Drivers>,
        delegated: Delegated,
        cut: CancellationToken,
    ) -> BoxFuture<'static, Completed<String>> {
        child::call(self, drivers, delegated, cut)
    }
}

/// Whether a run may call this agent, as things stand.
fn may_call(gate: &Gate, run: RunId, agent: &str) -> bool {
    let (agent, input) = (agent.to_owned(), Digest::default());
    let call = Call::AgentsCall(Delegation { agent, input, share: Vec::new(), fuel: 0 });
    gate.kernel(|kernel| kernel.look(run, &call, gate.clock().now()).is_ok())
}

/// Whether it may write to it.
fn may_write(gate: &Gate, run: RunId, agent: &str) -> bool {
    let send = Call::AgentsSend(Post { agent: agent.to_owned(), content: Digest::default(), bytes: 0 });
    gate.kernel(|kernel| kernel.look(run, &send, gate.clock().now()).is_ok())
}
