//! Makes as many syscalls and asks the default model as often as it is told, one after the other.
//! Justification: what the benchmarks run; the test here keeps them honest about what a call is.

use agentry::Failure;
use agentry::llm::Request;

#[derive(serde::Deserialize)]
struct Input {
    calls: u32,
    asks: u32,
}

#[agentry::agent]
async fn run(input: Input) -> Result<u32, Failure> {
    for _ in 0..input.calls {
        std::hint::black_box(agentry::timers::now());
    }
    for _ in 0..input.asks {
        Request::new().user("Say ok.").max_tokens(8).complete().await?;
    }
    Ok(input.calls + input.asks)
}
