//! Whose turn it is to change an index: one command after the other, each of which reads what lies there once it has its turn, so that none undoes what another did.

use std::fs::File;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::Repository;
use crate::fault::Fault;
use crate::file;
use crate::limits::TURN_WAIT_MS;

impl Repository {
    /// Waits for the turn, which ends with what this gives, and takes away what a command left that did not come to its end.
    ///
    /// # Errors
    /// If there is no index, or another command has the turn for long.
    pub(super) fn turn(&self) -> Result<File, Fault> {
        let shown = self.directory.display();
        let cannot = |why: std::io::Error| {
            Fault::unavailable(
                format!("cannot lock {shown}: {why}"),
                "change the index where it can be locked, and copy it",
            )
        };
        // The directory itself, so that nothing lies in it that a server would offer.
        let file = match File::open(&self.directory) {
            Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Err(self.none()),
            opened => opened.map_err(cannot)?,
        };
        let until = Instant::now() + Duration::from_millis(TURN_WAIT_MS);
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if Instant::now() > until => {
                    let message = format!("another command changes the index in {shown}");
                    return Err(Fault::unavailable(message, "wait for its end, and try again"));
                }
                Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(20)),
                Err(why) => return Err(cannot(why.into())),
            }
        }
        file::sweep(&self.directory.join("metadata"));
        Ok(file)
    }
}
