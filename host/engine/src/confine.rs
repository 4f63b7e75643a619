//! What a process gives away that is about to touch a stranger's code: every privilege, file, socket and process that it could still get. It is not
//! asked to behave, it cannot do otherwise. Nothing here knows what the process is for, besides the calls to the system that it needs.

use std::collections::BTreeMap;
use std::io;

use agentry_store::limits::{ARTIFACT_MAX_BYTES, WORKER_FILES_MAX};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetStatus,
    Scope,
};
use rustix::process::{Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// What a process does that is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confined {
    /// It executes guests, on one thread.
    Worker,
    /// It reads and compiles one component, on as many threads as there are cores.
    Preparer,
}

/// It ends with the process that started it and before that where memory is short, gains no privilege, leaves no image of itself, and has few
/// descriptors.
///
/// # Errors
/// If that process is gone already, or the system does not let it.
pub fn begin(confined: Confined) -> io::Result<()> {
    close_inherited()?;
    let parent = getppid();
    // The thread that started it stays for as long as it does, so this comes with the end of the host and at no other time.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != parent {
        return Err(io::Error::other("the host has gone"));
    }
    // A system that has no memory left ends what can be done again, and not the host. Where it does not let it be said, it decides alone.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    rustix::thread::set_no_new_privs(true)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, WORKER_FILES_MAX)?;
    limit(
        Resource::Fsize,
        match confined {
            // Those without a name in which the engine keeps the first contents of memories.
            Confined::Worker => u64::try_from(ARTIFACT_MAX_BYTES).unwrap_or(u64::MAX),
            Confined::Preparer => 0,
        },
    )
}

/// Whoever started the host may have left files open in it, and in its children.
fn close_inherited() -> io::Result<()> {
    let number = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let files: Vec<i32> = std::fs::read_dir("/proc/self/fd")?.filter_map(number).collect();
    // What it hears and says goes by the standard ones.
    for file in files.into_iter().filter(|file| *file > 2) {
        #[allow(unsafe_code, reason = "there is no owner of what was inherited, and nothing else has been opened yet")]
        // SAFETY: this is the first thing that the process does, so no descriptor above is anybody's.
        unsafe {
            rustix::io::close(file);
        }
    }
    Ok(())
}

fn limit(resource: Resource, to: u64) -> io::Result<()> {
    let to = getrlimit(resource).maximum.map_or(to, |before| before.min(to));
    Ok(setrlimit(resource, Rlimit { current: Some(to), maximum: Some(to) })?)
}

/// Whether this system's kernel can keep a process from every file. Nothing is kept from this one.
pub fn has_landlock() -> bool {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    ruleset.handle_access(AccessFs::from_all(ABI::V1)).and_then(Ruleset::create).is_ok()
}

/// Whether it can filter the calls of a process; without that no process is confined.
pub fn has_seccomp() -> bool {
    // Where nobody says, it is tried: what cannot be done is told then.
    std::fs::read_to_string("/proc/self/status").map_or(true, |status| status.contains("\nSeccomp:"))
}

/// No file of any name, no network and no process outside from here on; false if this system's kernel cannot do that. The calls are then kept
/// from it all the same.
///
/// # Errors
/// If it could, and does not.
pub fn files() -> io::Result<bool> {
    let abi = ABI::V6;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(abi)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(abi)))
        .and_then(Ruleset::create)
        .and_then(|created| created.restrict_self());
    let status = ruleset.map_err(io::Error::other)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// No call to the system from here on but those below, for each of its threads.
///
/// # Errors
/// If the system cannot do that.
pub fn calls(confined: Confined) -> io::Result<()> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    // Of calls that can be anything, what is meant here and nothing else.
    let (of, narrow): (_, &[(i64, u8, SeccompCmpOp, u64)]) = match confined {
        Confined::Worker => (&[][..], &WORKER_CALLS),
        Confined::Preparer => (PREPARER_CALLS, &THREAD_CALLS),
    };
    rules.extend(of.iter().map(|call| (*call, Vec::new())));
    for (call, argument, is, value) in narrow {
        let condition = SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, is.clone(), *value);
        let rule = condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(io::Error::other)?;
        rules.insert(*call, vec![rule]);
    }
    if confined == Confined::Preparer {
        // Its flags lie in memory, where no filter sees them: without it, the C library asks by the call whose flags are seen.
        let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        apply(unknown, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.unsigned_abs()))?;
        rules.insert(libc::SYS_clone3, Vec::new());
    }
    apply(rules, SeccompAction::Errno(libc::EPERM.unsigned_abs()), SeccompAction::Allow)
}

fn apply(rules: BTreeMap<i64, Vec<SeccompRule>>, others: SeccompAction, these: SeccompAction) -> io::Result<()> {
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, others, these, arch).map_err(io::Error::other)?;
    let program = BpfProgram::try_from(filter).map_err(io::Error::other)?;
    seccompiler::apply_filter_all_threads(&program).map_err(io::Error::other)
}

/// `PAGEMAP_SCAN` of `linux/fs.h`, by which the engine looks at its own memory.
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// What else a worker calls: the number of an argument and what it must be.
const WORKER_CALLS: [(i64, u8, SeccompCmpOp, u64); 1] = [(libc::SYS_ioctl, 1, SeccompCmpOp::Eq, PAGEMAP_SCAN)];

/// What else a preparer calls as it stands: a thread of its begins.
const PREPARER_CALLS: &[i64] = &[libc::SYS_set_robust_list];

/// A thread and no process, its name and nothing else of what may be set, and limits of itself and of nobody else.
const THREAD_CALLS: [(i64, u8, SeccompCmpOp, u64); 3] = [
    (libc::SYS_clone, 0, SeccompCmpOp::MaskedEq(CLONE_THREAD), CLONE_THREAD),
    (libc::SYS_prctl, 0, SeccompCmpOp::Eq, libc::PR_SET_NAME.unsigned_abs() as u64),
    (libc::SYS_prlimit64, 0, SeccompCmpOp::Eq, 0),
];

const CLONE_THREAD: u64 = libc::CLONE_THREAD.unsigned_abs() as u64;

/// What both call. No name of a file, address, process or program is an argument of any of them.
#[rustfmt::skip]
const CALLS: &[i64] = &[
    // Its connection, and the code that comes along with it.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_recvmsg, libc::SYS_sendmsg,
    libc::SYS_recvfrom, libc::SYS_sendto, libc::SYS_lseek, libc::SYS_pread64, libc::SYS_close, libc::SYS_fcntl,
    // Waiting, and the time.
    libc::SYS_ppoll, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2, libc::SYS_futex, libc::SYS_sched_yield,
    libc::SYS_clock_gettime, libc::SYS_clock_nanosleep, libc::SYS_nanosleep, libc::SYS_restart_syscall,
    #[cfg(target_arch = "x86_64")] libc::SYS_poll,
    #[cfg(target_arch = "x86_64")] libc::SYS_epoll_wait,
    // Memory: its own, that of guests, and code.
    libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_brk,
    libc::SYS_memfd_create, libc::SYS_ftruncate, libc::SYS_pwrite64,
    // Traps of guests, and its own end.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_sigaltstack,
    libc::SYS_exit, libc::SYS_exit_group, libc::SYS_tgkill, libc::SYS_gettid, libc::SYS_getpid,
    // Where it runs, and what makes its tables unpredictable.
    libc::SYS_sched_getaffinity, libc::SYS_rseq, libc::SYS_membarrier, libc::SYS_getrandom,
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use super::*;

    /// Set for the process that is confined, to what it is.
    const CONFINED: &str = "AGENTRY_TEST_CONFINED";

    /// What somebody would try who has taken such a process over.
    fn escape(from: Confined) {
        begin(from).unwrap();
        let landlocked = files().unwrap();
        if landlocked {
            // This alone keeps it from files.
            assert!(fs::read("/etc/passwd").is_err() && fs::write("/tmp/agentry-escaped", "x").is_err());
        }
        calls(from).unwrap();
        let tried: [(&str, bool); 14] = [
            ("read a file", fs::read("/etc/passwd").is_ok()),
            ("read its own environment", fs::read("/proc/self/environ").is_ok()),
            ("write a file", fs::write("/tmp/agentry-escaped", "x").is_ok()),
            ("list a directory", fs::read_dir("/").is_ok()),
            ("ask for the facts of a file", fs::metadata("/etc/passwd").is_ok()),
            ("make a directory", fs::create_dir("/tmp/agentry-escaped").is_ok()),
            ("remove a file", fs::remove_file("/tmp/agentry-escaped").is_ok()),
            (
                "dial an address",
                TcpStream::connect("127.0.0.1:1").is_err_and(|why| why.raw_os_error() != Some(libc::EPERM)),
            ),
            ("send a packet", UdpSocket::bind("127.0.0.1:0").is_ok()),
            ("dial a socket of this machine", UnixStream::pair().is_ok()),
            ("start a program", Command::new("/bin/true").status().is_ok()),
            ("make another process of itself", forked()),
            ("end another process", rustix::process::test_kill_process(getppid().unwrap()).is_ok()),
            ("see the limits of another process", limits_of(getppid().unwrap())),
        ];
        for (what, done) in tried {
            assert!(!done, "it could {what}");
        }
        // And what it needs it has.
        let thread = std::thread::Builder::new().name("compiling".to_owned()).spawn(|| 7);
        assert_eq!(thread.ok().map(|thread| thread.join().unwrap()), (from == Confined::Preparer).then_some(7));
        assert!(getrandom::u64().is_ok());
        assert!(vec![1_u8; 1 << 22].iter().all(|byte| *byte == 1));
    }

    fn forked() -> bool {
        #[allow(unsafe_code, reason = "the system is asked as whoever took the process over would ask it")]
        // SAFETY: it is refused; a child that there is after all ends at once.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(0);
            }
            child > 0
        }
    }

    fn limits_of(process: rustix::process::Pid) -> bool {
        #[allow(unsafe_code, reason = "the system is asked as whoever took the process over would ask it")]
        // SAFETY: it writes one `rlimit64`, which is there.
        unsafe {
            let mut limits = std::mem::zeroed::<libc::rlimit64>();
            libc::prlimit64(process.as_raw_nonzero().get(), libc::RLIMIT_CORE, std::ptr::null(), &raw mut limits) == 0
        }
    }

    #[test]
    fn what_is_confined_reaches_no_file_no_network_and_no_process() {
        match std::env::var(CONFINED).as_deref() {
            Ok("worker") => return escape(Confined::Worker),
            Ok("preparer") => return escape(Confined::Preparer),
            _ => {}
        }
        for confined in ["worker", "preparer"] {
            let mut itself = Command::new(std::env::current_exe().unwrap());
            let this = "confine::tests::what_is_confined_reaches_no_file_no_network_and_no_process";
            itself.args(["--exact", this, "--test-threads", "1", "--nocapture"]).env(CONFINED, confined);
            let output = itself.output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.contains("1 passed"), "{confined}: {said}");
        }
    }
}
