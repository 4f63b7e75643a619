//! How much memory a worker may have: what its runs may have together, and what the engine takes for them. It is asked of the system, not of the
//! worker, and it is not for guests, whose memory the engine bounds: it is for an engine that does not.

use agentry_store::limits::{WORKER_BASE_BYTES, WORKER_CODE_COPIES, WORKER_PLACE_KEPT_BYTES, WORKER_RUN_BYTES};
use rustix::process::Pid;

/// What counts besides the linear memories of runs, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryBound {
    /// Once.
    pub(super) base: u64,
    /// For each place that a run has had.
    pub(super) place: u64,
    /// For each run.
    pub(super) run: u64,
}

impl Default for MemoryBound {
    fn default() -> Self {
        Self { base: WORKER_BASE_BYTES, place: WORKER_PLACE_KEPT_BYTES, run: WORKER_RUN_BYTES }
    }
}

impl MemoryBound {
    /// The most that a worker may have with so much code, so many runs at once so far, and runs now that may have so much each.
    pub(super) fn of(self, code: u64, places: usize, runs: impl Iterator<Item = u64>) -> u64 {
        let places = u64::try_from(places).unwrap_or(u64::MAX).saturating_mul(self.place);
        let code = code.saturating_mul(WORKER_CODE_COPIES);
        let fixed = self.base.saturating_add(code).saturating_add(places);
        runs.fold(fixed, |sum, memory| sum.saturating_add(memory).saturating_add(self.run))
    }
}

/// Memory of this process that is not elsewhere, in bytes; none if it is gone.
pub(super) fn resident(process: Pid) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"))?;
    Some(kilobytes.trim().parse::<u64>().ok()?.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_some_memory_and_one_that_is_not_there_none() {
        assert!(resident(rustix::process::getpid()).is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(resident(Pid::from_raw(i32::MAX).unwrap()), None);
    }

    #[test]
    fn what_runs_may_have_is_added_up_and_never_overflows() {
        let bound = MemoryBound { base: 1, place: 10, run: 100 };
        assert_eq!(bound.of(1_000, 3, [5, 7].into_iter()), 1 + 2_000 + 30 + 105 + 107);
        assert_eq!(bound.of(0, 0, [u64::MAX, 1].into_iter()), u64::MAX);
    }
}
