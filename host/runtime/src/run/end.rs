//! How a guest ended, in one word and one sentence for a person: its output, its own failure, or what it broke on.

use agentry_abi::bindings::agentry::agent::outcome::Failure;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::port::How;
use agentry_kernel::budget::{Allowance, Resource};
use agentry_kernel::journal::Status;
use agentry_kernel::json;
use agentry_kernel::text::cut;
use agentry_store::StoreError;
use agentry_store::limits::{FAILURE_MAX_BYTES, OUTPUT_MAX_BYTES};
use serde_json::Value;

use super::recording::Verdict;
use crate::shapes::Shapes;

/// The end of a run.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) status: Status,
    pub(crate) output: Option<Value>,
    pub(crate) failure: Option<String>,
    /// What was in its way, for [`cause`](super::cause).
    pub(crate) why: Why,
    text: String,
    /// Whether what it said last explains it.
    broke: bool,
}

/// What was in the way of a run that did not succeed.
#[derive(Clone, Debug)]
pub(crate) enum Why {
    /// Nobody but the agent knows.
    Itself,
    /// An error of a syscall, which the agent passed on.
    Call(Error),
    /// A budget that the engine enforces.
    Budget(Resource),
    /// The store, which could not be written.
    Store(StoreError),
}

impl End {
    fn not_done(status: Status, why: impl Into<String>) -> Self {
        Self { status, output: None, failure: Some(why.into()), why: Why::Itself, text: String::new(), broke: false }
    }

    fn exhausted(what: Resource, why: impl Into<String>) -> Self {
        Self { why: Why::Budget(what), ..Self::not_done(Status::Exhausted, why) }
    }

    fn broke(why: impl Into<String>) -> Self {
        Self { broke: true, ..Self::not_done(Status::Failed, why) }
    }

    /// It gave something; it is an output if it is JSON of a length that can be kept.
    fn output(text: String) -> Self {
        if text.len() > OUTPUT_MAX_BYTES {
            let bytes = text.len();
            return Self::not_done(
                Status::Failed,
                format!("the output has {bytes} bytes, more than {OUTPUT_MAX_BYTES}"),
            );
        }
        let checked = json::check(&text).map_err(|flaw| flaw.to_string());
        match checked.and_then(|()| serde_json::from_str(&text).map_err(|error| error.to_string())) {
            Ok(output) => {
                let (status, why) = (Status::Done, Why::Itself);
                Self { status, output: Some(output), failure: None, why, text, broke: false }
            }
            Err(error) => Self::not_done(Status::Failed, format!("the output is not JSON: {error}")),
        }
    }

    /// The same, unless its output is not what its manifest says.
    pub(crate) fn fitting(self, shapes: &Shapes) -> Self {
        match self.output.as_ref().map(|output| shapes.check_output(output)) {
            Some(Err(why)) => Self::not_done(
                Status::Failed,
                cut(format!("the output is not what the agent's `output_schema` says: {why}"), FAILURE_MAX_BYTES),
            ),
            _ => self,
        }
    }

    /// It said that it failed, and perhaps what was in its way.
    fn failure(failure: Failure) -> Self {
        let status = match &failure.cause {
            Some(Error::Denied(_)) => Status::Denied,
            Some(Error::Exhausted(_)) => Status::Exhausted,
            Some(Error::Unavailable(_) | Error::TimedOut | Error::Interrupted(_)) => Status::Unavailable,
            _ => Status::Failed,
        };
        let message = if failure.message.is_empty() { "the agent failed".to_owned() } else { failure.message };
        let why = failure.cause.map_or(Why::Itself, Why::Call);
        Self { why, ..Self::not_done(status, cut(message, FAILURE_MAX_BYTES)) }
    }

    /// As its guest ended.
    pub(crate) fn of(how: How, allowance: &Allowance, calls: u32, because: Option<&str>) -> Self {
        match how {
            How::Output(text) => Self::output(text),
            How::Failure(failure) => Self::failure(failure),
            // Whatever number it gave, the host is told success or failure alone.
            How::Exit(0) => Self::broke("the agent ended itself by exit, as a success, and gave no output".to_owned()),
            How::Exit(_) => Self::broke("the agent ended itself by exit, as a failure, and gave no output".to_owned()),
            How::OutOfFuel => {
                let fuel = allowance.fuel;
                Self::exhausted(Resource::Fuel, format!("the run used up its fuel: {fuel} instructions"))
            }
            How::OutOfMemory(max) => {
                let mb = max >> 20;
                Self::exhausted(Resource::Memory, format!("the run needs more than its {mb} MiB of memory"))
            }
            How::StackOverflow => Self::broke("the agent overflowed its stack"),
            // The stack of a program in linear memory grows down to address 0 and then out of it.
            How::OutOfBounds => Self::broke(
                "the agent read or wrote outside of its memory, as a program does whose stack overflows: perhaps it calls itself too often",
            ),
            How::Unreachable => Self::broke("the agent panicked"),
            How::Trap(trap) => Self::broke(format!("the agent broke: {trap}")),
            // What it asked for at once is over a limit, for example.
            How::Engine(why) => Self::broke(cut(format!("the engine stopped the agent: {why}"), 400)),
            How::NoRoom => Self::not_done(Status::Unavailable, "this host runs as many agents as it can"),
            How::TimedOut => Self::timed_out(allowance.wall_ms),
            How::Stopped => Self::stopped(calls, because),
            How::Panicked => Self::host_broke(),
            How::Lost => Self::not_done(Status::Failed, "each process that executed the agent broke down"),
        }
    }

    /// Our own fault.
    fn host_broke() -> Self {
        Self::not_done(Status::Failed, "the host broke down while it ran the agent")
    }

    pub(crate) fn timed_out(wall_ms: u64) -> Self {
        let seconds = wall_ms.div_ceil(1000);
        Self::exhausted(Resource::WallTime, format!("the run used up its wall time: {seconds} s"))
    }

    /// Somebody stopped it; a person may have said why.
    fn stopped(calls: u32, because: Option<&str>) -> Self {
        if calls >= agentry_kernel::limits::CALLS_PER_RUN_MAX {
            return Self::not_done(Status::Exhausted, format!("the run made {calls} calls, as many as one may"));
        }
        let why = because.map_or_else(String::new, |because| format!(": {because}"));
        Self::not_done(Status::Stopped, format!("the run was stopped{why}"))
    }

    /// With what the guest said last on standard error, if that explains its end.
    pub(crate) fn with_last_words(mut self, words: Option<String>) -> Self {
        if let (true, Some(why), Some(words)) = (self.broke, &mut self.failure, words) {
            *why = cut(format!("{why}: {words}"), FAILURE_MAX_BYTES);
        }
        self
    }

    /// The same, but for a run that was to go on and does something else than its journal says: nothing that it does counts.
    pub(crate) fn unless(self, verdict: Option<&Verdict>) -> Self {
        let why = match verdict {
            None => return self,
            Some(Verdict::Differs(first)) => first.to_string(),
            // What came out of a file says nothing of the store.
            Some(Verdict::Unreadable(StoreError::Damaged { why })) => why.clone(),
            Some(Verdict::Unreadable(error)) => error.to_string(),
            Some(Verdict::Cut) => "it is behind its end".to_owned(),
        };
        Self::not_done(Status::Failed, cut(format!("it does not go on as its journal says: {why}"), FAILURE_MAX_BYTES))
    }

    /// The same, unless something of its journal was lost: whatever it did, nobody will be able to read of it.
    pub(crate) fn unless_lost(self, lost: Option<StoreError>) -> Self {
        let Some(error) = lost else { return self };
        let (why, _) = in_two(&error);
        let why = cut(format!("the run could not be written down to its end: {why}"), FAILURE_MAX_BYTES);
        Self { why: Why::Store(error), ..Self::not_done(Status::Unavailable, why) }
    }

    /// For the journal: the output as the guest wrote it, or the sentence.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.failure.as_ref().unwrap_or(&self.text).clone().into_bytes()
    }
}

/// What an error of the store says, and its hint.
pub(crate) fn in_two(error: &StoreError) -> (String, String) {
    let said = error.to_string();
    let (why, hint) = said.split_once("\nhint: ").unwrap_or((&said, ""));
    (why.to_owned(), hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance = Allowance { fuel: 10, wall_ms: 1500, memory_bytes: 64 << 20 };

    fn check_broken(how: How, status: Status, why: &str) {
        let end = End::of(how, &ALLOWANCE, 0, None);
        assert_eq!((end.status, end.failure.as_deref()), (status, Some(why)));
    }

    #[test]
    fn each_way_to_break_has_its_sentence() {
        check_broken(How::OutOfFuel, Status::Exhausted, "the run used up its fuel: 10 instructions");
        check_broken(How::StackOverflow, Status::Failed, "the agent overflowed its stack");
        check_broken(How::Unreachable, Status::Failed, "the agent panicked");
        let memory = "the run needs more than its 64 MiB of memory";
        check_broken(How::OutOfMemory(64 << 20), Status::Exhausted, memory);
        assert_eq!(End::timed_out(1500).failure.as_deref(), Some("the run used up its wall time: 2 s"));
    }

    #[test]
    fn an_output_that_is_no_json_is_a_failure() {
        assert_eq!(End::output("[1]".to_owned()).status, Status::Done);
        assert_eq!(End::output("[1".to_owned()).status, Status::Failed);
        assert_eq!(End::output(" ".repeat(OUTPUT_MAX_BYTES + 1)).status, Status::Failed);
        assert_eq!(End::output("[".repeat(100_000)).status, Status::Failed);
    }

    #[test]
    fn a_run_that_a_full_disk_ended_says_so_and_not_that_somebody_stopped_it() {
        let stopped = || End::of(How::Stopped, &ALLOWANCE, 1, None);
        assert_eq!(stopped().unless_lost(None).status, Status::Stopped);
        let lost = stopped().unless_lost(Some(StoreError::Full));
        assert_eq!(lost.status, Status::Unavailable);
        let why = lost.failure.unwrap_or_default();
        assert!(why.contains("the disk of the store is full") && !why.contains("hint"), "{why}");
        assert!(matches!(lost.why, Why::Store(StoreError::Full)));
    }

    #[test]
    fn the_last_words_explain_a_panic_and_nothing_else() {
        let panic = End::broke("the agent panicked").with_last_words(Some("index out of bounds".to_owned()));
        assert_eq!(panic.failure.as_deref(), Some("the agent panicked: index out of bounds"));
        let failure = End::failure(Failure { message: "no".to_owned(), cause: None });
        assert_eq!(failure.with_last_words(Some("noise".to_owned())).failure.as_deref(), Some("no"));
    }
}
