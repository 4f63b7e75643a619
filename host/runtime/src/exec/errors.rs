//! Why a run does not begin or go on: each with what to do about it.

use agentry_engine::package::PackageError;
use agentry_engine::prepare::PrepareError;
use agentry_journal::history::NoRun;
use agentry_kernel::Digest;
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::refusal::Refusal;
use agentry_store::StoreError;
use agentry_store::rows::run::RunRecord;

use super::components::NotReady;

/// Why a run did not begin, or could not be finished. What a guest does is never one of these: it stands in the report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file is no package that this host runs.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// It cannot be read or compiled within its limits.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The input is not JSON.
    #[error(
        "the input is {why}\nhint: give one JSON value: --input '{{\"question\": \"…\"}}', --input @FILE or --input -"
    )]
    Input {
        /// What is wrong with it.
        why: String,
    },
    /// The input is longer than one may be; whoever read it may have stopped there, so nobody says how long it is.
    #[error(
        "the input is longer than {max} bytes\nhint: let the agent read it: put it into a file below a root that it is granted, and name that in the input"
    )]
    Long {
        /// The most.
        max: usize,
    },
    /// The agent's manifest says by a schema what it takes, and this is something else.
    #[error(
        "agent `{agent}` does not take this input: {why}\nhint: `agentry inspect FILE` shows its `input_schema`; so does `agentry run FILE --help`"
    )]
    Shape {
        /// The agent's name.
        agent: String,
        /// Where it does not fit, and why.
        why: String,
    },
    /// The agent is granted roots that nobody gave.
    #[error("agent `{agent}` needs {}", lacking(roots))]
    Roots {
        /// The agent's name.
        agent: String,
        /// Each by its name, and what its manifest says it is for.
        roots: Vec<(String, String)>,
    },
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(getrandom::Error),
    /// There is no such run.
    #[error(transparent)]
    NoRun(#[from] NoRun),
    /// It came out of a file, and no home can read what that says of it.
    #[error(
        "run {run} came out of a file that no host can execute again: {why}\nhint: export it again in the home where it ran, and import that into another home: --home DIR"
    )]
    File {
        /// Which.
        run: RunId,
        /// What does not decode.
        why: String,
    },
    /// The run was refused before it began.
    #[error("run {run} never began, so there is nothing to execute again\nhint: `agentry trace {run}` says why")]
    NeverBegan {
        /// Which.
        run: RunId,
    },
    /// It has ended, or it goes on already.
    #[error("run {run} is not suspended, so there is nothing to resume\nhint: `agentry ps` says how each run stands")]
    NotSuspended {
        /// Which.
        run: RunId,
    },
    /// Another host of the same store has it.
    #[error(
        "run {run} is of the host `{host}`, which shares this store, and goes on there\nhint: open that host, under its name"
    )]
    Elsewhere {
        /// Which.
        run: RunId,
        /// The name of that host.
        host: String,
    },
    /// It goes on with the run that called it.
    #[error("run {run} works for run {parent} and goes on with that one\nhint: agentry resume {parent}")]
    Below {
        /// Which.
        run: RunId,
        /// The run above it.
        parent: RunId,
    },
    /// A run is forked at a call that it made.
    #[error("run {run} made no call {call}\nhint: `agentry trace {run}` numbers its calls")]
    NoCall {
        /// Which.
        run: RunId,
        /// The call.
        call: CallId,
    },
    /// Another component may be another version of the agent, and not another agent: its grant is for that one.
    #[error(
        "run {run} is of agent `{agent}`, and the component is agent `{given}`\nhint: give another version of `{agent}`, or run it: agentry run FILE.wasm"
    )]
    OtherAgent {
        /// Which.
        run: RunId,
        /// Its agent.
        agent: String,
        /// The agent of the component.
        given: String,
    },
    /// Policy or a budget says no.
    #[error("{0}")]
    Forbidden(Box<Refusal>),
    /// Policy says no now; the run stays as it is.
    #[error("the run stays suspended\n{0}")]
    Refused(Box<Refusal>),
    /// It was another component.
    #[error("run {run} was of the component {recorded}, and this one is {given}\nhint: give the file that it ran")]
    Component {
        /// Which.
        run: RunId,
        /// The digest of the one that ran.
        recorded: Digest,
        /// The digest of the one that is given.
        given: Digest,
    },
    /// The component that ran is not kept here.
    #[error("the component {recorded} of run {run} is not kept here\nhint: give its file: --component FILE.wasm")]
    NoComponent {
        /// Which.
        run: RunId,
        /// Its digest.
        recorded: Digest,
    },
}

impl RunError {
    /// What is in the way, in a line.
    pub(crate) fn in_short(&self) -> String {
        match self {
            Self::Forbidden(refusal) | Self::Refused(refusal) => refusal.because.clone(),
            other => other.to_string().lines().next().unwrap_or_default().to_owned(),
        }
    }

    /// Why a recorded run cannot be executed again. What came out of a file says nothing of the store that has it.
    pub(crate) fn recorded(record: &RunRecord, error: StoreError) -> Self {
        match error {
            StoreError::Damaged { why } if record.imported.is_some() => Self::File { run: record.id, why },
            error => Self::Store(error),
        }
    }

    /// True if it says nothing of what was given: this machine did not get it done.
    pub fn is_of_the_machine(&self) -> bool {
        matches!(self, Self::Prepare(PrepareError::Killed))
    }

    /// True if it would be the same however often the same is tried: the input is not what the agent takes.
    pub(crate) fn is_of_the_input(&self) -> bool {
        matches!(self, Self::Input { .. } | Self::Long { .. } | Self::Shape { .. })
    }
}

impl From<NotReady> for RunError {
    fn from(error: NotReady) -> Self {
        match error {
            NotReady::Package(error) => Self::Package(error),
            NotReady::Prepare(error) => Self::Prepare(error),
            NotReady::Store(error) => Self::Store(error),
        }
    }
}

/// Which roots are not there, and how all of them are given at once.
fn lacking(roots: &[(String, String)]) -> String {
    let each =
        |show: fn(&(String, String)) -> String, between| roots.iter().map(show).collect::<Vec<_>>().join(between);
    let (word, whose) = if roots.len() == 1 { ("root", "that name") } else { ("roots", "these names") };
    format!(
        "the {word} {}, and this host has none of {whose}\nhint: add {}, where a host serves to its own command; {}",
        each(|(root, _)| format!("`{root}`"), " and "),
        each(|(root, _)| format!("--root {root}=DIR"), " "),
        each(|(root, why)| format!("`{root}` is for: {why}"), "; "),
    )
}

#[cfg(test)]
mod tests {
    use agentry_kernel::journal::Status;
    use agentry_kernel::{Amounts, Labels, Millis};
    use agentry_store::rows::run::Imported;

    use super::*;

    #[test]
    fn what_does_not_decode_of_a_run_out_of_a_file_is_said_of_the_file() {
        let ran = RunRecord {
            id: RunId(7),
            agent: "scribe".to_owned(),
            package: "scribe@1.0.0".to_owned(),
            component: Digest::default(),
            status: Status::Done,
            started: Millis(1),
            ended: Some(Millis(2)),
            spent: Amounts::ZERO,
            calls: 1,
            refused: 0,
            failure: None,
            labels: Labels::NONE,
            parent: None,
            cause: None,
            imported: None,
            trigger: None,
            listed: None,
        };
        let imported = Some(Imported { at: Millis(3), signer: None, adopted: false });
        let damaged = || StoreError::Damaged { why: "an answer that does not decode".to_owned() };
        assert!(matches!(RunError::recorded(&ran, damaged()), RunError::Store(StoreError::Damaged { .. })));
        let ran = RunRecord { imported, ..ran };
        assert!(matches!(RunError::recorded(&ran, StoreError::Full), RunError::Store(StoreError::Full)));
        let said = RunError::recorded(&ran, damaged()).to_string();
        assert!(said.contains("an answer that does not decode") && !said.contains("damaged"), "{said}");
    }
}
