//! What a host is opened from, part by part. A home is one way to fill it; a program that embeds Agentry hands in its own store, clock,
//! models, tools and policy. It decides nothing, and a part that is not given can do nothing: without a policy, nobody may anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use agentry_abi::clock::Clock;
use agentry_config::policies::{self, PoliciesError};
use agentry_drivers::files::{Files, Marks, StorageUsage};
use agentry_drivers::http::Http;
use agentry_drivers::human::Human;
use agentry_drivers::mail::Mail;
use agentry_drivers::memory::Memory;
use agentry_drivers::secrets::Secrets;
use agentry_drivers::tools::Tools;
use agentry_drivers::tools::adapter::Adapter;
use agentry_drivers::tools::config::{ToolLine, ToolsConfig};
use agentry_drivers::web::{System, Web};
use agentry_engine::Engine;
use agentry_engine::prepare::Preparer;
use agentry_engine::settings::Shape;
use agentry_journal::audit::heads::{self, Heads, HeadsError};
use agentry_journal::history::History;
use agentry_journal::{Journal, Tip};
use agentry_kernel::kernel::Kernel;
use agentry_kernel::policy::Policy;
use agentry_kernel::time::Millis;
use agentry_llm::Models;
use agentry_packages::signers::Signers;
use agentry_store::limits::{ORDER_KEPT_MS, RUNS_OF_ONE_MAX};
use agentry_store::{RedbStore, Store, StoreError, rows};

use super::census::Census;
use super::policy_watch::{self, PolicyWatch};
use super::pulse::Pulse;
use super::services::Services;
use super::upkeep::Upkeep;
use super::{Host, OpenError, Options, clock_watch, parking, reload};
use crate::agents::Agents;
use crate::approvals::People;
use crate::config::{AgentsConfig, Config, Isolation};
use crate::dispatch::drivers::Drivers;
use crate::exec::components::Components;
use crate::exec::executor::Executor;
use crate::gate::Gate;
use crate::run_queue::RunQueue;

/// How long those who only read the store may keep a host from opening it.
const READERS_LEAVE_MAX: Duration = Duration::from_secs(1);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// The parts of a host that is to be opened.
#[must_use = "nothing is opened before `open`"]
pub struct HostBuilder {
    directory: PathBuf,
    preparer: Preparer,
    /// And under which name it is this host's.
    store: Option<(Arc<dyn Store>, String)>,
    clock: Clock,
    policy: Policy,
    /// Where the policy is read anew when it changes; none if it stands as it was given.
    watched: Option<PathBuf>,
    /// Whether `tools.toml` and `agents.toml` are read anew when they change.
    tools_watched: bool,
    config: Config,
    /// Where agents are executed if the configuration does not say.
    unsaid: Isolation,
    registry: ToolsConfig,
    agents: AgentsConfig,
    roots: BTreeMap<String, PathBuf>,
    models: Vec<Arc<agentry_llm::Entry>>,
    model: Option<String>,
    tools: Vec<(ToolLine, Arc<dyn Adapter>)>,
    /// Whether a store is gone on with of which the second place knows more.
    accept_older: bool,
}

impl HostBuilder {
    /// A host that keeps machine code and the directories of commands in `directory`, and its store as well unless it is given another one.
    /// The lock and the approvers of a home are looked for there too. No two hosts may have one directory.
    ///
    /// Agents are executed in this process unless the configuration says `isolation = "process"`: a defect of the engine is one of the program
    /// then. That takes a [`Preparer::Child`] whose program is its own worker as well, as the `agentry` command is.
    pub fn new(directory: impl Into<PathBuf>, preparer: Preparer) -> Self {
        Self {
            directory: directory.into(),
            preparer,
            store: None,
            clock: Clock::System,
            policy: Policy::default(),
            watched: None,
            tools_watched: false,
            config: Config::default(),
            unsaid: Isolation::None,
            registry: ToolsConfig::default(),
            agents: AgentsConfig::default(),
            roots: BTreeMap::new(),
            models: Vec::new(),
            model: None,
            tools: Vec::new(),
            accept_older: false,
        }
    }

    /// All that a home says, with these options. Agents are executed in processes of their own unless it says otherwise; in this one where the
    /// preparer has no program that could be such a process.
    ///
    /// # Errors
    /// If its policy or a file of its configuration cannot be used.
    pub fn of_home(options: Options) -> Result<Self, OpenError> {
        let Options { home, policies, roots, model, models, preparer, accept_older, one_run } = options;
        let mut builder = Self::new(home, preparer).policy_directory(policies)?;
        builder.config = Config::load(&builder.directory)?;
        if one_run {
            builder.config.engine.1 = builder.config.engine.1.min(RUNS_OF_ONE_MAX);
        }
        builder.registry = ToolsConfig::load(&builder.directory)?;
        builder.agents = AgentsConfig::load(&builder.directory)?;
        let unsaid = if builder.preparer.program().is_some() { Isolation::Process } else { Isolation::None };
        Ok(Self { roots, model, models, tools_watched: true, accept_older, unsaid, ..builder })
    }

    /// Everything durable stands in this store, and this host is called `name` there. Other hosts may share the store, each under a name of its
    /// own: each has its runs, its log and its books, and none goes on with a run of another. Opening one under the name of one that is open
    /// shuts that one out: it writes nothing any more. Budgets bind each host by itself.
    pub fn store(self, store: Arc<dyn Store>, name: impl Into<String>) -> Self {
        Self { store: Some((store, name.into())), ..self }
    }

    /// The time of this host, for policy, budgets and journals alike.
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The policy of this directory, now and after each change of it.
    ///
    /// # Errors
    /// If it cannot be used as it stands.
    pub fn policy_directory(self, directory: impl Into<PathBuf>) -> Result<Self, PoliciesError> {
        let directory = directory.into();
        Ok(Self { policy: policies::load(&directory)?, watched: Some(directory), ..self })
    }

    /// The policy of these texts, each under the name that refusals show; it holds for as long as the host is open.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn policy_text(self, files: &[(&str, &str)]) -> Result<Self, PoliciesError> {
        Ok(Self { policy: policies::parse(files)?, watched: None, ..self })
    }

    /// Models, providers, secrets and limits, as `agentry.toml` says them.
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// One more model, with what answers as it. The first one is what `default` stands for, unless [`HostBuilder::default_model`] says
    /// otherwise.
    pub fn model(mut self, entry: agentry_llm::Entry) -> Self {
        self.model.get_or_insert_with(|| entry.model.alias.clone());
        self.models.push(Arc::new(entry));
        self
    }

    /// What `default` stands for: an alias, or `scripted:FILE`.
    pub fn default_model(self, alias: impl Into<String>) -> Self {
        Self { model: Some(alias.into()), ..self }
    }

    /// One more tool, behind an adapter of its own; see [`Tools::with_own`].
    pub fn tool(mut self, tool: ToolLine, adapter: impl Adapter + 'static) -> Self {
        self.tools.push((tool, Arc::new(adapter)));
        self
    }

    /// A root that policy can grant under this name, and the directory that it stands for.
    pub fn root(mut self, name: impl Into<String>, directory: impl Into<PathBuf>) -> Self {
        self.roots.insert(name.into(), directory.into());
        self
    }

    /// Opens the host: makes the engine ready, opens the store and puts in order what the last host left in it.
    ///
    /// # Errors
    /// If a part cannot be used; the error says what to do.
    pub async fn open(self) -> Result<Host, OpenError> {
        let Self { directory, preparer, clock, config, .. } = self;
        let (room, isolation) = (config.engine, config.isolation.unwrap_or(self.unsaid));
        // The first process for agents starts while the store is opened.
        let executor = executor(&preparer, room, isolation)?;
        executor.begin_soon();
        let models = Models::open(&config.models, &self.models, self.model.as_deref())?;
        let (store, name) = match self.store {
            Some(given) => given,
            None => (Arc::new(open_store(&directory).await?) as Arc<dyn Store>, rows::host::HOME.to_owned()),
        };
        let files = Files::open(&self.roots)?.apart_from(&directory)?;
        let faults = files.take_installed(&self.agents.roots);
        let clock = match clock {
            // The time of a host does not begin before that of the last one ended.
            Clock::System => clock_watch::of_store(&*store, rows::host::named(&*store, &name)?)?,
            given => given,
        };
        // Only now: nobody else works in this directory.
        let secrets = Arc::new(Secrets::open(&config.secrets));
        let (in_force, names) = (config.clone(), System::new(config.hosts));
        let web = Arc::new(Web::new(Arc::new(names.clone())));
        let program = preparer.program().map(Path::to_owned);
        let (of_web, of_secrets) = (Arc::clone(&web), Arc::clone(&secrets));
        let tools = Tools::open(self.registry, &directory, program, of_web, of_secrets, clock.clone());
        tools.put(tools.with_own(self.tools)?);
        let http = Http::new(web, secrets);
        let engine = match executor.settings() {
            None => Engine::open(&directory, preparer, room)?,
            Some(settings) => Engine::elsewhere(&directory, preparer, (room.0, settings))?,
        };
        let alarms = Arc::new(OnceLock::<Weak<Services>>::new());
        let second = config.heads.as_ref().map(|file| directory.join(file));
        let missing = second.as_deref().map_or(Ok(0), |file| set_back(&*store, &name, file))?;
        if let (Some(file), 1.., false) = (&second, missing, self.accept_older) {
            return Err(OpenError::Older { file: file.display().to_string(), missing });
        }
        let heads = second.map(|file| second_place(&file, &alarms)).transpose()?;
        let teller = heads.as_ref().map(Heads::teller);
        let tell = teller.clone();
        let told = move |tip| tell.iter().for_each(|teller| teller.tell(tip));
        let (journal, recovered) = Journal::open_as(&name, store, told).await?;
        // What is written to by way of the journal's is refused once this host is shut out.
        let store = Arc::clone(journal.store());
        let at = journal.at();
        let kernel = Kernel::new(Arc::new(self.policy), models.kernel_models(), tools.kernel_tools());
        let failed = kernel.failed_tests(kernel.policy());
        if !failed.is_empty() {
            return Err(PoliciesError::Mistakes(failed).into());
        }
        let gate = Gate::new(kernel, journal, clock.clone(), &recovered);
        let memory = Memory::new(Arc::clone(&store));
        let mail = Arc::new(Mail::new(Arc::clone(&store)));
        if missing > 0 {
            gate.accepted_older(missing);
        }
        gate.begin_locked(policy_watch::lock(&directory));
        let (marks, usage) = (Marks::new(Arc::clone(&store)), StorageUsage::new(Arc::clone(&store)));
        rows::approval::recover(&store, at.host).await?;
        let (people, signers) = (People::of(&directory), Signers::at(&directory));
        let config_watched = self.tools_watched.then_some(in_force);
        let policy_watch = PolicyWatch::new(directory, self.watched, config_watched);
        let human = Human::open(Arc::clone(&store), clock).await?;
        let (run_queue, parking) = (Arc::new(RunQueue::default()), parking::Parking::new(config.idle));
        let upkeep = Arc::new(Upkeep::new(config.retention));
        let (census, pulse) = (Census::default(), Pulse::default());
        let runs_max = usize::try_from(config.engine.1).unwrap_or(usize::MAX);
        let components = Components::new(engine, executor, Arc::clone(&store));
        let agents = Arc::new(Agents::new(self.agents, components, runs_max));
        let delegate = Arc::clone(&agents) as _;
        let drivers =
            Drivers { gate, models, memory, files, marks, usage, human, tools, http, mail, delegate, signers };
        let services = Arc::new(Services {
            drivers: Arc::new(drivers),
            agents,
            people,
            policy_watch,
            run_queue,
            parking,
            upkeep,
            census,
            pulse,
            heads: teller,
            names,
        });
        // Set once, here.
        let _ = alarms.set(Arc::downgrade(&services));
        reload::tell_of_roots(&services, &faults);
        policy_watch::watch(Arc::downgrade(&services)).map_err(OpenError::Watch)?;
        services.drivers.gate.mark_time().await?;
        let now = services.drivers.gate.clock().now().0;
        rows::order::forget_before(&*store, Millis(now.saturating_sub(ORDER_KEPT_MS))).await?;
        tokio::spawn(clock_watch::watch(Arc::downgrade(&services)));
        let history = History::over(store);
        let elsewhere = recovered.elsewhere;
        Ok(Host { faces: Vec::new(), pages: None, services, history, elsewhere, attended: false, _heads: heads })
    }
}

/// Where guests are executed.
fn executor(preparer: &Preparer, room: (Shape, u32), isolation: Isolation) -> Result<Executor, OpenError> {
    match isolation {
        Isolation::None => Executor::here().map_err(OpenError::Threads),
        Isolation::Process => {
            let program = preparer.program().ok_or(OpenError::NoProgram)?.to_owned();
            Ok(Executor::workers(program, room, Engine::settings_of(room.0)?))
        }
    }
}

/// Opens the store. Whoever only reads it, as `ps` does where no host runs, has it for a moment and is waited for.
async fn open_store(home: &Path) -> Result<RedbStore, StoreError> {
    let begun = Instant::now();
    loop {
        match RedbStore::open(home) {
            Err(StoreError::InUse { .. }) if begun.elapsed() < READERS_LEAVE_MAX => tokio::time::sleep(PAUSE).await,
            opened => return opened,
        }
    }
}

/// How many segments of this host's log the second place knows of that the store does not have.
///
/// # Errors
/// When either cannot be read.
pub fn set_back(store: &dyn Store, name: &str, place: &Path) -> Result<u64, OpenError> {
    let host = rows::host::named(store, name)?;
    let next = Tip::read(store, host)?.map_or(0, |tip| tip.next.number);
    let known = heads::newest(place, host)?.map_or(0, |head| head.segment.number.saturating_add(1));
    Ok(known.saturating_sub(next))
}

/// Opens the second place of heads. What goes wrong with it later is shown to whoever watches a run.
fn second_place(path: &Path, services: &Arc<OnceLock<Weak<Services>>>) -> Result<Heads, HeadsError> {
    let services = Arc::clone(services);
    Heads::open(path.to_path_buf(), move |error| {
        if let Some(services) = services.get().and_then(Weak::upgrade) {
            services.policy_watch.alarm(error.to_string());
        }
    })
}
