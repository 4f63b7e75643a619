//! What holds in a home now: its policy directory, its registry of tools and its lock, looked at again and again while a host runs.
//!
//! A change is taken once it has been still for one look, read whole, parsed, tested, and only then swapped in. What cannot be used changes
//! nothing: the last good policy, or the last good set of tools, stays in force and an alarm is shown. The lock is a file of the home: as long as it is
//! there, whatever it says, nothing new is let in.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agentry_config::policies::PoliciesError;
use agentry_drivers::tools::config::TOOLS_FILE;
use agentry_kernel::Digest;
use agentry_kernel::kernel::Lock;
use agentry_kernel::limits::{POLICY_FILES_MAX, TEXT_MAX_BYTES};
use agentry_kernel::policy::Policy;
use agentry_kernel::time::Millis;
use agentry_packages::keyring::PUBLISHERS_FILE;
use agentry_packages::lock::LOCK_FILE as INSTALLED_FILE;
use agentry_store::limits::STANDING_LOOK_MS;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::{reload, tools};
use crate::config::{AGENTS_FILE, Config};
use crate::gate::{Gate, Reloadable};
use crate::host::services::Services;

/// The file whose presence is the lock.
const LOCK_FILE: &str = "locked";

/// Where to look, and what else the host wants shown with the next look.
#[derive(Debug)]
pub struct PolicyWatch {
    home: PathBuf,
    /// None if the policy stands as it was given.
    policies: Option<PathBuf>,
    /// What of `agentry.toml` is in force; none if tools, agents and configuration stand as they were given.
    config: Mutex<Option<Config>>,
    /// Set when everything is to be read again, changed or not.
    again: AtomicBool,
    alarms: Mutex<Option<String>>,
}

impl PolicyWatch {
    /// What holds in this home under this policy directory; none for a policy that does not change. With a `config`, which is in force, its
    /// `tools.toml` and `agents.toml` are looked at.
    pub(crate) fn new(home: PathBuf, policies: Option<PathBuf>, config: Option<Config>) -> Self {
        Self { home, policies, config: Mutex::new(config), again: AtomicBool::new(false), alarms: Mutex::default() }
    }

    /// Where.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// What of `agentry.toml` is in force, where it is looked at.
    pub(super) fn config(&self) -> Option<Config> {
        self.config.lock().clone()
    }

    /// This is, from now on.
    pub(super) fn set_config(&self, config: Config) {
        *self.config.lock() = Some(config);
    }

    /// Everything is read again with the next look, changed or not.
    pub(super) fn forget(&self) {
        self.again.store(true, Ordering::Release);
    }

    /// Puts the lock in force, or takes it out, as the home has it now. Cheap enough for every look.
    pub fn look_at_lock(&self, gate: &Gate) {
        gate.lock(lock(&self.home));
    }

    /// Reads the policy if it has changed and is still. True if another one is in force now.
    fn look_at_policy(&self, gate: &Gate, seen: &mut Seen) -> bool {
        let Some(policies) = self.policies.as_deref().filter(|policies| seen.has_settled_on(fingerprint(policies)))
        else {
            return false;
        };
        match sound(gate, policies) {
            Ok(policy) => gate.adopt(policy),
            Err(error) => {
                gate.keep(Reloadable::Policy, &error.to_string());
                false
            }
        }
    }

    /// The same of the tools.
    fn look_at_tools(&self, services: &Services, seen: &mut Seen) -> bool {
        if !self.looks() || !seen.has_settled_on(fingerprint_of(&[self.home.join(TOOLS_FILE)])) {
            return false;
        }
        match tools::reread(&services.drivers, &self.home) {
            Ok(change) => !change.is_empty(),
            Err(error) => {
                services.drivers.gate.keep(Reloadable::Tools, &error.to_string());
                false
            }
        }
    }

    fn looks(&self) -> bool {
        self.config.lock().is_some()
    }

    /// Has this shown to whoever watches a run.
    pub fn alarm(&self, text: String) {
        *self.alarms.lock() = Some(text);
    }
}

/// Looks at what holds until the host is gone, on a thread of its own: a host whose workers are all busy still hears a lock.
pub fn watch(services: Weak<Services>) -> io::Result<()> {
    let look = move || {
        let (mut policy, mut tools, mut agents) = (Seen::default(), Seen::default(), Seen::default());
        let home = services.upgrade().map(|services| services.policy_watch.home.clone()).unwrap_or_default();
        let agents_file = [home.join(AGENTS_FILE), home.join(INSTALLED_FILE), home.join(PUBLISHERS_FILE)];
        // Read when the host was opened.
        agents.read = Some(fingerprint_of(&agents_file));
        loop {
            std::thread::sleep(Duration::from_millis(STANDING_LOOK_MS));
            let Some(services) = services.upgrade() else { return };
            let (policy_watch, gate) = (&services.policy_watch, &services.drivers.gate);
            policy_watch.look_at_lock(gate);
            if let Some(text) = policy_watch.alarms.lock().take() {
                gate.announce_alarm(&text);
            }
            // Each is tested with the other, so whatever was of no use is read again when the other one has changed.
            if policy_watch.again.swap(false, Ordering::AcqRel) {
                [&mut policy, &mut tools, &mut agents].into_iter().for_each(Seen::forget);
            }
            if policy_watch.looks() && agents.has_settled_on(fingerprint_of(&agents_file)) {
                reload::look_at_agents(&services, &policy_watch.home);
            }
            let _no_other = services.drivers.tools.changing();
            if policy_watch.look_at_policy(gate, &mut policy) {
                tools.forget();
                services.parking.try_again();
            }
            if policy_watch.look_at_tools(&services, &mut tools) {
                policy.forget();
            }
        }
    };
    std::thread::Builder::new().name("policy_watch".to_owned()).spawn(look).map(drop)
}

/// What was seen of the directory, and what of that was read.
#[derive(Default)]
struct Seen {
    seen: Option<Digest>,
    read: Option<Digest>,
}

impl Seen {
    /// True once for each state that two looks in a row have seen: nobody is in the middle of saving it.
    fn has_settled_on(&mut self, now: Digest) -> bool {
        let still = self.seen.replace(now) == Some(now);
        still && self.read.replace(now) != Some(now)
    }

    /// What was read is to be read again.
    fn forget(&mut self) {
        self.read = None;
    }
}

/// Names, sizes, times and rights of the directory and of all that could be a policy in it.
fn fingerprint(directory: &Path) -> Digest {
    let names = fs::read_dir(directory).into_iter().flatten().take(POLICY_FILES_MAX + 1);
    let mut paths: Vec<PathBuf> =
        names.flatten().map(|entry| entry.path()).filter(|path| agentry_config::policies::is_policy(path)).collect();
    paths.sort();
    paths.insert(0, directory.to_path_buf());
    fingerprint_of(&paths)
}

/// The same of what lies at these paths.
fn fingerprint_of(paths: &[PathBuf]) -> Digest {
    let mut sha = Sha256::new();
    let mut about = |path: &Path| match fs::symlink_metadata(path) {
        Ok(is) => {
            let numbers = [is.ino(), is.size(), u64::from(is.mode()), u64::from(is.uid()), u64::from(is.gid())];
            let times = [is.mtime(), is.mtime_nsec(), is.ctime(), is.ctime_nsec()];
            numbers.iter().for_each(|number| sha.update(number.to_le_bytes()));
            times.iter().for_each(|time| sha.update(time.to_le_bytes()));
            sha.update(path.as_os_str().as_encoded_bytes());
        }
        Err(error) => sha.update(format!("{:?}", error.kind())),
    };
    paths.iter().for_each(|path| about(path));
    Digest(sha.finalize().into())
}

/// The policy as it stands in this directory, if its own tests hold.
fn sound(gate: &Gate, directory: &Path) -> Result<Policy, PoliciesError> {
    let policy = agentry_config::policies::load(directory)?;
    let failed = gate.kernel(|kernel| kernel.failed_tests(&policy));
    if failed.is_empty() { Ok(policy) } else { Err(PoliciesError::Mistakes(failed)) }
}

/// The lock of a home; none if there is no such file. One that cannot be read is a lock all the same.
pub fn lock(home: &Path) -> Option<Lock> {
    let path = home.join(LOCK_FILE);
    let is = match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(_) => return Some(Lock::default()),
        Ok(is) => is,
    };
    let mut because = String::new();
    if is.is_file() {
        let read = fs::File::open(&path).and_then(|file| file.take(TEXT_MAX_BYTES as u64).read_to_string(&mut because));
        if read.is_err() {
            because.clear();
        }
    }
    let since = u64::try_from(is.mtime().saturating_mul(1000)).unwrap_or(0);
    Some(Lock { since: Millis(since), because: because.trim().to_owned() })
}

/// Locks a home: the file is on disk when this returns. A lock that is there already stays, with its reason.
///
/// # Errors
/// When the home cannot be written.
pub fn set_lock(home: &Path, because: &str) -> io::Result<bool> {
    fs::create_dir_all(home)?;
    let path = home.join(LOCK_FILE);
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        opened => opened?,
    };
    file.write_all(because.as_bytes())?;
    file.sync_all()?;
    fs::File::open(home)?.sync_all()?;
    Ok(true)
}

/// Unlocks a home. False if it was not locked.
///
/// # Errors
/// When the home cannot be written.
pub fn remove_lock(home: &Path) -> io::Result<bool> {
    match fs::remove_file(home.join(LOCK_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        removed => removed?,
    }
    fs::File::open(home)?.sync_all()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_once_it_has_been_seen_twice_and_not_again() {
        let mut seen = Seen::default();
        let (one, two) = (Digest([1; 32]), Digest([2; 32]));
        assert!(!seen.has_settled_on(one));
        assert!(seen.has_settled_on(one));
        assert!(!seen.has_settled_on(one));
        assert!(!seen.has_settled_on(two) && !seen.has_settled_on(one), "somebody is saving it");
        assert!(!seen.has_settled_on(one), "and it is what was read before");
        assert!(!seen.has_settled_on(two));
        assert!(seen.has_settled_on(two));
    }

    #[test]
    fn a_change_of_text_of_rights_or_of_files_is_seen() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a.toml");
        let mut seen = vec![fingerprint(home.path())];
        fs::write(&file, "1").unwrap();
        seen.push(fingerprint(home.path()));
        fs::write(&file, "12").unwrap();
        seen.push(fingerprint(home.path()));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        seen.push(fingerprint(home.path()));
        fs::rename(&file, home.path().join("b.toml")).unwrap();
        seen.push(fingerprint(home.path()));
        fs::remove_dir_all(home.path()).unwrap();
        seen.push(fingerprint(home.path()));
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }

    #[test]
    fn a_lock_is_there_as_long_as_its_file_is_whatever_it_says() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(lock(home.path()), None);
        assert!(set_lock(home.path(), "it leaks").unwrap());
        assert!(!set_lock(home.path(), "again").unwrap());
        assert_eq!(lock(home.path()).unwrap().because, "it leaks");
        fs::write(home.path().join(LOCK_FILE), [0xff]).unwrap();
        assert_eq!(lock(home.path()).unwrap().because, "");
        assert!(remove_lock(home.path()).unwrap() && !remove_lock(home.path()).unwrap());
        fs::create_dir(home.path().join(LOCK_FILE)).unwrap();
        assert!(lock(home.path()).is_some());
    }
}
