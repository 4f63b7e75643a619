//! Components that are ready to run: prepared and linked once for all their runs. It parses none of them and starts none of them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use agentry_engine::Engine;
use agentry_engine::package::{self, Hashed, PackageError, Stamp};
use agentry_engine::prepare::PrepareError;
use agentry_engine::settings::wide_places_of;
use agentry_engine::single_flight::SingleFlight;
use agentry_kernel::Digest;
use agentry_kernel::manifest::Manifest;
use agentry_packages::lock::digest_of_path;
use agentry_store::limits::COMPONENTS_LOADED_MAX;
use agentry_store::{Batch, Store, StoreError, keys};
use parking_lot::Mutex;

use super::executor::{Executable, Executor};
use crate::shapes::Shapes;

/// A package that is compiled and linked: all that its runs share.
pub(crate) struct Prepared {
    pub(crate) digest: Digest,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) shapes: Shapes,
    /// How many places it takes of those for runs with many parts.
    pub(crate) wide_places: u32,
    pub(crate) executable: Executable,
}

/// Why a component is not ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The file is no package that this host runs.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// It cannot be read or compiled within its limits.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All components of a host.
pub(crate) struct Components {
    engine: Engine,
    executor: Executor,
    store: Arc<dyn Store>,
    prepared: SingleFlight<Arc<Prepared>>,
    files: Mutex<HashMap<std::path::PathBuf, (Stamp, Digest)>>,
    manifests: Mutex<HashMap<std::path::PathBuf, (Stamp, Arc<Manifest>)>>,
}

impl Components {
    pub(crate) fn new(engine: Engine, executor: Executor, store: Arc<dyn Store>) -> Self {
        let (prepared, files, manifests) = (SingleFlight::default(), Mutex::default(), Mutex::default());
        Self { engine, executor, store, prepared, files, manifests }
    }

    /// The engine, for the journal.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where their guests are executed.
    pub(crate) fn executor(&self) -> &Executor {
        &self.executor
    }

    /// The package in this file. The file is read again only if it has changed since.
    pub(crate) async fn package(&self, component: &Path) -> Result<Arc<Prepared>, NotReady> {
        let stamp = Stamp::of(component);
        let known = self.files.lock().get(component).copied();
        if let (Some(stamp), Some((of, digest))) = (stamp, known)
            && of == stamp
            && let Some(prepared) = self.prepared.get(digest)
        {
            return Ok(prepared);
        }
        let path = component.to_owned();
        let read = tokio::task::spawn_blocking(move || as_installed(&path)).await;
        let prepared = self.prepare_hashed(read.expect("reading a file does not panic")?).await?;
        if let Some(stamp) = stamp.filter(Stamp::is_settled) {
            keep_few(&mut self.files.lock(), component.to_owned(), (stamp, prepared.digest));
        }
        Ok(prepared)
    }

    /// What the package in this file says of itself. It is not compiled for that.
    pub(crate) async fn manifest(&self, component: &Path) -> Result<Arc<Manifest>, PrepareError> {
        let stamp = Stamp::of(component);
        if let (Some(stamp), Some((of, manifest))) = (stamp, self.manifests.lock().get(component))
            && *of == stamp
        {
            return Ok(Arc::clone(manifest));
        }
        let path = component.to_owned();
        let read = tokio::task::spawn_blocking(move || as_installed(&path)).await;
        let read = read.expect("reading a file does not panic")?;
        let manifest = Arc::new(self.engine.package(read.digest(), read.into_bytes().into()).await?.manifest);
        if let Some(stamp) = stamp.filter(Stamp::is_settled) {
            keep_few(&mut self.manifests.lock(), component.to_owned(), (stamp, Arc::clone(&manifest)));
        }
        Ok(manifest)
    }

    /// Checks, compiles and links a package, once for all its runs.
    pub(crate) async fn prepare(&self, bytes: Vec<u8>) -> Result<Arc<Prepared>, NotReady> {
        self.prepare_hashed(Hashed::of(bytes)).await
    }

    async fn prepare_hashed(&self, component: Hashed) -> Result<Arc<Prepared>, NotReady> {
        let digest = component.digest();
        self.prepared.get_or_make(digest, || self.prepare_once(digest, component.into_bytes().into())).await
    }

    async fn prepare_once(&self, digest: Digest, bytes: Arc<[u8]>) -> Result<Arc<Prepared>, NotReady> {
        let (package, code) = self.engine.ready(digest, Arc::clone(&bytes)).await?;
        let manifest = Arc::new(package.manifest.clone());
        let shapes = Shapes::of(&manifest)?;
        self.keep(digest, &bytes)?;
        let executable = self.executor.ready(&self.engine, (digest, code), &manifest.wants).await?;
        let wide_places = wide_places_of(package.parts);
        Ok(Arc::new(Prepared { digest, manifest, shapes, wide_places, executable }))
    }

    /// A component is kept under its digest, so that its runs can be executed again whatever happens to its file. Nobody waits for it: its
    /// place in the order of commits is before the first entry of any of them.
    fn keep(&self, digest: Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let place = keys::blob(&digest);
        if !self.store.has(&place)? {
            let mut batch = Batch::default();
            batch.put(place, bytes.to_vec());
            drop(self.store.commit(batch));
        }
        Ok(())
    }
}

/// The bytes of a component; of one that is installed, those that were.
fn as_installed(path: &Path) -> Result<Hashed, PackageError> {
    let component = Hashed::of(package::read(path)?);
    match digest_of_path(path) {
        Some(installed) if installed != component.digest() => Err(PackageError::new(
            format!("{} is not the file that was installed", path.display()),
            "install its package again; whoever changed the file can write in this home",
        )),
        Some(_) | None => Ok(component),
    }
}

/// Remembers one more, or begins anew where there are too many.
fn keep_few<K: Eq + std::hash::Hash, V>(all: &mut HashMap<K, V>, key: K, value: V) {
    if all.len() >= COMPONENTS_LOADED_MAX {
        all.clear();
    }
    all.insert(key, value);
}
