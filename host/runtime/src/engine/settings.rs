//! How wasmtime is set: which WebAssembly there is, what an instance may take, where it lives. Every number is in `limits`.

use std::hash::{Hash, Hasher};

use agentry_kernel::Digest;
use agentry_kernel::limits::MEMORY_MAX_BYTES;
use sha2::{Digest as _, Sha256};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails, WasmFeatures,
};

use crate::limits::{
    INSTANCES_MAX, MEMORIES_MAX, RUNS_MAX, STACK_BYTES, STACK_WASM_BYTES, TABLE_ELEMENTS_MAX, TABLES_MAX,
};

/// The engine's version, as the workspace pins it.
pub const VERSION: &str = "48.0.8";

/// Settings that compiled code depends on: the same for the child that compiles and for the host.
pub fn compiling() -> Config {
    let off = WasmFeatures::THREADS | WasmFeatures::EXCEPTIONS | WasmFeatures::GC | WasmFeatures::FUNCTION_REFERENCES;
    let mut config = Config::new();
    config
        .consume_fuel(true)
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
    config
}

/// The same, with a pool that instances live in: it reserves address space at once and touches it when it is used.
pub fn pooling() -> Config {
    let runs = RUNS_MAX.min(mappings_max() / MAPPINGS_PER_RUN);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(runs)
        .total_core_instances(runs.saturating_mul(8))
        .total_memories(runs.saturating_add(runs / 4))
        .total_tables(runs.saturating_mul(4))
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
    let mut config = compiling();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Two stacks with their guards, a memory in up to three pieces and its guard, tables, code.
const MAPPINGS_PER_RUN: u32 = 16;

fn capped(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
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
        let child = wasmtime::Engine::new(&compiling()).unwrap();
        let host = wasmtime::Engine::new(&pooling()).unwrap();
        assert_eq!(digest(&child), digest(&host));
    }

    #[test]
    fn the_named_version_is_the_one_that_is_linked() {
        let lock = include_str!("../../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{VERSION}\"")));
    }
}
