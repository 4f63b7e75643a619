//! A run on the host that serves this home: it is ordered there, watched from here, and its report is read from the journal. Whoever
//! watches may go away; the run goes on.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use agentry_journal::history::NoRun;
use agentry_journal::report::Report;
use agentry_kernel::call::RunId;
use agentry_kernel::refusal::Refusal;
use agentry_runtime::run::events::Event;
use agentry_serve::api::{News, Start, Stop};
use agentry_serve::error::{Kind, OpError};
use agentry_serve::home::host;
use agentry_serve::socket::{self, ControlError, Following};
use agentry_store::rows::run::RunRecord;
use anyhow::{Context, Result, anyhow};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::prompt::{Hearer, Prompt};
use super::{EVENTS_MAX, Ended, stopped};
use crate::commands::followed::{Followed, PAUSE, is_over};
use crate::commands::ps;
use crate::exit::{Exit, With};
use crate::home::Home;
use crate::screen;
use crate::screen::about::AdminFiles;
use crate::screen::live::Live;

/// How long it asks again under a key, so that a host may be stopped and started meanwhile.
const ASKS_AGAIN_MAX: Duration = Duration::from_secs(60);

/// What is ordered.
pub struct Ordered {
    /// The component's file.
    pub component: PathBuf,
    /// The input JSON.
    pub input: Vec<u8>,
    /// What makes it the same order when it is made again.
    pub key: Option<String>,
}

/// Orders the run and shows it to its end; none if no host takes orders here.
pub fn run(home: &Home, ordered: &Ordered) -> Result<Option<Ended>> {
    let Some(following) = order(home, ordered, true)? else { return Ok(None) };
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    threads.block_on(watched(home, following)).map(Some)
}

/// Orders the run and prints its id. With a key, it asks until it has heard what became of it.
pub fn detach(home: &Home, ordered: &Ordered, as_json: bool) -> Result<ExitCode> {
    let begun = Instant::now();
    loop {
        match detach_once(home, ordered, as_json) {
            Err(error) if ordered.key.is_some() && is_unheard(&error) && begun.elapsed() < ASKS_AGAIN_MAX => {
                std::thread::sleep(Duration::from_secs(1));
            }
            done => return done,
        }
    }
}

fn is_unheard(error: &anyhow::Error) -> bool {
    error.downcast_ref::<OpError>().is_some_and(|error| matches!(error.kind, Kind::Unheard | Kind::NoHost))
}

fn detach_once(home: &Home, ordered: &Ordered, as_json: bool) -> Result<ExitCode> {
    let Some(mut following) = order(home, ordered, false)? else {
        let home = home.path().display();
        let why =
            anyhow!("no host that takes orders runs in {home}\nhint: start one: agentry serve, or leave --detach out");
        return Err(With(Exit::Unavailable, why).into());
    };
    let (mut live, mut refused) = (Live::on_stderr(AdminFiles::at(home.path(), home.policies())), false);
    loop {
        match following.news()? {
            News::Taken => {}
            News::Event(event) => {
                refused |= matches!(*event, Event::Refused(_));
                live.show(&event);
            }
            News::Begun(run) | News::Over(run) => {
                if as_json {
                    screen::print_json(&json!({"run": run.to_string()}))?;
                } else {
                    screen::print(&format!("{run}\n"))?;
                }
                // One that was refused at its start is over already. What began did, whoever can look at it now.
                let record = if refused { Some(record(home, run)?) } else { None };
                let over = record.filter(|record| is_over(record.status) && record.calls == 0 && record.refused > 0);
                return Ok(over.map_or(Exit::Done, |record| Exit::from(record.status)).into());
            }
        }
    }
}

fn order(home: &Home, ordered: &Ordered, watch: bool) -> Result<Option<Following>> {
    let client = match host(home.path()) {
        Ok(client) => client,
        Err(ControlError::NoHost { .. }) => return Ok(None),
        Err(error) => return Err(OpError::from(error).into()),
    };
    // The host works elsewhere.
    let component = std::path::absolute(&ordered.component).context("cannot tell where the component is")?;
    let (input, key) = (ordered.input.clone(), ordered.key.clone());
    let mut following = client.start(Start { component, input, watch, key }).map_err(OpError::from)?;
    match following.taken() {
        Err(error) if error.kind == Kind::NotServing => Ok(None),
        taken => Ok(taken.map(|()| Some(following))?),
    }
}

/// What is heard of the run, in a thread that ends with it.
fn listen(mut following: Following) -> mpsc::Receiver<Result<News, OpError>> {
    let (sender, receiver) = mpsc::channel(EVENTS_MAX);
    std::thread::spawn(move || {
        loop {
            let news = following.news();
            let last = matches!(news, Ok(News::Over(_)) | Err(_));
            if sender.blocking_send(news).is_err() || last {
                return;
            }
        }
    });
    receiver
}

/// Shows what happens. The first Ctrl-C stops the run in good order; a second one leaves it to its host.
async fn watched(home: &Home, following: Following) -> Result<Ended> {
    let mut interrupts: Signal = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut news = listen(following);
    let mut screen = Screen {
        live: Live::on_stderr(AdminFiles::at(home.path(), home.policies())),
        prompt: Prompt::new(),
        refusal: None,
    };
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let hearer = Hearer::There(home);
    let (mut run, mut stops) = (None, false);
    loop {
        tokio::select! {
            biased;
            Some(()) = interrupts.recv() => {
                if stops {
                    screen.live.end();
                    return Err(stopped("left in the middle: its host stops it").into());
                }
                stops = true;
                screen.prompt.leave();
                stop(home, run)?;
            }
            heard = news.recv() => match heard {
                Some(Ok(News::Taken)) => {}
                Some(Ok(News::Event(event))) => screen.show(*event),
                Some(Ok(News::Begun(begun))) => {
                    run = Some(begun);
                    if stops {
                        stop(home, run)?;
                    }
                }
                Some(Ok(News::Over(run))) => return outlived(home, screen, run, &mut interrupts).await,
                // It has begun, so it goes on in the next host.
                Some(Err(error)) => match run.filter(|run| outlives(home, *run, &error)) {
                    Some(run) => return outlived(home, screen, run, &mut interrupts).await,
                    None => {
                        screen.live.end();
                        return Err(error.into());
                    }
                },
                None => return Err(OpError::from(ControlError::Lost { why: "it hung up".to_owned() }).into()),
            },
            line = screen.prompt.line() => screen.prompt.answer(&hearer, &line).await,
            _ = second.tick() => {
                screen.prompt.forget_closed(&hearer);
                if screen.prompt.is_idle() {
                    screen.live.tick(|| match run {
                        None => Some(super::COMPILES.to_owned()),
                        Some(run) => waits(home, run),
                    });
                }
            }
        }
    }
}

/// True if an error is of the host and not of the run, whose end is to be read then.
fn outlives(home: &Home, run: RunId, error: &OpError) -> bool {
    match error.kind {
        // Its store cannot be written: an end that is not in it by now may never be.
        Kind::Unavailable { retry_ms: None } => {
            tokio::task::block_in_place(|| record(home, run)).is_ok_and(|record| is_over(record.status))
        }
        Kind::Unheard | Kind::NoHost | Kind::Unavailable { .. } => true,
        _ => false,
    }
}

/// The end of a run whose host has said its last word of it: the next host may go on with it.
async fn outlived(home: &Home, mut screen: Screen, run: RunId, interrupts: &mut Signal) -> Result<Ended> {
    screen.live.end();
    let mut followed = Followed::hosted(home.clone(), run);
    loop {
        if let Some(record) = tokio::task::block_in_place(|| followed.over())? {
            // Its host may go at any moment: what it left is read then.
            let report = tokio::task::block_in_place(|| followed.read(|history, _| history.report(&record)))?;
            return Ok(screen.end(report));
        }
        tokio::select! {
            Some(()) = interrupts.recv() => return Err(stopped("left in the middle: its host goes on with it").into()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// What it waits for, as its host says.
fn waits(home: &Home, run: RunId) -> Option<String> {
    let live = ps::live(home.path()).ok()?.remove(&run)?;
    live.waits.map(|wait| ps::waits(Some(wait)).to_owned())
}

/// Stops it, if it has begun.
fn stop(home: &Home, run: Option<RunId>) -> Result<()> {
    let Some(run) = run else { return Ok(()) };
    match socket::ask(home.path(), Stop { run, because: None }) {
        // It may have ended at the same moment.
        Err(error) if error.kind == Kind::Conflict => Ok(()),
        stopped => Ok(stopped?),
    }
}

struct Screen {
    live: Live,
    prompt: Prompt,
    /// Why it did not begin.
    refusal: Option<Refusal>,
}

impl Screen {
    fn show(&mut self, event: Event) {
        self.live.show(&event);
        match event {
            Event::Asked(question) => self.prompt.ask(&question),
            Event::Inquired(inquiry) => self.prompt.inquire(&inquiry),
            Event::Refused(refusal) => self.refusal = Some(*refusal),
            _ => {}
        }
    }

    fn end(mut self, mut report: Report) -> Ended {
        self.live.end();
        if report.refusals.is_empty() && report.refused > 0 {
            // The journal of a run that never began has no entry.
            report.refusals.extend(self.refusal);
        }
        Ended { showed: self.live.showed(report.output.as_ref()), report }
    }
}

fn record(home: &Home, run: RunId) -> Result<RunRecord> {
    Ok(home.history()?.ok_or(NoRun::Never)?.run(&run.to_string())?)
}
