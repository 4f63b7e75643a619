//! `timers`: the run's clock, waits, the deadline.

use std::sync::Arc;
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::timers::{Host, HostWithStore};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Completed;
use agentry_kernel::{Amounts, Call};
use agentry_store::limits::SLEEP_MAX_MS;
use wasmtime::component::{Access, FutureReader};

use super::{Interfaces, State, future, invalid};

impl Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        let run = &self.run;
        let now = self.at_once(Call::TimersNow, |_| Ok(run.clock.now().0))?;
        // A run that may make no more calls sees its clock stand still.
        Ok(now.unwrap_or_else(|_| run.clock.now().0))
    }

    fn deadline(&mut self) -> wasmtime::Result<Option<u64>> {
        let deadline = self.deadline.0;
        let answer = self.at_once(Call::TimersDeadline, |_| Ok(Some(deadline)))?;
        Ok(answer.unwrap_or(Some(deadline)))
    }
}

impl<T: 'static> HostWithStore<T> for Interfaces {
    fn sleep(mut store: Access<'_, T, Self>, ms: u64) -> wasmtime::Result<FutureReader<Result<(), Error>>> {
        if ms > SLEEP_MAX_MS {
            return future(store, std::future::ready(Err(invalid(format!("ms is over {SLEEP_MAX_MS}")))));
        }
        let state = store.get();
        let (run, gate) = (Arc::clone(&state.run), state.drivers.gate.clone());
        let woken =
            state.drivers.gate.pass(&state.run, Call::TimersSleep { ms }, move |permit, cancelled| async move {
                // One that was begun before is over when it would have been.
                let passed = run.began(permit.call()).map_or(0, |began| gate.clock().now().since(began));
                let result = tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(ms.saturating_sub(passed))) => Ok(()),
                    () = cancelled.cancelled() => Err(Error::Cancelled),
                };
                Completed::of(result, Amounts::ZERO)
            });
        future(store, woken)
    }
}
