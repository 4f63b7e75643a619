//! `timers`: the run's clock, waits, the deadline.

use agentry_abi::bindings::agentry::agent::timers::{Host, HostWithStore};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::port::{TimersDeadline, TimersNow, TimersSleep};
use wasmtime::component::{Access, FutureReader};

use super::{Interfaces, State, future, later};

impl Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        let now = self.at_once(TimersNow {})?;
        // A run that may make no more calls sees its clock stand still.
        Ok(now.unwrap_or_else(|_| self.guest.clock.now().0))
    }

    fn deadline(&mut self) -> wasmtime::Result<Option<u64>> {
        let deadline = self.at_once(TimersDeadline {})?;
        Ok(deadline.unwrap_or(Some(self.guest.until.0)))
    }
}

impl<T: 'static> HostWithStore<T> for Interfaces {
    fn sleep(mut store: Access<'_, T, Self>, ms: u64) -> wasmtime::Result<FutureReader<Result<(), Error>>> {
        let woken = later(&mut store, TimersSleep { ms });
        future(store, woken)
    }
}
