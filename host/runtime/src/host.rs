//! The host: one home, one policy, one engine, and all runs on them. What `agentry run` and a server have in common.

mod builder;
pub mod census;
pub mod clock_watch;
mod errors;
pub mod parking;
pub mod policy_watch;
pub mod pulse;
pub mod reload;
mod serve;
pub mod services;
mod tools;
pub mod upkeep;

use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentry_drivers::tools::adapter::Adapter;
use agentry_drivers::tools::config::ToolLine;
use agentry_engine::prepare::{PrepareError, Preparer};
use agentry_journal::audit::heads::Heads;
use agentry_journal::history::History;
use agentry_journal::report::Report;
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::journal::{Entry, Status, up_to};
use agentry_kernel::json;
use agentry_kernel::manifest::Manifest;
use agentry_kernel::tool::ToolsChange;
use agentry_store::content::Content;
use agentry_store::ids::HostId;
use agentry_store::limits::INPUT_MAX_BYTES;
use agentry_store::rows::host::HostRow;
use agentry_store::rows::parked::{OpenRun, ParkedRun};
use agentry_store::rows::run::{Imported, RunRecord};
use agentry_store::{Batch, StoreError, keys, rows};
use tokio_util::sync::CancellationToken;

pub use self::builder::{HostBuilder, set_back};
pub use self::errors::OpenError;
pub use self::tools::ToolsNotSet;
use crate::approvals::{Said, SayError, Saying};
use crate::exec::components::Components;
use crate::exec::components::Prepared;
use crate::exec::errors::RunError;
use crate::exec::replay::{Replayed, replay};
use crate::exec::{Beginning, Resuming, lacking_roots};
use crate::host::services::Services;
use crate::run::cause::Began;
use crate::run::events::Observer;
use crate::run::recording::Recording;
use crate::run_queue::RunRequest;
use crate::triggers::pages::Pages;
pub use serve::Served;

/// What a host on a home is made of; see [`HostBuilder`] for one without.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it keeps its store, its cache, its configuration.
    pub home: PathBuf,
    /// The directory of policies.
    pub policies: PathBuf,
    /// What the roots of grants stand for.
    pub roots: BTreeMap<String, PathBuf>,
    /// What `default` stands for, instead of what the configuration says: an alias, or `scripted:FILE`.
    pub model: Option<String>,
    /// Models beside those of the configuration: the one in process, for example.
    pub models: Vec<Arc<agentry_llm::Entry>>,
    /// Who reads, checks and compiles components.
    pub preparer: Preparer,
    /// Whether a home is gone on with that was set back to an earlier day.
    pub accept_older: bool,
    /// Whether it is there for one run and those below it: it makes ready fewer places.
    pub one_run: bool,
}

/// What a new run is to have in common with another one.
#[derive(Clone, Debug)]
pub struct Fork<'a> {
    /// The other run, as in [`History::run`].
    pub run: &'a str,
    /// The first call that is the new run's own.
    pub call: CallId,
    /// Another input JSON.
    pub input: Option<Vec<u8>>,
    /// The file of another component.
    pub component: Option<&'a Path>,
}

/// A host; all of it can be used from many tasks at once.
pub struct Host {
    // Closed before the store is: the next host finds no socket of a live one.
    faces: Vec<Box<dyn Any + Send + Sync>>,
    pages: Option<Arc<dyn Pages>>,
    services: Arc<Services>,
    history: History,
    elsewhere: Vec<(HostId, HostRow, u64)>,
    attended: bool,
    // Closed last: it is told of the last tip when the store has written it.
    _heads: Option<Heads>,
}

impl Host {
    /// Opens the home, reads policy and configuration, and makes the engine ready.
    ///
    /// # Errors
    /// If one of them cannot be used; the error says what to do.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        HostBuilder::of_home(options)?.open().await
    }

    /// Keeps a way by which others reach this host, until the host is dropped: that closes it first, before the store.
    pub fn attach(&mut self, face: impl Any + Send + Sync) {
        self.faces.push(Box::new(face));
    }

    /// Has these pages shown beside webhooks, where `agents.toml` says so, while the host serves.
    pub fn show(&mut self, pages: Arc<dyn Pages>) {
        self.pages = Some(pages);
    }

    /// Lets runs wait for people: somebody looks at a terminal, or will answer by another command. Without it, what needs a
    /// person is refused at once.
    #[must_use]
    pub fn attended(self) -> Self {
        Self { attended: true, ..self }
    }

    /// Replaces the tools that the program of this host brings, each behind an adapter of its own, while runs go on; those of `tools.toml` stay.
    /// A tool with the adapter and the words that it had stays what it was. Calls that are under way end with what they began with, and
    /// open questions about a tool that is gone or differs are void.
    ///
    /// # Errors
    /// If one of them makes no sense; then the tools are what they were.
    pub fn set_tools(&self, tools: Vec<(ToolLine, Arc<dyn Adapter>)>) -> Result<ToolsChange, ToolsNotSet> {
        let drivers = &*self.services.drivers;
        let _no_other = drivers.tools.changing();
        tools::put(drivers, drivers.tools.with_own(tools)?)
    }

    /// Takes a person's answer to a question of a run.
    ///
    /// # Errors
    /// If it does not count.
    pub async fn say(&self, saying: Saying) -> Result<Said, SayError> {
        self.services.people.say(&self.services.drivers.gate, saying).await
    }

    /// Runs the agent in this file on an input, to its end.
    ///
    /// Dropping the future cuts the run: its calls are cancelled and settled, and the next host writes down that it was cut.
    /// [`Host::run_until`] stops one in good order.
    ///
    /// # Errors
    /// If it does not begin, or the store cannot be written. How the guest ended is in the report.
    pub async fn run(&self, component: &Path, input: Vec<u8>, observer: Observer) -> Result<Report, RunError> {
        self.run_until(CancellationToken::new(), component, input, observer).await
    }

    /// Runs it to its end, or until `stop` is cancelled: then it ends as `stopped`, its calls are settled and its journal is
    /// closed. A run that has not begun yet begins and is stopped at once, so that it stands in the journal as well.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub async fn run_until(
        &self,
        stop: CancellationToken,
        component: &Path,
        input: Vec<u8>,
        observer: Observer,
    ) -> Result<Report, RunError> {
        // Before anything is compiled for it.
        let input = checked(input)?;
        let prepared = self.components().package(component).await?;
        self.start(prepared, input, observer, (None, None), &stop).await
    }

    /// The same for what was ordered.
    async fn run_queued(&self, request: RunRequest, stop: CancellationToken) -> Result<Report, RunError> {
        let RunRequest { component, input, observer, began, id } = request;
        let input = checked(input)?;
        let prepared = tokio::select! {
            biased;
            prepared = self.components().package(&component) => prepared?,
            () = stop.cancelled() => return Err(PrepareError::Child("it was stopped".to_owned()).into()),
        };
        self.start(prepared, input, observer, (began, id), &stop).await
    }

    /// Executes a run again beside its journal, without any effect, and compares it call by call. It is named as in
    /// [`History::run`]; `component` is the file that it ran, if that is not kept here.
    ///
    /// # Errors
    /// If there is no such run, or its component is not the one that ran.
    pub async fn replay(&self, run: &str, component: Option<&Path>) -> Result<Replayed, RunError> {
        let (record, past) = self.recorded(run)?;
        let prepared = self.component_of(&record, component).await?;
        let replayed = replay(&self.services.drivers, &prepared, record.id, past).await;
        replayed.map_err(|error| RunError::recorded(&record, error))
    }

    /// The same with another component: whether it would have made the calls that were made. Nothing of it is done.
    ///
    /// # Errors
    /// If there is no such run, or this is no component.
    pub async fn shadow(&self, run: &str, component: &Path) -> Result<Replayed, RunError> {
        let (record, past) = self.recorded(run)?;
        let prepared = self.components().package(component).await?;
        let replayed = replay(&self.services.drivers, &prepared, record.id, past).await;
        replayed.map_err(|error| RunError::recorded(&record, error))
    }

    /// A run and all that its journal has.
    fn recorded(&self, run: &str) -> Result<(RunRecord, Recording), RunError> {
        let record = self.history.whole_run(run)?;
        let entries = self.history.entries(record.id)?;
        if entries.is_empty() {
            return Err(RunError::NeverBegan { run: record.id });
        }
        let past = Recording::of(Arc::clone(self.history.store()), entries);
        let past = past.map_err(|error| RunError::recorded(&record, error))?;
        Ok((record, past))
    }

    /// The other hosts of its store, and how many runs of each have not ended: as it was opened, and it leaves them alone.
    pub fn elsewhere(&self) -> &[(HostId, HostRow, u64)] {
        &self.elsewhere
    }

    /// Runs of this host that have not ended and that it does not have in memory, oldest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn suspended(&self) -> Result<Vec<RunRecord>, StoreError> {
        self.above(self.history.suspended(|open| self.has(&open))?)
    }

    /// Of these, those that nothing brings back but a host.
    fn lost(&self) -> Result<Vec<RunRecord>, StoreError> {
        let waits = |parked: Option<ParkedRun>| parked.is_some_and(|rest| rest.wake.is_some());
        self.above(self.history.suspended(|open| self.has(&open) && !waits(open.parked))?)
    }

    fn host_name(&self, host: HostId) -> Result<String, StoreError> {
        let hosts = rows::host::all(&**self.history.store())?.into_iter();
        Ok(hosts.filter(|(id, _)| *id == host).map(|(_, row)| row.name).next().unwrap_or_else(|| host.to_string()))
    }

    /// Whether it is this host that has a run which has not ended.
    fn has(&self, open: &OpenRun) -> bool {
        open.at.host == self.services.drivers.gate.journal().at().host
    }

    /// Of these, those that work for no other run.
    fn above(&self, mut suspended: Vec<RunRecord>) -> Result<Vec<RunRecord>, StoreError> {
        let mut failed = None;
        // A child goes on with its parent.
        suspended.retain(|record| match record.parent.map(|(parent, _)| self.goes_on(parent)).transpose() {
            Ok(above) => above != Some(true),
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        failed.map_or(Ok(suspended), Err)
    }

    /// True if this run has not ended.
    fn goes_on(&self, run: RunId) -> Result<bool, StoreError> {
        let record = self.history.record(run)?;
        Ok(record.is_some_and(|record| matches!(record.status, Status::Running | Status::Suspended)))
    }

    /// Goes on with a run that its host lost, from where its journal ends, until its end or until `stop` is cancelled. It is named as
    /// in [`History::run`]; `component` is the file that it ran, if that is not kept here.
    ///
    /// # Errors
    /// If there is no such run or it is not suspended; if its component is not the one that ran; if policy refuses it now. It stays
    /// suspended then.
    pub async fn resume(
        &self,
        run: &str,
        component: Option<&Path>,
        observer: Observer,
        stop: CancellationToken,
    ) -> Result<Report, RunError> {
        self.go_on_with(self.history.run(run)?, component, observer, (stop, None)).await
    }

    /// The same; it may be stopped before it goes on, and a person says why.
    async fn go_on_with(
        &self,
        record: RunRecord,
        component: Option<&Path>,
        observer: Observer,
        (stop, because): (CancellationToken, Option<String>),
    ) -> Result<Report, RunError> {
        if record.status != Status::Suspended {
            return Err(RunError::NotSuspended { run: record.id });
        }
        let open = OpenRun::of(&**self.history.store(), record.id)?;
        if let Some(open) = open.filter(|open| !self.has(open)) {
            return Err(RunError::Elsewhere { run: record.id, host: self.host_name(open.at.host)? });
        }
        let stop = stop.child_token();
        match record.parent {
            Some((parent, _)) if self.goes_on(parent)? => return Err(RunError::Below { run: record.id, parent }),
            Some(_) => {
                // Whoever called it is over, and so is it.
                let drivers = &self.services.drivers;
                drivers.gate.end_below(&[record.id], &drivers.mail).await?;
                let record = self.history.record(record.id)?.ok_or(RunError::NotSuspended { run: record.id })?;
                return Ok(self.history.report(&record)?);
            }
            None => {}
        }
        let prepared = self.component_of(&record, component).await?;
        let entries = self.history.entries(record.id)?;
        belongs(&record, &entries, &prepared.manifest)?;
        self.has_roots(&prepared)?;
        let _room = self.services.agents.room(&prepared).await;
        let attended = self.attended;
        let (forked, below) = (false, None);
        let resuming = Resuming { prepared, record, entries, forked, stop, attended, below, because };
        match crate::exec::resume(&self.services.drivers, resuming, observer).await? {
            Ok(report) => Ok(report),
            Err(refusal) => Err(RunError::Refused(refusal)),
        }
    }

    /// Begins a run that has the past of another one up to a call, and goes on from there. Nothing of that past is done or paid again.
    ///
    /// # Errors
    /// If there is no such run or call, or the component is not to be had; if policy or a budget refuses the run.
    pub async fn fork(&self, fork: Fork<'_>, observer: Observer, stop: CancellationToken) -> Result<Report, RunError> {
        // The past that the new run begins with is not pruned before it has begun.
        let _past = Arc::clone(self.services.drivers.gate.journal().past()).read_owned().await;
        let from = self.history.whole_run(fork.run)?;
        let entries = self.history.entries(from.id)?;
        let no_call = || RunError::NoCall { run: from.id, call: fork.call };
        let marks = |entries: &[Entry]| entries.iter().filter(|entry| matches!(entry, Entry::Imported { .. })).count();
        let all_marks = marks(&entries);
        let mut entries = up_to(&entries, fork.call).filter(|entries| !entries.is_empty()).ok_or_else(no_call)?;
        let prepared = match fork.component {
            Some(file) => self.components().package(file).await?,
            None => self.component_of(&from, None).await?,
        };
        self.has_roots(&prepared)?;
        let given = prepared.manifest.agent();
        if given != from.agent {
            return Err(RunError::OtherAgent { run: from.id, agent: from.agent, given: given.to_owned() });
        }
        let input = fork.input.map(checked).transpose()?;
        input.as_deref().map_or(Ok(()), |input| takes(&prepared, input))?;
        let input = input.map(|input| Content::of(input.into_bytes()));
        if let Some(Entry::Started(started)) = entries.first_mut() {
            started.component = prepared.digest;
            started.input = input.as_ref().map_or(started.input, |input| input.digest);
            given.clone_into(&mut started.agent);
        }
        if let Some(Imported { at, signer, .. }) = from.imported
            && marks(&entries) < all_marks
        {
            // All that is left stands before the mark that was cut off.
            entries.push(Entry::Imported { at, signer });
        }
        if let Some(input) = input {
            let mut batch = Batch::default();
            batch.put(keys::blob(&input.digest), input.bytes);
            self.history.store().commit(batch).await?;
        }
        let at = self.services.drivers.gate.clock().now();
        entries.push(Entry::Forked { at, from: from.id, call: fork.call });
        let _room = self.services.agents.room(&prepared).await;
        let id = RunId(getrandom::u64().map_err(RunError::Random)?.max(RunId::HOST.0 + 1));
        let manifest = &prepared.manifest;
        let record = RunRecord {
            id,
            package: format!("{}@{}", manifest.name, manifest.version),
            component: prepared.digest,
            started: at,
            ended: None,
            failure: None,
            cause: None,
            parent: None,
            listed: None,
            ..from
        };
        let (attended, stop) = (self.attended, stop.child_token());
        let (forked, below, because) = (true, None, None);
        let resuming = Resuming { prepared, record, entries, forked, stop, attended, below, because };
        crate::exec::resume(&self.services.drivers, resuming, observer).await?.map_err(RunError::Forbidden)
    }

    /// The component that a run was of.
    async fn component_of(&self, record: &RunRecord, file: Option<&Path>) -> Result<Arc<Prepared>, RunError> {
        let (run, recorded) = (record.id, record.component);
        let prepared = match file {
            Some(file) => self.components().package(file).await?,
            None => {
                let kept = self.history.blob(&recorded)?;
                self.components().prepare(kept.ok_or(RunError::NoComponent { run, recorded })?).await?
            }
        };
        if prepared.digest == recorded {
            return Ok(prepared);
        }
        Err(RunError::Component { run, recorded, given: prepared.digest })
    }

    /// Begins to make a component ready, for a run of it that comes next. What is wrong with it that run is told.
    pub fn prepare_soon(&self, component: &Path) {
        let (services, component) = (Arc::clone(&self.services), component.to_owned());
        tokio::spawn(async move { services.agents.components().package(&component).await.map(drop) });
    }

    /// Whether the system keeps the processes that execute agents from every file; none if this process executes them.
    ///
    /// # Errors
    /// Why no such process starts.
    pub async fn is_landlocked(&self) -> Result<Option<bool>, String> {
        self.components().executor().is_landlocked().await
    }

    /// What happened on this host so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The models, the door and the drivers, for who looks at them.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    async fn start(
        &self,
        prepared: Arc<Prepared>,
        input: String,
        observer: Observer,
        (began, id): (Option<Began>, Option<RunId>),
        stop: &CancellationToken,
    ) -> Result<Report, RunError> {
        takes(&prepared, &input)?;
        self.has_roots(&prepared)?;
        let _room = self.services.agents.room(&prepared).await;
        let fresh = || getrandom::u64().map(|id| RunId(id.max(RunId::HOST.0 + 1))).map_err(RunError::Random);
        let id = id.map_or_else(fresh, Ok)?;
        let seed = getrandom::u64().map_err(RunError::Random)?;
        let engine = self.components().engine().name().to_owned();
        let stop = stop.child_token();
        let attended = self.attended;
        let beginning = Beginning { prepared, input, seed, id, engine, stop, attended, below: None, began };
        Ok(crate::exec::run(&self.services.drivers, beginning, observer).await?)
    }

    /// Roots that are granted and needed must be there before anything is spent.
    fn has_roots(&self, prepared: &Prepared) -> Result<(), RunError> {
        let lacking = lacking_roots(&self.services.drivers, prepared);
        let roots: Vec<_> = lacking.into_iter().map(|wants| (wants.root.clone(), wants.why.clone())).collect();
        let agent = prepared.manifest.agent().to_owned();
        if roots.is_empty() { Ok(()) } else { Err(RunError::Roots { agent, roots }) }
    }

    fn components(&self) -> &Components {
        self.services.agents.components()
    }
}

/// Whether the agent says that it takes this input.
fn takes(prepared: &Prepared, input: &str) -> Result<(), RunError> {
    let agent = || prepared.manifest.agent().to_owned();
    prepared.shapes.check_input(input).map_err(|why| RunError::Shape { agent: agent(), why })
}

/// Whether a run, its journal and its component are of one agent: what the run may do is looked up by that name.
fn belongs(record: &RunRecord, entries: &[Entry], manifest: &Manifest) -> Result<(), RunError> {
    let said = entries.iter().find_map(|entry| match entry {
        Entry::Started(started) => Some(&started.agent),
        _ => None,
    });
    let given = manifest.agent();
    let package = format!("{}@{}", manifest.name, manifest.version);
    if record.agent == given && record.package == package && said.is_none_or(|said| said == given) {
        return Ok(());
    }
    let given = given.to_owned();
    Err(RunError::OtherAgent { run: record.id, agent: record.agent.clone(), given })
}

fn checked(input: Vec<u8>) -> Result<String, RunError> {
    let wrong = |why: String| RunError::Input { why };
    if input.len() > INPUT_MAX_BYTES {
        return Err(RunError::Long { max: INPUT_MAX_BYTES });
    }
    let text = String::from_utf8(input).map_err(|_| wrong("not UTF-8".to_owned()))?;
    json::check(&text).map_err(|flaw| wrong(format!("not JSON: {flaw}")))?;
    Ok(text)
}
