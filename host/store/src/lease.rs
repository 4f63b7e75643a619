//! A lease on a home whose file system has no locks: files beside the store, numbered by who came after whom, of which the last says who has it.
//! It never touches the store. It keeps two apart only if whoever holds one asks before each write whether it still does.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How the name of a lease begins; its number follows. Whoever makes the next number has the home: a file is made once.
const PREFIX: &str = "store.lease.";
/// No home is taken so often: a name with a greater number was not made here.
const NUMBER_MAX: u64 = u64::MAX / 2;
/// The first line of each.
const HEAD: &str = "agentry lease 1";
/// A lease is longer than a kilobyte by mistake only.
const READ_MAX_BYTES: usize = 1024;
/// In place of a holder, once it has let go. As long as any, so that nothing of it is left.
const FREE: &str = "free";

/// How often a holder says that it goes on, and how long it must have been silent before somebody else takes the home.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) renews: Duration,
    pub(super) silent: Duration,
    /// How often whoever waits looks.
    pub(super) looks: Duration,
}

/// A holder that is stopped for less than this goes on as if nothing were; a machine that lost power is waited for as long.
pub(super) const PACE: Pace =
    Pace { renews: Duration::from_secs(4), silent: Duration::from_secs(20), looks: Duration::from_millis(500) };

/// A lease that this process holds until it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    held: Arc<Held>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Held {
    file: File,
    next: PathBuf,
    holder: String,
    pace: Pace,
    renewed: Mutex<Option<Instant>>,
}

/// Why there is no lease.
#[derive(Debug)]
pub(super) enum LeaseError {
    /// Somebody else has the home.
    Taken,
    /// The system does not do it.
    Io(io::Error),
}

impl From<io::Error> for LeaseError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whether locks hold where these files lie, of which the first that is there is tried. What cannot be found out is taken for a yes: then the
/// store's own lock decides.
pub(super) fn locks_hold(probes: &[PathBuf]) -> bool {
    match probes.iter().find_map(|probe| File::open(probe).ok()).map(|file| file.try_lock_shared()) {
        Some(Ok(()) | Err(TryLockError::WouldBlock)) | None => true,
        Some(Err(TryLockError::Error(_))) => false,
    }
}

impl Lease {
    /// Takes the home, if nobody has it or its holder is gone: at once where that can be seen, else after it was silent for long enough.
    ///
    /// # Errors
    /// When somebody has it, or the directory cannot be written.
    pub(super) fn take(home: &Path, pace: Pace) -> Result<Self, LeaseError> {
        let holder = Holder::own();
        let (number, file) = loop {
            let last = last(home)?;
            if last > NUMBER_MAX {
                return Err(io::Error::new(ErrorKind::InvalidData, format!("no lease has the number {last}")).into());
            }
            if last > 0 && !is_over(&path(home, last), &holder, pace)? {
                return Err(LeaseError::Taken);
            }
            let new = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path(home, last + 1));
            match new {
                Ok(file) => break (last + 1, file),
                // Somebody was faster, and is looked at.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        };
        let held = Held { file, next: path(home, number + 1), holder: holder.line(), pace, renewed: Mutex::new(None) };
        held.renew(1)?;
        for older in numbers(home)?.into_iter().filter(|older| *older < number) {
            // What stays is overruled by its number.
            let _ = fs::remove_file(path(home, older));
        }
        let (stop, stopped) = mpsc::channel();
        let held = Arc::new(held);
        let renewing = Arc::clone(&held);
        let thread = thread::Builder::new().name("store-lease".to_owned()).spawn(move || {
            let mut turn = 1;
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(renewing.pace.renews) {
                turn += 1;
                // A renewal that fails is tried again; a lease that was not renewed for long does not hold.
                let _ = renewing.renew(turn);
            }
        })?;
        Ok(Self { held, stop: Some(stop), thread: Some(thread) })
    }

    /// Whether it holds still: it was renewed, and nobody has come after. Once it does not, it never does again.
    pub(super) fn holds(&self) -> bool {
        self.held.holds()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does nothing that could panic, and there is nothing left of it to save.
            let _ = thread.join();
        }
        if self.held.holds() {
            // If it stays, the next one waits until it was silent for long enough.
            let _ = self.held.write(&format!("{FREE:<width$}", width = self.held.holder.len()), 0);
        }
    }
}

impl Held {
    fn holds(&self) -> bool {
        let mut renewed = self.renewed.lock();
        // Half of the time that others wait, so that a clock that goes a little faster there does not matter.
        let fresh = renewed.is_some_and(|at| at.elapsed() < self.pace.silent / 2);
        let last =
            fresh && matches!(fs::symlink_metadata(&self.next), Err(error) if error.kind() == ErrorKind::NotFound);
        if !last {
            *renewed = None;
        }
        last
    }

    /// Says that the holder goes on, unless it has lost the home.
    fn renew(&self, turn: u64) -> io::Result<()> {
        let first = turn == 1;
        if !first && !self.holds() {
            return Err(io::Error::from(ErrorKind::NotFound));
        }
        let at = Instant::now();
        self.write(&self.holder, turn)?;
        let mut renewed = self.renewed.lock();
        if first || renewed.is_some() {
            *renewed = Some(at);
        }
        Ok(())
    }

    fn write(&self, holder: &str, turn: u64) -> io::Result<()> {
        self.file.write_all_at(format!("{HEAD}\n{holder}\n{turn:020}\n").as_bytes(), 0)?;
        self.file.sync_data()
    }
}

/// Whether its holder has let go or is gone. `own` is whoever looks.
fn is_over(path: &Path, own: &Holder, pace: Pace) -> io::Result<bool> {
    let first = read(path)?;
    let began = Instant::now();
    let mut found = first.clone();
    loop {
        let holder = found.strip_prefix(HEAD).and_then(|rest| rest.lines().nth(1)).map(str::trim_end);
        if holder == Some(FREE) {
            return Ok(true);
        }
        if let Some(lives) = holder.and_then(|holder| own.sees(holder)) {
            return Ok(!lives);
        }
        if found != first {
            return Ok(false);
        }
        if began.elapsed() >= pace.silent {
            return Ok(true);
        }
        thread::sleep(pace.looks);
        found = read(path)?;
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = vec![0; READ_MAX_BYTES];
    match File::open(path).and_then(|file| file.read_at(&mut text, 0)) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&text[..bytes]).into_owned()),
        // Somebody took the home meanwhile, and is looked at next.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(format!("{HEAD}\n{FREE}\n")),
        Err(error) => Err(error),
    }
}

fn path(home: &Path, number: u64) -> PathBuf {
    home.join(format!("{PREFIX}{number}"))
}

fn numbers(home: &Path) -> io::Result<Vec<u64>> {
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix(PREFIX)?.parse().ok();
    Ok(fs::read_dir(home)?.flatten().filter_map(number).collect())
}

/// The number of the last one; 0 if there is none.
fn last(home: &Path) -> io::Result<u64> {
    Ok(numbers(home)?.into_iter().max().unwrap_or(0))
}

/// A process, as another one on the same machine can recognise it.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    /// The machine since it started, and which processes are seen.
    place: String,
    pid: u32,
    started: String,
}

impl Holder {
    /// This process.
    fn own() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let seen = fs::read_link("/proc/self/ns/pid").map(|of| of.display().to_string()).unwrap_or_default();
        let pid = std::process::id();
        let place = if boot.is_empty() || seen.is_empty() { "?".to_owned() } else { format!("{}/{seen}", boot.trim()) };
        Self { place, pid, started: started(pid).unwrap_or_default() }
    }

    fn line(&self) -> String {
        format!("{} {} {}", self.pid, self.started, self.place)
    }

    /// Whether the holder of this line lives; none if it cannot be seen from here.
    fn sees(&self, line: &str) -> Option<bool> {
        let mut words = line.splitn(3, ' ');
        let (pid, began, place) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        (self.place != "?" && place == self.place).then(|| started(pid).is_some_and(|started| started == began))
    }
}

/// When a process started, in ticks since the machine did; none if there is no such process. (proc_pid_stat(5), field 22)
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is its name, which may have spaces and brackets.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    (state != "Z" && state != "X").then(|| fields.nth(18).map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Pace =
        Pace { renews: Duration::from_millis(20), silent: Duration::from_secs(4), looks: Duration::from_millis(5) };
    const HASTY: Pace =
        Pace { renews: Duration::from_secs(3600), silent: Duration::from_millis(60), looks: Duration::from_millis(5) };

    fn say(home: &Path, number: u64, holder: &str) {
        fs::write(path(home, number), format!("{HEAD}\n{holder}\n{:020}\n", 1)).unwrap();
    }

    #[test]
    fn a_home_is_taken_by_one_and_free_when_it_lets_go() {
        let home = tempfile::tempdir().unwrap();
        let lease = Lease::take(home.path(), QUICK).unwrap();
        assert!(lease.holds());
        assert!(matches!(Lease::take(home.path(), QUICK), Err(LeaseError::Taken)));
        drop(lease);
        let next = Lease::take(home.path(), QUICK).unwrap();
        assert!(next.holds());
        assert_eq!(numbers(home.path()).unwrap(), [2]);
    }

    #[test]
    fn a_number_that_no_lease_has_is_told_and_nobody_takes_the_home() {
        let home = tempfile::tempdir().unwrap();
        for number in [NUMBER_MAX + 1, u64::MAX] {
            say(home.path(), number, FREE);
            assert!(matches!(Lease::take(home.path(), QUICK), Err(LeaseError::Io(_))), "{number}");
        }
    }

    #[test]
    fn many_at_once_and_one_has_it() {
        let home = tempfile::tempdir().unwrap();
        let tries: Vec<_> = (0..8)
            .map(|_| {
                let home = home.path().to_owned();
                thread::spawn(move || Lease::take(&home, QUICK))
            })
            .collect();
        let taken: Vec<_> = tries.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect();
        assert_eq!(taken.len(), 1);
    }

    #[test]
    fn a_holder_that_is_seen_to_be_gone_is_not_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let own = Holder::own();
        say(home.path(), 7, &Holder { started: "1".to_owned(), ..own }.line());
        let began = Instant::now();
        assert!(Lease::take(home.path(), PACE).unwrap().holds());
        assert!(began.elapsed() < PACE.silent);
        assert_eq!(numbers(home.path()).unwrap(), [8]);
    }

    #[test]
    fn one_of_another_machine_is_gone_when_it_is_silent_and_never_comes_back() {
        let home = tempfile::tempdir().unwrap();
        for lease in ["1 2 another-machine", "not a lease", ""] {
            say(home.path(), 1, lease);
            assert!(is_over(&path(home.path(), 1), &Holder::own(), HASTY).unwrap(), "{lease}");
        }
        let renewed = path(home.path(), 1);
        let renewing = thread::spawn(move || {
            for turn in 2..400 {
                fs::write(&renewed, format!("{HEAD}\n1 2 another-machine\n{turn:020}\n")).unwrap();
                thread::sleep(Duration::from_millis(5));
            }
        });
        assert!(matches!(Lease::take(home.path(), QUICK), Err(LeaseError::Taken)));
        renewing.join().unwrap();
    }

    #[test]
    fn who_was_overruled_or_not_renewed_holds_nothing_any_more() {
        let home = tempfile::tempdir().unwrap();
        let lease = Lease::take(home.path(), QUICK).unwrap();
        say(home.path(), 2, "1 2 another-machine");
        assert!(!lease.holds());
        fs::remove_file(path(home.path(), 2)).unwrap();
        assert!(!lease.holds(), "what was lost once is lost");
        let left = fs::read_to_string(path(home.path(), 1)).unwrap();
        drop(lease);
        assert_eq!(fs::read_to_string(path(home.path(), 1)).unwrap(), left, "it says nothing of a home that it lost");
        let other = tempfile::tempdir().unwrap();
        let stale = Lease::take(other.path(), HASTY).unwrap();
        thread::sleep(HASTY.silent);
        assert!(!stale.holds());
    }
}
