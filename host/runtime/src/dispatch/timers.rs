//! `timers`: the run's clock, waits, the deadline.

use std::sync::Arc;
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Completed;
use agentry_abi::fault::invalid;
use agentry_abi::port::{Passed, TimersDeadline, TimersNow, TimersSleep};
use agentry_kernel::{Amounts, Call, Millis};
use agentry_store::limits::SLEEP_MAX_MS;

use super::Dispatch;

pub(super) fn now(of: &Dispatch, at: Option<Millis>) -> Passed {
    let run = &of.run;
    of.now::<TimersNow>(of.drivers.gate.call_at(run, Call::TimersNow, at, |_| Ok(run.clock.now().0)))
}

pub(super) fn deadline(of: &Dispatch, at: Option<Millis>) -> Passed {
    let deadline = of.deadline.0;
    of.now::<TimersDeadline>(of.drivers.gate.call_at(&of.run, Call::TimersDeadline, at, |_| Ok(Some(deadline))))
}

pub(super) fn sleep(of: &Dispatch, TimersSleep { ms }: &TimersSleep) -> Passed {
    let ms = *ms;
    if ms > SLEEP_MAX_MS {
        return of.now::<TimersSleep>(Err(invalid(format!("ms is over {SLEEP_MAX_MS}"))));
    }
    let (run, gate) = (Arc::clone(&of.run), of.drivers.gate.clone());
    let woken = of.drivers.gate.pass(&of.run, Call::TimersSleep { ms }, move |permit, cancelled| async move {
        // One that was begun before is over when it would have been.
        let passed = gate.began(&run, permit.call()).map_or(0, |began| gate.clock().now().since(began));
        let result = tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms.saturating_sub(passed))) => Ok(()),
            () = cancelled.cancelled() => Err(Error::Cancelled),
        };
        Completed::of(result, Amounts::ZERO)
    });
    of.begun::<TimersSleep>(woken)
}
