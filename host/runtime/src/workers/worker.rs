//! One worker: its process, its connection and the runs that it has. It ends with its process, and its process with it.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agentry_abi::port::{Beginning, Ended, How, Port};
use agentry_abi::wire::{self, Down, Handle, Hello, Reader, Said, Up};
use agentry_engine::settings::Shape;
use agentry_kernel::Digest;
use agentry_store::limits::{
    COMPONENTS_LOADED_MAX, WORKER_LETS_GO_MS, WORKER_SILENT_MAX_MS, WORKER_STARTS_MS, WORKER_WEIGHED_MS,
};
use parking_lot::Mutex;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::link::Link;
use super::loaded::{Loaded, Loading};
use super::memory::MemoryBound;
use super::outbox::Outbox;
use super::process::Process;
use super::{Gone, LOOKS, NotLoaded, Sealed, VERB};

/// A worker that takes runs.
pub(super) struct Worker {
    process: Process,
    stream: Arc<UnixStream>,
    outbox: Arc<Outbox>,
    hello: Hello,
    links: Mutex<HashMap<Handle, Arc<Link>>>,
    /// How many these were at most.
    places: AtomicUsize,
    loaded: Mutex<Loaded>,
    bound: MemoryBound,
    /// Cancelled when it is gone.
    gone: CancellationToken,
    why: OnceLock<String>,
    heard: Mutex<Instant>,
    /// Runs that it has or is about to get.
    load: AtomicUsize,
    /// It has become that of one run, and gets no other.
    own: AtomicBool,
}

/// A slot for a run in a worker, until it is dropped.
pub(super) struct Slot {
    worker: Arc<Worker>,
    /// Nobody else has one there.
    alone: bool,
}

impl Slot {
    /// In this worker, which is the run's own if it is `alone`: it ends with it.
    pub(super) fn of(worker: &Arc<Worker>, alone: bool) -> Self {
        worker.load.fetch_add(1, Ordering::SeqCst);
        Self { worker: Arc::clone(worker), alone }
    }
}

impl std::ops::Deref for Slot {
    type Target = Arc<Worker>;

    fn deref(&self) -> &Arc<Worker> {
        &self.worker
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let left = self.worker.load.fetch_sub(1, Ordering::SeqCst) - 1;
        if self.alone || (self.worker.is_own() && left == 0) {
            self.worker.end("its run is over");
        }
    }
}

impl Worker {
    /// Starts one, and waits until it takes runs.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) async fn start(
        program: &Path,
        (shape, runs_max): (Shape, u32),
        settings: Digest,
    ) -> Result<Arc<Self>, String> {
        let text = |error: std::io::Error| error.to_string();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let (ours, theirs) = pair.map_err(|error| error.to_string())?;
        let stream = UnixStream::from_std(ours.into()).map_err(text)?;
        let mut command = Command::new(program);
        command.arg(VERB).args([shape.word(), &runs_max.to_string()]);
        // Of its own group, so that Ctrl-C stops the host alone, which stops runs in good order.
        command.env_clear().current_dir("/").stdin(theirs).stdout(Stdio::null()).stderr(Stdio::null());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let process = Process::start(command).await.map_err(text)?;
        Self::over(stream, process, settings).await
    }

    /// One that speaks through this, once it takes runs.
    pub(super) async fn over(stream: UnixStream, process: Process, settings: Digest) -> Result<Arc<Self>, String> {
        Self::bounded(stream, process, settings, MemoryBound::default()).await
    }

    /// The same, with so much memory.
    pub(super) async fn bounded(
        stream: UnixStream,
        process: Process,
        settings: Digest,
        bound: MemoryBound,
    ) -> Result<Arc<Self>, String> {
        let mut reader = Reader::of_worker();
        let hello = tokio::time::timeout(Duration::from_millis(WORKER_STARTS_MS), hello(&stream, &mut reader)).await;
        let fits = |hello: Hello| {
            let fits = hello.version == wire::VERSION && hello.settings == settings;
            if fits { Ok(hello) } else { Err("the program is another one than when this host began".to_owned()) }
        };
        let late = Err("it says nothing".to_owned());
        let hello = hello.unwrap_or(late).and_then(fits).inspect_err(|_| process.kill())?;
        let stream = Arc::new(stream);
        let worker = Arc::new(Self {
            process,
            outbox: Arc::new(Outbox::new(Arc::clone(&stream))),
            stream,
            hello,
            links: Mutex::default(),
            places: AtomicUsize::new(0),
            loaded: Mutex::default(),
            bound,
            gone: CancellationToken::new(),
            why: OnceLock::new(),
            heard: Mutex::new(Instant::now()),
            load: AtomicUsize::new(0),
            own: AtomicBool::new(false),
        });
        tokio::spawn(Arc::clone(&worker).tend(reader));
        Ok(worker)
    }

    /// Whether the system keeps it from every file.
    pub(super) fn is_landlocked(&self) -> bool {
        self.hello.landlocked
    }

    /// How many runs it has, or is about to get.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::SeqCst)
    }

    /// From here on it is that of one run, and stands behind those of others.
    pub(super) fn make_own(&self) {
        self.own.store(true, Ordering::SeqCst);
        self.process.stands_back();
    }

    /// True if it takes no other run than the one that it has.
    pub(super) fn is_own(&self) -> bool {
        self.own.load(Ordering::SeqCst)
    }

    /// True if it is no more.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }

    /// Waits for its end.
    #[cfg(test)]
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Why it is no more.
    #[cfg(test)]
    pub(super) fn why(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }

    /// Ends it, whatever it does. Who says first why is heard.
    pub(super) fn end(&self, why: &str) {
        let _ = self.why.set(why.to_owned());
        self.process.kill();
        self.gone.cancel();
    }

    /// Makes a component ready there.
    ///
    /// # Errors
    /// If it will never be, or the worker is gone.
    pub(super) async fn prepare(&self, code: &Sealed) -> Result<(), NotLoaded> {
        let mut loading = self.loading(code);
        loop {
            let waited = Arc::clone(&loading);
            let mut rings = std::pin::pin!(waited.rings.notified());
            rings.as_mut().enable();
            match loading.result.get() {
                Some(Ok(())) => return Ok(()),
                Some(Err((why, hint))) => return Err(NotLoaded(why.clone(), hint.clone())),
                None if loading.is_forgotten() => {
                    loading = self.loading(code);
                    continue;
                }
                None => {}
            }
            tokio::select! {
                () = rings => {}
                () = self.gone.cancelled() => {
                    let why = self.why.get().cloned().unwrap_or_default();
                    return Err(NotLoaded(format!("a worker broke down as it loaded it: {why}"), "try again".to_owned()));
                }
            }
        }
    }

    fn loading(&self, code: &Sealed) -> Arc<Loading> {
        let mut loaded = self.loaded.lock();
        if let Some(loading) = loaded.components.get(&code.digest) {
            return Arc::clone(loading);
        }
        // As the worker does at this frame.
        if loaded.components.len() >= COMPONENTS_LOADED_MAX {
            loaded.forget();
        }
        loaded.code.0 = loaded.code.0.saturating_add(code.bytes);
        let loading = Arc::clone(loaded.components.entry(code.digest).or_default());
        let load = Down::Load { component: code.digest, wants: code.wants.clone() };
        let _ = self.outbox.send(&load, Some(Arc::clone(&code.file)));
        loading
    }

    /// Executes a guest of a component that was loaded, to its end, or until it has to go on in a worker of its own. This can become that, if `own`
    /// has room for one more; without it, it is that already.
    pub(super) async fn execute(
        self: &Arc<Self>,
        code: &Sealed,
        port: Arc<dyn Port>,
        stop: &CancellationToken,
        beginning: Beginning,
        own: Option<&Semaphore>,
    ) -> Gone {
        let mut number = [0; 16];
        if getrandom::fill(&mut number).is_err() {
            return Gone::Lost;
        }
        let (run, left) = (Handle(u128::from_le_bytes(number)), beginning.left);
        let (link, mut ends) = Link::new(run, port, (&self.outbox, stop), &beginning);
        let link = Arc::new(link);
        let runs = {
            let mut links = self.links.lock();
            links.insert(run, Arc::clone(&link));
            links.len()
        };
        self.places.fetch_max(runs, Ordering::SeqCst);
        let held = Held { worker: self, run };
        let begin = Down::Begin { run, component: code.digest, beginning: Box::new(beginning) };
        {
            // What it has loaded is not forgotten before it has begun.
            let loaded = self.loaded.lock();
            if !loaded.components.contains_key(&code.digest) {
                return Gone::Lost;
            }
            let _ = self.outbox.send(&begin, None);
        }
        let over = async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        // A worker ends a run that is over; whether it was stopped or its time had come is known here.
        let told = |ended: Ended| {
            let timed_out = ended.how == How::Stopped && !stop.is_cancelled();
            Gone::Ended(if timed_out { Ended { how: How::TimedOut, ..ended } } else { ended })
        };
        tokio::select! {
            biased;
            ended = &mut ends => return ended.map_or(Gone::Lost, told),
            () = stop.cancelled() => {}
            () = over => {}
            () = self.gone.cancelled() => {
                // What it said last has been heard.
                let lost = if link.overran().is_cancelled() { Gone::Overran } else { Gone::Lost };
                return ends.try_recv().map_or(lost, told);
            }
            () = self.is_to_go(&link, own) => {
                // As if this one had broken down for it alone.
                link.close();
                drop(held);
                return ends.try_recv().map_or(Gone::Overran, told);
            }
        }
        let _ = self.outbox.send(&Down::Stop(run), None);
        let lets_go = Duration::from_millis(WORKER_LETS_GO_MS);
        if let Ok(Ok(ended)) = tokio::time::timeout(lets_go, ends).await {
            return told(ended);
        }
        self.end("it did not let go of a run that was over");
        drop(held);
        told(Ended { how: How::Stopped, fuel_left: 0, memory_bytes: 0, last_words: None })
    }

    /// Ready when a run has taken it for too long at a time, and has to go elsewhere. Where it has no other, it becomes the worker of that one.
    async fn is_to_go(&self, link: &Link, own: Option<&Semaphore>) {
        let Some(own) = own else { return std::future::pending().await };
        link.overran().cancelled().await;
        if self.load() > 1 {
            return;
        }
        let Ok(_permit) = own.try_acquire() else { return };
        self.make_own();
        // It stays for as long as it goes on.
        std::future::pending().await
    }

    /// Hears what it says until it is gone.
    async fn tend(self: Arc<Self>, mut reader: Reader) {
        let _over = Over(&self);
        let why = tokio::select! {
            why = self.listen(&mut reader) => why,
            () = self.outbox.pump() => String::new(),
            () = self.watch() => {
                // Each that may be what it does is looked at by itself from here on.
                self.links.lock().values().filter(|link| !link.rests()).for_each(|link| link.overran().cancel());
                "it said nothing for too long".to_owned()
            }
            () = self.weigh() => "it has more memory than its runs may have together".to_owned(),
            () = self.gone.cancelled() => String::new(),
        };
        self.end(&why);
    }

    async fn listen(&self, reader: &mut Reader) -> String {
        loop {
            loop {
                match reader.read().map_err(|broken| broken.to_string()) {
                    Ok(Some(up)) => {
                        if let Err(why) = self.hear(up) {
                            return why;
                        }
                    }
                    Ok(None) => break,
                    Err(why) => return why,
                }
            }
            if let Err(why) = receive(&self.stream, reader).await {
                return why;
            }
            *self.heard.lock() = Instant::now();
        }
    }

    fn hear(&self, up: Up) -> Result<(), String> {
        match up {
            Up::Of(run, said) => {
                let link = if matches!(said, Said::Ended(_)) {
                    self.links.lock().remove(&run)
                } else {
                    self.links.lock().get(&run).cloned()
                };
                let link = link.ok_or("it spoke for a run that it does not have")?;
                let Some(down) = link.hear(said).map_err(|untrue| untrue.to_string())? else { return Ok(()) };
                self.outbox.send(&down, None).map_err(|_| "an answer is too long for it".to_owned())
            }
            Up::Loaded { component, result } => {
                let loading = self.loaded.lock().components.get(&component).cloned();
                if let Some(loading) = loading {
                    let _ = loading.result.set(result);
                    loading.rings.notify_waiters();
                }
                Ok(())
            }
            Up::Pong => Ok(()),
            Up::Hello(_) | Up::Fails(_) => Err("it began twice".to_owned()),
        }
    }

    /// Until it has more memory than it may have.
    async fn weigh(&self) {
        let mut before = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(WORKER_WEIGHED_MS)).await;
            let code = self.loaded.lock().code;
            let runs: Vec<u64> = self.links.lock().values().map(|link| link.memory_bytes()).collect();
            let places = self.places.load(Ordering::SeqCst);
            let most = self.bound.of(code.0.saturating_add(code.1), places, runs.into_iter());
            // Not all that a run had is given back in the moment in which it ends.
            if self.process.resident().is_some_and(|bytes| bytes > most.max(before)) {
                return;
            }
            before = most;
        }
    }

    /// Whether it has anything to do: a run, or a component that it is to load.
    fn has_work(&self) -> bool {
        !self.links.lock().is_empty() || self.loaded.lock().awaits()
    }

    /// Until it has been silent for too long although it has something to do.
    async fn watch(&self) {
        let mut asked = None;
        loop {
            tokio::time::sleep(LOOKS).await;
            let heard = *self.heard.lock();
            if !self.has_work() || asked.is_some_and(|asked| heard > asked) {
                asked = None;
            }
            match asked {
                None => {
                    asked = Some(Instant::now());
                    let _ = self.outbox.send(&Down::Ping, None);
                }
                Some(asked) if asked.elapsed() > Duration::from_millis(WORKER_SILENT_MAX_MS) => return,
                Some(_) => {}
            }
        }
    }
}

/// A run that a worker has, until nobody waits for it.
struct Held<'w> {
    worker: &'w Arc<Worker>,
    run: Handle,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let (worker, run) = (Arc::clone(self.worker), self.run);
        let Some(link) = worker.links.lock().get(&run).cloned() else { return };
        // The worker has it still, and may speak of it until it has let go.
        link.close();
        if worker.is_gone() {
            worker.links.lock().remove(&run);
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return worker.end("nobody is left to wait for its runs");
        };
        let _ = worker.outbox.send(&Down::Stop(run), None);
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(WORKER_LETS_GO_MS)).await;
            if worker.links.lock().remove(&run).is_some() {
                worker.end("it did not let go of a run that nobody waits for");
            }
        });
    }
}

/// Whatever ends the task that tends a worker ends the worker.
struct Over<'w>(&'w Worker);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.end("nobody listens to it");
        self.0.links.lock().drain().for_each(|(_, link)| link.close());
    }
}

async fn hello(stream: &UnixStream, reader: &mut Reader) -> Result<Hello, String> {
    loop {
        match reader.read().map_err(|broken| broken.to_string())? {
            Some(Up::Hello(hello)) => return Ok(hello),
            Some(Up::Fails(why)) => return Err(agentry_kernel::text::cut(why, 400)),
            Some(Up::Loaded { .. } | Up::Of(..) | Up::Pong) => return Err("it does not say what it is".to_owned()),
            None => receive(stream, reader).await?,
        }
    }
}

/// Takes what has come, once something has.
async fn receive(stream: &UnixStream, reader: &mut Reader) -> Result<(), String> {
    let mut bytes = [0; 16 * 1024];
    loop {
        stream.readable().await.map_err(|error| error.to_string())?;
        match stream.try_read(&mut bytes) {
            Ok(0) => return Err("it ended".to_owned()),
            Ok(count) => {
                reader.take(&bytes[..count]);
                return Ok(());
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}
