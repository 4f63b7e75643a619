//! Files that are read with a bound and written whole or not at all. After each step a crash leaves the old file or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use agentry_config::policies;
use agentry_kernel::text::line;
use rustix::fs::OFlags;

use crate::fault::{Fault, unreadable};

/// The bytes of a regular file, at most so many; none if there is none.
///
/// # Errors
/// If it is no regular file, larger, or cannot be read.
pub fn read(path: &Path, max_bytes: usize) -> Result<Option<Vec<u8>>, Fault> {
    let shown = line(&path.display().to_string());
    let cannot = |why: std::io::Error| {
        Fault::unavailable(format!("cannot read {shown}: {why}"), "let the user that runs agents read it")
    };
    // Not blocking, because opening a pipe waits for a writer otherwise.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(cannot)?,
    };
    let about = file.metadata().map_err(cannot)?;
    if !about.is_file() {
        return Err(Fault::usage(
            format!("{shown} is not a regular file"),
            "name the file itself; links are not followed",
        ));
    }
    let length = usize::try_from(about.len()).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(length.min(max_bytes).saturating_add(1));
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > max_bytes {
        return Err(Fault::usage(format!("{shown} has more than {max_bytes} bytes"), "it is not what its name says"));
    }
    Ok(Some(bytes))
}

/// The text of a file of this home that nobody else may write; none if there is none. A link to nowhere is there.
///
/// # Errors
/// If it is no regular file, others may write it, it is larger, no text, or cannot be read.
pub(crate) fn text(path: &Path, max_bytes: usize) -> Result<Option<String>, Fault> {
    match fs::symlink_metadata(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        _ => policies::text_within(path, max_bytes).map(Some).map_err(|why| unreadable(&why)),
    }
}

/// Writes a file whole: beside it first, then in its place, and both are on disk when this returns. `by_way_of` is a directory on the
/// same file system for what is not whole yet; files in the making stand in no directory that somebody reads.
///
/// # Errors
/// If it cannot be written: then the old one is there as it was.
pub fn write(path: &Path, bytes: &[u8], by_way_of: &Path, mode: u32) -> Result<(), Fault> {
    put(path, bytes, by_way_of, mode, true)
}

/// Writes a file whole, without waiting for the disk: for what is verified whenever it is read, and had again if it was lost.
///
/// # Errors
/// As [`write`].
pub fn write_unsynced(path: &Path, bytes: &[u8], by_way_of: &Path, mode: u32) -> Result<(), Fault> {
    put(path, bytes, by_way_of, mode, false)
}

fn put(path: &Path, bytes: &[u8], by_way_of: &Path, mode: u32, is_synced: bool) -> Result<(), Fault> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = by_way_of.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        step()?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        step()?;
        file.write_all(bytes)?;
        if is_synced {
            step()?;
            file.sync_all()?;
        }
        step()?;
        fs::rename(&temporary, path)?;
        if is_synced {
            step()?;
            synced(directory_of(path))?;
        }
        Ok(())
    })();
    written.map_err(|why| {
        // What a crash leaves is taken away by whoever has the next turn there; what a full disk leaves, now.
        if !is_crash(&why) {
            let _ = fs::remove_file(&temporary);
        }
        cannot_write(path, &why)
    })
}

/// Takes a file away; it may be gone already.
///
/// # Errors
/// If it cannot be taken away.
pub fn remove(path: &Path) -> Result<(), Fault> {
    let removed = step().and_then(|()| match fs::remove_file(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    });
    removed.map_err(|why| cannot_write(path, &why))
}

/// Takes away what [`write`] left in this directory when it did not come to its end. Only whoever keeps others from writing there may say so.
pub fn sweep(directory: &Path) {
    let is_left = |name: &str| {
        let (name, process) = name.strip_prefix('.')?.rsplit_once('.')?;
        let is_ours = [".json", ".wasm", ".sig"].iter().any(|end| name.ends_with(end));
        (is_ours && process.parse::<u32>().is_ok()).then_some(())
    };
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_str().and_then(is_left).is_some() && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            // Whatever stays is taken away another time.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes a directory and all above it, for its owner alone if it is not there yet.
///
/// # Errors
/// If it cannot be made.
pub fn directory(path: &Path) -> Result<(), Fault> {
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o755);
    builder.create(path).map_err(|why| cannot_write(path, &why))
}

/// The directory that a file lies in.
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What is in this directory is on disk.
fn synced(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

fn cannot_write(path: &Path, why: &std::io::Error) -> Fault {
    let shown = line(&path.display().to_string());
    let hint = match why.kind() {
        ErrorKind::StorageFull => "make room on the disk, then try again",
        _ => "let this user write there, or choose another home: --home DIR",
    };
    Fault::unavailable(format!("cannot write {shown}: {why}"), hint)
}

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "a test ends here at any step")]
fn step() -> std::io::Result<()> {
    Ok(())
}

#[cfg(not(test))]
fn is_crash(_why: &std::io::Error) -> bool {
    false
}

#[cfg(test)]
pub(crate) use crash::{is_crash, step};

/// A process that dies after so many steps, as a test sees it: nothing that would be done later is done.
#[cfg(test)]
pub(crate) mod crash {
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
        static HAS_BEEN: Cell<bool> = const { Cell::new(false) };
    }

    /// From now on so many steps are done and no more; none if there is no end.
    pub(crate) fn after(steps: Option<u32>) {
        LEFT.set(steps);
        HAS_BEEN.set(false);
    }

    /// Whether a step was not done.
    pub(crate) fn has_been() -> bool {
        HAS_BEEN.get()
    }

    pub(crate) fn step() -> std::io::Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => {
                HAS_BEEN.set(true);
                Err(std::io::Error::other("killed here"))
            }
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }

    pub(crate) fn is_crash(why: &std::io::Error) -> bool {
        why.to_string() == "killed here"
    }
}
