//! The processes that come from one process, as `/proc` tells. It ends them all, and none that is not among them.

use std::collections::{HashMap, HashSet};
use std::fs;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};

/// How often everything is stopped and looked for again, before it is killed in any case. What is stopped starts nothing, so each round
/// leaves less to find.
const ROUNDS_MAX: usize = 64;

/// How many processes come from `root`, itself not counted.
pub(super) fn count(root: Pid) -> usize {
    of(root).len()
}

/// Ends all that come from this process and waits for them; gives the status of `first`.
pub(super) fn end_all(first: Pid) -> Option<WaitStatus> {
    let mut status = None;
    for _ in 0..ROUNDS_MAX {
        stop_all(getpid());
        for pid in of(getpid()) {
            // It may have ended by itself in the meantime, and nobody but us reaps it, so the number is still its own.
            let _ = kill_process(pid, Signal::KILL);
        }
        // What a dead one has left behind becomes ours, and is found in the next round.
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, ended))) if pid == first => status = Some(ended),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return status,
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    status
}

/// Ends a child of ours and all that comes from it. What ends meanwhile goes to the child, which takes in what is left behind.
pub(super) fn end_with(child: Pid) {
    for _ in 0..ROUNDS_MAX {
        stop_all(child);
        for pid in of(child) {
            // The child does not reap it, so the number is still its own.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let _ = kill_process(child, Signal::KILL);
}

/// Stops all that comes from `root`, until there is none that runs and could start another.
fn stop_all(root: Pid) {
    let mut stopped = HashSet::new();
    for _ in 0..ROUNDS_MAX {
        let fresh: Vec<Pid> = of(root).into_iter().filter(|pid| stopped.insert(*pid)).collect();
        if fresh.is_empty() {
            return;
        }
        for pid in fresh {
            let _ = kill_process(pid, Signal::STOP);
        }
    }
}

/// All processes that come from `root`.
fn of(root: Pid) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if let Some(parent) = fs::read_to_string(entry.path().join("stat")).ok().and_then(|stat| parent(&stat)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut found, mut next) = (Vec::new(), vec![root.as_raw_nonzero().get()]);
    while let Some(parent) = next.pop() {
        // Each is somebody's child once, so it is taken out as it is found.
        for child in children.remove(&parent).unwrap_or_default() {
            next.push(child);
            found.extend(Pid::from_raw(child));
        }
    }
    found
}

/// The parent in a line of `/proc/PID/stat`: behind the name, which may hold anything, and the state.
fn parent(stat: &str) -> Option<i32> {
    let behind_name = stat.rsplit_once(')')?.1;
    behind_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_whatever_the_process_calls_itself() {
        assert_eq!(parent("17 (sh) S 4 17 17 0 -1"), Some(4));
        assert_eq!(parent("17 (a) R 1 (b) S 4 17"), Some(4));
        assert_eq!(parent("17 (sh"), None);
    }
}
