//! Time that replays: the clock moves only at syscalls.

use std::time::Duration;

use crate::bindings::agentry::agent::timers as wit;
use crate::call::Call;
use crate::host;

/// Milliseconds since the Unix epoch, UTC.
#[must_use]
pub fn now() -> u64 {
    if host::IS_THERE {
        return wit::now();
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Waits; at most a year, and never past the run's own deadline.
///
/// # Errors
/// `timed-out` if the run's deadline comes first.
pub fn sleep(duration: Duration) -> Call<()> {
    host::long(|| wit::sleep(duration.as_millis().try_into().unwrap_or(u64::MAX)))
}

/// When the run's wall-time budget ends, in milliseconds since the Unix epoch; none if it has no limit.
#[must_use]
pub fn deadline() -> Option<u64> {
    if host::IS_THERE { wit::deadline() } else { None }
}
