//! Why an operation was not done: its kind, which decides the exit code or the status of whatever face shows it; what happened, in words; and
//! what a person can do next, as data. It never names the words of one face: a verb of the command line stands in the command line.

use agentry_config::policies::PoliciesError;
use agentry_journal::history::NoRun;
use agentry_journal::settle_unknown::ResolveError;
use agentry_kernel::approval::Unfit;
use agentry_kernel::call::RunId;
use agentry_runtime::approvals::{CodeError, RosterError, SayError};
use agentry_runtime::exec::errors::RunError;
use agentry_store::StoreError;
use agentry_store::rows::question::AnswerError;
use serde::{Deserialize, Serialize};

/// When it is worth while to try again what was turned away because of too much at once.
pub const BUSY_RETRY_MS: u64 = 1_000;

/// Why an operation was not done. It is the same whether a host that runs did not do it, or it was not done in the place of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct OpError {
    /// What a face maps.
    pub kind: Kind,
    /// What happened; where there is one remedy whatever the face, it stands behind `\nhint: `.
    pub text: String,
    /// What a person can do next by a face, which says it in its own words.
    pub next: Option<Next>,
}

/// What an error means to whoever asked. The order is the wire's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// What is named is not there, or more than one thing is named so.
    NotFound,
    /// It may not be.
    Refused(Refuser),
    /// It makes no sense, whatever stands in the home.
    Invalid,
    /// It makes sense, but not as things stand: over, known, full.
    Conflict,
    /// Something that it takes is not to be had now.
    Unavailable {
        /// When it is worth while to try again; none if somebody has to mend something first.
        retry_ms: Option<u64>,
    },
    /// The host that runs takes no orders: it runs one agent, or it stops.
    NotServing,
    /// No host runs there, and it takes one.
    NoHost,
    /// A part of Agentry broke down, or the two ends do not understand each other.
    Broken,
    /// It may have been done, and nobody heard.
    Unheard,
}

/// What says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refuser {
    /// A rule of the policy, by its id; none where no rule grants it.
    Policy(Option<String>),
    /// What policy asks of a person's answer: that it is asked for, by whom, with which proof.
    Approval,
}

/// What a person can do next. The order is the wire's; new ones go to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// Look at the questions of policy that are open.
    OpenApprovals,
    /// Look at those that are closed, too.
    ClosedApprovals,
    /// Give the code of an app.
    GiveCode,
    /// Give the code of an app, and whose it is.
    GiveCodeAndName,
    /// Say whose code it is.
    GiveName,
    /// Look at who is enrolled as an approver, or enrol somebody.
    Approvers,
    /// Look at the questions of agents that are open.
    OpenQuestions,
    /// Look at the runs of the home.
    Runs,
    /// Look at the runs that go on.
    LiveRuns,
    /// Look at the runs that go on, or take the labels off what the run wrote.
    LiveRunsOrKept,
    /// Look at the calls of a run.
    Trace(RunId),
    /// Look at the letters that are kept.
    Letters,
    /// Let an agent go that is held.
    LetGo,
    /// Run an agent.
    Run,
    /// Start a host, or name another home.
    Serve,
    /// Wait for the run, or start a host that takes orders.
    ServeInstead,
    /// Look at the runs of the home, or order again under the key that was given.
    RunsOrKey,
    /// Look at what triggers have noticed.
    Causes,
    /// Look at the triggers that there are.
    Triggers,
    /// Let the trigger go that is held.
    ResumeTrigger(String),
    /// Wait until the cause is tried again, or throw it away.
    DropCause(String),
    /// End the run.
    Kill(RunId),
    /// Let the run go on.
    Resume(RunId),
}

impl OpError {
    pub(crate) fn new(kind: Kind, text: impl ToString) -> Self {
        Self { kind, text: text.to_string(), next: None }
    }

    pub(crate) fn next(self, next: Next) -> Self {
        Self { next: Some(next), ..self }
    }

    /// The run neither goes on nor rests here.
    pub fn not_here(run: RunId) -> Self {
        Self::new(Kind::Conflict, format_args!("run {run} does not go on here")).next(Next::LiveRuns)
    }

    /// No labels can be taken off a run that does not go on.
    pub fn not_running(run: RunId) -> Self {
        Self::not_here(run).next(Next::LiveRunsOrKept)
    }

    pub(crate) fn no_letter(letter: &str) -> Self {
        let letter: String = letter.chars().take(64).collect();
        Self::new(Kind::NotFound, format_args!("there is no letter {letter}")).next(Next::Letters)
    }

    pub(crate) fn no_cause(name: &str) -> Self {
        let name: String = name.chars().take(64).collect();
        Self::new(Kind::NotFound, format_args!("no cause is called `{name}`")).next(Next::Causes)
    }

    pub(crate) fn cause_is_tried(name: &str, tries: u32) -> Self {
        let text = format!(
            "cause `{name}` does not wait for a person: {tries} times no run could be begun, and it is tried again"
        );
        Self::new(Kind::Conflict, text).next(Next::DropCause(name.to_owned()))
    }

    pub(crate) fn cause_runs(name: &str, run: RunId) -> Self {
        Self::new(Kind::Conflict, format_args!("cause `{name}` has a run, {run}, that goes on")).next(Next::Kill(run))
    }

    pub(crate) fn too_many_held(max: usize) -> Self {
        Self::new(Kind::Conflict, format_args!("{max} agents are paused already")).next(Next::LetGo)
    }

    pub(crate) fn not_serving() -> Self {
        Self::new(Kind::NotServing, "the host that runs here runs one agent and takes no orders")
            .next(Next::ServeInstead)
    }

    /// There is too much of it at once.
    pub(crate) fn busy(why: &str) -> Self {
        let kind = Kind::Unavailable { retry_ms: Some(BUSY_RETRY_MS) };
        Self::new(kind, format_args!("{why}\nhint: try again in a while"))
    }

    pub(crate) fn broken(why: &str) -> Self {
        Self::new(Kind::Broken, why)
    }
}

impl From<StoreError> for OpError {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Conflict | StoreError::Backlog => Kind::Unavailable { retry_ms: Some(BUSY_RETRY_MS) },
            StoreError::InUse { .. }
            | StoreError::Newer { .. }
            | StoreError::Foreign { .. }
            | StoreError::Emptied { .. }
            | StoreError::NotOpened { .. }
            | StoreError::Full
            | StoreError::Io { .. }
            | StoreError::Host { .. }
            | StoreError::Fenced
            | StoreError::TooManyHosts
            | StoreError::Closed => Kind::Unavailable { retry_ms: None },
            StoreError::Damaged { .. } | StoreError::TooLarge { .. } | StoreError::ReadOnly => Kind::Broken,
        };
        Self::new(kind, error)
    }
}

impl From<SayError> for OpError {
    fn from(error: SayError) -> Self {
        let kind = match error {
            SayError::Unknown(_) | SayError::Many(_) => Kind::NotFound,
            SayError::Roster(RosterError::Io { .. }) => Kind::Unavailable { retry_ms: None },
            _ => Kind::Refused(Refuser::Approval),
        };
        let next = match &error {
            SayError::Code(CodeError::Store(error)) | SayError::Store(error) => return error.clone().into(),
            SayError::Unknown(_) | SayError::Many(_) | SayError::Unfit(Unfit::Closed) => Some(Next::OpenApprovals),
            SayError::Closed { .. } => Some(Next::ClosedApprovals),
            SayError::Unproven(_) => Some(Next::GiveCode),
            SayError::Nameless => Some(Next::GiveName),
            SayError::Unfit(Unfit::NeedsCode) => Some(Next::GiveCodeAndName),
            SayError::Roster(RosterError::Unknown { .. }) => Some(Next::Approvers),
            SayError::Code(CodeError::Wrong | CodeError::Used | CodeError::Locked { .. })
            | SayError::Unfit(Unfit::Expired | Unfit::NotAsked { .. } | Unfit::Twice { .. })
            | SayError::Roster(
                RosterError::Name { .. }
                | RosterError::Exists(_)
                | RosterError::TooMany { .. }
                | RosterError::Reachable { .. }
                | RosterError::Damaged { .. }
                | RosterError::Io { .. }
                | RosterError::Random(_),
            ) => None,
        };
        Self { next, ..Self::new(kind, error) }
    }
}

impl From<AnswerError> for OpError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Store(error) => error.into(),
            AnswerError::Unknown(_) | AnswerError::Many(_) => {
                Self::new(Kind::NotFound, error).next(Next::OpenQuestions)
            }
            AnswerError::NoChoice { .. } | AnswerError::TooLong(_) => Self::new(Kind::Invalid, error),
        }
    }
}

impl From<ResolveError> for OpError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Store(error) => error.into(),
            ResolveError::NoRun(_) => Self::new(Kind::NotFound, error).next(Next::Runs),
            ResolveError::NoCall(run, _) => Self::new(Kind::NotFound, error).next(Next::Trace(run)),
            ResolveError::Suspended(run, _) => Self::new(Kind::Conflict, error).next(Next::Resume(run)),
            ResolveError::Known(run, _) | ResolveError::Before(run, _) | ResolveError::Open(run, _) => {
                Self::new(Kind::Conflict, error).next(Next::Trace(run))
            }
        }
    }
}

impl From<NoRun> for OpError {
    fn from(error: NoRun) -> Self {
        match error {
            NoRun::Store(error) => error.into(),
            NoRun::Never => Self::new(Kind::NotFound, error).next(Next::Run),
            NoRun::Unknown { meant: None, .. } => Self::new(Kind::NotFound, error).next(Next::Runs),
            NoRun::Unknown { meant: Some(_), .. } | NoRun::Many { .. } | NoRun::Pruned { .. } => {
                Self::new(Kind::NotFound, error)
            }
        }
    }
}

impl From<PoliciesError> for OpError {
    fn from(error: PoliciesError) -> Self {
        Self::new(Kind::Invalid, error)
    }
}

impl From<RunError> for OpError {
    fn from(error: RunError) -> Self {
        let kind = match error {
            RunError::Store(error) => return error.into(),
            RunError::NoRun(error) => return error.into(),
            ref error if error.is_of_the_machine() => Kind::Unavailable { retry_ms: Some(BUSY_RETRY_MS) },
            RunError::Package(_)
            | RunError::Prepare(_)
            | RunError::Input { .. }
            | RunError::Long { .. }
            | RunError::Shape { .. }
            | RunError::Roots { .. }
            | RunError::OtherAgent { .. }
            | RunError::File { .. }
            | RunError::Component { .. } => Kind::Invalid,
            RunError::NoCall { .. } | RunError::NoComponent { .. } => Kind::NotFound,
            RunError::NeverBegan { .. }
            | RunError::NotSuspended { .. }
            | RunError::Elsewhere { .. }
            | RunError::Below { .. } => Kind::Conflict,
            RunError::Forbidden(ref refusal) | RunError::Refused(ref refusal) => {
                Kind::Refused(Refuser::Policy(refusal.rule.as_ref().map(|rule| rule.id.to_string())))
            }
            RunError::Random(_) => Kind::Broken,
        };
        Self::new(kind, error)
    }
}
