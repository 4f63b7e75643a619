//! Where instances live in the dense shape: two ranges of address space, one for memories and one for stacks, cut into places of one size.
//!
//! Each range is one mapping, whatever the number of instances, because the system aborts a process that has some ten thousand of them; so
//! there are no guard pages between places, and compiled code checks every bound itself. A page is memory once it is touched, and is given
//! back when its place is.
#![allow(
    unsafe_code,
    reason = "addresses are handed to the engine here, and loaded code is in the cache; nowhere else is any"
)]

use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType, StackCreator, StackMemory};

/// A range of address space, cut into places.
pub(super) struct Slab {
    base: NonNull<u8>,
    place_bytes: usize,
    places: usize,
    free: Mutex<Free>,
}

// SAFETY: `base` is an address that stays what it is; who has a place is under the lock.
unsafe impl Send for Slab {}
// SAFETY: as above.
unsafe impl Sync for Slab {}

#[derive(Default)]
struct Free {
    /// Given back.
    back: Vec<usize>,
    /// Never given out from here on.
    fresh: usize,
}

impl Slab {
    /// Reserves so many places of this size, a whole number of pages. Nothing of it is memory yet.
    ///
    /// # Errors
    /// If the system does not give so much address space.
    pub(crate) fn reserve(places: usize, place_bytes: usize) -> io::Result<Arc<Self>> {
        let bytes = places.checked_mul(place_bytes).ok_or(io::ErrorKind::OutOfMemory)?;
        let (access, kind) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: a new mapping, where nothing is.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, access, kind) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Arc::new(Self { base, place_bytes, places, free: Mutex::default() }))
    }

    /// A place that is zero all over; none if all are taken.
    fn take(self: &Arc<Self>) -> Option<Place> {
        let mut free = self.free.lock();
        let number = free.back.pop().or_else(|| {
            let fresh = (free.fresh < self.places).then_some(free.fresh);
            free.fresh += usize::from(fresh.is_some());
            fresh
        })?;
        drop(free);
        Some(Place { slab: Arc::clone(self), number })
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and whoever has a place keeps the slab.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.places * self.place_bytes) };
    }
}

/// One place, until it is dropped.
struct Place {
    slab: Arc<Slab>,
    number: usize,
}

impl Place {
    fn base(&self) -> *mut u8 {
        // SAFETY: within the mapping, by the way numbers are given out.
        unsafe { self.slab.base.as_ptr().add(self.number * self.slab.place_bytes) }
    }

    fn bytes(&self) -> usize {
        self.slab.place_bytes
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let base = self.base().cast::<c_void>();
        // What was in it is nobody's to read: the pages go back, and the next one finds zeroes.
        // SAFETY: the place is whole pages of our mapping, and its instance is gone.
        let given_back = unsafe { madvise(base, self.bytes(), Advice::LinuxDontNeed) };
        if given_back.is_ok() {
            self.slab.free.lock().back.push(self.number);
        }
    }
}

/// Gives linear memories.
pub(super) struct Memories(pub Arc<Slab>);

struct Memory {
    place: Place,
    size: usize,
    most: usize,
}

// SAFETY: what is given out is ours until it is dropped, zero at first, as large as it says and where it says.
unsafe impl MemoryCreator for Memories {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let place = self.0.take().ok_or("this host runs as many agents as it can")?;
        let most = maximum.unwrap_or(usize::MAX).min(place.bytes());
        if reserved.is_some_and(|reserved| reserved > place.bytes()) || guard > 0 || minimum > most {
            return Err(format!("a memory of {minimum} bytes has no place here"));
        }
        Ok(Box::new(Memory { place, size: minimum, most }))
    }
}

// SAFETY: the place is readable and writable whole, and it does not move.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.size
    }

    fn byte_capacity(&self) -> usize {
        self.place.bytes()
    }

    fn grow_to(&mut self, size: usize) -> wasmtime::Result<()> {
        if size > self.most {
            return Err(wasmtime::format_err!("a memory of {size} bytes has no place here"));
        }
        self.size = self.size.max(size);
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.place.base()
    }
}

/// Gives stacks.
pub(super) struct Stacks(pub Arc<Slab>);

struct Stack(Place);

// SAFETY: as with memories.
unsafe impl StackCreator for Stacks {
    fn new_stack(&self, size: usize, _zeroed: bool) -> wasmtime::Result<Box<dyn StackMemory>> {
        let place = self.0.take().filter(|place| size <= place.bytes());
        let place = place.ok_or_else(|| wasmtime::format_err!("this host runs as many agents as it can"))?;
        Ok(Box::new(Stack(place)))
    }
}

// SAFETY: the place is whole pages, readable and writable, and nobody else's.
unsafe impl StackMemory for Stack {
    fn top(&self) -> *mut u8 {
        // SAFETY: right behind the place, which lies in one mapping with it.
        unsafe { self.0.base().add(self.0.bytes()) }
    }

    fn range(&self) -> Range<usize> {
        let base = self.0.base().addr();
        base..base + self.0.bytes()
    }

    fn guard_range(&self) -> Range<*mut u8> {
        let base = self.0.base();
        base..base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: usize = 64 * 1024;

    #[test]
    fn a_place_is_given_out_once_and_comes_back_empty() {
        let slab = Slab::reserve(2, PLACE).unwrap();
        let (one, two) = (slab.take().unwrap(), slab.take().unwrap());
        assert_eq!(one.base().addr().abs_diff(two.base().addr()), PLACE);
        assert!(slab.take().is_none());
        let base = one.base();
        // SAFETY: the place is ours.
        unsafe { base.add(PLACE - 1).write(7) };
        drop(one);
        let again = slab.take().unwrap();
        assert_eq!(again.base(), base);
        // SAFETY: the place is ours.
        assert_eq!(unsafe { base.add(PLACE - 1).read() }, 0);
    }

    #[test]
    fn a_memory_grows_where_it_is_and_no_further_than_its_place() {
        let memories = Memories(Slab::reserve(1, PLACE * 2).unwrap());
        let of = MemoryType::new(1, None);
        let mut memory = memories.new_memory(of.clone(), PLACE, None, None, 0).unwrap();
        let base = memory.as_ptr();
        assert!(memory.grow_to(PLACE * 2).is_ok() && memory.grow_to(PLACE * 3).is_err());
        assert_eq!((memory.as_ptr(), memory.byte_size()), (base, PLACE * 2));
        assert!(memories.new_memory(of.clone(), PLACE, None, None, 0).is_err(), "it is taken");
        drop(memory);
        assert!(memories.new_memory(of.clone(), PLACE * 3, None, None, 0).is_err(), "it is too small");
        assert!(memories.new_memory(of, PLACE, None, None, 0).is_ok());
    }
}
