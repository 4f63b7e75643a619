//! How wasmtime is set: which WebAssembly there is, what an instance may take, where it lives. Every number is in `limits`.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use agentry_kernel::Digest;
use agentry_kernel::limits::MEMORY_MAX_BYTES;
use agentry_store::limits::{
    INSTANCES_MAX, MEMORIES_MAX, RUNS_DENSE_MAX, RUNS_MAX, STACK_BYTES, STACK_WASM_BYTES, TABLE_ELEMENTS_MAX,
    TABLES_MAX,
};
use sha2::{Digest as _, Sha256};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails, WasmFeatures,
};

use super::dense::{Memories, Slab, Stacks};
use super::package::Parts;

/// The engine's version, as the workspace pins it.
pub const VERSION: &str = "48.0.8";

/// How instances live side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Each in places of a pool that stay warm, behind guard pages: begins in microseconds, for up to [`RUNS_MAX`].
    #[default]
    Fast,
    /// Each in as little memory as it touches, without guard pages: compiled code checks its bounds, for up to [`RUNS_DENSE_MAX`].
    Dense,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 2] = [Self::Fast, Self::Dense];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Dense => "dense",
        }
    }

    /// The shape of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.word() == word)
    }

    /// The most runs that a host of this shape has at once.
    pub fn runs_max(self) -> u32 {
        match self {
            Self::Fast => RUNS_MAX,
            Self::Dense => RUNS_DENSE_MAX,
        }
    }
}

/// Settings that compiled code depends on: the same for the child that compiles and for the host.
pub fn compiling(shape: Shape) -> Config {
    let off = WasmFeatures::THREADS | WasmFeatures::EXCEPTIONS | WasmFeatures::GC | WasmFeatures::FUNCTION_REFERENCES;
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .wasm_memory64(false)
        // Wasmtime's own adapters between the parts of a composed component have two memories. Modules of a guest that have are refused
        // by the structural gate.
        .wasm_multi_memory(true)
        .wasm_relaxed_simd(false)
        .wasm_features(off, false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .max_wasm_stack(STACK_WASM_BYTES)
        .async_stack_size(STACK_BYTES)
        // What a stranger's stack held is not the next one's to read.
        .async_stack_zeroing(true);
    if shape == Shape::Dense {
        config.memory_reservation(0).memory_guard_size(0).memory_may_move(false).memory_init_cow(false);
    }
    config
}

/// The same, with the places that so many runs live in: it reserves address space at once and touches it when it is used.
///
/// # Errors
/// If the system does not give so much address space.
pub fn hosting(shape: Shape, runs: u32) -> std::io::Result<Config> {
    let mut config = compiling(shape);
    match shape {
        Shape::Fast => config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(runs))),
        Shape::Dense => {
            let runs = usize::try_from(runs).unwrap_or(usize::MAX);
            let memory_bytes = usize::try_from(MEMORY_MAX_BYTES).unwrap_or(usize::MAX);
            // As many as a pool has.
            let memories =
                Slab::reserve(runs.saturating_add(runs / 4).saturating_add(wide_places(runs)), memory_bytes)?;
            let stacks = Slab::reserve(runs.saturating_mul(2), STACK_BYTES)?;
            config.with_host_memory(Arc::new(Memories(memories))).with_host_stack(Arc::new(Stacks(stacks)))
        }
    };
    Ok(config)
}

/// Core instances of a place: a run has one place, and as many more as it has parts for, which come out of a room of their own.
const PLACE_INSTANCES: u32 = 8;

/// Tables of a place.
const PLACE_TABLES: u32 = 4;

/// How many places a run with these parts takes beside those of others: none, if it has room where every run has.
pub fn wide_places_of(parts: Parts) -> u32 {
    // Five memories have room in four places.
    let memories = parts.memories.saturating_mul(4).div_ceil(5);
    let places = parts.instances.div_ceil(PLACE_INSTANCES).max(parts.tables.div_ceil(PLACE_TABLES)).max(memories);
    if places <= 1 { 0 } else { places.min(WIDE_PLACES_MIN) }
}

/// The places that runs with many parts have together, on a host of so many runs: as many as all others, up to [`RUNS_MAX`], and those of one with
/// the most at least.
pub fn wide_places(runs: usize) -> usize {
    runs.clamp(WIDE_PLACES_MIN as usize, RUNS_MAX as usize)
}

/// What a run with as many parts as one may have takes.
const WIDE_PLACES_MIN: u32 = capped(INSTANCES_MAX).div_ceil(PLACE_INSTANCES);

const _: () =
    assert!(capped(TABLES_MAX).div_ceil(PLACE_TABLES) <= WIDE_PLACES_MIN && capped(MEMORIES_MAX) <= WIDE_PLACES_MIN);

fn pool(runs: u32) -> PoolingAllocationConfig {
    let runs = runs.min(mappings_max() / MAPPINGS_PER_RUN);
    let wide = runs.clamp(WIDE_PLACES_MIN, RUNS_MAX);
    let places = runs.saturating_add(wide);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(runs)
        // The engine adds modules of its own between parts that call each other: fewer than there are instances, which they come between.
        .total_core_instances(places.saturating_mul(PLACE_INSTANCES).saturating_mul(2))
        .total_memories(runs.saturating_add(runs / 4).saturating_add(wide).saturating_add(wide / 4))
        .total_tables(places.saturating_mul(PLACE_TABLES))
        .total_stacks(runs.saturating_mul(2))
        .max_memory_size(usize::try_from(MEMORY_MAX_BYTES).unwrap_or(usize::MAX))
        .max_component_instance_size(4 * 1024 * 1024)
        .max_core_instance_size(4 * 1024 * 1024)
        .max_core_instances_per_component(capped(INSTANCES_MAX))
        .max_memories_per_component(capped(MEMORIES_MAX))
        .max_tables_per_component(capped(TABLES_MAX))
        .max_tables_per_module(capped(TABLES_MAX))
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(1024 * 1024)
        .table_keep_resident(64 * 1024)
        .async_stack_keep_resident(16 * 1024)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Two stacks with their guards, a memory in up to three pieces and its guard, tables, code; and as much for its share of the runs with many parts.
const MAPPINGS_PER_RUN: u32 = 32;

const fn capped(number: usize) -> u32 {
    if number > u32::MAX as usize { u32::MAX } else { number as u32 }
}

/// How many mappings the system lets a process have before it aborts it.
fn mappings_max() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(65_530)
}

/// The name of all that compiled code depends on: version, settings, processor features.
pub fn digest(engine: &wasmtime::Engine) -> Digest {
    let mut hasher = Sha(Sha256::new());
    VERSION.hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Digest(hasher.0.finalize().into())
}

/// SHA-256 as a `Hasher`, because the standard one may change with the compiler.
struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("only the whole digest is read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_the_child_fits_the_host() {
        let digests = Shape::ALL.map(|shape| {
            let child = wasmtime::Engine::new(&compiling(shape)).unwrap();
            let host = wasmtime::Engine::new(&hosting(shape, 100).unwrap()).unwrap();
            assert_eq!(digest(&child), digest(&host), "{shape:?}");
            digest(&host)
        });
        assert_ne!(digests[0], digests[1], "code of one shape is not the other's");
    }

    #[test]
    fn the_named_version_is_the_one_that_is_linked() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{VERSION}\"")));
    }
}
