//! A command that orders a run and listens: it hears that the run has begun, what happens in it, and that it is over. Whoever listens slowly
//! loses news, and whoever goes away takes nothing from the run.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use agentry_kernel::call::RunId;
use agentry_runtime::exec::errors::RunError;
use agentry_runtime::gate::Gate;
use agentry_runtime::host::services::Services;
use agentry_runtime::run::events::{Event, Observer};
use agentry_runtime::run_queue::{NotQueued, QueuedRun, RunRequest};
use agentry_store::limits::{
    CONTROL_BEAT_MS, CONTROL_EVENTS_WAITING_MAX, CONTROL_IDLE_MAX_MS, CONTROL_REPLY_MAX_BYTES,
};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use super::server::within;
use super::table::Reply;
use super::wire::send;
use crate::api::{News, Start};
use crate::error::OpError;

/// Hands the order in and tells what comes of it.
pub(super) async fn follow(stream: &mut UnixStream, services: Arc<Services>, start: Start) -> io::Result<()> {
    let Some(_room) = services.run_queue.watch() else {
        return tell(stream, Reply::Failed(OpError::busy("too many commands watch runs"))).await;
    };
    let Start { component, input, watch } = start;
    let (sender, events) = mpsc::channel(CONTROL_EVENTS_WAITING_MAX);
    let (done, ended) = oneshot::channel();
    let request = RunRequest { component, input, observer: Observer::channel(sender), began: None };
    match services.run_queue.push(QueuedRun { request, done }) {
        Ok(()) => {}
        Err(NotQueued::NotServing) => return tell(stream, Reply::Failed(OpError::not_serving())).await,
        Err(NotQueued::Full) => return tell(stream, Reply::Failed(OpError::busy("too many runs wait to begin"))).await,
    }
    let gate = services.drivers.gate.clone();
    drop(services);
    tell(stream, Reply::News(News::Taken)).await?;
    Listener { stream, gate, watch, begun: None }.listen(events, ended).await
}

struct Listener<'a> {
    stream: &'a mut UnixStream,
    gate: Gate,
    watch: bool,
    begun: Option<RunId>,
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
                () = beat => tell(self.stream, Reply::Still).await?,
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
            tell(self.stream, Reply::News(News::Event(Box::new(event)))).await?;
        }
        Ok(())
    }

    /// Says so when whoever reads the store finds it there.
    async fn begins(&mut self, run: RunId) -> io::Result<()> {
        // A store that cannot be written is what the run itself will end of.
        let _ = self.gate.journal().flush().await;
        self.begun = Some(run);
        tell(self.stream, Reply::News(News::Begun(run))).await
    }

    async fn over(mut self, ended: Result<Result<RunId, RunError>, oneshot::error::RecvError>) -> io::Result<()> {
        match ended {
            Ok(Ok(run)) => {
                if self.begun.is_none() {
                    self.begins(run).await?;
                }
                tell(self.stream, Reply::News(News::Over(run))).await
            }
            Ok(Err(error)) => tell(self.stream, Reply::Failed(error.into())).await,
            Err(_) => tell(self.stream, Reply::Failed(OpError::busy("the host stops"))).await,
        }
    }
}

async fn tell(stream: &mut UnixStream, reply: Reply) -> io::Result<()> {
    within(CONTROL_IDLE_MAX_MS, send(stream, &reply, CONTROL_REPLY_MAX_BYTES)).await
}
