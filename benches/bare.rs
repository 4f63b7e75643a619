//! The limit: the same component on the same engine, with host functions that do nothing. No gate, no journal, no kernel.

use agentry_engine::settings::{self, Shape};
use agentry_store::limits::SLICE_FUEL;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Instance, Module, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// What a bare guest holds.
pub struct Bare {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Bare {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

mod table {
    #![allow(missing_docs, clippy::all, reason = "generated from wit/, where the documentation stands")]
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "agent",
        imports: { default: trappable },
        exports: { default: async | store },
    });
}

impl table::agentry::agent::types::Host for Bare {}

impl table::agentry::agent::timers::Host for Bare {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(42)
    }

    fn sleep(
        &mut self,
        _: u64,
    ) -> wasmtime::Result<wasmtime::component::FutureReader<Result<(), table::agentry::agent::types::Error>>> {
        Err(wasmtime::format_err!("not measured"))
    }

    fn deadline(&mut self) -> wasmtime::Result<Option<u64>> {
        Ok(None)
    }
}

/// A component, linked once for all its instances.
pub struct Linked {
    engine: Engine,
    agent: table::AgentPre<Bare>,
}

impl Linked {
    /// Links it on an engine with Agentry's own settings; calls that are not measured trap.
    pub fn new(component: &[u8]) -> Self {
        let engine = Engine::new(&pooling()).expect("the engine starts");
        let component = Component::new(&engine, component).expect("our own guest compiles");
        let mut linker = Linker::<Bare>::new(&engine);
        linker.allow_shadowing(true);
        linker.define_unknown_imports_as_traps(&component).expect("its imports can be defined");
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("WASI links");
        type Own = wasmtime::component::HasSelf<Bare>;
        table::agentry::agent::types::add_to_linker::<_, Own>(&mut linker, |bare| bare).expect("types link");
        table::agentry::agent::timers::add_to_linker::<_, Own>(&mut linker, |bare| bare).expect("timers link");
        let agent = linker.instantiate_pre(&component).and_then(table::AgentPre::new).expect("it is an agent");
        Self { engine, agent }
    }

    /// Store, instantiate, call, drop.
    pub async fn run(&self, input: &str) {
        let bare = Bare { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, bare);
        store.set_fuel(u64::MAX).expect("fuel is on");
        sliced(&mut store);
        let agent = self.agent.instantiate_async(&mut store).await.expect("it instantiates");
        let input = input.to_owned();
        let output = store.run_concurrent(async |accessor| agent.call_run(accessor, input).await).await;
        output.expect("it runs").expect("it runs").expect("it succeeds");
    }
}

/// The smallest component that does the same: one export, one call out, nothing else. What the engine itself takes.
pub struct Smallest {
    engine: Engine,
    linked: wasmtime::component::InstancePre<()>,
}

const SMALLEST: &str = r#"(component
  (import "now" (func $now (result u64)))
  (core func $lowered (canon lower (func $now)))
  (core module $m
    (import "host" "now" (func $now (result i64)))
    (memory (export "memory") 1)
    (func (export "run") (result i64) call $now))
  (core instance $host (export "now" (func $lowered)))
  (core instance $i (instantiate $m (with "host" (instance $host))))
  (func (export "run") (result u64) (canon lift (core func $i "run"))))"#;

impl Smallest {
    /// Links it on an engine with Agentry's own settings.
    pub fn new() -> Self {
        let engine = Engine::new(&pooling()).expect("the engine starts");
        let component = Component::new(&engine, wat::parse_str(SMALLEST).expect("it is well formed"));
        let mut linker = Linker::new(&engine);
        linker.root().func_wrap("now", |_, (): ()| Ok((42u64,))).expect("it links");
        let linked = linker.instantiate_pre(&component.expect("it compiles")).expect("it links");
        Self { engine, linked }
    }

    /// Store, instantiate, call, drop.
    pub async fn run(&self) {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(u64::MAX).expect("fuel is on");
        sliced(&mut store);
        let instance = self.linked.instantiate_async(&mut store).await.expect("it instantiates");
        let run = instance.get_typed_func::<(), (u64,)>(&mut store, "run").expect("it exports run");
        run.call_async(&mut store, ()).await.expect("it runs");
    }
}

impl Default for Smallest {
    fn default() -> Self {
        Self::new()
    }
}

/// Slices of a guest as a run has them.
fn sliced<T: Send>(store: &mut Store<T>) {
    store.fuel_async_yield_interval(Some(SLICE_FUEL)).expect("fuel is on");
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
}

/// A function that computes and calls nobody.
pub struct Loop {
    engine: Engine,
    module: Module,
}

const LOOP: &str = r#"(module (func (export "run") (param $turns i64) (result i64) (local $sum i64)
  (loop $again
    (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 31)) (local.get $turns)))
    (local.set $turns (i64.sub (local.get $turns) (i64.const 1)))
    (br_if $again (i64.ne (local.get $turns) (i64.const 0))))
  (local.get $sum)))"#;

impl Loop {
    /// Compiled as a guest is; without `ticks`, its slices are bounded by fuel alone.
    pub fn new(ticks: bool) -> Self {
        let mut config = settings::compiling(Shape::Fast);
        let engine = Engine::new(config.epoch_interruption(ticks)).expect("the engine starts");
        let module = Module::new(&engine, wat::parse_str(LOOP).expect("it is well formed")).expect("it compiles");
        Self { engine, module }
    }

    /// So many turns.
    pub async fn run(&self, turns: i64) {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(u64::MAX).expect("fuel is on");
        sliced(&mut store);
        let instance = Instance::new_async(&mut store, &self.module, &[]).await.expect("it instantiates");
        let run = instance.get_typed_func::<i64, i64>(&mut store, "run").expect("it exports run");
        std::hint::black_box(run.call_async(&mut store, turns).await.expect("it runs"));
    }
}

/// The settings of a host as it is unless its file says otherwise.
fn pooling() -> wasmtime::Config {
    settings::hosting(Shape::Fast, Shape::Fast.runs_max()).expect("there is address space")
}
