//! Whether a file is still the one that was read: what the system says of it, without reading it again.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file's place and its last change, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    written: (i64, i64),
    /// Nobody can set this one back.
    changed: (i64, i64),
}

/// A file that changed so recently may change again without its time showing it.
const SETTLES: Duration = Duration::from_secs(2);

impl Stamp {
    /// What the system says of this file; none if it says nothing.
    pub fn of(path: &Path) -> Option<Self> {
        let is = std::fs::metadata(path).ok()?;
        Some(Self {
            device: is.dev(),
            inode: is.ino(),
            bytes: is.size(),
            written: (is.mtime(), is.mtime_nsec()),
            changed: (is.ctime(), is.ctime_nsec()),
        })
    }

    /// True if its last change is so long ago that a further one would show.
    pub fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let changed = Duration::from_secs(u64::try_from(self.changed.0.max(self.written.0)).unwrap_or(0));
        now.saturating_sub(changed) > SETTLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_or_replaced_has_another_stamp() {
        let place = tempfile::tempdir().expect("a directory can be made");
        let path = place.path().join("a.wasm");
        std::fs::write(&path, "one").expect("it can be written");
        let first = Stamp::of(&path).expect("it is there");
        assert!(!first.is_settled() && Stamp::of(&path) == Some(first));
        std::fs::write(&path, "two and more").expect("it can be written");
        let second = Stamp::of(&path).expect("it is there");
        assert_ne!(first, second);
        let other = place.path().join("b.wasm");
        std::fs::write(&other, "two and more").expect("it can be written");
        std::fs::rename(other, &path).expect("it can be moved");
        assert_ne!(Stamp::of(&path), Some(second));
        assert_eq!(Stamp::of(&place.path().join("none.wasm")), None);
    }
}
