//! Whether a host goes on: since when it is open, when the loop that begins runs turned last, and whether it stops. Whoever watches the process
//! learns from it what no other thread can say.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the loop turns by itself.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// A loop that has not turned for so long hangs.
pub const BEAT_MAX: Duration = Duration::from_secs(15);

/// The pulse of one host.
#[derive(Debug)]
pub struct Pulse {
    opened: Instant,
    /// Milliseconds since then, and one more: nought before the first turn.
    turned: AtomicU64,
    stops: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { opened: Instant::now(), turned: AtomicU64::new(0), stops: AtomicBool::new(false) }
    }
}

impl Pulse {
    /// The loop turns.
    pub(super) fn beat(&self) {
        self.turned.store(self.up_ms().saturating_add(1), Ordering::Relaxed);
    }

    /// It takes no orders any more.
    pub(super) fn stops(&self) {
        self.stops.store(true, Ordering::Relaxed);
    }

    /// For how long the host is open.
    pub fn up_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long ago the loop turned; none if it never did, because the host serves nobody.
    pub fn since_beat(&self) -> Option<Duration> {
        let turned = self.turned.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_millis(self.up_ms().saturating_sub(turned)))
    }

    /// True while the loop turns, and while a host that stops lets its runs end.
    pub fn is_alive(&self) -> bool {
        self.is_stopping() || self.since_beat().is_some_and(|since| since <= BEAT_MAX)
    }

    /// True once it is to stop.
    pub fn is_stopping(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }
}
