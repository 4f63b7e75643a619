//! Which runs a list is of, and which calls a trace: options that narrow it each, and hold at once.

use std::collections::BTreeSet;

use agentry_abi::fault;
use agentry_journal::listing::RunFilter;
use agentry_kernel::Resource;
use agentry_kernel::budget::words::microusd;
use agentry_kernel::call::{Call, CallId};
use agentry_kernel::journal::Status;
use agentry_kernel::refusal::Code;
use agentry_kernel::text::nearest;
use agentry_kernel::time::Millis;
use anyhow::Result;
use serde_json::Value;

use super::target;
use crate::home::Home;
use crate::screen::rows::Row;
use crate::screen::{self, DIM, styled, when};

/// What can come of a call beside an error and a refusal.
const OURS: [&str; 3] = ["allowed", "open", "waits"];

/// The options of every list of runs.
#[derive(clap::Args)]
pub struct FilterArgs {
    /// Only runs of this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Only runs that stand or ended so: running, suspended, done, failed, denied, exhausted, unavailable, stopped; several with commas
    #[arg(long, value_name = "WORD", value_delimiter = ',', value_parser = status)]
    status: Vec<Status>,
    /// Only runs that hold this label, or held it at their end
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Only runs that began then or later: 2h (ago), 2026-11-29, 2026-11-29T07:00
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    since: Option<Millis>,
    /// Only runs that began before
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    until: Option<Millis>,
    /// Only runs that took more dollars than this
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    cost_over: Option<u64>,
}

impl FilterArgs {
    /// As the history looks for them.
    pub fn filter(&self) -> RunFilter {
        RunFilter {
            agent: self.agent.clone(),
            status: self.status.clone(),
            label: self.label.clone(),
            since: self.since,
            until: self.until,
            cost_over_microusd: self.cost_over,
        }
    }

    /// Says of an agent that nobody here knows that there is none: what is listed of it is nothing, always.
    pub fn tell_of_agent(&self, home: &Home) -> Result<()> {
        if let Some(told) = self.agent.as_deref().map_or(Ok(None), |agent| target::unknown(home, agent))? {
            screen::warn(&told);
        }
        Ok(())
    }
}

/// The options of every list of calls of one run.
#[derive(Default, clap::Args)]
pub struct CallArgs {
    /// Only calls of which this came: allowed, open, waits, the case of an error or the code of a refusal; several with commas
    #[arg(long, value_name = "WORD", value_delimiter = ',', value_parser = decision)]
    decision: Vec<String>,
    /// Only calls of this interface or syscall, such as llm or memory.put
    #[arg(long, value_name = "NAME", value_parser = syscall)]
    syscall: Option<String>,
    /// Only calls by which the run gained this label
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Only calls that were made then or later: 2h (ago), 2026-11-29, 2026-11-29T07:00
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    since: Option<Millis>,
    /// Only calls that were made before
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    until: Option<Millis>,
    /// Only calls that took more dollars than this
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    cost_over: Option<u64>,
    /// The most calls to show [default: all]
    #[arg(long, value_name = "N", value_parser = limit)]
    limit: Option<u64>,
    /// Go on behind this call of an earlier page: its number
    #[arg(long, value_name = "CALL")]
    after: Option<u32>,
}

impl CallArgs {
    /// So many at most, of which one of these came, of this interface or syscall.
    pub fn of(decision: Vec<String>, syscall: Option<String>, limit: u64) -> Self {
        Self { decision, syscall, limit: Some(limit), ..Self::default() }
    }

    /// Those that are to be shown, one after another.
    pub fn picked(&self) -> Picked<'_> {
        Picked { args: self, left: self.limit.unwrap_or(u64::MAX), last: None, more: false }
    }

    /// True if only some calls are wanted.
    fn narrows(&self) -> bool {
        let Self { decision, syscall, label, since, until, cost_over, limit: _, after } = self;
        !decision.is_empty()
            || syscall.is_some()
            || label.is_some()
            || since.is_some()
            || until.is_some()
            || cost_over.is_some()
            || after.is_some()
    }

    fn fits(&self, row: &Row) -> bool {
        let of = |name: &String| {
            row.name.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.after.is_none_or(|after| row.call.0 > after)
            && (self.decision.is_empty() || self.decision.iter().any(|word| word == row.word()))
            && self.syscall.as_ref().is_none_or(of)
            && self.label.as_ref().is_none_or(|label| row.gained.has(label))
            && self.since.is_none_or(|since| row.at >= since)
            && self.until.is_none_or(|until| row.at < until)
            && self.cost_over.is_none_or(|least| row.spent[Resource::Usd] > least)
    }
}

/// Calls on their way to the screen.
pub struct Picked<'a> {
    args: &'a CallArgs,
    left: u64,
    last: Option<CallId>,
    more: bool,
}

impl Picked<'_> {
    /// Whether the next call is shown.
    pub fn takes(&mut self, row: &Row) -> bool {
        let fits = self.args.fits(row);
        let takes = fits && self.left > 0;
        if takes {
            (self.left, self.last) = (self.left - 1, Some(row.call));
        }
        self.more |= fits && !takes;
        takes
    }

    /// True once as many were shown as are wanted.
    pub fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Says that nothing fits, or how to see the rest of this run, if there is one and a person looks.
    pub fn tell(&self, run: &str, json: bool) {
        if self.last.is_none() && !self.more && self.args.narrows() && !json {
            screen::tell("no such calls\n");
        }
        if let (Some(last), true, false) = (self.last, self.more, json) {
            let next = screen::given::page_after(&last.0.to_string(), Some(run));
            screen::tell(&format!("{}\n", styled(DIM, format_args!("there are more: {next}"))));
        }
    }
}

/// What came of a call: ours, those of an error and those of a refusal.
pub fn decision(given: &str) -> Result<String, String> {
    // What is exhausted is a case of an error and the code of a refusal.
    let codes = || Code::ALL.into_iter().map(Code::word).filter(|word| !fault::KINDS.contains(word));
    let known = || OURS.into_iter().chain(fault::KINDS).chain(codes());
    if known().any(|word| word == given) {
        return Ok(given.to_owned());
    }
    let near = nearest(given, known()).map(|near| format!("did you mean `{near}`?"));
    Err(near.unwrap_or_else(|| format!("it is one of {}", known().collect::<Vec<_>>().join(", "))))
}

/// An interface, or a syscall of one.
pub fn syscall(given: &str) -> Result<String, String> {
    let every = Call::every();
    let names = every.iter().map(Call::name);
    let known: BTreeSet<&str> =
        names.flat_map(|name| [name.split_once('.').map_or(name, |(of, _)| of), name]).collect();
    if known.contains(given) {
        return Ok(given.to_owned());
    }
    let near = nearest(given, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    let interfaces: Vec<_> = known.iter().copied().filter(|name| !name.contains('.')).collect();
    Err(near
        .unwrap_or_else(|| format!("it is one of {}, or a syscall of one, such as memory.put", interfaces.join(", "))))
}

fn status(given: &str) -> Result<Status, String> {
    const KNOWN: [&str; 8] =
        ["running", "suspended", "done", "failed", "denied", "exhausted", "unavailable", "stopped"];
    let told = || match elsewhere(given).or_else(|| nearest(given, KNOWN.into_iter())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it is one of {}", KNOWN.join(", ")),
    };
    serde_json::from_value(Value::from(given)).map_err(|_| told())
}

/// What other schedulers call it.
fn elsewhere(given: &str) -> Option<&'static str> {
    Some(match given.to_ascii_lowercase().as_str() {
        "finished" | "success" | "successful" | "succeeded" | "ok" | "completed" | "complete" | "ended" => "done",
        "error" | "errored" | "crashed" | "panicked" => "failed",
        "refused" | "forbidden" | "rejected" => "denied",
        "waiting" | "paused" | "pending" | "blocked" | "parked" | "asleep" => "suspended",
        "killed" | "cancelled" | "canceled" | "aborted" => "stopped",
        "budget" | "quota" | "timeout" => "exhausted",
        "active" | "live" | "alive" => "running",
        _ => return None,
    })
}

/// How many of a list are wanted at most: a list of none says nothing.
pub fn limit(given: &str) -> Result<u64, String> {
    given.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "it is a whole number, 1 or more".to_owned())
}

/// Millionths of a dollar.
fn dollars(given: &str) -> Result<u64, String> {
    microusd(given).ok_or_else(|| format!("`{given}` is no amount of dollars, such as 0.05 or 2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_amounts_are_read_exactly_or_refused() {
        assert_eq!(status("denied"), Ok(Status::Denied));
        assert_eq!(status("finished"), Err("did you mean `done`?".to_owned()));
        assert_eq!(status("denyed"), Err("did you mean `denied`?".to_owned()));
        assert_eq!((dollars("0.05"), dollars("2"), dollars("1.000001")), (Ok(50_000), Ok(2_000_000), Ok(1_000_001)));
        for wrong in ["", "x", "-1", "1.", ".5", "0.0000001", "99999999999999999999"] {
            assert!(dollars(wrong).is_err(), "{wrong}");
        }
        assert!(status("Done").is_err() && status("").is_err());
        for word in ["allowed", "no-grant", "timed-out", "waits"] {
            assert_eq!(decision(word).as_deref(), Ok(word));
        }
        assert_eq!(decision("alowed"), Err("did you mean `allowed`?".to_owned()));
        assert!(decision("wibble").is_err_and(|known| known.contains("allowed, open") && known.contains("forbidden")));
        assert_eq!((syscall("llm"), syscall("memory.put")), (Ok("llm".to_owned()), Ok("memory.put".to_owned())));
        assert_eq!(syscall("memry.put"), Err("did you mean `memory.put`?".to_owned()));
        assert!(syscall("nothing").is_err_and(|known| known.starts_with("it is one of agents, budget")));
    }
}
