//! The process of one worker: started by a thread that stays with it, ended at any time, and weighed. It says nothing here, and is believed nothing.

use std::os::fd::OwnedFd;
use std::process::Command;

use agentry_store::limits::{WORKER_ALONE_NICE, WORKER_NICE};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, setpriority_process};
use tokio::sync::oneshot;

use super::memory::resident;

/// By what cannot come to mean another one, and by its number.
pub(super) struct Process(OwnedFd, Pid);

impl Process {
    /// Starts it, from a thread that stays until it has ended: it ends with the thread that started it.
    ///
    /// # Errors
    /// If the system does not.
    pub(super) async fn start(mut command: Command) -> std::io::Result<Self> {
        let (tell, told) = oneshot::channel();
        std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return drop(tell.send(Err(error))),
            };
            // Its end of the connection is its own alone.
            drop(command);
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            pid.into_iter().for_each(|pid| stand_back(pid, WORKER_NICE));
            let process = pid.ok_or_else(|| std::io::Error::other("it has no number"));
            let process = process.and_then(|pid| Ok(Self(pidfd_open(pid, PidfdFlags::empty())?, pid)));
            if process.is_err() || tell.send(process).is_err() {
                let _ = child.kill();
            }
            let _ = child.wait();
        })?;
        told.await.unwrap_or_else(|_| Err(std::io::Error::other("its thread has gone")))
    }

    /// Ends it, whatever it does.
    pub(super) fn kill(&self) {
        // One that has ended cannot be killed.
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
    }

    /// From here on it stands behind those of others, where processors are short.
    pub(super) fn stands_back(&self) {
        stand_back(self.1, WORKER_ALONE_NICE);
    }

    /// Its memory, in bytes; none if it is gone.
    pub(super) fn resident(&self) -> Option<u64> {
        resident(self.1)
    }
}

/// Puts a process behind others where processors are short: its one thread that executes guests, and those that this begins.
fn stand_back(pid: Pid, nice: i32) {
    // Where the system does not let it, it takes its share.
    let _ = setpriority_process(Some(pid), nice);
}
