//! What the host's own work for a guest costs it, in fuel: the table, and the sum of one guest. The engine counts instructions and nothing of what
//! they have the host do; so each crossing between both adds its price, and fuel is a measure of what a run takes. It never reads a clock: the
//! same run costs the same in a worker and in the host's process, and as often as it is executed by an engine of its shape. (One of the dense shape
//! fills memories by instructions, which the other does without: some fuel more as a run begins, as before there were prices.)
//!
//! The sum is kept beside the engine's counter and is never taken from that: compiled code holds the counter in a register while it calls some of
//! the engine's helpers, and would write it back over whatever was taken meanwhile. A guest is out of fuel when the sum has reached what the
//! counter has left. That is looked at wherever both sides meet, which a guest that only computes does once a slice.

use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::{CallHook, Store, StoreContextMut, Trap, UpdateDeadline};

/// One kind of work and its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// What is done.
    pub what: &'static str,
    /// Fuel for each. One is about 0.6 ns, by which `FUEL_RUN_DEFAULT` is a minute of one core.
    pub fuel: u64,
    /// Why so much.
    pub because: &'static str,
}

/// From the guest to the host and back, or into the guest.
pub const CROSSING: Price = Price {
    what: "a call of a guest into the host that has come back, or of the host into a guest",
    fuel: 250,
    because: "60 to 140 ns for a function of the table or of WASI; handles, futures, streams, waits, yields and strings between the parts of a \
              composed component cross as well, and so does each callback that wakes a guest",
};

/// A syscall, with all that the far side does for it.
pub const SYSCALL: Price = Price {
    what: "a syscall",
    fuel: 1_000,
    because: "0.6 µs at the gate, journal included; what it does outside has budgets of its own",
};

/// A byte that is carried between a guest and the host.
pub const BYTE: Price = Price {
    what: "a byte of what a syscall asks or is answered, or that is written to a standard stream",
    fuel: 1,
    because: "as much as the engine takes for a byte that `memory.copy` copies; it is lifted, carried and lowered",
};

/// A byte of randomness.
pub const RANDOM_BYTE: Price =
    Price { what: "a byte of randomness", fuel: 4, because: "2 ns for twenty rounds of ChaCha and for lowering it" };

/// One that is waited for.
pub const POLLABLE: Price = Price {
    what: "something that a guest waits for by `wasi:io/poll`",
    fuel: 500,
    because: "each is looked up, made a future and polled at least once, 300 ns",
};

/// All prices.
pub const PRICES: [Price; 5] = [CROSSING, SYSCALL, BYTE, RANDOM_BYTE, POLLABLE];

/// What the host's work for one guest comes to.
#[derive(Debug, Default)]
pub struct Charges {
    sum: AtomicU64,
    /// Crossings that are no doing of the guest's and cost nothing.
    free: AtomicU64,
}

impl Charges {
    /// So many of a kind.
    pub fn add(&self, price: Price, count: u64) {
        let sum = self.sum().saturating_add(price.fuel.saturating_mul(count));
        // Whoever works for a guest does so in its turn: nobody else adds meanwhile.
        self.sum.store(sum, Ordering::Relaxed);
    }

    /// The sum, in fuel.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// What is left of a guest's fuel, if the engine has counted it down to `fuel`.
    pub fn left(&self, fuel: u64) -> u64 {
        fuel.saturating_sub(self.sum())
    }

    /// From here on each crossing of this store is charged, and ends a guest that has no fuel left.
    ///
    /// A tick of the engine's epoch is a crossing too, and comes when the wall clock says so: it costs nothing, and nobody ends by it.
    pub fn watch<T: 'static>(store: &mut Store<T>, of: fn(&T) -> Option<&Self>) {
        store.epoch_deadline_callback(move |store| {
            of(store.data()).into_iter().for_each(|charges| charges.ticks());
            Ok(UpdateDeadline::Yield(1))
        });
        store.call_hook(move |store, hook| of(store.data()).map_or(Ok(()), |charges| charges.crosses(&store, hook)));
    }

    fn ticks(&self) {
        self.free.fetch_add(1, Ordering::Relaxed);
    }

    fn crosses<T: 'static>(&self, store: &StoreContextMut<'_, T>, hook: CallHook) -> wasmtime::Result<()> {
        match hook {
            CallHook::CallingHost | CallHook::ReturningFromWasm => return Ok(()),
            CallHook::ReturningFromHost if self.free.load(Ordering::Relaxed) > 0 => {
                // The guest held its store while it gave its thread away, so this is the crossing that was meant.
                self.free.fetch_sub(1, Ordering::Relaxed);
                return Ok(());
            }
            CallHook::ReturningFromHost | CallHook::CallingWasm => {}
        }
        self.add(CROSSING, 1);
        if self.sum() >= store.get_fuel()? { Err(Trap::OutOfFuel.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Config, Engine, Func, Instance, Module};

    use super::*;

    /// A guest that calls the host without end, in a store that was given so much; how often it did, and whether it ran out.
    fn calls(fuel: u64, charged: bool) -> (u64, bool) {
        #[derive(Default)]
        struct State {
            charges: Charges,
            calls: u64,
        }
        let engine = Engine::new(Config::new().consume_fuel(true).epoch_interruption(true)).unwrap();
        let text = r#"(module (import "" "host" (func $host)) (func (export "run") (loop (call $host) (br 0))))"#;
        let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let mut store = Store::new(&engine, State::default());
        store.set_fuel(fuel).unwrap();
        store.set_epoch_deadline(1);
        if charged {
            Charges::watch(&mut store, |state| Some(&state.charges));
        }
        let host = Func::wrap(&mut store, |mut caller: wasmtime::Caller<'_, State>| caller.data_mut().calls += 1);
        let guest = Instance::new(&mut store, &module, &[host.into()]).unwrap();
        let run = guest.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        let ended = run.call(&mut store, ()).unwrap_err();
        let ran_out = ended.downcast_ref::<Trap>() == Some(&Trap::OutOfFuel);
        assert_eq!(store.data().charges.left(store.get_fuel().unwrap()), 0);
        (store.data().calls, ran_out)
    }

    #[test]
    fn a_guest_that_only_calls_the_host_runs_out_of_fuel_for_the_hosts_work() {
        let fuel = 1000 * CROSSING.fuel;
        let (charged, ran_out) = calls(fuel, true);
        assert!(ran_out && (900..=1000).contains(&charged), "{charged}");
        assert_eq!(calls(fuel, true), (charged, true), "each time the same");
        let (uncharged, ran_out) = calls(fuel, false);
        assert!(ran_out && uncharged > 10 * charged, "{uncharged}");
    }

    #[test]
    fn a_sum_has_no_end_that_it_could_run_over() {
        let charges = Charges::default();
        charges.add(BYTE, u64::MAX);
        charges.add(SYSCALL, u64::MAX);
        assert_eq!(charges.sum(), u64::MAX);
    }

    #[test]
    fn every_price_says_why() {
        for price in PRICES {
            assert!(price.fuel > 0 && !price.what.is_empty() && !price.because.is_empty(), "{price:?}");
        }
    }
}
