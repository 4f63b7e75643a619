//! Makes as many syscalls, writes to memory and asks the default model as often as it is told, one after the other, and waits at last.
//! Justification: what the benchmarks run; the test here keeps them honest about what a call is.

use std::time::Duration;

use agentry::Failure;
use agentry::llm::Request;
use agentry::memory::namespace;

#[derive(serde::Deserialize)]
struct Input {
    calls: u32,
    asks: u32,
    #[serde(default)]
    puts: u32,
    #[serde(default)]
    sleep_ms: u64,
    /// Of what it writes.
    #[serde(default)]
    name: String,
}

#[agentry::agent]
async fn run(input: Input) -> Result<u32, Failure> {
    for _ in 0..input.calls {
        std::hint::black_box(agentry::timers::now());
    }
    for _ in 0..input.asks {
        Request::new().user("Say ok.").max_tokens(8).complete().await?;
    }
    let board = namespace("team/board");
    for _ in 0..input.puts {
        board.put_text(&input.name, "As long as a record of a log that is measured beside it, more or less.")?;
    }
    if input.sleep_ms > 0 {
        agentry::timers::sleep(Duration::from_millis(input.sleep_ms)).await?;
    }
    Ok(input.calls + input.asks + input.puts)
}
