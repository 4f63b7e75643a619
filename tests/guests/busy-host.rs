//! Has the host work without end while its own instructions hardly count: it reads clocks, waits for nothing, or copies strings.
//! Justification: whoever burns no fuel must take no thread, and no time, from anybody else.

use std::time::{Duration, Instant};

use agentry::Failure;

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum With {
    Clock,
    Wait,
    Budget,
}

#[derive(serde::Deserialize)]
struct Input {
    with: With,
}

#[agentry::agent]
async fn run(input: Input) -> Result<(), Failure> {
    loop {
        match input.with {
            With::Clock => drop(std::hint::black_box(Instant::now())),
            With::Wait => std::thread::sleep(Duration::from_nanos(1)),
            With::Budget => drop(std::hint::black_box(agentry::budget::remaining())),
        }
    }
}
