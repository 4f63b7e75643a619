//! Keeps machine code, and what packages say of themselves, under `HOME/cache`, named by component, and code by the engine's settings too, and authenticated by a key
//! that only this home has. Nothing is loaded that this host did not make: a wrong seal means that it is made again.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentry_kernel::Digest;
use agentry_store::limits::{ARTIFACT_MAX_BYTES, PACKAGE_FACTS_MAX_BYTES};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

const KEY_BYTES: usize = 32;
const SEAL_BYTES: usize = 32;

/// Of the home.
const FOLDER: &str = "cache";
const KEY_FILE: &str = "cache.key";

/// What is kept of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Machine code.
    Code,
    /// What its package says of itself, as JSON.
    Facts,
}

impl Kind {
    /// What its seal begins with. Facts get another number when a package is checked more strictly.
    fn label(self) -> &'static [u8] {
        match self {
            Self::Code => b"agentry compiled code 1\0",
            Self::Facts => b"agentry package facts 2\0",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Facts => "facts",
        }
    }

    fn max_bytes(self) -> usize {
        match self {
            Self::Code => ARTIFACT_MAX_BYTES,
            Self::Facts => PACKAGE_FACTS_MAX_BYTES,
        }
    }
}

/// The cache of one home.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    key: Arc<Key>,
    settings: Digest,
}

struct Key([u8; KEY_BYTES]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// The cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file or folder of it.
    #[error(
        "cannot use {what} in the home folder: {error}\nhint: the home folder must be yours and writable; see --home"
    )]
    Io {
        /// Which.
        what: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// Somebody else could have made machine code that looks like ours.
    #[error(
        "others can read or write `cache.key` in the home folder\nhint: remove it and the folder `cache`; both come back"
    )]
    Exposed,
    /// The key is not a key.
    #[error("`cache.key` in the home folder is damaged\nhint: remove it; it comes back")]
    Damaged,
}

impl Cache {
    /// The cache in `home`; it and its key are made if they are not there.
    pub fn open(home: &Path, settings: Digest) -> Result<Self, CacheError> {
        let folder = home.join(FOLDER);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| CacheError::Io { what: "the folder `cache`", error })?;
        let key = Arc::new(Key(key(home)?));
        Ok(Self { folder, key, settings })
    }

    /// The machine code of a component, if it is here and ours.
    pub async fn get(&self, component: Digest) -> Option<Artifact> {
        let cache = self.clone();
        tokio::task::spawn_blocking(move || cache.read(component)).await.ok().flatten()
    }

    /// The cache that is in `home`, for whoever wants what packages say of themselves and has no engine; none if there is none. Nothing is made.
    pub fn of_facts(home: &Path) -> Option<Self> {
        home.join(KEY_FILE).try_exists().ok().filter(|is_there| *is_there)?;
        let key = Arc::new(Key(key(home).ok()?));
        Some(Self { folder: home.join(FOLDER), key, settings: Digest::default() })
    }

    /// What the package of a component says of itself, if it is here and this home read it.
    pub async fn get_facts(&self, component: Digest) -> Option<Vec<u8>> {
        let cache = self.clone();
        tokio::task::spawn_blocking(move || cache.facts(component)).await.ok().flatten()
    }

    /// The same, at once.
    pub fn facts(&self, component: Digest) -> Option<Vec<u8>> {
        Some(self.unsealed(Kind::Facts, component)?.split_off(SEAL_BYTES))
    }

    /// Keeps what the package of a component says of itself.
    pub async fn put_facts(&self, component: Digest, facts: Vec<u8>) {
        let cache = self.clone();
        // As with code: what cannot be kept is read again.
        let _ = tokio::task::spawn_blocking(move || cache.seal(Kind::Facts, component, &facts)).await;
    }

    /// Keeps machine code that this host just made. It may be used at once, kept or not.
    pub async fn put(&self, component: Digest, code: Vec<u8>) -> Artifact {
        let cache = self.clone();
        let artifact = Artifact { code, offset: 0 };
        let work = move || {
            // A full disk costs a compilation at the next start and nothing else.
            let _ = cache.seal(Kind::Code, component, &artifact.code);
            artifact
        };
        tokio::task::spawn_blocking(work).await.expect("writing a cache file does not panic")
    }

    fn read(&self, component: Digest) -> Option<Artifact> {
        Some(Artifact { code: self.unsealed(Kind::Code, component)?, offset: SEAL_BYTES })
    }

    /// A file of the cache whose seal is right, with its seal.
    fn unsealed(&self, kind: Kind, component: Digest) -> Option<Vec<u8>> {
        let file = File::open(self.path(kind, component)).ok()?;
        let max = u64::try_from(kind.max_bytes() + SEAL_BYTES).ok()?;
        let length = file.metadata().ok().map(|is| is.len()).filter(|length| *length <= max)?;
        // In one piece: code is large, and to move it costs more than to read it.
        let mut bytes = Vec::with_capacity(usize::try_from(length).ok()?.saturating_add(1));
        file.take(max).read_to_end(&mut bytes).ok()?;
        let (seal, sealed) = bytes.split_at_checked(SEAL_BYTES)?;
        self.mac(kind, component, sealed).verify_slice(seal).ok()?;
        Some(bytes)
    }

    fn seal(&self, kind: Kind, component: Digest, bytes: &[u8]) -> std::io::Result<()> {
        let path = self.path(kind, component);
        let temporary = path.with_extension(format!("{:016x}.tmp", random_number()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let seal = self.mac(kind, component, bytes).finalize().into_bytes();
        let written = file.write_all(&seal).and_then(|()| file.write_all(bytes));
        // Not synced on purpose: a file that a crash cut short has a wrong seal.
        let placed = written.and_then(|()| fs::rename(&temporary, &path));
        if placed.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        placed
    }

    /// The settings of an engine that something fits; what a package says of itself is the same for all.
    fn made_for(&self, kind: Kind) -> Digest {
        match kind {
            Kind::Code => self.settings,
            Kind::Facts => Digest::default(),
        }
    }

    fn path(&self, kind: Kind, component: Digest) -> PathBuf {
        let mut name = Sha256::new();
        name.update(component.0);
        name.update(self.made_for(kind).0);
        let name = Digest(name.finalize().into());
        self.folder.join(format!("{name}.{}", kind.extension()))
    }

    /// The seal binds the bytes to what they are, and to the component and the settings that they were made from, so that files cannot be
    /// swapped.
    fn mac(&self, kind: Kind, component: Digest, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key.0).expect("HMAC takes keys of any length");
        mac.update(kind.label());
        mac.update(&component.0);
        mac.update(&self.made_for(kind).0);
        mac.update(bytes);
        mac
    }
}

/// Machine code that this host made: fresh from the compiler, or out of the cache with a right seal.
pub struct Artifact {
    code: Vec<u8>,
    offset: usize,
}

impl Artifact {
    /// In a process that executes guests for a host: what that host handed over. It is for whoever has no other source of code than the
    /// process that started it, and would do whatever that says in any case.
    pub fn handed_over(code: Vec<u8>) -> Self {
        Self { code, offset: 0 }
    }

    /// The code, to be handed over.
    pub fn bytes(&self) -> &[u8] {
        &self.code[self.offset..]
    }
}

impl std::fmt::Debug for Artifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Artifact({} bytes)", self.bytes().len())
    }
}

/// The component of an artifact.
///
/// # Errors
/// Why the engine does not take it: it has more parts than an instance may have, or the processor's microcode is another one since.
pub(crate) fn deserialize(engine: &wasmtime::Engine, artifact: &Artifact) -> Result<Component, String> {
    #[allow(unsafe_code, reason = "machine code is loaded here and nowhere else")]
    // SAFETY: the bytes are what `precompile_component` gave: an `Artifact` is made only of the compiler's output, or of a file whose
    // HMAC under this home's key was right a moment ago; or of what the host of this process made so and handed over. They are in our
    // memory, so nobody can change them between check and use.
    let component = unsafe { Component::deserialize(engine, artifact.bytes()) };
    component.map_err(|error| refusal(&error.root_cause().to_string()))
}

/// What the engine says of a component that it does not take, on one line: the limit, and not the table of all that counts into it.
fn refusal(why: &str) -> String {
    let limit = why.split_once("; breakdown of allocation requirement").map_or(why, |(limit, _)| limit);
    limit.replace(" in the pooling allocator", "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The key of this home, made at first use. Two processes that make it at once agree on the one that comes first.
fn key(home: &Path) -> Result<[u8; KEY_BYTES], CacheError> {
    let path = home.join(KEY_FILE);
    let io = |error| CacheError::Io { what: "`cache.key`", error };
    if !path.try_exists().map_err(io)? {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(|error| io(std::io::Error::other(error)))?;
        let temporary = home.join(format!("cache.key.{:016x}.tmp", random_number()));
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        made.and_then(|mut file| file.write_all(&key).and_then(|()| file.sync_all())).map_err(io)?;
        // A link fails where a rename would replace what another process just made.
        let linked = fs::hard_link(&temporary, &path);
        let _ = fs::remove_file(&temporary);
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(io(error)),
            _ => {}
        }
    }
    let mut file = File::open(&path).map_err(io)?;
    let is = file.metadata().map_err(io)?;
    // Whoever owns it knows it, and could have sealed code of their own.
    if is.mode() & 0o077 != 0 || is.uid() != rustix::process::geteuid().as_raw() {
        return Err(CacheError::Exposed);
    }
    let mut key = [0; KEY_BYTES];
    file.read_exact(&mut key).map_err(|_| CacheError::Damaged)?;
    Ok(key)
}

fn random_number() -> u64 {
    getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(home: &Path) -> Cache {
        Cache::open(home, Digest([7; 32])).unwrap()
    }

    #[test]
    fn what_was_kept_comes_back() {
        let home = tempfile::tempdir().unwrap();
        open(home.path()).seal(Kind::Code, Digest([1; 32]), b"code").unwrap();
        let artifact = open(home.path()).read(Digest([1; 32])).unwrap();
        assert_eq!(&artifact.code[artifact.offset..], b"code");
    }

    #[test]
    fn a_changed_file_is_not_loaded() {
        let home = tempfile::tempdir().unwrap();
        let cache = open(home.path());
        let name = Digest([1; 32]);
        cache.seal(Kind::Code, name, b"code").unwrap();
        let path = cache.path(Kind::Code, name);
        for position in 0..fs::read(&path).unwrap().len() {
            let mut bytes = fs::read(&path).unwrap();
            bytes[position] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert!(cache.read(name).is_none(), "byte {position}");
            bytes[position] ^= 1;
            fs::write(&path, &bytes).unwrap();
        }
        assert!(cache.read(name).is_some());
    }

    #[test]
    fn code_of_another_component_is_not_loaded() {
        let home = tempfile::tempdir().unwrap();
        let cache = open(home.path());
        let (mine, other) = (Digest([1; 32]), Digest([2; 32]));
        cache.seal(Kind::Code, mine, b"code").unwrap();
        fs::copy(cache.path(Kind::Code, mine), cache.path(Kind::Code, other)).unwrap();
        assert!(cache.read(other).is_none());
    }

    #[test]
    fn what_a_package_says_is_not_taken_for_code_or_for_another_package() {
        let home = tempfile::tempdir().unwrap();
        let cache = open(home.path());
        let (mine, other) = (Digest([1; 32]), Digest([2; 32]));
        cache.seal(Kind::Facts, mine, b"facts").unwrap();
        assert_eq!(&cache.unsealed(Kind::Facts, mine).unwrap()[SEAL_BYTES..], b"facts");
        fs::copy(cache.path(Kind::Facts, mine), cache.path(Kind::Code, mine)).unwrap();
        fs::copy(cache.path(Kind::Facts, mine), cache.path(Kind::Facts, other)).unwrap();
        assert!(cache.read(mine).is_none() && cache.unsealed(Kind::Facts, other).is_none());
    }

    #[test]
    fn what_packages_say_is_the_same_for_every_engine_of_a_home_and_for_commands_that_have_none() {
        let home = tempfile::tempdir().unwrap();
        let name = Digest([1; 32]);
        assert!(Cache::of_facts(home.path()).is_none() && fs::read_dir(home.path()).unwrap().next().is_none());
        open(home.path()).seal(Kind::Facts, name, b"facts").unwrap();
        open(home.path()).seal(Kind::Code, name, b"code").unwrap();
        let other = Cache::open(home.path(), Digest([8; 32])).unwrap();
        assert_eq!((other.facts(name).as_deref(), other.read(name).is_some()), (Some(&b"facts"[..]), false));
        assert_eq!(Cache::of_facts(home.path()).unwrap().facts(name).as_deref(), Some(&b"facts"[..]));
    }

    #[test]
    fn a_file_that_was_cut_short_is_not_loaded() {
        let home = tempfile::tempdir().unwrap();
        let cache = open(home.path());
        let name = Digest([1; 32]);
        cache.seal(Kind::Code, name, b"code").unwrap();
        for length in [0, 10, SEAL_BYTES, SEAL_BYTES + 3] {
            let file = OpenOptions::new().write(true).open(cache.path(Kind::Code, name)).unwrap();
            file.set_len(length as u64).unwrap();
            assert!(cache.read(name).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;

        let home = tempfile::tempdir().unwrap();
        open(home.path());
        fs::set_permissions(home.path().join("cache.key"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Cache::open(home.path(), Digest([7; 32])), Err(CacheError::Exposed)));
    }

    #[test]
    fn many_who_make_the_key_at_once_agree_on_one() {
        let home = tempfile::tempdir().unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| key(home.path()).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_refusal_of_the_engine_is_one_line_with_its_limit() {
        let table = "instance allocation for this module requires 9 bytes which exceeds the configured maximum of 4 bytes; \
             breakdown of allocation requirement:\n\n * 100.00% - 9 bytes - defined globals\n";
        let line =
            "instance allocation for this module requires 9 bytes which exceeds the configured maximum of 4 bytes";
        assert_eq!(refusal(table), line);
        assert_eq!(
            refusal("defined tables count of 9 exceeds the limit in the pooling allocator"),
            "defined tables count of 9 exceeds the limit"
        );
    }
}
