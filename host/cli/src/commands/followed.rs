//! A run that is looked at until it is over, whoever carries it on: its host may end meanwhile, and another one may take over.

use std::time::{Duration, Instant};

use agentry_journal::history::{History, NoRun};
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Status;
use agentry_serve::socket::{Client, ControlError};
use agentry_store::StoreError;
use agentry_store::rows::run::RunRecord;
use anyhow::{Result, anyhow};

use crate::exit::{Exit, With};
use crate::home::Home;

/// Between two looks.
pub const PAUSE: Duration = Duration::from_millis(50);

/// How often it is asked whether anybody carries the run on.
const HOST_LOOK: Duration = Duration::from_secs(1);

/// One run.
pub struct Followed {
    home: Home,
    history: History,
    run: RunId,
    looked: Instant,
}

impl Followed {
    /// The run that is called so.
    pub fn find(home: Home, name: &str) -> Result<Self> {
        let history = home.history()?.ok_or(NoRun::Never)?;
        let run = history.run(name)?.id;
        Ok(Self { home, history, run, looked: Instant::now() })
    }

    /// Which.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Its past, as whoever has the store gives it.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Reads something, if need be through another host than before.
    pub fn read<T>(&mut self, read: impl Fn(&History, RunId) -> Result<T, StoreError>) -> Result<T> {
        match read(&self.history, self.run) {
            Err(StoreError::Host { .. }) => {
                self.history = self.home.history()?.ok_or(NoRun::Never)?;
                Ok(read(&self.history, self.run)?)
            }
            read => Ok(read?),
        }
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
            if matches!(Client::connect(self.home.path()), Err(ControlError::NoHost { .. })) {
                // Its host may have ended it in between.
                let record = self.record()?;
                return if is_over(record.status) { Ok(Some(record)) } else { Err(self.left_alone()) };
            }
        }
        Ok(None)
    }

    fn left_alone(&self) -> anyhow::Error {
        let run = self.run;
        let why = format!(
            "run {run} does not go on: its host has stopped\nhint: agentry serve takes over; `agentry trace {run}` shows how far it came"
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
