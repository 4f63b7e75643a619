//! The end of a guest that gave nothing, as plain data: what the engine says of it. Words for people are made of that on the other side.

use agentry_abi::port::How;
use agentry_store::limits::HOSTCALL_MAX_BYTES;
use wasmtime::Trap;

use crate::guest::Overdue;

/// What the engine ended it for. `memory_max` is its limit, if it wanted more memory than that.
pub(super) fn of(error: &wasmtime::Error, memory_max: Option<u64>) -> How {
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return How::Exit(exit.0);
    }
    match (error.downcast_ref::<Trap>(), memory_max) {
        (Some(Trap::OutOfFuel), _) => How::OutOfFuel,
        // A program that gets no memory panics, aborts or reads from nowhere, as it likes.
        (Some(_), Some(memory_max)) => How::OutOfMemory(memory_max),
        (Some(Trap::StackOverflow), None) => How::StackOverflow,
        (Some(Trap::MemoryOutOfBounds), None) => How::OutOfBounds,
        (Some(Trap::UnreachableCodeReached), None) => How::Unreachable,
        (Some(trap), None) => How::Trap(trap.to_string()),
        (None, _) if error.is::<wasmtime::PoolConcurrencyLimitError>() => How::NoRoom,
        (None, _) => of_engine(&error.root_cause().to_string(), memory_max),
    }
}

/// What the engine says in words alone. Its words for our limits do not name them.
fn of_engine(why: &str, memory_max: Option<u64>) -> How {
    match memory_max {
        // It needs more from its beginning.
        Some(memory_max) if why.contains("exceeds memory limits") => How::OutOfMemory(memory_max),
        _ if why.contains("fuel allocated for hostcalls") => {
            let max_mib = HOSTCALL_MAX_BYTES >> 20;
            How::Engine(format!("it hands more than {max_mib} MiB to the host at once, as the host would hold it"))
        }
        _ => How::Engine(why.lines().next().unwrap_or_default().to_owned()),
    }
}

/// True if it went on calling after its time was over.
pub(super) fn is_overdue(error: &wasmtime::Error) -> bool {
    error.is::<Overdue>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trapped(trap: Trap, memory_max: Option<u64>) -> How {
        of(&wasmtime::Error::from(trap), memory_max)
    }

    #[test]
    fn each_way_to_break_is_told_from_the_others() {
        assert_eq!(trapped(Trap::OutOfFuel, Some(1)), How::OutOfFuel);
        assert_eq!(trapped(Trap::StackOverflow, None), How::StackOverflow);
        assert_eq!(trapped(Trap::MemoryOutOfBounds, None), How::OutOfBounds);
        assert_eq!(trapped(Trap::UnreachableCodeReached, None), How::Unreachable);
        assert_eq!(trapped(Trap::UnreachableCodeReached, Some(64 << 20)), How::OutOfMemory(64 << 20));
        assert_eq!(of(&wasmtime::Error::msg("first\nsecond"), None), How::Engine("first".to_owned()));
        let told = |why: &'static str| of(&wasmtime::Error::msg(why), Some(64 << 20));
        let first = told("memory minimum size of 4096 pages exceeds memory limits");
        assert_eq!(first, How::OutOfMemory(64 << 20), "what it needs from its beginning is its memory, too");
        let copied = told("too much data is being copied: fuel allocated for hostcalls has been exhausted");
        assert!(matches!(copied, How::Engine(why) if why.contains("more than 16 MiB to the host at once")));
        assert!(is_overdue(&Overdue.into()) && !is_overdue(&Trap::OutOfFuel.into()));
    }
}
