//! Requests, permits and a raw HTTP server for the tests of providers. The server sends the very bytes that a test gives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agentry_abi::bindings::agentry::agent::llm::{
    Class, Message, OutputForm, Part, Privacy, Request, Response, Role, ToolChoice,
};
use agentry_config::reader::Document;
use agentry_kernel::call::{Call, CallId, Class as CallClass, Completion, RunId};
use agentry_kernel::kernel::{Answer, Kernel, Start};
use agentry_kernel::manifest::Manifest;
use agentry_kernel::model::{Model, Price};
use agentry_kernel::policy::{Policy, Source};
use agentry_kernel::{Digest, Millis, Permit};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Models;
use crate::config::ModelsConfig;
use crate::prices::Lists;

/// The models of a file that has no other sections.
pub(crate) fn open(text: &str) -> Models {
    Models::open(&parsed(text), &[], None).unwrap()
}

/// What it says of them.
pub(crate) fn parsed(text: &str) -> ModelsConfig {
    let file = Document { file: "agentry.toml", text };
    file.read(|root| crate::config::parse(root, &Lists::default())).unwrap()
}

/// One question, all else as it is by default.
pub(crate) fn asks(question: &str) -> Request {
    Request {
        model: "default".to_owned(),
        messages: vec![says(Role::User, question)],
        tools: Vec::new(),
        tool_choice: ToolChoice::Automatic,
        output: OutputForm::Text,
        max_output_tokens: None,
        temperature: None,
        top_p: None,
        seed: None,
        stop: Vec::new(),
        effort: None,
        class: Class::Normal,
        privacy: Privacy::Any,
        deadline_ms: None,
        max_cost_microusd: None,
    }
}

/// One turn.
pub(crate) fn says(role: Role, text: &str) -> Message {
    Message { role, parts: vec![Part::Text(text.to_owned())], cache: false }
}

/// All text of an answer.
pub(crate) fn text_of(response: &Response) -> String {
    let text = |part: &Part| if let Part::Text(text) = part { Some(text.clone()) } else { None };
    response.parts.iter().filter_map(text).collect()
}

/// A permit for an answer of so many tokens, from a real kernel.
pub(crate) fn permit(output_tokens_max: u64) -> Permit {
    permit_retrying(output_tokens_max, 0)
}

/// The same, for a call that may be made again so often.
pub(crate) fn permit_retrying(output_tokens_max: u64, retries: u64) -> Permit {
    let text = format!(
        "format = 1\nlayer = \"grant\"\nagent = \"asker\"\nllm = {{ models = [\"*\"], retries = {retries} }}\n"
    );
    let policy = Policy::parse(&[Source { file: "50-asker.toml", text: &text }], Digest::default()).expect("a grant");
    let model = Model {
        alias: "small".to_owned(),
        price: Some(Price::default()),
        context_tokens: 1_000_000_000,
        output_tokens_max: 1_000_000,
        slots: 1,
        local: false,
    };
    let mut kernel = Kernel::new(Arc::new(policy), vec![model], Vec::new());
    let manifest: Manifest = serde_json::from_value(serde_json::json!({
        "format": 1, "name": "acme:asker", "version": "1.0.0", "wit": "0.1.0",
        "wants": {"llm": {"models": ["*"], "why": "it asks"}},
    }))
    .expect("a manifest");
    let (run, now) = (RunId(1), Millis(0));
    let start = Start { agent: "asker".to_owned(), manifest: Arc::new(manifest), signer: None };
    kernel.start(run, &start, now).0.expect("a grant covers it");
    let call = Call::LlmComplete(Completion {
        model: "small".to_owned(),
        messages: Vec::new(),
        settings: Digest::default(),
        input_tokens_max: 10,
        output_tokens_max: Some(output_tokens_max),
        class: CallClass::Normal,
        local_only: false,
        microusd_max: None,
    });
    match kernel.admit(run, CallId(1), &call, now).0 {
        Answer::Permit(permit) => permit,
        other => panic!("{other:?}"),
    }
}

/// What a server does on a connection, once it has read a request.
#[derive(Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Nothing more, until the other side goes.
    Hang,
    /// The next request on the same connection.
    Again,
}

/// A server on loopback.
pub(crate) struct Server {
    pub(crate) url: String,
    /// Requests, head and body, in the order of their end.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    pub(crate) connections: Arc<AtomicUsize>,
    /// Connections that the other side has closed.
    pub(crate) left: Arc<AtomicUsize>,
}

impl Server {
    /// Serves each connection with these steps.
    pub(crate) async fn start(steps: Vec<Step>) -> Self {
        Self::at("127.0.0.1:0", steps).await
    }

    /// The same, at this address.
    pub(crate) async fn at(address: &str, steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            requests: Arc::default(),
            connections: Arc::default(),
            left: Arc::default(),
        };
        let (requests, connections, left) =
            (Arc::clone(&server.requests), Arc::clone(&server.connections), Arc::clone(&server.left));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (steps, requests, left) = (steps.clone(), Arc::clone(&requests), Arc::clone(&left));
                tokio::spawn(async move {
                    serve(stream, steps, &requests).await;
                    left.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        server
    }
}

async fn serve(mut stream: TcpStream, steps: Vec<Step>, requests: &Mutex<Vec<String>>) {
    let Some(request) = read(&mut stream).await else { return };
    requests.lock().push(request);
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Hang => while matches!(stream.read(&mut [0; 64]).await, Ok(1..)) {},
            Step::Again => {
                let Some(request) = read(&mut stream).await else { return };
                requests.lock().push(request);
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
    }
}

/// An answer's head and these events, then the end of the connection.
pub(crate) fn events(data: &[&str]) -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_vec();
    data.iter().for_each(|data| answer.extend_from_slice(format!("data: {data}\n\n").as_bytes()));
    answer
}

/// A whole answer of another status.
pub(crate) fn status(line: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {line}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}
