//! The child in which a tool's command runs: it starts the program, feeds and hears it, and ends it with everything that it began.
//! It decides nothing and knows no policy.
//!
//! The child is a subreaper: whatever the program starts, in whatever session, comes back to it when its parent dies, so that nothing
//! slips away by forking twice. When the host goes, the pipe to it closes, and the child ends everything as well. Where the system has namespaces
//! of processes, the program cannot reach the child: it could stop it otherwise, and go on behind its back.

mod namespace;
mod process_tree;
mod rlimits;

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use agentry_store::limits::{TOOL_ERROR_MAX_BYTES, TOOL_ORDER_MAX_BYTES, TOOL_PROCESSES_MAX};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open, set_child_subreaper, setsid};
use serde::{Deserialize, Serialize};

pub use self::namespace::{KEEP_VERB, keep};
pub use self::rlimits::{ENTER_VERB, enter};

use self::namespace::Namespace;

/// The hidden verb by which a program runs a tool for itself.
pub const VERB: &str = "run-tool";

/// How often the processes of a command are counted.
const COUNT_EVERY: Duration = Duration::from_millis(50);

/// What one read takes from a pipe.
const CHUNK_BYTES: usize = 64 * 1024;

/// What to run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) program: PathBuf,
    pub(super) words: Vec<String>,
    /// The whole environment.
    pub(super) env: Vec<(String, String)>,
    pub(super) directory: PathBuf,
    /// What is on its standard input.
    pub(super) input: Vec<u8>,
    pub(super) timeout_ms: u64,
    pub(super) output_max_bytes: usize,
    pub(super) memory_bytes: u64,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) end: End,
    pub(super) output: Vec<u8>,
    /// The beginning of what it said is wrong.
    pub(super) error: Vec<u8>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that it or a limit gave it.
    Signalled(i32),
    /// Its time was over.
    TimedOut,
    /// It said more than it may.
    TooLong,
    /// It began more processes than it may.
    TooMany,
    /// The host wanted no more of it.
    Stopped,
    /// It did not begin.
    NotBegun(String),
}

/// The child: reads an order from standard input, carries it out and writes a report to standard output.
pub fn child() -> ExitCode {
    let done = read_order(&mut io::stdin()).and_then(|order| {
        let report = carry_out(&order).unwrap_or_else(|error| Report {
            end: End::NotBegun(error.to_string()),
            output: Vec::new(),
            error: Vec::new(),
        });
        let report = postcard::to_allocvec(&report).map_err(io::Error::other)?;
        let mut out = io::stdout().lock();
        out.write_all(&report).and_then(|()| out.flush())
    });
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

/// An order is its length and itself; the pipe then stays open for as long as the host wants the command to go on.
pub(super) fn framed(order: &Order) -> Result<Vec<u8>, postcard::Error> {
    let order = postcard::to_allocvec(order)?;
    let length = u32::try_from(order.len()).unwrap_or(u32::MAX);
    Ok([&length.to_le_bytes(), order.as_slice()].concat())
}

fn read_order(from: &mut impl Read) -> io::Result<Order> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > TOOL_ORDER_MAX_BYTES {
        return Err(io::Error::other("the order is too long"));
    }
    let mut order = vec![0; length];
    from.read_exact(&mut order)?;
    postcard::from_bytes(&order).map_err(io::Error::other)
}

/// Ends a child that does not answer, as one that its own program has stopped, and all that comes from it.
pub(super) fn end_stuck(child: u32) {
    if let Some(child) = i32::try_from(child).ok().and_then(Pid::from_raw) {
        process_tree::end_with(child);
    }
}

fn carry_out(order: &Order) -> io::Result<Report> {
    // Away from the terminal: its keys and its screen are a person's.
    let _ = setsid();
    set_child_subreaper(Some(getpid()))?;
    let namespace = Namespace::enter()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(ENTER_VERB).arg(order.memory_bytes.to_string()).arg(order.timeout_ms.to_string());
    command.arg(&order.program).args(&order.words);
    command.env_clear().envs(order.env.iter().map(|(name, value)| (name, value))).current_dir(&order.directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn()?;
    let pid = Pid::from_child(&child);
    let mut watch = Watch::over(child, order, namespace)?;
    let cut = watch.until_it_ends()?;
    let status = process_tree::end_all(pid);
    watch.drain();
    let end = cut.unwrap_or_else(|| match status {
        Some(status) => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => End::Exited(code),
            (None, signal) => End::Signalled(signal.unwrap_or_default()),
        },
        None => End::Stopped,
    });
    Ok(Report { end, output: watch.output, error: watch.error })
}

/// A command that runs, and what was heard of it.
struct Watch<'a> {
    // Never waited for by itself: whoever ends its process tree reaps it too.
    _child: Child,
    /// Its first process counts for nobody.
    namespace: Option<Namespace>,
    pidfd: OwnedFd,
    stdin: Option<std::process::ChildStdin>,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    input: &'a [u8],
    output: Vec<u8>,
    error: Vec<u8>,
    output_max_bytes: usize,
    deadline: Instant,
}

impl<'a> Watch<'a> {
    fn over(mut child: Child, order: &'a Order, namespace: Option<Namespace>) -> io::Result<Self> {
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        for pipe in
            [stdin.as_ref().map(AsFd::as_fd), stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)]
        {
            pipe.map(never_wait).transpose()?;
        }
        let deadline = Instant::now() + Duration::from_millis(order.timeout_ms);
        let (input, output_max_bytes) = (order.input.as_slice(), order.output_max_bytes);
        let (output, error) = (Vec::new(), Vec::new());
        let _child = child;
        Ok(Self { _child, namespace, pidfd, stdin, stdout, stderr, input, output, error, output_max_bytes, deadline })
    }

    /// Feeds and hears it until it ends by itself, which is none, or must be ended.
    fn until_it_ends(&mut self) -> io::Result<Option<End>> {
        let mut counted = Instant::now();
        loop {
            self.feed();
            let now = Instant::now();
            if now >= self.deadline {
                return Ok(Some(End::TimedOut));
            }
            if now.duration_since(counted) >= COUNT_EVERY {
                counted = now;
                let most = TOOL_PROCESSES_MAX + usize::from(self.namespace.is_some());
                if process_tree::count(getpid()) > most {
                    return Ok(Some(End::TooMany));
                }
            }
            let wait = COUNT_EVERY.min(self.deadline - now);
            let [host, ended] = self.wait(wait)?;
            if self.hear().is_err() {
                return Ok(Some(End::TooLong));
            }
            if ended {
                return Ok(None);
            }
            if host {
                return Ok(Some(End::Stopped));
            }
        }
    }

    /// Waits until something happens; tells whether the host has gone and whether the command has ended.
    fn wait(&self, wait: Duration) -> io::Result<[bool; 2]> {
        let stdin = io::stdin();
        let mut fds = vec![PollFd::new(&stdin, PollFlags::IN), PollFd::new(&self.pidfd, PollFlags::IN)];
        fds.extend(self.stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(self.stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(self.stdin.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        match poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let happened = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Ok([happened(0), happened(1)])
    }

    /// Gives it more of its input; the pipe closes when there is no more, or when it does not want any.
    fn feed(&mut self) {
        let Some(pipe) = &mut self.stdin else { return };
        while !self.input.is_empty() {
            match pipe.write(self.input) {
                Ok(written) => self.input = self.input.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        self.stdin = None;
    }

    /// Takes what it has said.
    fn hear(&mut self) -> Result<(), TooLong> {
        hear(&mut self.stdout, &mut self.output, self.output_max_bytes)?;
        hear(&mut self.stderr, &mut self.error, TOOL_ERROR_MAX_BYTES)
    }

    /// Takes what is left in the pipes; those who could write more are gone.
    fn drain(&mut self) {
        // What is too long by now was too long in the end: the part that fits stands.
        let _ = self.hear();
        self.output.truncate(self.output_max_bytes);
        self.error.truncate(TOOL_ERROR_MAX_BYTES);
    }
}

struct TooLong;

fn hear(pipe: &mut Option<impl Read>, into: &mut Vec<u8>, max: usize) -> Result<(), TooLong> {
    let Some(open) = pipe else { return Ok(()) };
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match open.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => into.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        if into.len() > max {
            return Err(TooLong);
        }
    }
    *pipe = None;
    Ok(())
}

fn never_wait(pipe: BorrowedFd<'_>) -> io::Result<()> {
    let flags = fcntl_getfl(pipe)?;
    Ok(fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?)
}
