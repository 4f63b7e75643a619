//! Time slices by the wall clock: a thread that raises the engine's epoch while guests are executed. It ends nobody; code that sees a new
//! epoch gives its thread back and goes on later.
//!
//! Fuel bounds the instructions of a slice, not what the engine does between them: transcoding a megabyte, reading a clock or copying a
//! stream costs a guest a handful of instructions. Compiled code looks at the epoch where it looks at its fuel, at each loop and call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a guest is executed before others of its thread are: several times what its fuel for one slice lasts.
const TICK: Duration = Duration::from_millis(1);

/// After so many ticks in which no guest was executed, the thread sleeps until one is: an idle host wakes nobody up.
const IDLE_TICKS_MAX: u32 = 100;

/// The thread; it ends within a tick of when this is dropped.
#[derive(Debug)]
pub struct Ticks {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    /// A guest was executed since the last tick.
    executed: AtomicBool,
    /// The thread waits to be woken.
    sleeps: AtomicBool,
    over: AtomicBool,
}

impl Ticks {
    /// Begins to raise the epoch of this engine.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn of(engine: &wasmtime::Engine) -> std::io::Result<Self> {
        let (shared, engine) = (Arc::<Shared>::default(), engine.weak());
        let thread = std::thread::Builder::new().name("ticks".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                shared.run(|| {
                    engine.upgrade().is_some_and(|engine| {
                        engine.increment_epoch();
                        true
                    })
                })
            }
        })?;
        Ok(Self { shared, thread })
    }

    /// Polls a guest's future, and counts each poll as an execution.
    pub async fn during<T>(&self, guest: impl Future<Output = T>) -> T {
        let mut guest = std::pin::pin!(guest);
        std::future::poll_fn(|context: &mut Context<'_>| -> Poll<T> {
            self.executed();
            guest.as_mut().poll(context)
        })
        .await
    }

    fn executed(&self) {
        // In this order, as the thread reads them in the other: one of the two sees what the other wrote.
        self.shared.executed.store(true, Ordering::SeqCst);
        if self.shared.sleeps.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        self.thread.thread().unpark();
    }
}

impl Shared {
    fn run(&self, tick: impl Fn() -> bool) {
        let mut idle = 0;
        while !self.over.load(Ordering::SeqCst) {
            std::thread::sleep(TICK);
            if !tick() {
                return;
            }
            idle = if self.executed.swap(false, Ordering::SeqCst) { 0 } else { idle + 1 };
            if idle >= IDLE_TICKS_MAX {
                self.sleep();
                idle = 0;
            }
        }
    }

    fn sleep(&self) {
        self.sleeps.store(true, Ordering::SeqCst);
        while !self.executed.load(Ordering::SeqCst) && !self.over.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.sleeps.store(false, Ordering::SeqCst);
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Instant;

    use super::*;

    #[test]
    fn it_sleeps_while_nobody_is_executed_and_wakes_when_somebody_is() {
        let (shared, ticks) = (Arc::<Shared>::default(), Arc::<AtomicU32>::default());
        let thread = std::thread::spawn({
            let (shared, ticks) = (Arc::clone(&shared), Arc::clone(&ticks));
            move || {
                shared.run(|| {
                    ticks.fetch_add(1, Ordering::SeqCst);
                    true
                });
            }
        });
        let ticks_of = Ticks { shared, thread };
        let patience = Instant::now() + Duration::from_secs(60);
        let wait_until = |what: &dyn Fn() -> bool| {
            while !what() {
                assert!(Instant::now() < patience, "it does not come");
                std::thread::sleep(TICK);
            }
        };
        wait_until(&|| ticks_of.shared.sleeps.load(Ordering::SeqCst));
        let before = ticks.load(Ordering::SeqCst);
        assert_eq!(before, IDLE_TICKS_MAX);
        ticks_of.executed();
        wait_until(&|| ticks.load(Ordering::SeqCst) > before);
    }
}
