//! The way to the web against real servers on loopback that misbehave, and names that lie.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use futures::future::BoxFuture;

use super::*;

/// A server that does one thing to everyone who connects.
struct Server {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn that(act: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let (asked, act) = (Arc::new(AtomicUsize::new(0)), Arc::new(act));
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (heard, act) = (Arc::clone(&heard), Arc::clone(&act));
                thread::spawn(move || {
                    heard.fetch_add(1, Ordering::SeqCst);
                    let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
                    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                    act(&mut stream);
                });
            }
        });
        Self { port, asked }
    }

    fn says(answer: &'static [u8]) -> Self {
        Self::that(move |stream| drop(stream.write_all(answer)))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Says another address each time it is asked.
struct Turning(Vec<Vec<&'static str>>, AtomicUsize);

impl Resolver for Turning {
    fn resolve(&self, _host: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let turn = self.1.fetch_add(1, Ordering::SeqCst);
        let addresses = self.0[turn.min(self.0.len() - 1)].iter().map(|address| address.parse().expect("an address"));
        let addresses = addresses.collect();
        Box::pin(async move { Ok(addresses) })
    }
}

fn web(turns: &[&[&'static str]]) -> Web {
    let turns = turns.iter().map(|turn| turn.to_vec()).collect();
    Web::new(Arc::new(Turning(turns, AtomicUsize::new(0))))
}

fn loopback() -> Named {
    Named::new(["127.0.0.0/8".parse().expect("a network")])
}

async fn get(web: &Web, url: &str, named: &Named, timeout_ms: u64) -> Result<Incoming, Trouble> {
    get_body_of(BodyOf::Any, web, url, named, timeout_ms).await
}

async fn get_body_of(
    body_of: BodyOf,
    web: &Web,
    url: &str,
    named: &Named,
    timeout_ms: u64,
) -> Result<Incoming, Trouble> {
    let request = Outgoing {
        method: Method::GET,
        url: Url::parse(url).expect(url),
        headers: HeaderMap::new(),
        body: Vec::new(),
        timeout: Duration::from_millis(timeout_ms),
        answer_max_bytes: 100_000,
        body_of,
    };
    web.send(request, named, &CancellationToken::new()).await
}

fn named_server(server: &Server) -> String {
    format!("http://api.example.org:{}/", server.port)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";

#[tokio::test]
async fn an_address_that_is_named_is_dialled() {
    let server = Server::says(OK);
    let came = get(&web(&[&["127.0.0.1"]]), &named_server(&server), &loopback(), 5000).await.expect("an answer");
    assert_eq!((came.status, came.body.as_slice(), server.asked()), (200, &b"hello"[..], 1));
    assert_eq!(came.headers.get("x-a").map(|value| value.as_bytes()), Some(&b"b"[..]));
}

#[tokio::test]
async fn a_name_that_leads_to_a_place_that_is_not_public_is_not_dialled() {
    let server = Server::says(OK);
    for addresses in
        [&["127.0.0.1"][..], &["::ffff:127.0.0.1"], &["64:ff9b::7f00:1"], &["1.1.1.1", "127.0.0.1"], &["10.0.0.1"]]
    {
        let error = get(&web(&[addresses]), &named_server(&server), &Named::default(), 5000).await.err();
        assert!(matches!(error, Some(Trouble::Barred { .. })), "{addresses:?}: {error:?}");
    }
    for host in ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "169.254.169.254", "2130706433", "0x7f.1", "0"] {
        let url = format!("http://{host}:{}/", server.port);
        let error = get(&web(&[&["1.1.1.1"]]), &url, &Named::default(), 5000).await.err();
        assert!(matches!(error, Some(Trouble::Barred { .. })), "{host}: {error:?}");
    }
    assert_eq!(server.asked(), 0, "something left the host");
}

#[tokio::test]
async fn a_name_that_resolves_differently_the_second_time_is_looked_at_each_time() {
    let server = Server::says(OK);
    let other = Named::new(["127.0.0.2/32".parse().expect("a network")]);
    let turning = web(&[&["127.0.0.2"], &["127.0.0.1"], &["169.254.169.254"]]);
    // The first time it leads to where it may, and nobody listens there; then to where it may not.
    let first = get(&turning, &named_server(&server), &other, 5000).await.err();
    assert!(matches!(first, Some(Trouble::Unreached(_))), "{first:?}");
    for _ in 0..2 {
        let later = get(&turning, &named_server(&server), &other, 5000).await.err();
        assert!(matches!(later, Some(Trouble::Barred { .. })), "{later:?}");
    }
    assert_eq!(server.asked(), 0, "something left the host");
}

#[tokio::test]
async fn a_body_without_end_ends() {
    let endless = Server::that(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while stream.write_all(b"400\r\n").and_then(|()| stream.write_all(&[b'x'; 0x400])).is_ok() {
            let _ = stream.write_all(b"\r\n");
        }
    });
    let error = get(&web(&[&["127.0.0.1"]]), &named_server(&endless), &loopback(), 10_000).await.err();
    assert!(matches!(error, Some(Trouble::TooLong(_))), "{error:?}");
    let promised = Server::says(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nx");
    let error = get(&web(&[&["127.0.0.1"]]), &named_server(&promised), &loopback(), 10_000).await.err();
    assert!(matches!(error, Some(Trouble::TooLong(_))), "{error:?}");
}

#[tokio::test]
async fn headers_that_drip_or_never_end_are_given_up() {
    let drips = Server::that(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"x-drip: 1\r\n").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let begun = Instant::now();
    let error = get(&web(&[&["127.0.0.1"]]), &named_server(&drips), &loopback(), 1000).await.err();
    assert!(matches!(error, Some(Trouble::TimedOut(_))), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    let floods = Server::that(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"x-flood: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n").is_ok() {}
    });
    let error = get(&web(&[&["127.0.0.1"]]), &named_server(&floods), &loopback(), 10_000).await.err();
    assert!(matches!(error, Some(Trouble::Broken(_))), "{error:?}");
}

#[tokio::test]
async fn a_body_that_nobody_reads_has_no_bound_and_is_not_waited_for() {
    let page = Server::that(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 404 None\r\ncontent-length: 9000000\r\n\r\nno such");
        thread::sleep(Duration::from_secs(10));
    });
    let (web, at) = (web(&[&["127.0.0.1"]]), named_server(&page));
    let came = get_body_of(BodyOf::Status(200), &web, &at, &loopback(), 5000).await.expect("a head");
    assert_eq!((came.status, came.body.len()), (404, 0));
    let error = get_body_of(BodyOf::Status(404), &web, &at, &loopback(), 5000).await.err();
    assert!(matches!(error, Some(Trouble::TooLong(_))), "{error:?}");
}

#[tokio::test]
async fn what_is_packed_stays_packed() {
    // A gzip of 10 MB of zeros would be about as long; it is given as it came.
    let packed =
        Server::says(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00");
    let came = get(&web(&[&["127.0.0.1"]]), &named_server(&packed), &loopback(), 5000).await.expect("an answer");
    assert_eq!(came.body, b"\x1f\x8b\x08\x00");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let server = Server::says(
        b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    let came = get(&web(&[&["127.0.0.1"]]), &named_server(&server), &loopback(), 5000).await.expect("an answer");
    assert_eq!((came.status, server.asked()), (302, 1));
}

#[tokio::test]
async fn garbage_and_silence_are_told_apart() {
    let garbage = Server::says(b"\x00\x01\x02 this is not HTTP\r\n\r\n");
    let error = get(&web(&[&["127.0.0.1"]]), &named_server(&garbage), &loopback(), 5000).await.err();
    assert!(matches!(error, Some(Trouble::Broken(_))), "{error:?}");
    let silent = Server::that(|_| thread::sleep(Duration::from_secs(10)));
    let error = get(&web(&[&["127.0.0.1"]]), &named_server(&silent), &loopback(), 500).await.err();
    assert!(matches!(error, Some(Trouble::TimedOut(_))), "{error:?}");
}

#[tokio::test]
async fn there_is_room_for_so_many_bytes_at_once_and_no_more() {
    let server = Server::says(OK);
    let web = web(&[&["127.0.0.1"]]);
    let taken = Arc::clone(&web.in_flight).try_acquire_many_owned((HTTP_IN_FLIGHT_MAX_BYTES / UNIT_BYTES) as u32);
    let error = get(&web, &named_server(&server), &loopback(), 5000).await.err();
    assert!(matches!(error, Some(Trouble::Busy)), "{error:?}");
    assert_eq!(server.asked(), 0);
    drop(taken);
    assert!(get(&web, &named_server(&server), &loopback(), 5000).await.is_ok());
}
