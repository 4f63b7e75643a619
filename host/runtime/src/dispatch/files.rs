//! `files`: directories under granted names.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::{Completed, Octets, Recordable};
use agentry_abi::fault::{self, invalid};
use agentry_abi::port::{FilesDelete, FilesList, FilesRead, FilesStat, FilesWrite, Passed};
use agentry_drivers::files::{Change, Root};
use agentry_kernel::budget::Resource;
use agentry_kernel::call::Place;
use agentry_kernel::{Amounts, Call, Labels, Permit};
use agentry_store::content::Content;
use agentry_store::limits::FILE_WRITE_MAX_BYTES;

use super::Dispatch;
use super::drivers::Drivers;
use crate::gate::{Begun, CallRequest, LentPermit};

pub(super) fn read(of: &Dispatch, FilesRead { root, path, offset, length }: FilesRead) -> Passed {
    let place = Place { root, path };
    let what = Call::FilesRead(place.clone());
    let read = move |root: &Root, path: &str| root.read(path, offset, length).map(Octets);
    of.begun::<FilesRead>(of.on_files(what, place, read))
}

pub(super) fn write(of: &Dispatch, FilesWrite { root, path, content: Octets(content) }: FilesWrite) -> Passed {
    if content.len() > FILE_WRITE_MAX_BYTES {
        return of.now::<FilesWrite>(Err(invalid(format!("the content is over {FILE_WRITE_MAX_BYTES} bytes"))));
    }
    let place = Place { root, path };
    let named = Content::of(content.clone());
    let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
    let call = |grows| Call::FilesWrite { place: place.clone(), content: named.digest, bytes, grows };
    let what = match of.growth(&place, content.len()) {
        Ok(grows) => call(grows),
        Err(error) => {
            let error = of.drivers.gate.reject(&of.run, call(0).into(), error);
            return of.now::<FilesWrite>(Err(error));
        }
    };
    of.begun::<FilesWrite>(of.change_file(CallRequest::with(what, vec![named]), place, Some(content)))
}

pub(super) fn stat(of: &Dispatch, FilesStat { root, path }: FilesStat) -> Passed {
    let place = Place { root, path };
    of.begun::<FilesStat>(of.on_files(Call::FilesStat(place.clone()), place, Root::stat))
}

pub(super) fn list(of: &Dispatch, FilesList { root, path }: FilesList) -> Passed {
    let place = Place { root, path };
    of.begun::<FilesList>(of.on_files(Call::FilesList(place.clone()), place, Root::list))
}

pub(super) fn delete(of: &Dispatch, FilesDelete { root, path }: FilesDelete) -> Passed {
    let place = Place { root, path };
    of.begun::<FilesDelete>(of.change_file(Call::FilesDelete(place.clone()).into(), place, None))
}

impl Dispatch {
    /// Decides, and reads on a thread that may wait for a disk.
    fn on_files<T, A>(&self, what: Call, place: Place, act: A) -> Begun<T, Error>
    where
        T: Recordable + Send + 'static,
        A: FnOnce(&Root, &str) -> Result<T, Error> + Send + 'static,
    {
        let drivers = Arc::clone(&self.drivers);
        self.drivers.gate.pass(&self.run, what, move |permit, _| done(drivers, permit, place, true, act))
    }

    /// Decides, and writes this content or deletes what is there: with its labels and its keeper in the store before.
    fn change_file(&self, what: CallRequest, place: Place, content: Option<Vec<u8>>) -> Begun<(), Error> {
        let (drivers, agent) = (Arc::clone(&self.drivers), self.run.payer().to_owned());
        self.drivers.gate.pass(&self.run, what, move |permit, _| async move {
            // Before the file: whoever reads it finds them.
            let length = content.as_ref().map(Vec::len);
            let change = match prepared(&drivers, &permit, &agent, &place, length).await {
                Ok(change) => change,
                Err(error) => return Completed::of(Err(error), Amounts::ZERO),
            };
            let writes = content.is_some();
            let acted = done(drivers, permit, place, !writes, move |root, path| match content {
                Some(content) => root.write(path, &content),
                None => root.delete(path),
            });
            let acted = acted.await;
            let is_as_asked = match &acted.result {
                // What is not there is kept by nobody, whoever took it away.
                Err(Error::NotFound(_)) => !writes,
                result => result.is_ok(),
            };
            let kept = if is_as_asked { change.done().await } else { change.undone().await };
            acted.keeping(kept)
        })
    }

    /// The most that writing so much there would add to what the agent keeps.
    fn growth(&self, place: &Place, length: usize) -> Result<u64, Error> {
        let Drivers { files, usage, .. } = &*self.drivers;
        // The driver says that there is no such root, once the kernel has said yes.
        let Ok(root) = files.find(&place.root) else { return Ok(0) };
        let growth = usage.growth(self.run.payer(), &root, &place.path, length);
        growth.map_err(|error| fault::stored(&error))
    }
}

/// What `act` gives; `told` is true if a yes tells of what stands there, as a no always does.
async fn done<T, A>(drivers: Arc<Drivers>, permit: Arc<LentPermit>, place: Place, told: bool, act: A) -> Completed<T>
where
    T: Send + 'static,
    A: FnOnce(&Root, &str) -> Result<T, Error> + Send + 'static,
{
    let work = move || {
        let root = match drivers.files.root(&permit, &place.root) {
            Ok(root) => root,
            Err(error) => return Completed::of(Err(error), Amounts::ZERO),
        };
        let result = act(&root, &place.path);
        // After the file: what was read was labelled before.
        let told = told || result.is_err();
        let labels = if told { drivers.marks.of(&root, &place.path) } else { Labels::NONE };
        Completed::of(result, Amounts::ZERO).labelled(labels)
    };
    let broke = || fault::unavailable("reading or writing broke down", None);
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Completed::of(Err(broke()), Amounts::ZERO))
}

/// What a run changes carries what the run held when it asked for it, and counts as what its agent keeps.
async fn prepared(
    drivers: &Drivers,
    permit: &Permit,
    agent: &str,
    place: &Place,
    length: Option<usize>,
) -> Result<Change, Error> {
    let root = drivers.files.root(permit, &place.root)?;
    let marked = drivers.marks.add(&root, &place.path, permit.carries()).await;
    marked.map_err(|error| fault::stored(&error))?;
    let change = drivers.usage.change(agent, &root, &place.path, length).await;
    let change = change.map_err(|error| fault::stored(&error))?;
    if change.grows() > permit.held()[Resource::Storage] {
        return Err(fault::unavailable("the file changed while it was written", Some(10)));
    }
    change.begin().await.map_err(|error| fault::stored(&error))?;
    Ok(change)
}
