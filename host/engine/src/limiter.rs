//! What an instance may grow: memory as the kernel allowed it, tables and instances as the engine has room. It remembers a no, so that
//! the end of a run that could not live with it can be explained.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agentry_store::limits::{INSTANCES_MAX, MEMORIES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};
use wasmtime::ResourceLimiter;

/// The growth of one run.
#[derive(Debug)]
pub struct Limiter {
    memory_max: u64,
    memory: u64,
    shown: Arc<AtomicU64>,
    refused: bool,
}

impl Limiter {
    /// The memory is counted in `shown` too, for whoever looks at the run.
    pub fn new(memory_max: u64, shown: Arc<AtomicU64>) -> Self {
        Self { memory_max, memory: 0, shown, refused: false }
    }

    /// Bytes of all linear memories together; they never shrink.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// The limit in bytes, if the guest wanted more than that at least once.
    pub fn refused(&self) -> Option<u64> {
        self.refused.then_some(self.memory_max)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX);
        let grown = self.memory.saturating_add(more);
        let fits = grown <= self.memory_max && maximum.is_none_or(|maximum| desired <= maximum);
        if fits {
            self.memory = grown;
            self.shown.store(grown, Ordering::Relaxed);
        } else {
            self.refused = true;
        }
        Ok(fits)
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX && maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_counted_together() {
        let mut limiter = Limiter::new(100, Arc::default());
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert_eq!((limiter.memory(), limiter.refused()), (100, Some(100)));
        assert_eq!(limiter.shown.load(Ordering::Relaxed), 100);
    }
}
