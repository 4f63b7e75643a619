//! What a worker gives away before its first guest: every privilege, file, socket, process and thread that it could still get. It is not asked to
//! behave, it cannot do otherwise.

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

/// It ends with the process that started it, gains no privilege, leaves no image of itself, and has few descriptors.
///
/// # Errors
/// If that process is gone already, or the system does not let it.
pub(super) fn begin() -> io::Result<()> {
    close_inherited()?;
    let parent = getppid();
    // The thread that started it stays for as long as it does, so this comes with the end of the host and at no other time.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != parent {
        return Err(io::Error::other("the host has gone"));
    }
    rustix::thread::set_no_new_privs(true)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, WORKER_FILES_MAX)?;
    // It writes no file but those without a name in which the engine keeps the first contents of memories.
    limit(Resource::Fsize, u64::try_from(ARTIFACT_MAX_BYTES).unwrap_or(u64::MAX))
}

/// Whoever started the host may have left files open in it, and in its children.
fn close_inherited() -> io::Result<()> {
    let number = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let files: Vec<i32> = std::fs::read_dir("/proc/self/fd")?.filter_map(number).collect();
    // Its connection is its standard input.
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

/// No file of any name, no network and no process outside from here on; false if this system's kernel cannot do that. The calls are then kept
/// from it all the same.
///
/// # Errors
/// If it could, and does not.
pub(super) fn files() -> io::Result<bool> {
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
pub(super) fn calls() -> io::Result<()> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    // What the engine looks at its own memory with, and nothing else of a call that can be anything.
    let is_scan = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, PAGEMAP_SCAN);
    let is_scan = is_scan.and_then(|is| SeccompRule::new(vec![is])).map_err(io::Error::other)?;
    rules.insert(libc::SYS_ioctl, vec![is_scan]);
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, refused, SeccompAction::Allow, arch).map_err(io::Error::other)?;
    let program = BpfProgram::try_from(filter).map_err(io::Error::other)?;
    seccompiler::apply_filter_all_threads(&program).map_err(io::Error::other)
}

/// `PAGEMAP_SCAN` of `linux/fs.h`.
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// What a worker calls. No name of a file, address, process or program is an argument of any of them.
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

    /// Set for the process that is confined.
    const CONFINED: &str = "AGENTRY_TEST_CONFINED";

    /// What somebody would try who has taken a worker over.
    fn confined() {
        begin().unwrap();
        let landlocked = files().unwrap();
        if landlocked {
            // This alone keeps it from files.
            assert!(fs::read("/etc/passwd").is_err() && fs::write("/tmp/agentry-escaped", "x").is_err());
        }
        calls().unwrap();
        let tried: [(&str, bool); 13] = [
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
            ("begin a thread", std::thread::Builder::new().spawn(|| ()).is_ok()),
            ("end another process", rustix::process::test_kill_process(getppid().unwrap()).is_ok()),
        ];
        for (what, done) in tried {
            assert!(!done, "it could {what}");
        }
        // And what it needs it has.
        assert!(getrandom::u64().is_ok());
        assert!(vec![1_u8; 1 << 22].iter().all(|byte| *byte == 1));
    }

    #[test]
    fn what_is_confined_reaches_no_file_no_network_and_no_process() {
        if std::env::var_os(CONFINED).is_some() {
            return confined();
        }
        let mut itself = Command::new(std::env::current_exe().unwrap());
        let this = "worker::confine::tests::what_is_confined_reaches_no_file_no_network_and_no_process";
        itself.args(["--exact", this, "--test-threads", "1", "--nocapture"]).env(CONFINED, "1");
        let output = itself.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
}
