//! The policy directory: its files in name order, read whole and checked before the kernel sees one. It decides nothing,
//! and reads nothing that somebody else could have written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentry_kernel::Digest;
use agentry_kernel::inquiry::{Scenario, telling_nothing};
use agentry_kernel::limits::{POLICY_FILE_MAX_BYTES, POLICY_FILES_MAX};
use agentry_kernel::policy::{Beside, Mistake, Policy, Source};
use agentry_kernel::text::{line, nearest, word};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

/// Files as they were read: one state of the policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyFiles {
    files: Vec<(String, String)>,
}

/// Why a policy directory is not used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PoliciesError {
    /// It is not there.
    #[error(
        "there is no policy directory `{}`\nhint: `agentry setup` makes a home with one; or make it, and save a grant in it: `agentry inspect FILE --grant` prints one",
        .0.display()
    )]
    Missing(PathBuf),
    /// There is nothing of that name, where a directory or a file may be named.
    #[error("`{}` is not there\nhint: name a policy directory, or one file of it", .0.display())]
    Absent(PathBuf),
    /// It is a file, or a link to somewhere.
    #[error("`{}` is not a directory\nhint: name the policy directory itself; links are not followed", .0.display())]
    NotADirectory(PathBuf),
    /// A file is a link or a device.
    #[error("`{}` is not a plain file\nhint: put the file itself there; links are not followed", .0.display())]
    NotAFile(PathBuf),
    /// Something lies in the directory that is no policy: a rule in it would be lost without a word.
    #[error(
        "`{}` lies among the policies and is not read: {}\nhint: {}",
        shown(.0), unread(.0).0, unread(.0).1
    )]
    Unread(PathBuf),
    /// Somebody else may write it.
    #[error("{who} may write `{}`, and so could grant anything\nhint: chmod {mode} {}", path.display(), copied(path))]
    Writable {
        /// The file or the directory.
        path: PathBuf,
        /// Who: `everybody`, `another group`.
        who: &'static str,
        /// The change that `chmod` is to make.
        mode: &'static str,
    },
    /// Somebody else owns it.
    #[error("`{}` belongs to another user, who could grant anything\nhint: chown it to the user that runs agents, or to root", .0.display())]
    Foreign(PathBuf),
    /// Nobody could review it.
    #[error("`{}` has more than {max_bytes} bytes\nhint: split it: of policies, one agent a file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What it may have.
        max_bytes: usize,
    },
    /// Nobody could review them.
    #[error("`{}` holds more than {POLICY_FILES_MAX} policies\nhint: remove those that no agent needs any more", .0.display())]
    TooMany(PathBuf),
    /// It is not text.
    #[error("`{}` is not UTF-8 text\nhint: save it as UTF-8", .0.display())]
    NotText(PathBuf),
    /// The system says no.
    #[error("cannot read `{}`: {error}\nhint: let the user that runs agents read it", path.display())]
    Unreadable {
        /// The file or the directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The files say what no policy says.
    #[error("{}", list(.0))]
    Mistakes(Vec<Mistake>),
}

/// Reads a policy directory and parses what it says.
///
/// # Errors
/// See [`PoliciesError`]; a policy with a mistake in one file is not used at all.
pub fn load(directory: &Path) -> Result<Policy, PoliciesError> {
    PolicyFiles::read(directory)?.parse().map_err(PoliciesError::Mistakes)
}

/// The policy of these texts, each behind the name that refusals show, for a program that has no directory of them.
///
/// # Errors
/// Every mistake in them.
pub fn parse(files: &[(&str, &str)]) -> Result<Policy, PoliciesError> {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    PolicyFiles { files }.parse().map_err(PoliciesError::Mistakes)
}

impl PolicyFiles {
    /// Reads every file of a directory, in name order.
    ///
    /// # Errors
    /// Anything but plain `*.toml` files that this user, its group or root alone may write. What an open editor keeps beside a
    /// file that is read is passed over: nothing of it was saved.
    pub fn read(directory: &Path) -> Result<Self, PoliciesError> {
        let is = fs::symlink_metadata(directory).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => PoliciesError::Missing(directory.into()),
            _ => unreadable(directory, error),
        })?;
        if !is.is_dir() {
            return Err(PoliciesError::NotADirectory(directory.into()));
        }
        ours(directory, &is)?;
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).map_err(|error| unreadable(directory, error))? {
            if paths.len() == POLICY_FILES_MAX {
                return Err(PoliciesError::TooMany(directory.into()));
            }
            paths.push(directory.join(entry.map_err(|error| unreadable(directory, error))?.file_name()));
        }
        paths.sort();
        let (policies, others): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| is_policy(path));
        match others.into_iter().find(|path| !is_of_an_editor(path, &policies)) {
            Some(unread) => Err(PoliciesError::Unread(unread)),
            None => Self::of(&policies),
        }
    }

    /// Reads these files.
    ///
    /// # Errors
    /// As [`PolicyFiles::read`].
    pub fn of(paths: &[PathBuf]) -> Result<Self, PoliciesError> {
        let files = paths.iter().map(|path| {
            match fs::symlink_metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(PoliciesError::Absent(path.clone()));
                }
                Ok(_) if !is_policy(path) => return Err(PoliciesError::Unread(path.clone())),
                Ok(_) | Err(_) => {}
            }
            Ok((path.display().to_string(), text(path)?))
        });
        Ok(Self { files: files.collect::<Result<_, PoliciesError>>()? })
    }

    /// The digest of all names and texts, in order: another digest, another policy.
    pub fn epoch(&self) -> Digest {
        let mut sha = Sha256::new();
        for part in self.files.iter().flat_map(|(name, text)| [name, text]) {
            sha.update((part.len() as u64).to_le_bytes());
            sha.update(part);
        }
        Digest(sha.finalize().into())
    }

    /// The same with texts changed, for questions of the kind "what if"; `change` gives none for a file that stays as it is.
    #[must_use]
    pub fn revised(&self, mut change: impl FnMut(&str, &str) -> Option<String>) -> Self {
        let files =
            self.files.iter().map(|(file, text)| (file.clone(), change(file, text).unwrap_or_else(|| text.clone())));
        Self { files: files.collect() }
    }

    /// The same with another file of this name, or without it.
    #[must_use]
    pub fn with(&self, file: &str, text: Option<&str>) -> Self {
        let mut files: Vec<_> = self.files.iter().filter(|(name, _)| name != file).cloned().collect();
        files.extend(text.map(|text| (file.to_owned(), text.to_owned())));
        files.sort();
        Self { files }
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// True if there is no file, which grants nothing to anybody.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What the files say.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn parse(&self) -> Result<Policy, Vec<Mistake>> {
        Policy::parse(&self.sources(), self.epoch())
    }

    /// What is well formed in them and yet probably not meant, beside what there is in a home.
    pub fn warnings_beside(&self, policy: &Policy, beside: &Beside) -> Vec<Mistake> {
        let mut warnings = policy.warnings_beside(&self.sources(), beside);
        let Beside { at, models, tools, .. } = beside.clone();
        let scenario = Scenario { policy: Arc::new(policy.clone()), models, tools, at };
        warnings.extend(telling_nothing(&scenario).into_iter().map(|grant| {
            let message = format!(
                "denies nothing that the grant of `{}` in force allows, so it never tells anything",
                grant.agent
            );
            let hint = "take out what it is to deny, or remove the file";
            let text = self.files.iter().find(|(file, _)| *file == grant.rule.file).map_or("", |(_, text)| text);
            Mistake::in_line(Source { file: &grant.rule.file, text }, grant.rule.line, message, hint)
        }));
        warnings
    }

    fn sources(&self) -> Vec<Source<'_>> {
        self.files.iter().map(|(file, text)| Source { file, text }).collect()
    }
}

/// Whether a name is a policy's: `NAME.toml`, and not hidden.
pub fn is_policy(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == "toml")
}

/// Whether this is what Vim (`.NAME.swp`) or Emacs (`.#NAME`, `#NAME#`) keeps while one of these policies is open. It is gone when they
/// are closed, and what was saved is in the policy. Without its policy it is what was lost, and nobody passes over that.
fn is_of_an_editor(path: &Path, policies: &[PathBuf]) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let swap = || name.strip_prefix('.')?.rsplit_once(".sw").filter(|(_, last)| last.len() == 1).map(|(name, _)| name);
    let lock = || name.strip_prefix(".#");
    let unsaved = || name.strip_prefix('#')?.strip_suffix('#');
    lock().or_else(unsaved).or_else(swap).is_some_and(|of| policies.iter().any(|policy| policy.ends_with(of)))
}

/// A path on one line.
fn shown(path: &Path) -> String {
    line(&path.display().to_string())
}

/// A path as a line that is to be copied has it.
fn copied(path: &Path) -> String {
    word(path.display())
}

/// Why something in a policy directory is no policy, and what to do about it.
fn unread(path: &Path) -> (&'static str, String) {
    let shown = copied(path);
    if path.is_dir() {
        let empty = fs::read_dir(path).is_ok_and(|mut inside| inside.next().is_none());
        let hint = match empty {
            true => format!("remove it: rmdir {shown}"),
            false => format!("move its files up: mv {shown}/*.toml {shown}/.. && rmdir {shown}"),
        };
        return ("directories in it are not looked into", hint);
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.starts_with('.') {
        return ("its name begins with a dot", format!("rename it, or move it elsewhere: mv {shown} ~/"));
    }
    let why = "its name does not end in `.toml`";
    let lower = name.to_ascii_lowercase();
    let stem = lower.split(".toml").next().filter(|stem| stem.len() < name.len()).map(|stem| &name[..stem.len()]);
    let misspelt = name.rsplit_once('.').filter(|(_, ending)| nearest(ending, std::iter::once("toml")).is_some());
    if stem.is_some_and(|stem| stem.len() + ".toml".len() == name.len()) || misspelt.is_some() || !name.contains('.') {
        let stem = stem.or(misspelt.map(|(stem, _)| stem)).unwrap_or(&name);
        let policy = path.with_file_name(format!("{stem}.toml"));
        // What is in force is not written over by what once was.
        if !policy.exists() {
            return (why, format!("if it is in force: mv {shown} {}", copied(&policy)));
        }
    }
    (why, format!("what is not in force lies elsewhere: mv {shown} ~/"))
}

/// The text of a plain file that this user, its group or root alone may write.
pub fn text(path: &Path) -> Result<String, PoliciesError> {
    text_within(path, POLICY_FILE_MAX_BYTES)
}

/// The same, of another file than a policy, with a bound of its own.
///
/// # Errors
/// As [`PolicyFiles::read`].
pub fn text_within(path: &Path, max_bytes: usize) -> Result<String, PoliciesError> {
    let (file, is) = open(path)?;
    ours(path, &is)?;
    let mut bytes = Vec::new();
    // What was checked is what is read: the open file, not the name a second time.
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, error))?;
    if bytes.len() > max_bytes {
        return Err(PoliciesError::TooLarge { path: path.into(), max_bytes });
    }
    String::from_utf8(bytes).map_err(|_| PoliciesError::NotText(path.into()))
}

/// Opens a plain file without following a link and without waiting for the other end of a pipe.
fn open(path: &Path) -> Result<(File, fs::Metadata), PoliciesError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path);
    let file = file.map_err(|error| match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => PoliciesError::NotAFile(path.into()),
        _ => unreadable(path, error),
    })?;
    let is = file.metadata().map_err(|error| unreadable(path, error))?;
    if is.is_file() { Ok((file, is)) } else { Err(PoliciesError::NotAFile(path.into())) }
}

/// Refuses what somebody else may write. Root may read anybody's files: it was told to.
fn ours(path: &Path, is: &fs::Metadata) -> Result<(), PoliciesError> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if is.mode() & 0o002 != 0 {
        return Err(PoliciesError::Writable { path: path.into(), who: "everybody", mode: "o-w" });
    }
    if is.mode() & 0o020 != 0 && is.gid() != group {
        return Err(PoliciesError::Writable { path: path.into(), who: "another group", mode: "g-w" });
    }
    if user != 0 && is.uid() != user && is.uid() != 0 {
        return Err(PoliciesError::Foreign(path.into()));
    }
    Ok(())
}

/// Refuses a home in which somebody else could put other files in the place of those that were looked at. One that is not there is nobody's.
///
/// # Errors
/// [`PoliciesError::Writable`].
pub fn home_is_ours(home: &Path) -> Result<(), PoliciesError> {
    let Ok(is) = fs::metadata(home) else { return Ok(()) };
    match ours(home, &is) {
        Err(PoliciesError::Foreign(_)) => Ok(()),
        checked => checked,
    }
}

fn unreadable(path: &Path, error: io::Error) -> PoliciesError {
    PoliciesError::Unreadable { path: path.into(), error }
}

fn list(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const GRANT: &str = "format = 1\nlayer = \"grant\"\nagent = \"scribe\"\n";

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory can be made");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        directory
    }

    fn write(directory: &tempfile::TempDir, name: &str, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        path
    }

    #[test]
    fn files_are_read_in_name_order() {
        let home = directory();
        write(&home, "90-b.toml", GRANT.replace("scribe", "b"), 0o644);
        write(&home, "10-a.toml", GRANT.replace("scribe", "a"), 0o600);
        let policy = load(home.path()).expect("both are whole");
        let agents: Vec<_> = policy.grants.iter().map(|grant| grant.agent.as_str()).collect();
        assert_eq!(agents, ["a", "b"]);
    }

    #[test]
    fn whatever_else_lies_there_is_named() {
        for name in
            ["README.md", ".10-a.toml", "b.TOML", "b.toml.bak", "b.toml~", "b", "b.tml", ".b.toml.swp", "#b.toml#"]
        {
            let home = directory();
            write(&home, "a.toml", GRANT, 0o644);
            let path = write(&home, name, GRANT, 0o644);
            let error = load(home.path()).expect_err(name);
            assert!(matches!(&error, PoliciesError::Unread(unread) if *unread == path), "{error}");
            assert!(matches!(PolicyFiles::of(&[path]), Err(PoliciesError::Unread(_))), "{name}");
        }
        let home = directory();
        fs::create_dir(home.path().join("site")).expect("a directory can be made");
        assert!(matches!(load(home.path()), Err(PoliciesError::Unread(_))));
    }

    #[test]
    fn what_an_open_editor_keeps_beside_a_policy_stops_nobody() {
        let home = directory();
        write(&home, "a.toml", GRANT, 0o644);
        write(&home, ".a.toml.swp", [0xff, 0xfe], 0o600);
        write(&home, "#a.toml#", "not saved", 0o600);
        symlink("alice@here.1234", home.path().join(".#a.toml")).expect("a link can be made");
        assert_eq!(load(home.path()).expect("it is whole").grants.len(), 1);
    }

    #[test]
    fn another_text_is_another_epoch() {
        let home = directory();
        write(&home, "a.toml", GRANT, 0o644);
        let before = load(home.path()).expect("it is whole").epoch;
        assert_eq!(before, load(home.path()).expect("it is whole").epoch);
        write(&home, "a.toml", format!("{GRANT}\n"), 0o644);
        assert_ne!(before, load(home.path()).expect("it is whole").epoch);
    }

    #[test]
    fn what_others_may_write_is_refused() {
        let home = directory();
        let path = write(&home, "a.toml", GRANT, 0o666);
        assert!(matches!(load(home.path()), Err(PoliciesError::Writable { who: "everybody", .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is ours");
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
        assert!(matches!(load(home.path()), Err(PoliciesError::Writable { who: "everybody", .. })));
    }

    #[test]
    fn links_and_pipes_are_refused_at_once() {
        let home = directory();
        let elsewhere = directory();
        let real = write(&elsewhere, "real.toml", GRANT, 0o644);
        symlink(&real, home.path().join("a.toml")).expect("a link can be made");
        assert!(matches!(load(home.path()), Err(PoliciesError::NotAFile(_))));
        fs::remove_file(home.path().join("a.toml")).expect("it is ours");
        fs::create_dir(home.path().join("a.toml")).expect("a directory can be made");
        assert!(matches!(load(home.path()), Err(PoliciesError::NotAFile(_))));
        let link = elsewhere.path().join("link");
        symlink(home.path(), &link).expect("a link can be made");
        assert!(matches!(load(&link), Err(PoliciesError::NotADirectory(_))));
    }

    #[test]
    fn a_file_that_is_too_large_or_not_text_is_refused() {
        let home = directory();
        write(&home, "a.toml", "#".repeat(POLICY_FILE_MAX_BYTES + 1), 0o644);
        assert!(matches!(load(home.path()), Err(PoliciesError::TooLarge { .. })));
        write(&home, "a.toml", [0xff, 0xfe], 0o644);
        assert!(matches!(load(home.path()), Err(PoliciesError::NotText(_))));
    }

    #[test]
    fn a_missing_directory_says_what_to_do() {
        let error = load(Path::new("no/such/policies")).expect_err("it is not there").to_string();
        expect_test::expect![[r#"
            there is no policy directory `no/such/policies`
            hint: `agentry setup` makes a home with one; or make it, and save a grant in it: `agentry inspect FILE --grant` prints one"#]]
        .assert_eq(&error);
    }

    #[test]
    fn a_mistake_shows_its_line() {
        let home = directory();
        write(&home, "a.toml", format!("{GRANT}modles = 1\n"), 0o644);
        let error = load(home.path()).expect_err("it has a mistake").to_string();
        assert!(error.contains("a.toml:4:1: unknown key `modles`"), "{error}");
    }
}
