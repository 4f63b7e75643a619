//! A provider that misbehaves on purpose: a loopback server that does one thing to everyone who asks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What it does.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Says nothing, and keeps the line open.
    Hangs,
    /// Answers something that is not HTTP.
    Garbage,
    /// Begins a stream of these events and hangs up.
    Cuts(Vec<String>),
    /// Answers with this status, these headers and this body.
    Says(u16, &'static str, String),
    /// Streams these events to their end.
    Streams(Vec<String>),
    /// Does one after the other, a request each, and the last one from then on.
    InTurn(Vec<Behaviour>),
}

/// One such server. It ends with the test's process.
pub struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts one.
    pub fn that(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (behaviour, heard) = (behaviour.clone(), Arc::clone(&heard));
                thread::spawn(move || serve(stream, &behaviour, &heard));
            }
        });
        Self { port, asked }
    }

    /// A port on which nobody listens.
    pub fn down() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        listener.local_addr().expect("it is bound").port()
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every request that reached it, head and body.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics with it").clone()
    }
}

/// A piece of a streamed chat answer, as servers that speak OpenAI's chat protocol send it.
pub fn piece(text: &str) -> String {
    serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}).to_string()
}

/// The last pieces of a whole answer: why it ended, and what it took.
pub fn last(input: u64, output: u64) -> Vec<String> {
    let stop = serde_json::json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let usage = serde_json::json!({"choices": [], "usage":
        {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}});
    vec![stop.to_string(), usage.to_string(), "[DONE]".to_owned()]
}

fn serve(mut stream: TcpStream, behaviour: &Behaviour, heard: &Mutex<Vec<String>>) {
    let Some(request) = read_request(&stream) else { return };
    let number = {
        let mut heard = heard.lock().expect("no test panics with it");
        heard.push(request);
        heard.len()
    };
    act(&mut stream, behaviour, number);
}

fn act(stream: &mut TcpStream, behaviour: &Behaviour, number: usize) {
    // Whoever asked may have gone away: then there is nobody to tell.
    let _ = match behaviour {
        Behaviour::InTurn(all) => {
            if let Some(now) = all.get(number - 1).or(all.last()) {
                act(stream, now, 1);
            }
            Ok(())
        }
        Behaviour::Hangs => {
            thread::sleep(Duration::from_secs(600));
            Ok(())
        }
        Behaviour::Garbage => stream.write_all(b"\x00\x01\x02 this is not HTTP\r\n\r\n"),
        Behaviour::Says(status, headers, body) => {
            let head =
                format!("HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()))
        }
        Behaviour::Streams(events) => send_events(stream, events).and_then(|()| stream.write_all(b"0\r\n\r\n")),
        Behaviour::Cuts(events) => send_events(stream, events),
    };
}

fn send_events(stream: &mut TcpStream, events: &[String]) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")?;
    for event in events {
        let event = format!("data: {event}\n\n");
        write!(stream, "{:x}\r\n{event}\r\n", event.len())?;
        stream.flush()?;
    }
    Ok(())
}

fn read_request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    let mut length = 0;
    loop {
        let from = request.len();
        reader.read_line(&mut request).ok().filter(|read| *read > 0)?;
        let line = request[from..].trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.push_str(&String::from_utf8_lossy(&body));
    Some(request)
}
