//! A namespace of processes for what a tool's program starts: nothing in it can name, stop or outlive the process that guards it. Its first process
//! only reaps; when that is gone, the system ends all others. It is no wall around files or the network.

use std::fs;
use std::io;
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, getgid, getuid, wait};
use rustix::thread::UnshareFlags;

/// The hidden verb of the first process of such a namespace.
pub const KEEP_VERB: &str = "keep-tool";

/// How often it looks for processes that have ended.
const REAP_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The first process of a namespace. It ends when the pipe to it closes, with whoever guards it.
pub(super) struct Namespace {
    _first: Child,
}

impl Namespace {
    /// Whatever this process starts from here on lives in a namespace of its own. None where the system gives nobody one: then the program is
    /// found by its parents, and ended by the host if it stops its guard.
    ///
    /// # Errors
    /// If its first process cannot be started.
    pub(super) fn enter() -> io::Result<Option<Self>> {
        if !leave_own() {
            return Ok(None);
        }
        let mut first = Command::new(std::env::current_exe()?);
        first.arg(KEEP_VERB).env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Some(Self { _first: first.spawn()? }))
    }
}

/// Root may have a namespace of processes as it is; anybody else in one of users, in which they are who they are and nobody else.
fn leave_own() -> bool {
    let (user, group) = (getuid().as_raw(), getgid().as_raw());
    if unshared(UnshareFlags::NEWPID).is_ok() {
        return true;
    }
    if unshared(UnshareFlags::NEWUSER | UnshareFlags::NEWPID).is_err() {
        return false;
    }
    let map = |name: &str, text: String| fs::write(format!("/proc/self/{name}"), text);
    // A file that is not written leaves the program with the rights of nobody at all.
    let _ = map("setgroups", "deny".to_owned());
    let _ = map("uid_map", format!("{user} {user} 1"));
    let _ = map("gid_map", format!("{group} {group} 1"));
    true
}

#[expect(deprecated, reason = "it is unsafe for tables of open files alone, which stay shared here")]
fn unshared(flags: UnshareFlags) -> rustix::io::Result<()> {
    rustix::thread::unshare(flags)
}

/// The first process: reaps what is left to it until standard input closes.
pub fn keep() -> ExitCode {
    let stdin = io::stdin();
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut fds, Some(&REAP_EVERY)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            // Nobody writes to it, so something means that it is closed.
            Ok(_) | Err(_) => return ExitCode::SUCCESS,
        }
    }
}
