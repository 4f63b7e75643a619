//! The operations as they go over the control socket: one line each, its number on the wire being its place. New ones go to the end, and
//! `PROTOCOL` is raised with each.

use std::sync::Arc;

use agentry_journal::settle_unknown::Resolution;
use agentry_runtime::approvals::Saying;
use agentry_runtime::host::services::Services;
use agentry_store::rows::question::Answering;
use serde::{Deserialize, Serialize};

use crate::api::{
    AcceptClock, Budget, Discard, DropCause, Get, GetEach, Has, Hold, HoldAgent, LiveRuns, LookAtClock, LookAtHost,
    LookAtLock, LookAtTriggers, News, Operation, Paused, Reload, Requeue, Scan, Start, Stop, TendTrigger, Unlabel,
    UnlabelRun,
};
use crate::error::OpError;
use crate::ops::ByHost;
use crate::upkeep::{BeginPruning, CloseView, LookAtPruning, Measure, OpenView, ViewGet, ViewHas, ViewScan};

/// A request, as a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// One operation; one [`Reply`] comes.
    Ask(Ask),
    /// Begin a run. [`Reply::News`] and [`Reply::Still`] come until it has begun, or until it is over.
    Start(Start),
}

/// A reply, as a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It is done.
    Done(Answer),
    /// It is not.
    Failed(OpError),
    /// What is heard of a run.
    News(News),
    /// Nothing has happened, and the host is there.
    Still,
}

/// An operation that goes over the socket.
pub trait OverSocket: Operation + Sized {
    /// As it goes out.
    fn into_ask(self) -> Ask;
    /// What came back; none if it is the answer to another operation.
    fn answer_of(answer: Answer) -> Option<Self::Answer>;
}

macro_rules! operations {
    ($($operation:ident),* $(,)?) => {
        /// An operation, whichever it is.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Ask {
            $(#[doc = concat!("[`", stringify!($operation), "`]")] $operation($operation),)*
        }

        /// Its answer.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Answer {
            $(#[doc = concat!("To [`", stringify!($operation), "`].")] $operation(<$operation as Operation>::Answer),)*
        }

        $(impl OverSocket for $operation {
            fn into_ask(self) -> Ask {
                Ask::$operation(self)
            }

            fn answer_of(answer: Answer) -> Option<Self::Answer> {
                if let Answer::$operation(answer) = answer { Some(answer) } else { None }
            }
        })*

        /// Has the host do it.
        pub(super) async fn done(host: &Arc<Services>, ask: Ask) -> Result<Answer, OpError> {
            match ask {
                $(Ask::$operation(operation) => operation.by_host(host).await.map(Answer::$operation),)*
            }
        }
    };
}

operations! {
    Get,
    Has,
    Scan,
    Paused,
    Saying,
    Answering,
    Resolution,
    Budget,
    LookAtLock,
    Unlabel,
    UnlabelRun,
    LiveRuns,
    Stop,
    Hold,
    HoldAgent,
    Discard,
    LookAtClock,
    AcceptClock,
    Requeue,
    Measure,
    OpenView,
    CloseView,
    ViewGet,
    ViewHas,
    ViewScan,
    BeginPruning,
    LookAtPruning,
    GetEach,
    LookAtHost,
    TendTrigger,
    LookAtTriggers,
    Reload,
    DropCause,
}
