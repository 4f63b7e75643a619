//! A command that orders a run and listens: it hears that the run has begun, what happens in it, and that it is over. Whoever listens slowly
//! loses news, and whoever goes away takes nothing from the run.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_journal::history::History;
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Status;
use agentry_runtime::exec::errors::RunError;
use agentry_runtime::gate::Gate;
use agentry_runtime::host::services::Services;
use agentry_runtime::run::events::{Event, Observer};
use agentry_runtime::run_queue::{NotQueued, QueuedRun, RunQueue, RunRequest};
use agentry_store::content::Content;
use agentry_store::limits::{CONTROL_BEAT_MS, CONTROL_EVENTS_WAITING_MAX, ORDER_KEY_MAX_BYTES};
use agentry_store::rows::order::Order;
use agentry_store::{Batch, rows};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, mpsc, oneshot};

use super::server::Peer;
use super::table::Reply;
use crate::api::{News, Start};
use crate::error::{Kind, OpError};

/// Between two looks at a run that was begun before.
const LOOK: Duration = Duration::from_millis(200);

/// Hands the order in and tells what comes of it.
pub(super) async fn follow(peer: &mut Peer, services: Arc<Services>, start: Start) -> io::Result<()> {
    let Start { component, input, watch, key } = start;
    let _room = if watch { room(peer, &services.run_queue).await? } else { None };
    let claimed = match &key {
        Some(key) => claim(&services, key, &component, &input).await.map(Some),
        None => Ok(None),
    };
    let (id, alone) = match claimed {
        Ok(None) => (None, None),
        Ok(Some(Claimed::New(run, alone))) => (Some(run), Some(alone)),
        Ok(Some(Claimed::Before(run))) => {
            let history = History::over(Arc::clone(services.drivers.gate.journal().store()));
            drop(services);
            return begun_before(peer, &history, run, watch).await;
        }
        Err(error) => return peer.tell(Reply::Failed(error)).await,
    };
    let (sender, events) = mpsc::channel(CONTROL_EVENTS_WAITING_MAX);
    let (done, ended) = oneshot::channel();
    let request = RunRequest { component, input, observer: Observer::channel(sender), began: None, id };
    match services.run_queue.push(QueuedRun { request, done }) {
        Ok(()) => {}
        Err(NotQueued::NotServing) => return peer.tell(Reply::Failed(OpError::not_serving())).await,
        Err(NotQueued::Full) => return peer.tell(Reply::Failed(OpError::busy("too many runs wait to begin"))).await,
    }
    let gate = services.drivers.gate.clone();
    drop(services);
    peer.tell(Reply::News(News::Taken)).await?;
    Listener { peer, gate, watch, begun: None, alone }.listen(events, ended).await
}

/// Room for one who watches; who waits for it hears that the host is there.
async fn room(peer: &mut Peer, queue: &RunQueue) -> io::Result<Option<OwnedSemaphorePermit>> {
    let mut room = pin!(queue.watch());
    loop {
        tokio::select! {
            room = &mut room => return Ok(room),
            () = tokio::time::sleep(Duration::from_millis(CONTROL_BEAT_MS)) => peer.tell(Reply::Still).await?,
        }
    }
}

/// What an order under a key is.
enum Claimed {
    /// The first one, or one of which no run has begun: it is to be this run. Nobody else orders under that key meanwhile.
    New(RunId, OwnedMutexGuard<()>),
    /// This run was begun for it.
    Before(RunId),
}

/// Whose run an order under this key is. It is durable before anything begins.
async fn claim(services: &Services, key: &str, component: &Path, input: &[u8]) -> Result<Claimed, OpError> {
    if key.is_empty() || key.len() > ORDER_KEY_MAX_BYTES {
        let why = format!("a key has from 1 to {ORDER_KEY_MAX_BYTES} bytes\nhint: use a name and a number");
        return Err(OpError::new(Kind::Invalid, why));
    }
    let alone = services.run_queue.alone(key).await;
    let store = services.drivers.gate.journal().store();
    let what = Content::of([component.as_os_str().as_encoded_bytes(), &[0], input].concat()).digest;
    let fresh = getrandom::u64().map_err(|_| OpError::broken("the system gives no randomness"))?;
    let at = services.drivers.gate.clock().now();
    let order = match Order::of(&**store, key)? {
        Some(order) if order.what != what => {
            let why = "this key was given with another order\nhint: use another key, or the same agent and input";
            return Err(OpError::new(Kind::Conflict, why));
        }
        Some(order) if rows::run::of(&**store, order.run)?.is_some() => return Ok(Claimed::Before(order.run)),
        Some(order) => order,
        None => {
            let (order, mut batch) = (Order { run: RunId(fresh.max(RunId::HOST.0 + 1)), at, what }, Batch::default());
            order.claim(key, &mut batch);
            store.commit(batch).await?;
            order
        }
    };
    Ok(Claimed::New(order.run, alone))
}

/// Tells of a run that was begun for an earlier order, to its end where that is wanted.
async fn begun_before(peer: &mut Peer, history: &History, run: RunId, watch: bool) -> io::Result<()> {
    peer.tell(Reply::News(News::Taken)).await?;
    peer.tell(Reply::News(News::Begun(run))).await?;
    let mut beat = Instant::now();
    if !watch {
        return Ok(());
    }
    loop {
        let record = history.record(run).map_err(io::Error::other)?;
        if record.is_none_or(|record| !matches!(record.status, Status::Running | Status::Suspended)) {
            return peer.tell(Reply::News(News::Over(run))).await;
        }
        tokio::time::sleep(LOOK).await;
        if beat.elapsed() >= Duration::from_millis(CONTROL_BEAT_MS) {
            beat = Instant::now();
            peer.tell(Reply::Still).await?;
        }
    }
}

struct Listener<'a> {
    peer: &'a mut Peer,
    gate: Gate,
    watch: bool,
    begun: Option<RunId>,
    /// Nobody else orders under its key before it has begun.
    alone: Option<OwnedMutexGuard<()>>,
}

impl Listener<'_> {
    async fn listen(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut ended: oneshot::Receiver<Result<RunId, RunError>>,
    ) -> io::Result<()> {
        loop {
            let beat = tokio::time::sleep(Duration::from_millis(CONTROL_BEAT_MS));
            tokio::select! {
                biased;
                Some(event) = events.recv() => self.hear(event).await?,
                ended = &mut ended => {
                    while let Ok(event) = events.try_recv() {
                        self.hear(event).await?;
                    }
                    return self.over(ended).await;
                }
                () = beat => self.peer.tell(Reply::Still).await?,
            }
            if self.begun.is_some() && !self.watch {
                return Ok(());
            }
        }
    }

    async fn hear(&mut self, event: Event) -> io::Result<()> {
        if let Event::Started { run, .. } = &event {
            self.begins(*run).await?;
        }
        // Why a run did not begin is told to everybody.
        let at_the_door = self.begun.is_none() && matches!(event, Event::Refused(_));
        if self.watch || at_the_door {
            self.peer.tell(Reply::News(News::Event(Box::new(event)))).await?;
        }
        Ok(())
    }

    /// Says so when whoever reads the store finds it there.
    async fn begins(&mut self, run: RunId) -> io::Result<()> {
        // A store that cannot be written is what the run itself will end of.
        let _ = self.gate.journal().flush().await;
        self.begun = Some(run);
        self.alone = None;
        self.peer.tell(Reply::News(News::Begun(run))).await
    }

    async fn over(mut self, ended: Result<Result<RunId, RunError>, oneshot::error::RecvError>) -> io::Result<()> {
        match ended {
            Ok(Ok(run)) => {
                if self.begun.is_none() {
                    self.begins(run).await?;
                }
                self.peer.tell(Reply::News(News::Over(run))).await
            }
            Ok(Err(error)) => self.peer.tell(Reply::Failed(error.into())).await,
            Err(_) => self.peer.tell(Reply::Failed(OpError::busy("the host stops"))).await,
        }
    }
}
