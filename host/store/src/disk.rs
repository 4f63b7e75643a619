//! What to do where the system does not let something be written: one answer for all that is kept beside the store. It writes nothing.

use std::io;

/// True if there is no room for it: on the disk, in a quota, or within the bounds of this process.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// What mends it, if it was to be written in the home.
pub fn mend(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if is_full(error) => "make room on the disk of the home directory",
        io::ErrorKind::ReadOnlyFilesystem => {
            "mount the disk of the home for writing, or choose another home with --home DIR"
        }
        _ => "let this user write the home directory, or choose another with --home DIR",
    }
}
