//! The set of agents that is installed, as it is changed: one command after the other, each change whole or not at all. The lock is the
//! one file that decides; what stands beside it is written before it, or finished after it by whoever comes next.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agentry_config::policies;
use agentry_kernel::digest::Digest;
use agentry_kernel::limits::POLICY_FILE_MAX_BYTES;
use agentry_kernel::time::Millis;
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::file;
use crate::keyring::{Keyring, Known, Lost, Revoked};
use crate::limits::{BUNDLE_MAX_BYTES, FILE_MAX_BYTES, SIGNATURE_MAX_BYTES, TURN_WAIT_MS};
use crate::lock::{DIRECTORY, GrantFile, Hex, Lock, Pending, Release, component};
use crate::party::Voucher;

/// Grants as they were agreed to, each under its digest.
const GRANTS: &str = "grants";

/// Where grants go that a revoked key takes out of force.
const WITHDRAWN: &str = "withdrawn";

/// Whoever has this file has its turn.
const TURN: &str = "agents.turn";

/// The set of a home, for whoever has its turn to change it.
#[derive(Debug)]
pub struct Set {
    home: PathBuf,
    /// As it is now.
    lock: Lock,
    keyring: Keyring,
    /// What was left alone, in a line each, for whoever shows it.
    notes: Vec<String>,
    // The turn ends with it.
    _turn: File,
}

/// A release that is to be installed.
#[derive(Debug)]
pub struct New<'a> {
    /// The name that it runs by.
    pub agent: &'a str,
    /// What is installed of this agent as far as was seen when this was decided; none if nothing is.
    pub instead_of: Option<Digest>,
    /// What stands in the lock; its grant is filled in here.
    pub release: Release,
    /// The bytes of its file.
    pub component: &'a [u8],
    /// The envelope that its publisher signed, or the bundle.
    pub envelope: Option<&'a [u8]>,
    /// The text of its grant; none if the one that is in force stays.
    pub grant: Option<&'a str>,
    /// What its roots stand for.
    pub roots: BTreeMap<String, PathBuf>,
    /// Whether a person goes back to it by its version, because its publisher took a newer one back.
    pub goes_back: bool,
    /// A publisher whom this home knows from now on.
    pub trusted: Option<(String, Known)>,
}

impl Set {
    /// Waits for the turn, reads the set, and finishes what a command left that did not come to its end.
    ///
    /// # Errors
    /// If another command has the turn for long, or what lies here is not as it was written.
    pub fn open(home: &Path) -> Result<Self, Fault> {
        file::directory(&home.join(DIRECTORY).join(GRANTS))?;
        let turn = turn(home)?;
        let mut set = Self {
            home: home.to_owned(),
            lock: Lock::load(home)?,
            keyring: Keyring::load(home)?,
            notes: Vec::new(),
            _turn: turn,
        };
        set.finish()?;
        set.sweep();
        Ok(set)
    }

    /// As it is now.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// The publishers that this home knows.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// What was left as it was though it was to change, in a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Installs releases in the place of those before, all of them or none.
    ///
    /// # Errors
    /// If something else is installed by now, one is older than what was here, its key is revoked, somebody would lack what they require, or
    /// it cannot be written: then the set is as it was.
    pub fn install(&mut self, all: Vec<New<'_>>) -> Result<(), Fault> {
        let (mut lock, mut keyring) = (self.lock.clone(), self.keyring.clone());
        for new in all {
            self.prepare(new, &mut lock, &mut keyring)?;
        }
        lock.team().stands(&self.lock.team())?;
        // Whom it does not know yet, it knows from now on, also if nothing comes of it: that is no yes to anything.
        if keyring != self.keyring {
            self.keep(keyring)?;
        }
        self.commit(lock)
    }

    /// One release: what belongs to it is written under its digest, where nobody names it yet.
    fn prepare(&self, new: New<'_>, lock: &mut Lock, keyring: &mut Keyring) -> Result<(), Fault> {
        let New { agent, instead_of, mut release, component: bytes, envelope, grant, roots, goes_back, trusted } = new;
        // Whoever had the turn before may have changed what this was decided on.
        let is = self.lock.agents.get(agent).map(|installed| installed.now.digest.0);
        if is != instead_of {
            let message = format!("`{agent}` was changed by another command meanwhile");
            return Err(Fault::unavailable(message, "look at it again: agentry list, then try again"));
        }
        if !(goes_back && self.lock.is_older(&release.name, release.seq)) {
            self.lock.follows(&release.name, release.seq, release.digest.0)?;
        }
        self.takes(&release)?;
        if let Some(installed) = self.lock.agents.get(agent)
            && installed.now.name != release.name
        {
            return Err(taken(agent, &installed.now.name));
        }
        let directory = self.directory();
        file::write(&component(&self.home, release.digest.0), bytes, &directory, 0o644)?;
        if let Some(envelope) = envelope {
            file::write(&signature(&self.home, &release).0, envelope, &directory, 0o644)?;
        }
        let before = self.lock.agents.get(agent).and_then(|installed| installed.now.grant.clone());
        release.grant = before.clone();
        if let Some(text) = grant {
            let written = GrantFile { file: format!("50-{agent}.toml"), digest: Hex(digest(text.as_bytes())) };
            file::write(&self.grant(&written), text.as_bytes(), &directory, 0o644)?;
            release.grant = Some(written.clone());
            lock.pending.push(Pending::Place { grant: written, instead_of: before.map(|before| before.digest) });
        }
        if let Some((publisher, known)) = trusted {
            keyring.trust(&publisher, known, false)?;
        }
        lock.put(agent, release);
        lock.roots.insert(agent.to_owned(), roots);
        Ok(())
    }

    /// The release before takes the place of the present one of each of these agents, all at once.
    ///
    /// # Errors
    /// If there is none, its key is revoked, others would lack what they require or have another folder by a name of its, or its file is gone.
    pub fn roll_back(&mut self, agents: &[impl AsRef<str>]) -> Result<Vec<Release>, Fault> {
        let mut lock = self.lock.clone();
        let mut all = Vec::new();
        for agent in agents.iter().map(AsRef::as_ref) {
            let now = self.installed(agent)?.clone();
            let Some(before) = lock.back(agent).cloned() else {
                return Err(nothing_before(agent, &self.lock, &now));
            };
            self.takes(&before)?;
            verified(&self.home, &before)?;
            match (&before.grant, &now.grant) {
                (Some(grant), now) => {
                    let instead_of = now.as_ref().map(|now| now.digest);
                    lock.pending.push(Pending::Place { grant: grant.clone(), instead_of });
                }
                (None, Some(grant)) => lock.pending.push(Pending::Withdraw { grant: grant.clone() }),
                (None, None) => {}
            }
            all.push(before);
        }
        agents.iter().try_for_each(|agent| lock.shares_folders(agent.as_ref()))?;
        lock.team().stands(&self.lock.team())?;
        self.commit(lock)?;
        Ok(all)
    }

    /// Agents are taken away, all at once, with the grants that came with them. That they were here is remembered, so that nobody hands over
    /// an older version.
    ///
    /// # Errors
    /// If one is not installed, others require it, or something cannot be written.
    pub fn uninstall(&mut self, agents: &[impl AsRef<str>]) -> Result<Vec<Release>, Fault> {
        let mut lock = self.lock.clone();
        let mut all = Vec::new();
        for agent in agents.iter().map(AsRef::as_ref) {
            let now = self.installed(agent)?.clone();
            lock.agents.remove(agent);
            lock.roots.remove(agent);
            lock.pending.extend(now.grant.clone().map(|grant| Pending::Withdraw { grant }));
            all.push(now);
        }
        self.are_not_required(agents, &lock)?;
        self.commit(lock)?;
        Ok(all)
    }

    /// Whether nobody lacks these agents once the lock is that one.
    fn are_not_required(&self, agents: &[impl AsRef<str>], next: &Lock) -> Result<(), Fault> {
        let (now, next) = (self.lock.team(), next.team());
        let lacked = now.unmet();
        let lacks = next.unmet().into_iter().find(|one| !lacked.contains(one));
        let Some((_, requirement)) = lacks else { return Ok(()) };
        let met = agents.iter().map(AsRef::as_ref).find(|agent| now.get(agent).is_some_and(|is| is.meets(requirement)));
        let agent = met.unwrap_or_default();
        let mut by: Vec<&str> =
            next.unmet().into_iter().filter(|one| !lacked.contains(one)).map(|(by, _)| by).collect();
        by.dedup();
        let named = by.iter().map(|by| format!("`{by}`")).collect::<Vec<_>>().join(", ");
        let message = format!("`{agent}` is required by {named}");
        let hint = format!("whoever requires it goes with it: agentry uninstall {agent} {}", by.join(" "));
        Err(Fault::denied(message, hint))
    }

    /// From now on this is the publisher's key.
    ///
    /// # Errors
    /// As [`Keyring::trust`].
    pub fn trust(&mut self, publisher: &str, known: Known, replace: bool) -> Result<(), Fault> {
        let mut keyring = self.keyring.clone();
        keyring.trust(publisher, known, replace)?;
        self.keep(keyring)
    }

    /// A key or an identity is never taken again, and what it signed is granted nothing any more: a host that serves stops it at its next
    /// call. Gives the agents.
    ///
    /// # Errors
    /// If something cannot be written.
    pub fn revoke(&mut self, lost: Lost, revoked: Revoked) -> Result<Vec<String>, Fault> {
        let mut keyring = self.keyring.clone();
        keyring.revoke(lost.clone(), revoked);
        self.keep(keyring)?;
        self.withdraw_revoked()?;
        let signed = self.lock.agents.iter().filter(|(_, installed)| {
            installed.now.vouched.as_ref().is_some_and(|voucher| lost.is_of(voucher))
                && self.takes(&installed.now).is_err()
        });
        Ok(signed.map(|(agent, _)| agent.clone()).collect())
    }

    /// When a version was first seen here: now, if never before.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn seen(&mut self, digest: Digest, now: Millis) -> Result<Millis, Fault> {
        if let Some(at) = self.lock.seen.get(&digest.to_string()) {
            return Ok(*at);
        }
        let mut lock = self.lock.clone();
        // What is installed need not cool off any more.
        let installed: Vec<String> = lock.releases().map(|release| release.digest.0.to_string()).collect();
        lock.seen.retain(|digest, _| !installed.contains(digest));
        while lock.seen.len() >= SEEN_MAX
            && let Some(oldest) = lock.seen.iter().min_by_key(|(_, at)| **at).map(|(digest, _)| digest.clone())
        {
            lock.seen.remove(&oldest);
        }
        lock.seen.insert(digest.to_string(), now);
        self.commit(lock)?;
        Ok(now)
    }

    /// Whether enough of those who signed a release are not revoked.
    fn takes(&self, release: &Release) -> Result<(), Fault> {
        release.vouched.as_ref().map_or(Ok(()), |vouched| self.keyring.still_takes(vouched))
    }

    fn installed(&self, agent: &str) -> Result<&Release, Fault> {
        self.lock.agents.get(agent).map(|installed| &installed.now).ok_or_else(|| not_installed(agent, &self.lock))
    }

    fn directory(&self) -> PathBuf {
        self.home.join(DIRECTORY)
    }

    fn grant(&self, grant: &GrantFile) -> PathBuf {
        self.directory().join(GRANTS).join(format!("{}.toml", grant.digest.0))
    }

    fn keep(&mut self, keyring: Keyring) -> Result<(), Fault> {
        keyring.save(&self.home, &self.directory())?;
        self.keyring = keyring;
        Ok(())
    }

    /// The one step by which the set becomes another; what is pending then is finished.
    fn commit(&mut self, lock: Lock) -> Result<(), Fault> {
        lock.save(&self.home, &self.directory())?;
        self.lock = lock;
        let hint = "make that right; whatever `agentry install`, `update` or `rollback` comes next finishes it";
        self.finish()
            .map_err(|fault| Fault { hint: hint.to_owned(), ..fault.about("the change is made, and not finished") })
    }

    /// Brings the policy directory to where the lock says that it is to be. Each step may have been done already.
    fn finish(&mut self) -> Result<(), Fault> {
        self.withdraw_revoked()?;
        if self.lock.pending.is_empty() {
            return Ok(());
        }
        let policies = self.home.join("policies");
        file::directory(&policies)?;
        for pending in self.lock.pending.clone() {
            let (Pending::Place { grant, .. } | Pending::Withdraw { grant }) = &pending;
            let path = policies.join(&grant.file);
            let there = file::read(&path, POLICY_FILE_MAX_BYTES)?.map(|text| Hex(digest(&text)));
            match &pending {
                Pending::Place { grant, .. } if there == Some(grant.digest) => {}
                Pending::Place { grant, instead_of } if there.is_none() || there == *instead_of => {
                    let Some(text) = file::read(&self.grant(grant), POLICY_FILE_MAX_BYTES)? else { continue };
                    file::write(&path, &text, &self.directory(), 0o644)?;
                }
                Pending::Withdraw { grant } if there == Some(grant.digest) => file::remove(&path)?,
                Pending::Withdraw { .. } if there.is_none() => {}
                Pending::Place { grant, .. } => self.notes.push(format!(
                    "{} was changed by hand and stays as it is; the grant that was agreed to is {}",
                    path.display(),
                    self.grant(grant).display()
                )),
                Pending::Withdraw { .. } => {
                    self.notes.push(format!("{} was changed by hand and stays as it is", path.display()));
                }
            }
        }
        let mut lock = self.lock.clone();
        lock.pending.clear();
        // All is done: where that cannot be written down, whoever comes next finds it done.
        if lock.save(&self.home, &self.directory()).is_ok() {
            self.lock = lock;
        }
        Ok(())
    }

    /// Grants of agents whose key is revoked leave the policy directory, whoever wrote them and whatever their file is called.
    fn withdraw_revoked(&self) -> Result<(), Fault> {
        let revoked: Vec<(&String, &Release)> = self.lock.agents.iter().map(|(agent, one)| (agent, &one.now)).collect();
        let of_revoked = |release: &Release| self.takes(release).is_err();
        let revoked: Vec<_> = revoked.into_iter().filter(|(_, release)| of_revoked(release)).collect();
        if revoked.is_empty() {
            return Ok(());
        }
        let policies = self.home.join("policies");
        // Where the policy cannot be read, no run begins under it, and a host keeps the last one: then at least what was written here goes.
        let policy = policies::load(&policies).ok();
        for (agent, release) in revoked {
            let grants = policy.iter().flat_map(|policy| policy.grants.iter().chain(&policy.observed));
            let named = grants.filter(|grant| grant.agent == *agent).map(|grant| PathBuf::from(&grant.rule.file));
            let ours = release.grant.as_ref().map(|grant| policies.join(&grant.file));
            for path in named.chain(ours).filter(|path| path.exists()) {
                let away = self.home.join(WITHDRAWN);
                file::directory(&away)?;
                let moved = fs::rename(&path, away.join(path.file_name().unwrap_or_default()));
                moved.map_err(|why| {
                    let message = format!("cannot take {} out of force: {why}", path.display());
                    Fault::unavailable(message, format!("take it away by hand: it grants `{agent}` what it does"))
                })?;
            }
        }
        Ok(())
    }

    /// Takes away what no release names: versions that are kept no longer, and what a command left that did not come to its end.
    fn sweep(&self) {
        let named: Vec<String> = self.lock.releases().map(|release| release.digest.0.to_string()).collect();
        let grants = self.lock.releases().filter_map(|release| release.grant.as_ref());
        let grants: Vec<String> = grants.map(|grant| grant.digest.0.to_string()).collect();
        for (directory, named) in [(self.directory(), named), (self.directory().join(GRANTS), grants)] {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let path = entry.path();
                let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
                if path.is_file() && !named.contains(&stem) {
                    // Whatever stays is taken away another time.
                    let _ = fs::remove_file(path);
                }
            }
        }
    }
}

/// Versions that cool off at once.
const SEEN_MAX: usize = 1_000;

/// The error of a name that is another agent's.
pub fn taken(agent: &str, by: &str) -> Fault {
    let message = format!("there is an agent `{agent}` here already, and it is {by}");
    Fault::denied(message, format!("one name means one agent: agentry uninstall {agent}, if this one is to have it"))
}

/// The error of an agent of which nothing older is kept.
fn nothing_before(agent: &str, lock: &Lock, now: &Release) -> Fault {
    let kept = lock.agents.get(agent).map(|installed| installed.previous.as_slice()).unwrap_or_default();
    let hint = match kept.iter().find(|release| release.seq > now.seq) {
        Some(newer) if newer.index.is_some() => {
            format!("a rollback never goes forward; to go to {} again: agentry update {agent}", newer.version)
        }
        Some(newer) => format!("a rollback never goes forward; install the file of {} again", newer.version),
        None => "`agentry list --json` shows the versions that are kept".to_owned(),
    };
    Fault::usage(format!("no version of `{agent}` before {} is here", now.version), hint)
}

/// The error of an agent that is not installed.
pub fn not_installed(agent: &str, lock: &Lock) -> Fault {
    let shown = agentry_kernel::text::line(agent);
    let near = agentry_kernel::text::nearest(agent, lock.agents.keys().map(String::as_str));
    let hint = near.map_or_else(|| "`agentry list` shows what is".to_owned(), |near| format!("did you mean `{near}`?"));
    Fault::usage(format!("no agent `{shown}` is installed"), hint)
}

/// Whether the file of a release is what was installed.
///
/// # Errors
/// If it is gone or another one.
pub fn verified(home: &Path, release: &Release) -> Result<PathBuf, Fault> {
    let path = component(home, release.digest.0);
    let agent = release.name.split_once(':').map_or(release.name.as_str(), |(_, agent)| agent);
    let hint = format!("`agentry uninstall {agent}`, and install it again");
    match file::read(&path, FILE_MAX_BYTES)? {
        Some(bytes) if digest(&bytes) == release.digest.0 => Ok(path),
        Some(_) => Err(Fault::damaged(format!("{} is not the file that was installed", path.display()), hint)),
        None => Err(Fault::damaged(format!("{} is gone", path.display()), hint)),
    }
}

/// The envelope or the bundle that the publisher of an installed release signed, if there is one.
///
/// # Errors
/// If it cannot be read.
pub fn envelope(home: &Path, release: &Release) -> Result<Option<Vec<u8>>, Fault> {
    let (path, max_bytes) = signature(home, release);
    file::read(&path, max_bytes)
}

/// Where that lies, and how long it may be.
fn signature(home: &Path, release: &Release) -> (PathBuf, usize) {
    let (extension, max_bytes) = match release.vouched {
        Some(Voucher::Identity(_)) => ("sigstore", BUNDLE_MAX_BYTES),
        Some(Voucher::Keys(_)) | None => ("sig", SIGNATURE_MAX_BYTES),
    };
    (component(home, release.digest.0).with_extension(extension), max_bytes)
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// The turn of this home; the system gives it back when the process ends, however it does.
fn turn(home: &Path) -> Result<File, Fault> {
    let path = home.join(TURN);
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(|why| {
        let hint = "let this user write there, or choose another home: --home DIR";
        Fault::unavailable(format!("cannot write {}: {why}", path.display()), hint)
    })?;
    let until = Instant::now() + Duration::from_millis(TURN_WAIT_MS);
    while rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() > until {
            let message = "another command changes the agents of this home";
            return Err(Fault::unavailable(message, "wait for its end, and try again"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
