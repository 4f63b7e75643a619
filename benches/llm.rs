//! Model calls through Agentry beside the same requests by reqwest alone: added latency, and calls a second.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use agentry_benches::{ROUNDS, home, line, median, open, run, server};
use agentry_runtime::host::Host;
use futures::future::join_all;

const DELAY: Duration = Duration::from_millis(20);

fn main() {
    let elsewhere = runtime();
    let at_once = elsewhere.block_on(server::serve(Duration::ZERO)).expect("loopback has a port");
    let later = elsewhere.block_on(server::serve(DELAY)).expect("loopback has a port");
    // `cargo bench … --bench llm -- 1000` looks at so many runs alone.
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    runtime().block_on(async {
        if asked.is_empty() {
            latency(at_once).await;
        }
        for runs in if asked.is_empty() { vec![1, 100, 1000] } else { asked } {
            throughput(later, runs).await;
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started")
}

async fn latency(server: SocketAddr) {
    const ASKS: u32 = 300;
    let home = home(server);
    let host = open(home.path()).await;
    let client = client();
    run(&host, 0, 10).await;
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..ASKS {
            ask(&client, server).await;
        }
        direct.push(start.elapsed() / ASKS);
        let start = Instant::now();
        run(&host, 0, ASKS).await;
        through.push(start.elapsed() / ASKS);
    }
    let (direct, through) = (median(direct), median(through));
    line("one model call by reqwest", direct, "published figure, loopback", Duration::from_micros(27));
    line("one model call by an agent, intent durable", through, "by reqwest", direct);
    line("what Agentry adds", through.saturating_sub(direct), "its target", Duration::from_micros(500));
}

/// Calls a second of so many runs at once, each asking again when it has its answer.
async fn throughput(server: SocketAddr, runs: usize) {
    let asks: u32 = if runs == 1 { 50 } else { 20 };
    let home = home(server);
    let host = open(home.path()).await;
    let client = client();
    join_all((0..runs).map(|_| run(&host, 0, 1))).await;
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        direct.push(directly(&client, server, runs, asks).await);
        through.push(by_agents(&host, runs, asks).await);
    }
    let calls = runs as f64 * f64::from(asks);
    let (direct, through) = (calls / median(direct).as_secs_f64(), calls / median(through).as_secs_f64());
    let part = through / direct * 100.0;
    println!("{runs:>5} runs: {through:>8.0} calls/s by agents   {direct:>8.0} calls/s by reqwest   {part:.0} %");
}

async fn directly(client: &reqwest::Client, server: SocketAddr, tasks: usize, asks: u32) -> Duration {
    let start = Instant::now();
    let tasks = (0..tasks).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            for _ in 0..asks {
                ask(&client, server).await;
            }
        })
    });
    join_all(tasks).await;
    start.elapsed()
}

async fn by_agents(host: &Host, runs: usize, asks: u32) -> Duration {
    let start = Instant::now();
    join_all((0..runs).map(|_| run(host, 0, asks))).await;
    start.elapsed()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().tcp_nodelay(true).build().expect("the client can be made")
}

async fn ask(client: &reqwest::Client, server: SocketAddr) {
    let body = serde_json::json!({
        "model": "loopback", "stream": true, "max_tokens": 8, "stream_options": { "include_usage": true },
        "messages": [{ "role": "user", "content": "Say ok." }],
    });
    let reply = client.post(format!("http://{server}/v1/chat/completions")).json(&body).send().await;
    let text = reply.expect("the server answers").text().await.expect("the server answers");
    assert!(text.ends_with("[DONE]\n\n"), "the answer is whole");
}
