//! Workers: processes that execute guests and have nothing else. Starts them, hands runs out to them, and ends those that do not let go of a run
//! that is over. What a worker says of a run goes to that run's port; this side believes which run it speaks for, and nothing more.

mod link;
mod loaded;
mod memory;
mod outbox;
mod process;
mod worker;

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentry_abi::port::{Beginning, Ended, How, Port};
use agentry_engine::settings::Shape;
use agentry_kernel::Digest;
use agentry_kernel::manifest::Wants;
use agentry_store::limits::WORKERS_ALONE_MAX;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::worker::{Slot, Worker};

/// The hidden verb by which a program is a worker of itself.
pub const VERB: &str = "worker";

/// Machine code as workers get it: a file without a name that nobody can change any more.
pub(crate) struct Sealed {
    digest: Digest,
    /// What it may be linked to, as JSON.
    wants: String,
    bytes: u64,
    file: Arc<OwnedFd>,
}

impl Sealed {
    /// Seals the code of a component.
    ///
    /// # Errors
    /// If the system has no room for it.
    pub(crate) fn of(digest: Digest, wants: &Wants, code: &[u8]) -> std::io::Result<Self> {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

        let file = memfd_create("code", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut file = std::fs::File::from(file);
        file.write_all(code)?;
        fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        let wants = serde_json::to_string(wants).map_err(std::io::Error::other)?;
        let bytes = u64::try_from(code.len()).map_err(std::io::Error::other)?;
        Ok(Self { digest, wants, bytes, file: Arc::new(file.into()) })
    }
}

/// How a run left its worker.
pub(crate) enum Gone {
    /// Its guest has ended.
    Ended(Ended),
    /// The worker broke down, or was ended because of another run: the run goes on elsewhere, by its journal.
    Lost,
    /// It took the worker for too long at a time: it goes on in one of its own, by its journal.
    Overran,
}

/// Why a component is not ready in a worker: what is wrong, and what to do.
pub(crate) struct NotLoaded(pub(crate) String, pub(crate) String);

/// The workers of one host.
pub(crate) struct Workers {
    program: PathBuf,
    shape: Shape,
    runs_max: u32,
    /// By which code fits this host.
    settings: Digest,
    /// How many there are at most, besides those that have one run alone.
    most: usize,
    pool: Mutex<Vec<Arc<Worker>>>,
    /// As many runs at once have a worker of their own.
    alone: Semaphore,
    /// How often a run lost its worker.
    lost: AtomicU64,
}

/// How workers stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkersState {
    /// Those that take runs.
    pub alive: usize,
    /// How often a run lost its worker, and went on elsewhere.
    pub lost: u64,
}

impl Workers {
    /// Workers of this program, each with room for so many runs. They are started as they are needed.
    pub(crate) fn new(program: PathBuf, (shape, runs_max): (Shape, u32), settings: Digest) -> Self {
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        let (alone, lost) = (Semaphore::new(WORKERS_ALONE_MAX), AtomicU64::new(0));
        Self { program, shape, runs_max, settings, most, pool: Mutex::default(), alone, lost }
    }

    /// By which code fits them.
    pub(crate) fn settings(&self) -> Digest {
        self.settings
    }

    /// Starts the first one, so that whatever is wrong with them is known; whether the system keeps it from every file.
    ///
    /// # Errors
    /// Why it does not start.
    pub(crate) async fn begin(&self) -> Result<bool, String> {
        self.idlest(|worker| worker.is_landlocked()).await
    }

    /// Whether workers can execute this component.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn check(&self, code: &Sealed) -> Result<(), NotLoaded> {
        let starts = |why| NotLoaded(format!("no worker starts: {why}"), STARTS.to_owned());
        let mut tries = 0..TRIES_MAX;
        loop {
            let worker = self.idlest(Arc::clone).await.map_err(starts)?;
            let prepared = worker.prepare(code).await;
            // Another run may have broken it meanwhile.
            if prepared.is_ok() || !worker.is_gone() || tries.next().is_none() {
                return prepared;
            }
        }
    }

    /// How they stand.
    pub(crate) async fn state(&self) -> WorkersState {
        let alive = self.pool.lock().await.iter().filter(|worker| !worker.is_gone()).count();
        WorkersState { alive, lost: self.lost.load(Ordering::Relaxed) }
    }

    /// Executes a guest to its end, in a worker of its own if it is to be `alone`. Whoever drops what is returned ends the guest.
    pub(crate) async fn execute(
        &self,
        code: &Sealed,
        port: Arc<dyn Port>,
        stop: &CancellationToken,
        beginning: Beginning,
        alone: bool,
    ) -> Gone {
        let gone = self.executed(code, port, stop, beginning, alone).await;
        if matches!(gone, Gone::Lost | Gone::Overran) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        gone
    }

    async fn executed(
        &self,
        code: &Sealed,
        port: Arc<dyn Port>,
        stop: &CancellationToken,
        mut beginning: Beginning,
        alone: bool,
    ) -> Gone {
        let fuel_left = beginning.fuel;
        let not_begun = |how| Gone::Ended(Ended { how, fuel_left, memory_bytes: 0, last_words: None });
        let deadline = beginning.left.map(|left| Instant::now() + left);
        // Until there is a worker that has the component, its own time and whoever stops it bind the run as they do later.
        let over = async {
            tokio::select! {
                biased;
                () = stop.cancelled() => How::Stopped,
                () = reached(deadline) => How::TimedOut,
            }
        };
        let ready = async {
            // Whoever waits for one of its own waits in no other's way.
            let own = match alone {
                true => Some(self.alone.acquire().await.expect("it is never closed")),
                false => None,
            };
            let worker = if alone { self.own().await } else { self.slot().await };
            let worker = worker.map_err(|_| Gone::Lost)?;
            match worker.prepare(code).await {
                Ok(()) => Ok((own, worker)),
                Err(_) if worker.is_gone() => Err(Gone::Lost),
                Err(NotLoaded(why, _)) => Err(not_begun(How::Engine(why))),
            }
        };
        let ready = tokio::select! {
            biased;
            how = over => return not_begun(how),
            ready = ready => ready,
        };
        match ready {
            Ok((_own, worker)) => {
                beginning.left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                worker.execute(code, port, stop, beginning, Some(&self.alone).filter(|_| !alone)).await
            }
            Err(gone) => gone,
        }
    }

    /// A slot in the worker that has least to do.
    async fn slot(&self) -> Result<Slot, String> {
        self.idlest(|worker| Slot::of(worker, false)).await
    }

    /// What is made of the worker that has least to do; of one more where all have something and there are not as many as cores. Whoever has no run
    /// for it takes no slot: a run that comes at this moment would take it for a busy one.
    async fn idlest<R>(&self, made: impl FnOnce(&Arc<Worker>) -> R) -> Result<R, String> {
        // Those who come while one starts wait for it.
        let mut pool = self.pool.lock().await;
        pool.retain(|worker| !worker.is_gone() && !worker.is_own());
        if let Some(idlest) = pool.iter().min_by_key(|worker| worker.load())
            && (idlest.load() == 0 || pool.len() >= self.most)
        {
            return Ok(made(idlest));
        }
        let worker = self.start(self.runs_max).await?;
        pool.push(Arc::clone(&worker));
        Ok(made(&worker))
    }

    /// A worker for one run alone.
    async fn own(&self) -> Result<Slot, String> {
        let worker = self.start(1).await?;
        worker.make_own();
        Ok(Slot::of(&worker, true))
    }

    /// One with room for so many runs.
    async fn start(&self, runs_max: u32) -> Result<Arc<Worker>, String> {
        let mut tries = 0..TRIES_MAX;
        loop {
            match Worker::start(&self.program, (self.shape, runs_max), self.settings).await {
                Err(_) if tries.next().is_some() => {}
                started => return started,
            }
        }
    }
}

/// When this comes; never, if it is none.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.pool.get_mut().drain(..).for_each(|worker| worker.end("its host has closed"));
    }
}

/// How often it is tried again to start a worker, or to have a component loaded by one: whatever kills one may have been meant for another.
const TRIES_MAX: usize = 2;

/// What to do where workers do not start.
const STARTS: &str =
    "the program must be able to start itself as a child; see `isolation` under [engine] in agentry.toml";

/// Between two looks at whether a worker is there.
const LOOKS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
