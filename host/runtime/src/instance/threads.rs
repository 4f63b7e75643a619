//! The threads that execute guests, as many as cores, and nothing but guests. Timers, sockets and whatever else a guest waits for stay with the
//! threads of whoever runs it: a guest that takes all the time that it gets takes it from other guests, never from those who would stop it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::AbortHandle;

/// The threads of one host; they end when this is dropped, with every guest that they still have.
pub(crate) struct Threads {
    /// Always there; taken by the drop.
    runtime: Option<Runtime>,
}

impl Threads {
    /// Starts them.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub(crate) fn start() -> io::Result<Self> {
        let started = AtomicUsize::new(0);
        let runtime = Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(1, usize::from))
            .thread_name_fn(move || format!("guest-{}", started.fetch_add(1, Ordering::Relaxed)))
            // Whoever got an answer comes before those who only had their slice: answers come from other threads, and those are asked first.
            .global_queue_interval(1)
            .build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Executes a guest to its end; none if it broke down. What it waits for is served by the runtime in which this is called. Whoever drops
    /// what is returned ends the guest, at the end of its slice.
    pub(crate) async fn execute<T: Send + 'static>(
        &self,
        guest: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let guest = ServedBy { by: Handle::current(), guest: Some(Box::pin(guest)) };
        let runtime = self.runtime.as_ref().expect("it is taken by the drop alone");
        let executed = runtime.spawn(guest);
        let _ended = EndsWith(executed.abort_handle());
        executed.await.ok()
    }
}

/// Ends a guest when it is dropped.
struct EndsWith(AbortHandle);

impl Drop for EndsWith {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Does not wait: it may be dropped where nobody may, on one of these threads even.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// A guest whose timers, sockets and tasks are served by another runtime than the one that polls it.
struct ServedBy<T> {
    by: Handle,
    /// There until it is dropped, which may begin tasks as well.
    guest: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
}

impl<T> Future for ServedBy<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let served = &mut *self;
        let _entered = served.by.enter();
        served.guest.as_mut().expect("it is taken by the drop alone").as_mut().poll(context)
    }
}

impl<T> Drop for ServedBy<T> {
    fn drop(&mut self) {
        let _entered = self.by.enter();
        self.guest = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Condvar, Mutex};
    use std::time::Duration;

    use super::*;

    /// Holds threads until it is opened.
    #[derive(Default)]
    struct Gate(Mutex<bool>, Condvar);

    impl Gate {
        fn open(&self) {
            *self.0.lock().unwrap() = true;
            self.1.notify_all();
        }

        fn hold(&self) {
            drop(self.1.wait_while(self.0.lock().unwrap(), |open| !*open).unwrap());
        }
    }

    #[tokio::test]
    async fn guests_that_hold_every_thread_of_theirs_hold_no_other() {
        let (threads, gate) = (Arc::new(Threads::start().unwrap()), Arc::new(Gate::default()));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let guests: Vec<_> = (0..=cores)
            .map(|_| {
                let (threads, gate) = (Arc::clone(&threads), Arc::clone(&gate));
                tokio::spawn(async move { threads.execute(async move { gate.hold() }).await })
            })
            .collect();
        // This thread is the only one of its runtime: its timers and tasks would not go on either.
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(tokio::spawn(async { 7 }).await.unwrap(), 7);
        assert!(guests.iter().all(|guest| !guest.is_finished()));
        gate.open();
        for guest in guests {
            assert_eq!(guest.await.unwrap(), Some(()));
        }
    }

    #[tokio::test]
    async fn what_a_guest_waits_for_is_served_by_those_who_run_it() {
        let threads = Threads::start().unwrap();
        let name = threads.execute(async {
            // The threads of guests have neither timers nor sockets: one that was made for them would panic here.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            drop(server);
            let theirs = tokio::spawn(async { std::thread::current().name().map(str::to_owned) }).await.unwrap();
            (std::thread::current().name().map(str::to_owned), theirs)
        });
        let (guest, task) = name.await.unwrap();
        assert!(guest.as_deref().is_some_and(|name| name.starts_with("guest-")), "{guest:?}");
        assert!(!task.as_deref().is_some_and(|name| name.starts_with("guest-")), "{task:?}");
    }

    #[tokio::test]
    async fn a_guest_that_nobody_waits_for_any_more_is_dropped_and_one_that_panics_is_none() {
        struct Told(Option<tokio::sync::oneshot::Sender<()>>);

        impl Drop for Told {
            fn drop(&mut self) {
                // As calls do that go back: in a task of those who ran the guest.
                let told = self.0.take().unwrap();
                tokio::spawn(async move { told.send(()) });
            }
        }

        let threads = Threads::start().unwrap();
        let (told, hears) = tokio::sync::oneshot::channel();
        let guest = threads.execute(async move {
            let _told = Told(Some(told));
            std::future::pending::<()>().await;
        });
        assert!(tokio::time::timeout(Duration::from_millis(5), guest).await.is_err());
        hears.await.unwrap();
        assert_eq!(threads.execute(async { panic!("on purpose") }).await, None::<()>);
    }
}
