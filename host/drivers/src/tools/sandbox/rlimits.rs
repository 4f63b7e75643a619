//! The last step before a tool's program: limits for itself, and then it becomes the program.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use agentry_store::limits::{TOOL_FILE_MAX_BYTES, TOOL_OPEN_FILES_MAX, TOOL_PROCESSES_MAX};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit, umask};
use rustix::thread::set_no_new_privs;

/// The hidden verb of this step.
pub const ENTER_VERB: &str = "enter-tool";

/// Seconds of processor time for each second of wall time: a program may use some cores.
const CORES_MAX: u64 = 4;

/// Arguments: bytes of memory, milliseconds of wall time, the program, its words. Returns only if there is no such program.
pub fn enter() -> ExitCode {
    let error = become_it();
    let _ = writeln!(io::stderr(), "the program cannot be started: {error}");
    ExitCode::from(127)
}

fn become_it() -> io::Error {
    let mut words = std::env::args_os().skip(2);
    let number = |word: Option<std::ffi::OsString>| word.and_then(|word| word.to_str()?.parse::<u64>().ok());
    let (Some(memory_bytes), Some(wall_ms), Some(program)) = (number(words.next()), number(words.next()), words.next())
    else {
        return io::Error::other("its arguments are missing");
    };
    match limit_self(memory_bytes, wall_ms) {
        Ok(()) => Command::new(program).args(words).exec(),
        Err(error) => error,
    }
}

fn limit_self(memory_bytes: u64, wall_ms: u64) -> io::Result<()> {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != parent {
        return Err(io::Error::other("the host has gone"));
    }
    // A program that would be somebody else, root for example, is itself only.
    set_no_new_privs(true)?;
    umask(Mode::from_raw_mode(0o077));
    let at_most = |resource, max: u64| {
        // Nobody may raise a limit that was lower before.
        let max = rustix::process::getrlimit(resource).maximum.map_or(max, |before| before.min(max));
        setrlimit(resource, Rlimit { current: Some(max), maximum: Some(max) })
    };
    at_most(Resource::As, memory_bytes)?;
    at_most(Resource::Cpu, wall_ms.div_ceil(1000).saturating_mul(CORES_MAX).saturating_add(1))?;
    at_most(Resource::Fsize, TOOL_FILE_MAX_BYTES)?;
    at_most(Resource::Nofile, TOOL_OPEN_FILES_MAX)?;
    at_most(Resource::Core, 0)?;
    // The system counts all processes of a user; those that are there already are not the tool's. It counts none for root, whose tools
    // are counted from outside alone.
    if let Some(there) = tasks() {
        at_most(Resource::Nproc, there.saturating_add(TOOL_PROCESSES_MAX as u64))?;
    }
    Ok(())
}

/// Processes and threads of the whole system: `/proc/loadavg` has them behind the `/`.
fn tasks() -> Option<u64> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    load.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}
