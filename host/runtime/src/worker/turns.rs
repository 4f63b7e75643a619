//! Looks at how long the turns of a guest take the worker's one thread, which all its guests wait for. It interrupts none: it says so, and it is for
//! the other side to execute such a guest elsewhere.

use std::time::Duration;

use agentry_store::limits::WORKER_TURN_MAX_MS;
use rustix::time::{ClockId, clock_gettime};

use super::remote::Remote;

/// A guest, of which it is said once that a turn took too long.
pub(super) async fn watched<T>(remote: &Remote, guest: impl Future<Output = T>) -> T {
    observed(guest, || remote.overran()).await
}

async fn observed<T>(guest: impl Future<Output = T>, overran: impl FnOnce()) -> T {
    let (mut guest, mut overran) = (std::pin::pin!(guest), Some(overran));
    std::future::poll_fn(|context| {
        if overran.is_none() {
            return guest.as_mut().poll(context);
        }
        let before = executed();
        let polled = guest.as_mut().poll(context);
        // One that is over takes nobody's time any more.
        if polled.is_pending() && executed().saturating_sub(before) > Duration::from_millis(WORKER_TURN_MAX_MS) {
            overran.take().into_iter().for_each(|overran| overran());
        }
        polled
    })
    .await
}

/// Processor time of this thread: what a busy machine does besides counts for nobody.
fn executed() -> Duration {
    let at = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0));
    Duration::new(seconds, nanos)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// Computes for so long, turn by turn.
    async fn computes(turns_ms: &[u64]) {
        for ms in turns_ms {
            let until = executed() + Duration::from_millis(*ms);
            while executed() < until {}
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_guest_that_takes_the_thread_for_too_long_is_told_of_once_and_one_that_gives_it_back_is_not() {
        let long = WORKER_TURN_MAX_MS + 10;
        for (turns, told) in [(vec![long, 1, long], 1), (vec![WORKER_TURN_MAX_MS / 4; 8], 0)] {
            let mut said = 0;
            let mut guest = Box::pin(observed(computes(&turns), || said += 1));
            while guest.as_mut().now_or_never().is_none() {}
            drop(guest);
            assert_eq!(said, told, "{turns:?}");
        }
    }
}
