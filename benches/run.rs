//! A run from nothing to its report, beside what the engine alone takes for the same component.

use std::time::{Duration, Instant};

use agentry_benches::bare::{Linked, Loop, Smallest};
use agentry_benches::{ROUNDS, agent, home, line, median, open, run, server};

const INSTANCES: u32 = 2_000;
const RUNS: u32 = 200;
const TURNS: i64 = 10_000_000;

#[tokio::main]
async fn main() {
    let component = std::fs::read(agent()).expect("the component can be read");
    let loops = [false, true].map(Loop::new);
    let (smallest, linked) = (Smallest::new(), Linked::new(&component));
    let address = server::serve(Duration::ZERO).await.expect("loopback has a port");
    let home = home(address);
    let host = open(home.path()).await;
    run(&host, 1, 0).await;

    let (mut floor, mut bare, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let mut computing = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        floor.push(each(INSTANCES, async || smallest.run().await).await);
        bare.push(each(INSTANCES, async || linked.run(r#"{"calls": 1, "asks": 0}"#).await).await);
        for (looped, times) in loops.iter().zip(&mut computing) {
            times.push(each(1, async || looped.run(TURNS).await).await);
        }
        whole.push(each(RUNS, async || drop(run(&host, 1, 0).await)).await);
    }
    let (floor, bare, whole) = (median(floor), median(bare), median(whole));
    let published = Duration::from_nanos(3_500);
    line("smallest component: store, instantiate, call, drop", floor, "published figure, tuned pooling", published);
    line("Rust agent with WASI: the same", bare, "smallest component", floor);
    let [by_fuel, by_ticks] = computing.map(median);
    line("ten million turns of a loop, slices by fuel and ticks", by_ticks, "by fuel alone", by_fuel);
    line("Agentry: a whole run, journal durable at its end", whole, "Rust agent with WASI", bare);
}

async fn each(times: u32, work: impl AsyncFn()) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        work().await;
    }
    start.elapsed() / times
}
