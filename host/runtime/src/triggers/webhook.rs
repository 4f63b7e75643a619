//! Requests from elsewhere: on loopback unless the admin says otherwise, each bounded in size and time. The body becomes the input of a run,
//! which carries that strangers wrote it. Whoever asks learns that it was taken, and nothing of the run.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentry_config::secret::Secret;
use agentry_store::limits::{
    INPUT_MAX_BYTES, WEBHOOK_CONNECTIONS_MAX, WEBHOOK_HEAD_MAX_BYTES, WEBHOOK_TIME_MAX_MS, WEBHOOK_WAITING_MAX,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::{Came, Trigger, Watched};
use crate::config::WebhookKey;

/// Where else a request may show its secret.
const HEADER: &str = "x-agentry-secret";

/// Between two tries to let somebody in, after the system could not.
const PAUSE: Duration = Duration::from_millis(100);

/// Why nobody listens for requests.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address.
    #[error(
        "cannot listen for webhooks at {address}: {why}\nhint: end what listens there, or name another address: [webhooks] listen = \"127.0.0.1:PORT\" in agents.toml"
    )]
    Address {
        /// Where.
        address: SocketAddr,
        /// The system's words.
        why: std::io::Error,
    },
    /// The secret of a hook.
    #[error(
        "the secret of webhook {path}: {why}\nhint: put it where its `secret` in agents.toml says, or leave `secret` out"
    )]
    Secret {
        /// Which hook.
        path: String,
        /// What is wrong with it; nothing of what is in it.
        why: String,
    },
}

struct Hook {
    secret: Option<Secret>,
    queue: mpsc::Sender<Came>,
}

type Hooks = BTreeMap<String, Hook>;

/// Listens, and starts runs for what comes, one after another for each hook.
pub(super) async fn listen(
    host: &Arc<Watched>,
    address: SocketAddr,
    wanted: Vec<(String, Option<WebhookKey>, Trigger)>,
    tended: &mut JoinSet<()>,
) -> Result<(), ListenError> {
    let mut hooks = Hooks::new();
    for (path, key, trigger) in wanted {
        let read = |WebhookKey(key): WebhookKey| key.read();
        let secret = key.map(read).transpose().map_err(|why| ListenError::Secret { path: path.clone(), why })?;
        let (queue, mut came) = mpsc::channel(WEBHOOK_WAITING_MAX);
        let host = Arc::clone(host);
        tended.spawn(async move {
            let mut rate = trigger.rate();
            while let Some(came) = came.recv().await {
                trigger.fire(&host, &mut rate, came).await;
            }
        });
        hooks.insert(path, Hook { secret, queue });
    }
    let listener = TcpListener::bind(address).await.map_err(|why| ListenError::Address { address, why })?;
    tended.spawn(accept(listener, Arc::new(hooks)));
    Ok(())
}

async fn accept(listener: TcpListener, hooks: Arc<Hooks>) {
    let room = Arc::new(Semaphore::new(WEBHOOK_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // Whoever comes while all places are taken waits for one.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let hooks = Arc::clone(&hooks);
                    connections.spawn(async move {
                        let _place = place;
                        let most = Duration::from_millis(WEBHOOK_TIME_MAX_MS);
                        // A peer that errs or is slow has lost its connection, and nothing else.
                        let _ = tokio::time::timeout(most, converse(stream, hooks)).await;
                    });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One request. Then the connection is closed.
async fn converse(stream: TcpStream, hooks: Arc<Hooks>) -> hyper::Result<()> {
    // A short answer is not kept back for a longer one.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let hooks = Arc::clone(&hooks);
        async move { Ok::<_, Infallible>(answer(&hooks, request).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(WEBHOOK_TIME_MAX_MS))
        .max_buf_size(WEBHOOK_HEAD_MAX_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(hooks: &Hooks, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(hook) = hooks.get(request.uri().path()) else {
        return say(StatusCode::NOT_FOUND, "there is no such webhook");
    };
    if request.method() != Method::POST {
        return say(StatusCode::METHOD_NOT_ALLOWED, "a webhook takes POST");
    }
    if !hook.secret.as_ref().is_none_or(|secret| knows(request.headers(), secret)) {
        return say(StatusCode::UNAUTHORIZED, "the secret is missing or wrong");
    }
    let Ok(body) = Limited::new(request.into_body(), INPUT_MAX_BYTES).collect().await else {
        return say(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or broke off");
    };
    let Ok(input) = serde_json::from_slice(&body.to_bytes()) else {
        return say(StatusCode::BAD_REQUEST, "the body is no JSON");
    };
    match hook.queue.try_send(Came { input, ..Came::default() }) {
        Ok(()) => say(StatusCode::ACCEPTED, "taken"),
        Err(_) => say(StatusCode::TOO_MANY_REQUESTS, "too many requests wait; try again later"),
    }
}

/// Compares without telling by its time how much of it was right.
fn knows(headers: &HeaderMap, secret: &Secret) -> bool {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let given = bearer.or_else(|| headers.get(HEADER).map(|value| value.as_bytes()));
    given.is_some_and(|given| bool::from(given.ct_eq(secret.reveal().as_bytes())))
}

fn say(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
