//! How many runs a trigger starts in a minute: a bucket that fills again evenly. Time is the runtime's own, which nobody can set.

use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// One trigger's.
#[derive(Debug)]
pub(super) struct Rate {
    most: u32,
    left: u32,
    filled: Instant,
}

impl Rate {
    /// So many in a minute, and as many at once.
    pub(super) fn of(per_minute: u32, now: Instant) -> Self {
        Self { most: per_minute.max(1), left: per_minute.max(1), filled: now }
    }

    /// Takes a turn if there is one.
    fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let took = self.left > 0;
        self.left = self.left.saturating_sub(1);
        took
    }

    /// Waits for the next turn, and takes it.
    pub(super) async fn turn(&mut self) {
        while !self.take(Instant::now()) {
            tokio::time::sleep(self.each()).await;
        }
    }

    fn each(&self) -> Duration {
        MINUTE / self.most
    }

    fn fill(&mut self, now: Instant) {
        let each = self.each();
        while self.left < self.most && now.duration_since(self.filled) >= each {
            self.left += 1;
            self.filled += each;
        }
        if self.left == self.most {
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_keeps_to_its_rate() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut rate = Rate::of(2, begun);
        assert!(rate.take(begun) && rate.take(begun) && !rate.take(at(29)));
        assert!(rate.take(at(30)) && !rate.take(at(59)));
        assert!(rate.take(at(600)) && rate.take(at(600)) && !rate.take(at(601)), "what was not used does not pile up");
    }
}
