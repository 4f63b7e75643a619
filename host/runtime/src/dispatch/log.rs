//! `log`: lines in the run's trace and before who watches. It answers nothing and never fails; what is too much is cut and counted.

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::port::{LogEvent, Passed};
use agentry_kernel::Call;
use agentry_kernel::text::cut;
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::limits::{LOG_LINE_MAX_BYTES, LOG_LINES_MAX};

use super::Dispatch;
use crate::gate::CallRequest;
use crate::run::events::Event;

/// How much of a run's log is written, and how much is not.
#[derive(Default)]
pub(super) struct Written {
    lines: u32,
    dropped: u64,
    /// The run may have no more written: what comes now is not even asked for.
    full: bool,
}

pub(super) fn event(of: &Dispatch, LogEvent { level, line }: LogEvent, at: Option<Millis>) -> Passed {
    {
        let mut log = of.log.lock();
        if log.full || log.lines >= LOG_LINES_MAX {
            log.dropped = log.dropped.saturating_add(1);
            drop(log);
            return of.now::<LogEvent>(Ok(()));
        }
        log.lines += 1;
    }
    let written = write(of, level, cut(line, LOG_LINE_MAX_BYTES), at);
    if let Err(Error::Exhausted(_)) = written {
        // The no stands in the journal once: each further line would be one more that is longer than the line.
        of.log.lock().full = true;
    }
    of.now::<LogEvent>(written)
}

/// Says how many lines there were beyond those that are kept.
pub(super) fn close(of: &Dispatch) {
    let Written { dropped, full, .. } = std::mem::take(&mut *of.log.lock());
    if dropped > 0 && !full {
        // As with any other line.
        let _ = write(of, Level::Warn, format!("… and {dropped} more lines, which are not kept"), None);
    }
}

fn write(of: &Dispatch, level: Level, line: String, at: Option<Millis>) -> Result<(), Error> {
    let content = Content::of(format!("{} {line}", word(level)));
    let what = Call::LogEvent { line: content.digest, bytes: content.bytes.len() as u64 };
    let written = of.drivers.gate.call_at(&of.run, CallRequest::with(what, vec![content]), at, |_| Ok(()));
    if of.run.observer.watches() {
        of.run.observer.tell(Event::Log { level, line });
    }
    written
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}
