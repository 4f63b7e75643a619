//! Keys of providers. A secret has no form that can be printed, logged or stored.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use agentry_kernel::text::word;
use parking_lot::Mutex;
use rustix::fs::OFlags;
use toml::de::DeValue;

use crate::ConfigError;
use crate::excerpt::looks_like_a_key;
use crate::reader::Table;

/// The words of the table that says where a key is. `cargo xtask tidy` reads them here: `tests/surface.toml` names a test for each.
pub const SECRET_KEYS: [&str; 2] = ["env", "file"];

/// A longer key is a mistake.
const KEY_MAX_BYTES: usize = 16 * 1024;

/// A provider's key.
#[derive(Clone)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// The key itself, for the one header that it goes into.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// In this variable of the environment.
    Env(String),
    /// In this file, which nobody else may read.
    File(PathBuf),
}

impl Key {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence for the admin: it names the variable or file, never what is in it.
    pub fn read(&self) -> Result<Secret, String> {
        let (place, text) = match self {
            Self::Env(name) => {
                let place = format!("the environment variable `{name}`");
                let text = std::env::var(name)
                    .map_err(|_| format!("{place} is not set\nhint: set it where agents are run: export {name}=…"))?;
                (place, text)
            }
            Self::File(path) => {
                let place = format!("the key file `{}`", path.display());
                let unread = |why: std::io::Error| {
                    let hint = "put the key into it, for the user that runs agents alone: chmod 600";
                    format!("cannot read {place}: {why}\nhint: {hint} {}", word(path.display()))
                };
                // Not blocking: opening a pipe would wait for a writer otherwise.
                let options = OFlags::NONBLOCK.bits().cast_signed();
                let file = File::options().read(true).custom_flags(options).open(path).map_err(unread)?;
                let data = file.metadata().map_err(unread)?;
                if !data.is_file() {
                    return Err(format!("{place} is no regular file\nhint: name the file itself that has the key"));
                }
                if data.permissions().mode() & 0o077 != 0 {
                    return Err(format!("others can read {place}\nhint: chmod 600 {}", word(path.display())));
                }
                let mut text = String::new();
                file.take(KEY_MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(unread)?;
                (place, text)
            }
        };
        let key = text.trim();
        if key.is_empty() || key.len() > KEY_MAX_BYTES || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "{place} holds no key: one word of visible characters is expected\nhint: put the key there, and nothing else"
            ));
        }
        Ok(Secret(key.to_owned()))
    }
}

/// Reads where the key is that stands under this word of a table; none if nothing stands there.
///
/// # Errors
/// If it is in no place, in two, said in words that mean nothing, or if it stands there itself.
pub fn key(table: &Table<'_>, word: &str) -> Result<Option<Key>, ConfigError> {
    if let Some(DeValue::String(_)) = table.value(word) {
        let message = format!("a key stands in this file itself, under `{word}`");
        let hint = format!(
            "name a variable or a file that has it, {}; then make a new one, for this one lay open",
            places(word)
        );
        return Err(table.mistake_in(word, message, hint));
    }
    let Some(place) = table.get_table(word)? else { return Ok(None) };
    place.only(&SECRET_KEYS)?;
    match (place.text("env")?, place.text("file")?) {
        (Some(name), None) if is_variable(name) => Ok(Some(Key::Env(name.to_owned()))),
        (Some(_), None) => {
            let message = "what stands behind `env` is no name of a variable";
            Err(place.mistake_in("env", message, format!("the name, not the key: {}", places(word))))
        }
        (None, Some(path)) => Ok(Some(Key::File(place.document.beside(path)))),
        _ => Err(place.mistake("a key is in one place", format!("write {}", places(word)))),
    }
}

/// How a key is named, for whoever wrote it otherwise.
fn places(word: &str) -> String {
    format!("{word} = {{ env = \"NAME\" }} or {word} = {{ file = \"PATH\" }}")
}

fn is_variable(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(known) && !name.starts_with(|first: char| first.is_ascii_digit()) && !looks_like_a_key(name)
}

/// A key as it is now: one in a file is read again when the file has changed, so that it can be replaced while a host serves.
#[derive(Debug)]
pub struct LiveKey {
    place: Key,
    read: Mutex<(Option<Stamp>, Result<Secret, String>)>,
}

/// What changes when a file is written or replaced: its number, its length, the second and nanosecond of its last change.
type Stamp = (u64, u64, i64, i64);

impl LiveKey {
    /// Reads it for the first time.
    pub fn new(place: Key) -> Self {
        let stamp = place.stamp();
        let key = place.read();
        Self { place, read: Mutex::new((stamp, key)) }
    }

    /// The key as it is now.
    ///
    /// # Errors
    /// Those of [`Key::read`].
    pub fn now(&self) -> Result<Secret, String> {
        let mut read = self.read.lock();
        let stamp = self.place.stamp();
        // What could not be read is tried again, whether it seems to have changed or not: it may have become readable.
        if read.0 != stamp || (read.1.is_err() && matches!(self.place, Key::File(_))) {
            *read = (stamp, self.place.read());
        }
        read.1.clone()
    }
}

impl Key {
    fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Env(_) => None,
            Self::File(path) => {
                let data = std::fs::metadata(path).ok()?;
                Some((data.ino(), data.len(), data.ctime(), data.ctime_nsec()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    fn key_file(mode: u32, text: &str) -> (tempfile::TempDir, Key) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(&path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        (dir, Key::File(path))
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_dir, key) = key_file(0o644, "sk-very-secret");
        let why = key.read().unwrap_err();
        assert!(why.contains("chmod 600") && !why.contains("sk-very-secret"), "{why}");
    }

    #[test]
    fn what_is_no_file_makes_nobody_wait() {
        use rustix::fs::{CWD, FileType, mknodat};
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("key");
        mknodat(CWD, &pipe, FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(Key::File(pipe).read().unwrap_err().contains("no regular file"));
        assert!(Key::File(dir.path().to_path_buf()).read().unwrap_err().contains("no regular file"));
    }

    #[test]
    fn a_private_key_is_read_and_never_printed() {
        let (_dir, key) = key_file(0o600, "sk-very-secret\n");
        let secret = key.read().unwrap();
        assert_eq!(secret.reveal(), "sk-very-secret");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn a_key_file_that_changes_is_read_again() {
        let (dir, key) = key_file(0o600, "sk-the-first\n");
        let live = LiveKey::new(key);
        assert_eq!(live.now().unwrap().reveal(), "sk-the-first");
        std::fs::write(dir.path().join("key"), "sk-another\n").unwrap();
        assert_eq!(live.now().unwrap().reveal(), "sk-another");
        std::fs::remove_file(dir.path().join("key")).unwrap();
        assert!(live.now().unwrap_err().contains("cannot read"));
        let (other, _) = key_file(0o600, "sk-a-third");
        std::fs::rename(other.path().join("key"), dir.path().join("key")).unwrap();
        assert_eq!(live.now().unwrap().reveal(), "sk-a-third");
    }

    #[test]
    fn what_could_not_stand_in_a_header_is_no_key() {
        let (_dir, key) = key_file(0o600, "two words\r\nx: y");
        let why = key.read().unwrap_err();
        assert!(why.contains("holds no key") && !why.contains("two"), "{why}");
    }

    #[test]
    fn an_unset_variable_is_named() {
        let why = Key::Env("AGENTRY_TEST_NO_SUCH_KEY".to_owned()).read().unwrap_err();
        let told =
            "the environment variable `AGENTRY_TEST_NO_SUCH_KEY` is not set\nhint: set it where agents are run: ";
        assert!(why.starts_with(told), "{why}");
    }
}
