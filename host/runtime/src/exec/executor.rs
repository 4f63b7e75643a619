//! Where guests are executed: on threads of this process, or in workers. Both are given a port and what a run begins with, and say how it ended; a
//! run cannot tell which it was.

use std::path::PathBuf;
use std::sync::Arc;

use agentry_abi::port::{Beginning, Port};
use agentry_engine::package::PackageError;
use agentry_engine::settings::Shape;
use agentry_engine::{Code, Engine};
use agentry_kernel::Digest;
use agentry_kernel::manifest::Wants;
use tokio_util::sync::CancellationToken;

use crate::instance::{self, Linked, Threads};
use crate::workers::{Gone, NotLoaded, Sealed, Workers, WorkersState};

/// Where the guests of a host are executed.
pub(crate) enum Executor {
    /// On these threads of this process.
    Here(Arc<Threads>),
    /// In these processes.
    Workers(Arc<Workers>),
}

/// A component where its guests are executed.
pub(crate) enum Executable {
    /// Linked in this process.
    Here(Arc<Linked>, Arc<Threads>),
    /// As workers get it.
    Sealed(Arc<Sealed>, Arc<Workers>),
}

impl Executor {
    /// On threads of this process, which begin now.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub(crate) fn here() -> std::io::Result<Self> {
        Ok(Self::Here(Arc::new(Threads::start()?)))
    }

    /// In workers of this program, each with room for so many runs, which load code of these settings.
    pub(crate) fn workers(program: PathBuf, room: (Shape, u32), settings: Digest) -> Self {
        Self::Workers(Arc::new(Workers::new(program, room, settings)))
    }

    /// By which code fits the processes that execute guests; none if there are no such.
    pub(crate) fn settings(&self) -> Option<Digest> {
        match self {
            Self::Here(_) => None,
            Self::Workers(workers) => Some(workers.settings()),
        }
    }

    /// Starts the first of them, and waits for nothing: whoever needs one next waits for it, and hears why there is none.
    pub(crate) fn begin_soon(&self) {
        if let Self::Workers(workers) = self {
            let workers = Arc::clone(workers);
            tokio::spawn(async move { workers.begin().await });
        }
    }

    /// Whether the system keeps the processes that execute guests from every file; none if there are no such.
    ///
    /// # Errors
    /// Why none starts.
    pub(crate) async fn is_landlocked(&self) -> Result<Option<bool>, String> {
        match self {
            Self::Here(_) => Ok(None),
            Self::Workers(workers) => workers.begin().await.map(Some),
        }
    }

    /// How the processes stand that execute guests; none if there are no such.
    pub(crate) async fn workers_state(&self) -> Option<WorkersState> {
        match self {
            Self::Here(_) => None,
            Self::Workers(workers) => Some(workers.state().await),
        }
    }

    /// Makes a component ready there.
    ///
    /// # Errors
    /// If it cannot be executed there.
    pub(crate) async fn ready(
        &self,
        engine: &Engine,
        (digest, code): (Digest, Code),
        wants: &Wants,
    ) -> Result<Executable, PackageError> {
        match (self, code) {
            (Self::Here(threads), Code::Loaded(component)) => {
                let hosting = engine.hosting().expect("it has loaded the code");
                Ok(Executable::Here(Arc::new(Linked::new(hosting, &component, wants)?), Arc::clone(threads)))
            }
            (Self::Workers(workers), Code::Sealed(artifact)) => {
                let sealed = Sealed::of(digest, wants, artifact.bytes());
                let sealed =
                    sealed.map_err(|error| PackageError::new(format!("its code has no place: {error}"), MEMORY))?;
                let checked = workers.check(&sealed).await;
                checked.map_err(|NotLoaded(why, hint)| PackageError::new(why, hint))?;
                Ok(Executable::Sealed(Arc::new(sealed), Arc::clone(workers)))
            }
            (Self::Here(_), Code::Sealed(_)) | (Self::Workers(_), Code::Loaded(_)) => {
                unreachable!("the engine of a host is made for its place")
            }
        }
    }
}

/// What to do where a file in memory has no room.
const MEMORY: &str = "this machine has too little memory, or this process may have too many files open";

impl Executable {
    /// Executes a guest to its end; a second time, in a process of its own where there are such. `with` goes when the guest is gone, be it that
    /// nobody waits for its end.
    pub(crate) async fn execute(
        &self,
        port: Arc<dyn Port>,
        stop: &CancellationToken,
        beginning: Beginning,
        again: bool,
        with: impl Send + 'static,
    ) -> Gone {
        match self {
            Self::Here(linked, threads) => {
                Gone::Ended(instance::run((linked, threads), port, stop.clone(), beginning, with).await)
            }
            Self::Sealed(sealed, workers) => {
                let gone = workers.execute(sealed, port, stop, beginning, again).await;
                drop(with);
                gone
            }
        }
    }
}
