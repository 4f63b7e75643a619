//! A server on loopback that answers as it is told and remembers who asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `GET /path HTTP/1.1`
    pub line: String,
    /// Names in lowercase.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: String,
}

/// One such server. It ends with the test's process.
pub struct Site {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Asked {
    /// The path and what stands behind it.
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// A header by its name in lowercase.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Site {
    /// Starts one that writes what `answer` says, and closes.
    pub fn that(answer: impl Fn(&Asked, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", answer)
    }

    /// The same at an address of loopback.
    pub fn at(
        address: &str,
        answer: impl Fn(&Asked, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("loopback has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (heard, answer) = (Arc::clone(&heard), Arc::clone(&answer));
                thread::spawn(move || {
                    let request = read(&stream).unwrap_or_default();
                    heard.lock().expect("no test panics with it").push(request.clone());
                    // Whoever asked may have gone away: then there is nobody to tell.
                    let _ = answer(&request, &mut stream);
                });
            }
        });
        Self { port, asked }
    }

    /// Starts one that answers `200` with what it got, headers and body.
    pub fn echo() -> Self {
        Self::that(|asked, stream| {
            let headers: String = asked.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            say(stream, 200, &[], &format!("{}\n{headers}\n{}", asked.line, asked.body))
        })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// An address of it, by its number.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Every request that reached it.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics with it").clone()
    }
}

/// Writes a whole answer.
pub fn say(stream: &mut TcpStream, status: u16, headers: &[(&str, &str)], body: &str) -> std::io::Result<()> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut asked = Asked::default();
    reader.read_line(&mut asked.line).ok()?;
    asked.line = asked.line.trim().to_owned();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    asked.body = String::from_utf8_lossy(&body).into_owned();
    Some(asked)
}
