//! `files`: directories under granted names.

use std::sync::Arc;

use agentry_kernel::call::Place;
use agentry_kernel::{Amounts, Call, Labels, Permit};

use super::bindings::agentry::agent::files::{FileStat, Host};
use super::bindings::agentry::agent::types::Error;
use super::{Services, State, invalid};
use crate::drivers::files::Root;
use crate::gate::{Acted, Asking, Octets, Told, fault};
use crate::journal::Content;
use crate::limits::FILE_WRITE_MAX_BYTES;

impl State {
    /// Decides, and does it on a thread that may wait for a disk.
    fn on_files<T, A>(
        &self,
        what: Asking,
        place: Place,
        act: A,
    ) -> impl Future<Output = Result<T, Error>> + Send + use<T, A>
    where
        T: Told + Send + 'static,
        A: FnOnce(&Root, &str) -> Result<T, Error> + Send + 'static,
    {
        let services = Arc::clone(&self.services);
        let changes = matches!(what.what, Call::FilesWrite { .. } | Call::FilesDelete(_));
        let writes = matches!(what.what, Call::FilesWrite { .. });
        self.services.gate.pass(&self.run, what, move |permit, _| async move {
            // Before the file: whoever reads it finds them.
            if changes && let Err(error) = mark(&services, &permit, &place).await {
                return Acted::of(Err(error), Amounts::ZERO);
            }
            let work = move || {
                let result = services.files.root(&permit, &place.root).and_then(|root| act(root, &place.path));
                // After the file: what was read was labelled before. That a write went well tells nothing.
                let told = !writes || result.is_err();
                let root = services.files.root(&permit, &place.root).ok().filter(|_| told);
                let labels = root.map_or(Labels::NONE, |root| services.marks.of(root, &place.path));
                Acted::of(result, Amounts::ZERO).labelled(labels)
            };
            let broke = || fault::unavailable("reading or writing broke down", None);
            let done = tokio::task::spawn_blocking(work).await;
            done.unwrap_or_else(|_| Acted::of(Err(broke()), Amounts::ZERO))
        })
    }
}

/// What a run changes carries what the run held when it asked for it.
async fn mark(services: &Services, permit: &Permit, place: &Place) -> Result<(), Error> {
    let root = services.files.root(permit, &place.root)?;
    let marked = services.marks.add(root, &place.path, permit.carries()).await;
    marked.map_err(|error| fault::stored(&error))
}

impl Host for State {
    async fn read(
        &mut self,
        root: String,
        path: String,
        offset: u64,
        length: u64,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let place = Place { root, path };
        let what = Call::FilesRead(place.clone());
        let read = move |root: &Root, path: &str| root.read(path, offset, length).map(Octets);
        Ok(self.on_files(what.into(), place, read).await.map(|octets| octets.0))
    }

    async fn write(&mut self, root: String, path: String, content: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        if content.len() > FILE_WRITE_MAX_BYTES {
            return Ok(Err(invalid(format!("the content is over {FILE_WRITE_MAX_BYTES} bytes"))));
        }
        let place = Place { root, path };
        let named = Content::of(content.clone());
        let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
        let what = Call::FilesWrite { place: place.clone(), content: named.digest, bytes };
        let write = move |root: &Root, path: &str| root.write(path, &content);
        Ok(self.on_files(Asking::with(what, vec![named]), place, write).await)
    }

    async fn stat(&mut self, root: String, path: String) -> wasmtime::Result<Result<FileStat, Error>> {
        let place = Place { root, path };
        Ok(self.on_files(Call::FilesStat(place.clone()).into(), place, Root::stat).await)
    }

    async fn list(&mut self, root: String, path: String) -> wasmtime::Result<Result<Vec<FileStat>, Error>> {
        let place = Place { root, path };
        Ok(self.on_files(Call::FilesList(place.clone()).into(), place, Root::list).await)
    }

    async fn delete(&mut self, root: String, path: String) -> wasmtime::Result<Result<(), Error>> {
        let place = Place { root, path };
        Ok(self.on_files(Call::FilesDelete(place.clone()).into(), place, Root::delete).await)
    }
}
