//! Makes components ready: wasmtime and its settings, the child that reads and compiles, the cache of what it made, slices by the wall clock.
//!
//! It never links a component to anything: what a run may call is the business of `syscalls`.

pub mod cache;
pub mod charges;
pub mod confine;
mod dense;
pub mod limiter;
pub mod package;
pub mod prepare;
pub mod settings;
pub mod single_flight;
pub mod ticks;
pub mod turns;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use agentry_kernel::Digest;
use parking_lot::Mutex;
use wasmtime::component::Component;

use agentry_store::limits::COMPONENTS_LOADED_MAX;
use cache::{Artifact, Cache};
use package::Package;
use prepare::{PrepareError, Preparer};
use settings::Shape;
use single_flight::SingleFlight;
use ticks::Ticks;
use turns::Turns;

/// What executes guests: the memory that so many of them live in, and the slices of those whom it executes.
#[derive(Clone, Debug)]
pub struct Hosting {
    inner: wasmtime::Engine,
    ticks: Arc<Ticks>,
    turns: Arc<Turns>,
}

/// The engine: compiles a component once and keeps it, for guests of this process or of another one.
#[derive(Debug)]
pub struct Engine {
    /// None if guests are executed by another process.
    hosting: Option<Hosting>,
    /// The engine and its settings, for the journal.
    name: String,
    shape: Shape,
    preparer: Preparer,
    cache: Cache,
    loaded: SingleFlight<Ready>,
    /// What no further try would change, so that nobody makes the host try for ever.
    refused: Mutex<HashMap<Digest, PrepareError>>,
}

/// In the engine's name since the monotonic clock of a guest begins at one nanosecond.
const CLOCK_MARK: &str = "clock-1";

/// The same since the host's work for a guest costs it fuel, by [`charges`].
const FUEL_MARK: &str = "fuel-1";

/// Whether a run that this engine began saw a monotonic clock that began at zero: so it was before names of engines said otherwise.
pub fn clock_begins_at_zero(engine: &str) -> bool {
    !is_marked(engine, CLOCK_MARK)
}

/// Whether a run that this engine began pays for the host's work: one that began before did not, and ends as it would have then.
pub fn charges_for_work(engine: &str) -> bool {
    is_marked(engine, FUEL_MARK)
}

fn is_marked(engine: &str, mark: &str) -> bool {
    engine.split(' ').any(|word| word == mark)
}

/// A package and its code.
pub type Ready = (Arc<Package>, Code);

/// Machine code of a component.
#[derive(Clone, Debug)]
pub enum Code {
    /// Loaded, for guests of this process.
    Loaded(Component),
    /// As it is handed over to another process.
    Sealed(Arc<Artifact>),
}

/// The engine could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The system gives no room for instances.
    #[error("the engine does not start: {0}\nhint: it reserves address space, not memory; look at `ulimit -v`")]
    Settings(String),
    /// The cache of compiled components cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::CacheError),
}

impl Hosting {
    /// Room for so many runs of this shape, which are executed by as many threads as there are cores.
    ///
    /// # Errors
    /// If the system refuses the address space, or a thread.
    pub fn open(shape: Shape, runs_max: u32) -> Result<Self, EngineError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self::open_confined(shape, (runs_max, threads), || Ok(()))
    }

    /// The same of so many threads; `confine` is done when the system has given what it must, and before there is a second thread.
    ///
    /// # Errors
    /// The same, or if it cannot be done.
    pub fn open_confined(
        shape: Shape,
        (runs_max, threads): (u32, usize),
        confine: impl FnOnce() -> std::io::Result<()>,
    ) -> Result<Self, EngineError> {
        let config = settings::hosting(shape, runs_max).map_err(|error| EngineError::Settings(error.to_string()))?;
        let inner =
            wasmtime::Engine::new(&config).map_err(|error| EngineError::Settings(error.root_cause().to_string()))?;
        let ticks = confine().and_then(|()| Ticks::of(&inner));
        let ticks = ticks.map_err(|error| EngineError::Settings(error.to_string()))?;
        Ok(Self { inner, ticks: Arc::new(ticks), turns: Arc::new(Turns::of(threads)) })
    }

    /// Wasmtime's engine.
    pub fn inner(&self) -> &wasmtime::Engine {
        &self.inner
    }

    /// The slices of those whom it executes.
    pub fn ticks(&self) -> &Arc<Ticks> {
        &self.ticks
    }

    /// Their turns.
    pub fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// By which code fits it.
    pub fn settings(&self) -> Digest {
        settings::digest(&self.inner)
    }

    /// The component of an artifact.
    ///
    /// # Errors
    /// Why the engine does not take it.
    pub fn load(&self, artifact: &Artifact) -> Result<Component, String> {
        cache::deserialize(&self.inner, artifact)
    }
}

/// What a home knows of the package in these bytes, if a host or a command of it has read them before: for a command that has no engine.
pub fn known(home: &Path, bytes: &[u8]) -> Option<Package> {
    let digest = package::digest(bytes);
    Package::of_facts(&Cache::of_facts(home)?.facts(digest)?, digest, bytes.len())
}

impl Engine {
    /// An engine of this shape with room for so many runs, whose cache is in `home`.
    ///
    /// # Errors
    /// If the system refuses the address space, or the cache's key cannot be read or made.
    pub fn open(home: &Path, preparer: Preparer, (shape, runs_max): (Shape, u32)) -> Result<Self, EngineError> {
        let hosting = Hosting::open(shape, runs_max)?;
        let settings = hosting.settings();
        Self::with(home, preparer, shape, settings, Some(hosting))
    }

    /// By which code of this shape fits, in this process and in one that executes it.
    ///
    /// # Errors
    /// If the engine does not take its settings.
    pub fn settings_of(shape: Shape) -> Result<Digest, EngineError> {
        let compiling = wasmtime::Engine::new(&settings::compiling(shape));
        let compiling = compiling.map_err(|error| EngineError::Settings(error.root_cause().to_string()))?;
        Ok(settings::digest(&compiling))
    }

    /// One that has no room for runs: its code, which fits these settings, is handed over to other processes. It keeps nothing of wasmtime in
    /// this one.
    ///
    /// # Errors
    /// If the cache's key cannot be read or made.
    pub fn elsewhere(home: &Path, preparer: Preparer, (shape, settings): (Shape, Digest)) -> Result<Self, EngineError> {
        Self::with(home, preparer, shape, settings, None)
    }

    fn with(
        home: &Path,
        preparer: Preparer,
        shape: Shape,
        settings: Digest,
        hosting: Option<Hosting>,
    ) -> Result<Self, EngineError> {
        let cache = Cache::open(home, settings)?;
        let name = format!("wasmtime {} {:.16} {CLOCK_MARK} {FUEL_MARK}", settings::VERSION, settings.to_string());
        let (loaded, refused) = (SingleFlight::default(), Mutex::default());
        Ok(Self { hosting, name, shape, preparer, cache, loaded, refused })
    }

    /// The engine, its settings, what guests see of time and what they pay for, in one word each, for the journal.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What executes guests in this process; none if another one does.
    pub fn hosting(&self) -> Option<&Hosting> {
        self.hosting.as_ref()
    }

    /// What the package in these bytes says of itself: out of the cache, or read now. It is not compiled for that.
    ///
    /// # Errors
    /// If this host would not run it.
    pub async fn package(&self, digest: Digest, bytes: Arc<[u8]>) -> Result<Package, PrepareError> {
        if let Some(package) = self.known(digest, bytes.len()).await {
            return Ok(package);
        }
        self.not_refused(digest)?;
        let package = self.preparer.read(bytes).await.map_err(|error| self.refuse(digest, error))?;
        self.cache.put_facts(digest, package.facts()).await;
        Ok(package)
    }

    /// The package in these bytes and its code, ready to be linked: out of memory, out of the cache, or prepared now. Several who
    /// ask for one at once wait for one preparation.
    ///
    /// # Errors
    /// If this host would not run it, or it does not compile within its limits.
    pub async fn ready(&self, digest: Digest, bytes: Arc<[u8]>) -> Result<Ready, PrepareError> {
        self.loaded.get_or_make(digest, || self.load(digest, bytes)).await
    }

    async fn load(&self, digest: Digest, bytes: Arc<[u8]>) -> Result<Ready, PrepareError> {
        if let Some(artifact) = self.cache.get(digest).await
            && let Ok(code) = self.code(artifact)
        {
            return Ok((Arc::new(self.package(digest, bytes).await?), code));
        }
        self.not_refused(digest)?;
        let made = self.preparer.compile(self.hosting.as_ref().map(Hosting::inner), self.shape, bytes).await;
        let (package, artifact) = made.map_err(|error| self.refuse(digest, error))?;
        // A cache that cannot be written costs time at the next start and nothing else.
        self.cache.put_facts(digest, package.facts()).await;
        let artifact = self.cache.put(digest, artifact).await;
        let code = self.code(artifact).map_err(|why| self.refuse(digest, PrepareError::TooLarge(why)))?;
        Ok((Arc::new(package), code))
    }

    /// It as this process needs it.
    fn code(&self, artifact: Artifact) -> Result<Code, String> {
        match &self.hosting {
            Some(hosting) => hosting.load(&artifact).map(Code::Loaded),
            None => Ok(Code::Sealed(Arc::new(artifact))),
        }
    }

    async fn known(&self, digest: Digest, bytes: usize) -> Option<Package> {
        Package::of_facts(&self.cache.get_facts(digest).await?, digest, bytes)
    }

    fn not_refused(&self, digest: Digest) -> Result<(), PrepareError> {
        self.refused.lock().get(&digest).cloned().map_or(Ok(()), Err)
    }

    fn refuse(&self, digest: Digest, error: PrepareError) -> PrepareError {
        if error.is_final() {
            let mut refused = self.refused.lock();
            if refused.len() >= COMPONENTS_LOADED_MAX {
                refused.clear();
            }
            refused.insert(digest, error.clone());
        }
        error
    }
}
