//! The approvers of a home: one file each, with the secret that their authenticator app shares, for their user alone to read.
//!
//! `HOME/approvers/NAME.toml`, mode 0600 in a directory of mode 0700. A secret leaves here once: at its enrolment.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Deserialize;
use totp_rs::{Builder, Secret, Totp};

use agentry_kernel::text::{nearest, word};
use agentry_store::disk;
use agentry_store::limits::{APPROVER_FILE_MAX_BYTES, APPROVER_GROUPS_MAX, APPROVERS_MAX};

const DIRECTORY: &str = "approvers";
const FORMAT: u32 = 1;
/// What apps show above the code.
const ISSUER: &str = "Agentry";
/// Bytes of a secret, as RFC 4226 recommends.
const SECRET_BYTES: usize = 20;
/// Steps that a clock may be off, in each direction (RFC 6238, 5.2).
const SKEW_STEPS: u16 = 1;

/// Somebody who may answer.
pub struct Enrolled {
    /// The name.
    pub name: String,
    /// The groups that they are in.
    pub groups: Vec<String>,
    totp: Totp,
}

impl std::fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enrolled({})", self.name)
    }
}

/// The list of them.
#[derive(Clone, Debug)]
pub struct Roster {
    directory: PathBuf,
}

/// Why an approver is not enrolled, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// The name.
    #[error("`{name}` is no name for {what}\nhint: use lowercase letters, digits and `-`, at most 64, such as alice")]
    Name {
        /// `an approver` or `a group`.
        what: &'static str,
        /// What was given.
        name: String,
    },
    /// There is one.
    #[error("there is an approver `{0}` already")]
    Exists(String),
    /// There is none.
    #[error("there is no approver `{name}`{}", meant.as_ref().map_or_else(String::new, |near| format!("\nhint: did you mean `{near}`?")))]
    Unknown {
        /// As it was given.
        name: String,
        /// Whoever is called nearly so.
        meant: Option<String>,
    },
    /// Too much.
    #[error("there are {max} {what} at most\nhint: remove those that nobody needs any more")]
    TooMany {
        /// `approvers` or `groups of one approver`.
        what: &'static str,
        /// The maximum.
        max: usize,
    },
    /// Somebody else could read or write it.
    #[error("others can reach `{}`, and could answer in this name\nhint: chmod {mode} {}; then remove and enrol anew", path.display(), word(path.display()))]
    Reachable {
        /// The file or directory.
        path: PathBuf,
        /// The mode that it should have.
        mode: &'static str,
    },
    /// It is not what was written there.
    #[error("`{}` is not the file of an approver: {why}\nhint: remove it, and enrol them anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system says no.
    #[error("cannot use `{}`: {error}\nhint: {}", path.display(), disk::mend(error))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(getrandom::Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RosterFile {
    format: u32,
    name: String,
    #[serde(default)]
    groups: Vec<String>,
    secret: String,
}

impl Enrolled {
    /// The step of a code, if it is right now or was a step ago or will be a step from now.
    pub(super) fn step(&self, code: &str, seconds: u64) -> Option<u64> {
        self.totp.check(code, seconds)
    }

    /// What an app reads to know the secret: show it once, to its owner.
    pub fn uri(&self) -> String {
        self.totp.to_url().expect("a name without `:` stands in an address")
    }
}

impl Roster {
    /// The list of this home; it need not exist.
    pub fn of(home: &Path) -> Self {
        Self { directory: home.join(DIRECTORY) }
    }

    /// Enrols somebody with a new secret.
    ///
    /// # Errors
    /// If there is one of this name, a name is none, or the home cannot be written.
    pub fn add(&self, name: &str, groups: &[String]) -> Result<Enrolled, RosterError> {
        self.check(name, groups)?;
        let mut groups = groups.to_vec();
        groups.sort_unstable();
        groups.dedup();
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(RosterError::Random)?;
        let secret = Secret::from(secret).to_base32();
        let path = self.path(name);
        match DirBuilder::new().mode(0o700).create(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io(&self.directory, error)),
            _ => self.is_closed()?,
        }
        let words: Vec<_> = groups.iter().map(|group| format!("\"{group}\"")).collect();
        let text =
            format!("format = {FORMAT}\nname = \"{name}\"\ngroups = [{}]\nsecret = \"{secret}\"\n", words.join(", "));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => RosterError::Exists(name.to_owned()),
            _ => io(&path, error),
        })?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if let Err(error) = written {
            let _ = fs::remove_file(&path);
            return Err(io(&path, error));
        }
        self.find(name)
    }

    /// Takes somebody off the list. Answers that they gave before stand in the journal.
    ///
    /// # Errors
    /// If there is nobody of this name, or the home cannot be written.
    pub fn remove(&self, name: &str) -> Result<(), RosterError> {
        if agentry_kernel::labels::check(name).is_err() {
            return Err(self.unknown(name));
        }
        fs::remove_file(self.path(name)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.unknown(name),
            _ => io(&self.path(name), error),
        })
    }

    /// Everybody's name, in order.
    ///
    /// # Errors
    /// If the directory cannot be read, or others can reach it.
    pub fn names(&self) -> Result<Vec<String>, RosterError> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(&self.directory, error)),
        };
        self.is_closed()?;
        let mut names = Vec::new();
        for entry in entries.take(APPROVERS_MAX * 2) {
            let file = entry.map_err(|error| io(&self.directory, error))?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".toml"));
            names.extend(name.filter(|name| agentry_kernel::labels::check(name).is_ok()).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Somebody on the list.
    ///
    /// # Errors
    /// If there is nobody of this name, or others can reach their secret.
    pub fn find(&self, name: &str) -> Result<Enrolled, RosterError> {
        if agentry_kernel::labels::check(name).is_err() {
            return Err(self.unknown(name));
        }
        let path = self.path(name);
        let damaged = |why: String| RosterError::Damaged { path: path.clone(), why };
        let nofollow = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
        let file = OpenOptions::new().read(true).custom_flags(nofollow).open(&path);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.unknown(name),
            _ => io(&path, error),
        })?;
        self.is_closed()?;
        let is = file.metadata().map_err(|error| io(&path, error))?;
        if !is.is_file() || is.mode() & 0o077 != 0 || !is_ours(is.uid()) {
            return Err(RosterError::Reachable { path, mode: "600" });
        }
        let mut text = String::new();
        file.take(APPROVER_FILE_MAX_BYTES).read_to_string(&mut text).map_err(|error| io(&path, error))?;
        // The parser's words could quote the line of the secret.
        let written: RosterFile = toml::from_str(&text).map_err(|_| damaged("it does not parse".to_owned()))?;
        if written.format != FORMAT || written.name != name {
            return Err(damaged("it is of another format or for another name".to_owned()));
        }
        let secret = Secret::try_from_base32(&written.secret).map_err(|_| damaged("its secret is none".to_owned()))?;
        let totp = Builder::new()
            .with_secret(secret)
            .with_skew(SKEW_STEPS)
            .with_issuer(Some(ISSUER))
            .with_account_name(name)
            .build()
            .map_err(|_| damaged("its secret is none".to_owned()))?;
        Ok(Enrolled { name: written.name, groups: written.groups, totp })
    }

    fn unknown(&self, name: &str) -> RosterError {
        let names = self.names().unwrap_or_default();
        let meant = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
        RosterError::Unknown { name: shown(name), meant }
    }

    fn check(&self, name: &str, groups: &[String]) -> Result<(), RosterError> {
        // `anyone` and `local` mean something else already.
        if agentry_kernel::labels::check(name).is_err() || ["anyone", super::LOCAL].contains(&name) {
            return Err(RosterError::Name { what: "an approver", name: shown(name) });
        }
        if groups.len() > APPROVER_GROUPS_MAX {
            return Err(RosterError::TooMany { what: "groups of one approver", max: APPROVER_GROUPS_MAX });
        }
        if let Some(group) = groups.iter().find(|group| agentry_kernel::labels::check(group).is_err()) {
            return Err(RosterError::Name { what: "a group", name: shown(group) });
        }
        if self.names()?.len() >= APPROVERS_MAX {
            return Err(RosterError::TooMany { what: "approvers", max: APPROVERS_MAX });
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.toml"))
    }

    /// Nobody else can put a file there.
    fn is_closed(&self) -> Result<(), RosterError> {
        let is = fs::symlink_metadata(&self.directory).map_err(|error| io(&self.directory, error))?;
        if is.is_dir() && is.mode() & 0o077 == 0 && is_ours(is.uid()) {
            return Ok(());
        }
        Err(RosterError::Reachable { path: self.directory.clone(), mode: "700" })
    }
}

fn is_ours(uid: u32) -> bool {
    uid == rustix::process::geteuid().as_raw() || uid == 0
}

fn io(path: &Path, error: io::Error) -> RosterError {
    RosterError::Io { path: path.to_owned(), error }
}

fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn roster() -> (tempfile::TempDir, Roster) {
        let home = tempfile::tempdir().unwrap();
        let roster = Roster::of(home.path());
        (home, roster)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_is_for_its_user_alone_and_leaves_once() {
        let (home, roster) = roster();
        let enrolled = roster.add("alice", &["ops".to_owned(), "ops".to_owned(), "admins".to_owned()]).unwrap();
        assert_eq!(enrolled.groups, ["admins", "ops"]);
        let uri = enrolled.uri();
        assert!(uri.starts_with("otpauth://totp/Agentry:alice?") && uri.contains("issuer=Agentry"), "{uri}");
        let file = home.path().join("approvers/alice.toml");
        assert_eq!((mode(&home.path().join("approvers")), mode(&file)), (0o700, 0o600));
        assert_eq!(format!("{:?}", roster.find("alice").unwrap()), "Enrolled(alice)");
        assert_ne!(roster.add("bob", &[]).unwrap().uri(), uri);
        assert!(matches!(roster.add("alice", &[]), Err(RosterError::Exists(_))));
        assert_eq!(roster.names().unwrap(), ["alice", "bob"]);
        roster.remove("alice").unwrap();
        assert!(matches!(roster.find("alice"), Err(RosterError::Unknown { .. })));
        assert!(matches!(roster.remove("alice"), Err(RosterError::Unknown { .. })));
    }

    #[test]
    fn a_name_that_means_something_else_is_none() {
        let (_home, roster) = roster();
        for name in ["", "anyone", "local", "Alice", "../alice", "a/b", "älice", "a.b", &"a".repeat(65)] {
            assert!(matches!(roster.add(name, &[]), Err(RosterError::Name { .. })), "{name}");
            assert!(roster.find(name).is_err(), "{name}");
            assert!(roster.remove(name).is_err(), "{name}");
        }
        assert!(matches!(roster.add("a", &["group:x".to_owned()]), Err(RosterError::Name { what: "a group", .. })));
        let many: Vec<_> = (0..=APPROVER_GROUPS_MAX).map(|group| format!("g{group}")).collect();
        assert!(matches!(roster.add("a", &many), Err(RosterError::TooMany { .. })));
    }

    #[test]
    fn a_secret_that_others_could_know_is_not_used() {
        let (home, roster) = roster();
        roster.add("alice", &[]).unwrap();
        let (directory, file) = (home.path().join("approvers"), home.path().join("approvers/alice.toml"));
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(&file, 0o644);
        assert!(matches!(roster.find("alice"), Err(RosterError::Reachable { mode: "600", .. })));
        set(&file, 0o600);
        set(&directory, 0o755);
        assert!(matches!(roster.find("alice"), Err(RosterError::Reachable { mode: "700", .. })));
        set(&directory, 0o700);
        fs::rename(&file, home.path().join("elsewhere")).unwrap();
        symlink(home.path().join("elsewhere"), &file).unwrap();
        assert!(matches!(roster.find("alice"), Err(RosterError::Io { .. })));
        fs::remove_file(&file).unwrap();
        fs::write(&file, "format = 1\nname = \"bob\"\nsecret = \"AAAA\"\n").unwrap();
        set(&file, 0o600);
        let error = roster.find("alice").unwrap_err();
        assert!(matches!(error, RosterError::Damaged { .. }) && !error.to_string().contains("AAAA"), "{error}");
    }
}
