//! Runs components: wasmtime and its settings, compilation in a child, the cache of what it made, virtual WASI.
//!
//! It never links a component to anything: what a run may call is the business of `syscalls`.

pub mod cache;
pub mod compile;
mod dense;
pub mod limiter;
pub mod package;
pub mod settings;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use agentry_kernel::Digest;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use wasmtime::component::Component;

use agentry_store::limits::COMPONENTS_LOADED_MAX;
use cache::Cache;
use compile::{CompileError, Compiler};
use settings::Shape;

/// The engine: compiles a component once, keeps it, and has the memory that instances live in.
#[derive(Debug)]
pub struct Engine {
    inner: wasmtime::Engine,
    /// The engine and its settings, for the journal.
    name: String,
    shape: Shape,
    compiler: Compiler,
    cache: Cache,
    loaded: Mutex<HashMap<Digest, Arc<OnceCell<Component>>>>,
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

impl Engine {
    /// An engine of this shape with room for so many runs, whose cache is in `home`.
    ///
    /// # Errors
    /// If the system refuses the address space, or the cache's key cannot be read or made.
    pub fn open(home: &Path, compiler: Compiler, (shape, runs_max): (Shape, u32)) -> Result<Self, EngineError> {
        let config = settings::hosting(shape, runs_max).map_err(|error| EngineError::Settings(error.to_string()))?;
        let inner =
            wasmtime::Engine::new(&config).map_err(|error| EngineError::Settings(error.root_cause().to_string()))?;
        let settings = settings::digest(&inner);
        let cache = Cache::open(home, settings)?;
        let name = format!("wasmtime {} {:.16}", settings::VERSION, settings.to_string());
        Ok(Self { inner, name, shape, compiler, cache, loaded: Mutex::default() })
    }

    /// The engine and its settings in one word each, for the journal.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Wasmtime's engine.
    pub fn inner(&self) -> &wasmtime::Engine {
        &self.inner
    }

    /// The component of these bytes, ready to be linked: out of memory, out of the cache, or compiled now. Several who ask for one
    /// component at once wait for one compilation.
    ///
    /// # Errors
    /// If it does not compile within its limits.
    pub async fn component(&self, digest: Digest, bytes: Arc<[u8]>) -> Result<Component, CompileError> {
        let cell = self.cell(digest);
        cell.get_or_try_init(|| self.load(digest, bytes)).await.cloned()
    }

    fn cell(&self, digest: Digest) -> Arc<OnceCell<Component>> {
        let mut loaded = self.loaded.lock();
        if loaded.len() >= COMPONENTS_LOADED_MAX && !loaded.contains_key(&digest) {
            // Which one goes matters little: it comes back out of the cache in milliseconds, and runs hold theirs.
            if let Some(victim) = loaded.keys().next().copied() {
                loaded.remove(&victim);
            }
        }
        loaded.entry(digest).or_default().clone()
    }

    async fn load(&self, digest: Digest, bytes: Arc<[u8]>) -> Result<Component, CompileError> {
        if let Some(artifact) = self.cache.get(digest).await
            && let Some(component) = cache::deserialize(&self.inner, &artifact)
        {
            return Ok(component);
        }
        let artifact = self.compiler.compile(&self.inner, self.shape, bytes).await?;
        // A cache that cannot be written costs time at the next start and nothing else.
        let artifact = self.cache.put(digest, artifact).await;
        cache::deserialize(&self.inner, &artifact).ok_or(CompileError::Artifact)
    }
}
