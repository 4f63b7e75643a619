//! What is made once of each component for all who want it at the same time, and kept of as many components as are loaded. It makes nothing itself.

use std::collections::HashMap;
use std::sync::Arc;

use agentry_kernel::Digest;
use agentry_store::limits::COMPONENTS_LOADED_MAX;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

/// What was made, by component.
#[derive(Debug)]
pub struct SingleFlight<T> {
    /// Each is empty while it is made.
    cells: Mutex<HashMap<Digest, Arc<OnceCell<T>>>>,
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self { cells: Mutex::default() }
    }
}

impl<T: Clone> SingleFlight<T> {
    /// What was made of this component; none if it was not, or if it was long ago.
    pub fn get(&self, component: Digest) -> Option<T> {
        self.cells.lock().get(&component).and_then(|cell| cell.get().cloned())
    }

    /// The same, or it is made now; whoever wants it meanwhile waits for that, and makes it if that comes to nothing.
    ///
    /// # Errors
    /// Those of `make`. Nothing is kept then.
    pub async fn get_or_make<E, F: Future<Output = Result<T, E>>>(
        &self,
        component: Digest,
        make: impl FnOnce() -> F,
    ) -> Result<T, E> {
        let made = self.cell(component).get_or_try_init(make).await.cloned();
        if made.is_err() {
            // It takes no place of one that is there.
            self.cells.lock().retain(|of, cell| *of != component || cell.initialized());
        }
        made
    }

    fn cell(&self, component: Digest) -> Arc<OnceCell<T>> {
        let mut cells = self.cells.lock();
        if cells.len() >= COMPONENTS_LOADED_MAX
            && !cells.contains_key(&component)
            // Which one goes matters little: it is made again out of the cache in milliseconds, and runs hold theirs.
            && let Some(victim) = cells.keys().next().copied()
        {
            cells.remove(&victim);
        }
        Arc::clone(cells.entry(component).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn who_wants_it_at_once_waits_for_the_first_and_makes_it_where_that_fails() {
        let (flight, tries) = (SingleFlight::default(), AtomicUsize::new(0));
        let make = || async {
            let earlier = tries.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if earlier == 0 { Err(earlier) } else { Ok(earlier) }
        };
        let of = Digest([1; 32]);
        let all =
            tokio::join!(flight.get_or_make(of, make), flight.get_or_make(of, make), flight.get_or_make(of, make));
        assert_eq!(all, (Err(0), Ok(1), Ok(1)));
    }

    #[tokio::test]
    async fn what_fails_is_not_kept_and_what_is_kept_is_bounded() {
        let flight = SingleFlight::default();
        let of = |number: usize| Digest([u8::try_from(number).unwrap(); 32]);
        for number in 0..COMPONENTS_LOADED_MAX * 2 {
            assert_eq!(flight.get_or_make(of(number), || async { Ok::<_, ()>(number) }).await, Ok(number));
            assert_eq!(flight.get(of(number)), Some(number));
        }
        assert_eq!(flight.cells.lock().len(), COMPONENTS_LOADED_MAX);
        let none = Digest([0xff; 32]);
        assert_eq!(flight.get_or_make(none, || async { Err("no") }).await, Err("no"));
        assert!(!flight.cells.lock().contains_key(&none));
    }
}
