//! Virtual WASI 0.2: what `std` needs, made up. The clock is the run's, randomness comes from its seed, standard output is the log;
//! there is no environment, no argument, no directory, and every socket and every name lookup is refused.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_engine::charges;
use agentry_kernel::Millis;
use agentry_store::limits::{HANDLES_MAX, RANDOM_MAX_BYTES};
use bytes::Bytes;
use parking_lot::Mutex;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _, TryRng};
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::io::poll;
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamError, StreamResult, subscribe};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView, async_trait};

use crate::guest::Guest;
use crate::syscalls::lines::{Lines, Unfinished};

/// The WASI of one run.
pub(crate) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
    guest: Arc<Guest>,
    begun: Millis,
    /// What the monotonic clock shows at the run's start.
    origin: u64,
}

impl Wasi {
    /// A world whose randomness is a function of `seed`.
    pub(crate) fn new(guest: Arc<Guest>, lines: Arc<Lines>, seed: u64) -> Self {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        let insecure = ChaCha20Rng::from_rng(&mut random);
        let number = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        let (begun, origin) = (guest.clock.now(), guest.clock_from);
        let ctx = WasiCtx::builder()
            .secure_random(Random { guest: Arc::clone(&guest), of: random })
            .insecure_random(Random { guest: Arc::clone(&guest), of: insecure })
            .insecure_random_seed(number)
            .max_random_size(RANDOM_MAX_BYTES)
            .wall_clock(Wall(Arc::clone(&guest)))
            // No is what it says unless told otherwise; this is where a reader looks for it.
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .stdout(Stream::new(Arc::clone(&lines), false))
            .stderr(Stream::new(lines, true))
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Self { ctx, table, guest, begun, origin }
    }

    fn clock(&mut self) -> Clock<'_> {
        Clock { table: &mut self.table, guest: &self.guest, begun: self.begun, origin: self.origin }
    }

    fn polls(&mut self) -> Polls<'_> {
        Polls { table: &mut self.table, guest: &self.guest }
    }
}

impl WasiView for Wasi {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}

/// Links the interfaces of WASI that agents have. Those of HTTP are missing on purpose; those of sockets are there because whole language
/// runtimes import them whether an agent uses them or not, and each way to a socket or an address is refused before anything is opened.
pub(super) fn link<T: AsMut<Wasi> + Send>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random, sockets};

    let l = linker;
    io::error::add_to_linker::<T, Table>(l, |t| &mut t.as_mut().table)?;
    io::poll::add_to_linker::<T, Waits>(l, |t| t.as_mut().polls())?;
    io::streams::add_to_linker::<T, Table>(l, |t| &mut t.as_mut().table)?;
    clocks::wall_clock::add_to_linker::<T, WasiClocks>(l, |t| t.as_mut().clocks())?;
    monotonic_clock::add_to_linker::<T, RunTime>(l, |t| t.as_mut().clock())?;
    random::random::add_to_linker::<T, WasiRandom>(l, |t| t.as_mut().random())?;
    random::insecure::add_to_linker::<T, WasiRandom>(l, |t| t.as_mut().random())?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(l, |t| t.as_mut().random())?;
    filesystem::types::add_to_linker::<T, WasiFilesystem>(l, |t| t.as_mut().filesystem())?;
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(l, |t| t.as_mut().filesystem())?;
    cli::exit::add_to_linker::<T, WasiCli>(l, |t| t.as_mut().cli())?;
    cli::environment::add_to_linker::<T, WasiCli>(l, |t| t.as_mut().cli())?;
    cli::stdin::add_to_linker::<T, WasiCli>(l, |t| t.as_mut().cli())?;
    cli::stdout::add_to_linker::<T, WasiCli>(l, |t| t.as_mut().cli())?;
    cli::stderr::add_to_linker::<T, WasiCli>(l, |t| t.as_mut().cli())?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(l, |t| t.as_mut().cli())?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(l, |t| t.as_mut().cli())?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, |t| t.as_mut().cli())?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, |t| t.as_mut().cli())?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, |t| t.as_mut().cli())?;
    sockets::instance_network::add_to_linker::<T, WasiSockets>(l, |t| t.as_mut().sockets())?;
    sockets::network::add_to_linker::<T, WasiSockets>(l, &sockets::network::LinkOptions::default(), |t| {
        t.as_mut().sockets()
    })?;
    sockets::ip_name_lookup::add_to_linker::<T, WasiSockets>(l, |t| t.as_mut().sockets())?;
    sockets::tcp_create_socket::add_to_linker::<T, WasiSockets>(l, |t| t.as_mut().sockets())?;
    sockets::tcp::add_to_linker::<T, WasiSockets>(l, |t| t.as_mut().sockets())?;
    sockets::udp_create_socket::add_to_linker::<T, WasiSockets>(l, |t| t.as_mut().sockets())?;
    sockets::udp::add_to_linker::<T, WasiSockets>(l, |t| t.as_mut().sockets())?;
    Ok(())
}

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// Randomness of a run, which pays for each byte.
struct Random {
    guest: Arc<Guest>,
    of: ChaCha20Rng,
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.guest.charge(charges::RANDOM_BYTE, size_of::<u32>());
        self.of.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.guest.charge(charges::RANDOM_BYTE, size_of::<u64>());
        self.of.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.guest.charge(charges::RANDOM_BYTE, bytes.len());
        self.of.try_fill_bytes(bytes)
    }
}

/// What a guest waits for, each of which it pays for.
struct Polls<'a> {
    table: &'a mut ResourceTable,
    guest: &'a Guest,
}

struct Waits;

impl HasData for Waits {
    type Data<'a> = Polls<'a>;
}

impl poll::Host for Polls<'_> {
    async fn poll(&mut self, list: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.guest.charge(charges::POLLABLE, list.len());
        poll::Host::poll(self.table, list).await
    }
}

impl poll::HostPollable for Polls<'_> {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.guest.charge(charges::POLLABLE, 1);
        poll::HostPollable::ready(self.table, pollable).await
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.guest.charge(charges::POLLABLE, 1);
        poll::HostPollable::block(self.table, pollable).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(self.table, pollable)
    }
}

/// `SystemTime::now`: the run's clock.
struct Wall(Arc<Guest>);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.clock.now().0)
    }
}

/// `Instant::now` and `sleep`: the run's clock, counted from its start. A wait moves it by exactly what was asked for, so a guest that
/// sleeps until a moment sees that moment come, and a replay sees the same.
struct Clock<'a> {
    table: &'a mut ResourceTable,
    guest: &'a Arc<Guest>,
    begun: Millis,
    origin: u64,
}

struct RunTime;

impl HasData for RunTime {
    type Data<'a> = Clock<'a>;
}

const NANOS_PER_MILLI: u64 = 1_000_000;

impl Clock<'_> {
    fn shown(&self) -> u64 {
        let elapsed = self.guest.clock.now().since(self.begun).saturating_mul(NANOS_PER_MILLI);
        elapsed.saturating_add(self.origin)
    }
}

impl monotonic_clock::Host for Clock<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.shown())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(NANOS_PER_MILLI)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let left = when.saturating_sub(self.shown());
        self.subscribe_duration(left)
    }

    fn subscribe_duration(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let ms = when.div_ceil(NANOS_PER_MILLI);
        let until = self.guest.clock.now().plus(ms);
        // Further than time can be counted is for ever: the run's deadline ends it.
        let at = tokio::time::Instant::now().checked_add(Duration::from_millis(ms));
        let sleep = self.table.push(Sleep { guest: Arc::clone(self.guest), until, at })?;
        subscribe(self.table, sleep)
    }
}

struct Sleep {
    guest: Arc<Guest>,
    until: Millis,
    at: Option<tokio::time::Instant>,
}

#[async_trait]
impl Pollable for Sleep {
    async fn ready(&mut self) {
        let _standing = self.guest.deliveries.stand();
        match self.at {
            // What is only done again was waited for.
            _ if self.guest.port.repeats() => {}
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
        self.guest.clock.advance(self.until);
        self.guest.port.slept(self.until);
        // A guest that polls in a circle lets others run.
        tokio::task::yield_now().await;
    }
}

/// Standard output or standard error, as lines of the log.
#[derive(Clone)]
struct Stream(Arc<StreamState>);

struct StreamState {
    lines: Arc<Lines>,
    errors: bool,
    unfinished: Mutex<Unfinished>,
}

/// What one write may bring: as much as WASI's own streams take.
const WRITE_MAX_BYTES: usize = 64 * 1024;

impl Stream {
    fn new(lines: Arc<Lines>, errors: bool) -> Self {
        Self(Arc::new(StreamState { lines, errors, unfinished: Mutex::default() }))
    }
}

impl StreamState {
    fn say(&self, line: String) {
        if self.errors { self.lines.complain(line) } else { self.lines.log(Level::Info, line) }
    }

    fn take(&self, bytes: &[u8]) {
        let mut finished = Vec::new();
        self.unfinished.lock().take(bytes, |line| finished.push(line));
        finished.into_iter().for_each(|line| self.say(line));
    }
}

impl Drop for StreamState {
    fn drop(&mut self) {
        let mut last = None;
        self.unfinished.lock().finish(|line| last = Some(line));
        if let Some(line) = last {
            self.say(line);
        }
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for it, which is not linked.
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.lines.guest().keep_pace().map_err(|overdue| StreamError::Trap(overdue.into()))?;
        self.0.lines.guest().charge(charges::BYTE, bytes.len());
        self.0.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_MAX_BYTES)
    }
}
