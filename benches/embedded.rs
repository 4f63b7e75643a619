//! How fast the model in this process reads and writes, through a whole run. `AGENTRY_EMBEDDED_GGUF` names its weights.

use agentry_benches::{agentry_home, ask, open};

#[tokio::main]
async fn main() {
    if std::env::var_os("AGENTRY_EMBEDDED_GGUF").is_none() {
        println!("AGENTRY_EMBEDDED_GGUF names no weights: nothing is measured");
        return;
    }
    let home = agentry_home("ask", "embedded");
    let host = open(home.path()).await;
    ask(&host, "hi", 1).await;
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(100);
    let reading = ask(&host, &long, 1).await;
    let writing = ask(&host, "Tell a long story about a fox.", 64).await;
    rate("read", reading.usage["embedded"].input_fresh, reading.duration_ms);
    rate("written", writing.usage["embedded"].output, writing.duration_ms);
}

fn rate(what: &str, tokens: u64, duration_ms: u64) {
    println!("{tokens} tokens {what} in {duration_ms} ms: {:.1} a second", tokens as f64 * 1e3 / duration_ms as f64);
}
