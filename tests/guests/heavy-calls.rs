//! Calls with arguments of many megabytes as often as it can, each refused for its length.
//! Justification: calls burn no fuel, so neither a slice nor the fuel of a run ends this.

use agentry::Failure;

#[agentry::agent]
async fn run() -> Result<(), Failure> {
    let test = agentry::memory::namespace("agent/test");
    let megabytes = "x".repeat(8 << 20);
    loop {
        // The answer is `invalid`, at once.
        let _ = std::hint::black_box(test.get(&megabytes));
    }
}
