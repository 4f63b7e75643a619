//! A home as packs: what stood in it at one moment, so that it can be put back. It writes nothing into the home that it is taken of, and holds no
//! secret: configuration names keys and does not have them.
//!
//! A directory of backups has **generations**. Each is whole by its list, which names **packs** and their digests; a pack has the rows and files that
//! differ from the generation before. A list is written when all of its packs have been read back, so whatever a backup is cut by, the
//! generations before it are whole. A pack by itself, with everything in it, is a backup as a stream.

mod files;
mod generation;
mod pack;
mod restore;
mod rows;
mod take;

use std::io;
use std::path::PathBuf;

use agentry_store::StoreError;

use crate::audit::Broken;

pub use self::generation::{Generation, ListedGeneration, list};
pub use self::restore::{Restored, Source, Which, restore};
pub use self::take::{Taken, take, take_as_stream};

/// Why there is no backup, or nothing could be put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The system says no.
    #[error("cannot use {place}: {why}\nhint: name a directory that this user may use, on a disk that has room")]
    Io {
        /// The file or directory.
        place: String,
        /// The system's words.
        why: io::Error,
    },
    /// There is no room. What was there before is whole.
    #[error(
        "there is no room for this at {place}: nothing of it is kept, and what was there is whole\nhint: make room there, or name a directory on another disk"
    )]
    Full {
        /// The directory.
        place: String,
    },
    /// Somebody else writes there.
    #[error("another backup is being written into {place}\nhint: wait until it is done, or name another directory")]
    InUse {
        /// The directory.
        place: String,
    },
    /// There is none.
    #[error("there is no backup in {place}")]
    None {
        /// The directory.
        place: String,
    },
    /// Something else lies there.
    #[error(
        "{place} has other things in it, and no backup\nhint: name an empty directory, or one that is not there yet"
    )]
    Foreign {
        /// The directory.
        place: String,
    },
    /// None is so old, or has this number.
    #[error("no generation in {place} {wanted}")]
    NoGeneration {
        /// The directory.
        place: String,
        /// What was asked for.
        wanted: String,
    },
    /// What is there was not written so.
    #[error("{file} is damaged: {why}\nhint: another generation may be whole; for new ones name an empty directory")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A stream is not whole, or is another thing.
    #[error("{stream} is damaged: {why}\nhint: get it again from where it was taken, or take another")]
    Torn {
        /// What it is called where it comes from.
        stream: String,
        /// What is wrong.
        why: String,
    },
    /// A newer version wrote it.
    #[error(
        "{file} has format {found}, and this agentry knows {known}\nhint: use the agentry that wrote it, or a newer one"
    )]
    Newer {
        /// The file.
        file: String,
        /// Its format.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// The log that was to be kept is not what was written.
    #[error(
        "the log of this home is not as it was written: segment {}: {}\nhint: a copy of the files of a home whose host is stopped keeps it as it is", broken.segment, broken.what
    )]
    Broken {
        /// Where.
        broken: Box<Broken>,
    },
    /// Something is there.
    #[error(
        "{place} is not empty\nhint: a home is put back into a place of its own: name a directory that is not there with --to DIR"
    )]
    NotEmpty {
        /// The directory.
        place: String,
    },
    /// A file of the home cannot be kept.
    #[error(
        "{file} is {bytes} bytes long, more than a backup takes of one file ({max})\nhint: move it out of the home"
    )]
    TooLarge {
        /// The file.
        file: String,
        /// Its length.
        bytes: u64,
        /// The most.
        max: usize,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    fn io(place: impl Into<PathBuf>, why: io::Error) -> Self {
        let place = place.into().display().to_string();
        match why.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { place }
            }
            _ => Self::Io { place, why },
        }
    }
}

#[cfg(test)]
mod tests;
