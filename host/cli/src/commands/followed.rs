//! A run that is looked at until it is over, whoever carries it on: its host may end meanwhile, and another one may take over. Whoever follows it
//! waits for that one, for a bounded time, and keeps the store from nobody meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_journal::history::{History, NoRun};
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Status;
use agentry_serve::error::OpError;
use agentry_serve::socket::{Client, ControlError, RemoteStore};
use agentry_store::rows::run::RunRecord;
use agentry_store::{StoreError, StoreReader};
use anyhow::{Result, anyhow};

use crate::exit::{Exit, With};
use crate::home::Home;
use crate::screen;

/// Between two looks.
pub const PAUSE: Duration = Duration::from_millis(50);

/// How often it is asked whether anybody carries the run on.
pub const HOST_LOOK: Duration = Duration::from_secs(1);

/// How long the next host is waited for, once there was one.
const RESTART_MAX: Duration = Duration::from_secs(60);

/// Between the first two looks at what the last host left; from each to the next it is twice as long.
const LOOK: Duration = Duration::from_millis(200);

/// A host that is back within this time is not worth a word.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// One run.
pub struct Followed {
    home: Home,
    /// None while nobody has the store whom it could be read through.
    history: Option<History>,
    run: RunId,
    looked: Instant,
    /// Until then the next host is waited for at the longest.
    until: Option<Instant>,
    /// Whether a host carried it on when it was looked at last.
    hosted: bool,
}

impl Followed {
    /// The run that is called so.
    pub fn find(home: Home, name: &str) -> Result<Self> {
        let history = home.history()?.ok_or(NoRun::Never)?;
        let run = history.run(name)?.id;
        let hosted = Client::connect(home.path()).is_ok();
        Ok(Self { home, history: Some(history), run, looked: Instant::now(), until: None, hosted })
    }

    /// One that a host carried on a moment ago.
    pub fn hosted(home: Home, run: RunId) -> Self {
        Self { home, history: None, run, looked: Instant::now(), until: None, hosted: true }
    }

    /// The next host is waited for no longer than that, once this one has stopped.
    pub fn within(self, timeout: Option<Duration>) -> Self {
        Self { until: timeout.map(|timeout| Instant::now() + timeout), ..self }
    }

    /// Which.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Reads something, if need be through another host than before; one that has just begun may end as well.
    pub fn read<T>(&mut self, read: impl Fn(&History, RunId) -> Result<T, StoreError>) -> Result<T> {
        let (begun, run) = (Instant::now(), self.run);
        loop {
            let history = match self.history.take() {
                Some(history) => self.history.insert(history),
                None => self.find_again()?,
            };
            match read(history, run) {
                Err(StoreError::Host { .. }) if begun.elapsed() < RESTART_MAX => self.history = None,
                read => return Ok(read?),
            }
        }
    }

    /// The host has gone: the run may have ended with it, or goes on in the next one.
    fn find_again(&mut self) -> Result<&History> {
        // Nobody keeps the store from the next host.
        self.history = None;
        let begun = Instant::now();
        let until = self.until.map_or(begun + RESTART_MAX, |until| until.min(begun + RESTART_MAX));
        let (mut told, mut looks, mut pause) = (false, begun, LOOK);
        loop {
            match Client::connect(self.home.path()) {
                Ok(host) => {
                    (self.hosted, self.looked) = (true, Instant::now());
                    if told {
                        screen::tell("a host serves again\n");
                    }
                    return Ok(self.history.insert(History::over(Arc::new(RemoteStore::over(host)))));
                }
                // It begins or ends.
                Err(ControlError::Lost { .. } | ControlError::NoHost { .. }) => {}
                Err(error) => return Err(OpError::from(error).into()),
            }
            let last = !self.hosted || Instant::now() >= until;
            // More and more seldom: the last host may need a moment to let go of the store, and the next one needs it for itself.
            if Instant::now() >= looks || last {
                (looks, pause) = (Instant::now() + pause, 2 * pause);
                if let Some(left) = self.left_over()? {
                    self.hosted = false;
                    return Ok(self.history.insert(left));
                }
            }
            if last {
                return Err(self.left_alone());
            }
            if !told && begun.elapsed() >= TOLD_AFTER {
                told = true;
                let longest = until.saturating_duration_since(begun).as_secs();
                screen::tell(&format!("… the host has stopped; waits up to {longest} s for the next one\n"));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// What the last host left, if the run is over there. Nobody is kept from the store for longer than that takes.
    fn left_over(&self) -> Result<Option<History>> {
        let Ok(Some(store)) = StoreReader::open(self.home.path()) else { return Ok(None) };
        let history = History::left_in(Arc::new(store));
        let record = history.record(self.run)?;
        Ok(record.is_some_and(|record| is_over(record.status)).then_some(history))
    }

    /// Its record.
    pub fn record(&mut self) -> Result<RunRecord> {
        self.read(|history, run| history.run(&run.to_string()).map_err(of_store))
    }

    /// Its record if it is over; none if somebody carries it on.
    pub fn over(&mut self) -> Result<Option<RunRecord>> {
        let record = self.record()?;
        if is_over(record.status) {
            return Ok(Some(record));
        }
        if self.looked.elapsed() >= HOST_LOOK {
            self.looked = Instant::now();
            match Client::connect(self.home.path()) {
                Err(ControlError::NoHost { .. }) => {
                    self.find_again()?;
                    let record = self.record()?;
                    return Ok(Some(record).filter(|record| is_over(record.status)));
                }
                Ok(_) if !self.hosted => drop(self.find_again()?),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(None)
    }

    fn left_alone(&self) -> anyhow::Error {
        let run = self.run;
        let why = format!(
            "run {run} does not go on: its host has stopped\nhint: `agentry serve` takes over; `agentry trace {run}` shows how far it came"
        );
        With(Exit::Unavailable, anyhow!(why)).into()
    }
}

/// True if a run that stands so does not go on.
pub fn is_over(status: Status) -> bool {
    !matches!(status, Status::Running | Status::Suspended)
}

fn of_store(error: NoRun) -> StoreError {
    match error {
        NoRun::Store(error) => error,
        // A run that was there stays there.
        error => StoreError::Damaged { why: error.to_string() },
    }
}
