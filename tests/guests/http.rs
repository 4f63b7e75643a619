//! Sends the requests that it is told to, one after another, and tells what came back.
//! Justification: the shortest way to the web, for every test about it.

use std::time::Duration;

use agentry::Failure;
use agentry::http::Request;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Input {
    requests: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    secret: Option<String>,
    timeout_ms: Option<u64>,
}

fn get() -> String {
    "GET".to_owned()
}

#[derive(Serialize, Default)]
struct Told {
    error: Option<String>,
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

#[agentry::agent]
async fn run(input: Input) -> Result<Vec<Told>, Failure> {
    let mut told = Vec::new();
    for wanted in input.requests {
        let mut request = Request::new(wanted.method, wanted.url).body(wanted.body);
        for (name, value) in wanted.headers {
            request = request.header(name, value);
        }
        if let Some(handle) = wanted.secret {
            request = request.secret(handle);
        }
        if let Some(ms) = wanted.timeout_ms {
            request = request.timeout(Duration::from_millis(ms));
        }
        told.push(match request.fetch().await {
            Ok(answer) => Told {
                error: None,
                status: answer.status,
                headers: answer.headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect(),
                body: answer.text(),
            },
            Err(error) => Told { error: Some(error.to_string()), ..Told::default() },
        });
    }
    Ok(told)
}
