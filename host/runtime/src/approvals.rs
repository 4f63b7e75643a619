//! People who answer for agents: who they are, what they are asked, and their answers on the way to the kernel.
//!
//! The kernel decides whether an answer counts; here a code is checked, an answer is written down and whoever waits is woken.
//! Agents cannot reach any of this: it is asked for on a terminal or over the control socket.

pub(crate) mod codes;
mod roster;

use std::path::{Path, PathBuf};

use agentry_kernel::approval::{ApprovalId, Approver, Unfit};
use agentry_kernel::kernel::{Answered, Vote};
use agentry_kernel::limits::APPROVAL_TEXT_MAX_BYTES;
use agentry_kernel::text::cut;
use agentry_store::StoreError;
use agentry_store::rows::approval;
use serde::{Deserialize, Serialize};

pub use self::codes::CodeError;
pub use self::roster::{Enrolled, Roster, RosterError};
use crate::gate::Gate;

/// Who answers without a name: the user that runs agents.
pub const LOCAL: &str = "local";

/// A person's answer, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saying {
    /// The question: its id, or the beginning of it.
    pub question: String,
    /// Who says it; none for the user that runs agents, or for whose code it is if there is one approver only.
    pub name: Option<String>,
    /// The code of their authenticator app.
    pub code: Option<String>,
    /// A no has a reason.
    pub no: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The question.
    pub id: ApprovalId,
    /// Who answered.
    pub by: String,
    /// What it came to.
    pub answered: Effect,
}

/// What an answer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// The call goes ahead.
    Approved,
    /// It does not.
    Denied,
    /// So many more people must say yes.
    MoreWanted(u32),
}

/// Why an answer does not count.
#[derive(Debug, thiserror::Error)]
pub enum SayError {
    /// No question has this id.
    #[error("no open question is called `{0}`")]
    Unknown(String),
    /// It was open, and is not any more.
    #[error("no open question is called `{id}`: {how}")]
    Closed {
        /// As it was named.
        id: String,
        /// What became of it.
        how: String,
    },
    /// More than one begins so.
    #[error("more than one question begins with `{0}`\nhint: give more letters")]
    Many(String),
    /// A name without a code proves nothing.
    #[error("`{0}` is known by a code only")]
    Unproven(String),
    /// A code without a name, and more than one it could be.
    #[error("it is not said whose code this is")]
    Nameless,
    /// The code.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// The list of approvers.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The kernel does not take it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// It could not be written down, so it may not count.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Those who can be asked on this host.
#[derive(Debug)]
pub struct People {
    home: PathBuf,
}

impl People {
    /// The approvers of this home, who are read anew with each answer.
    pub fn of(home: &Path) -> Self {
        Self { home: home.to_owned() }
    }

    /// Takes an answer: finds the question, proves who it is from, and hands it to the kernel.
    ///
    /// # Errors
    /// [`SayError`] if it does not count. A wrong code is remembered all the same.
    pub async fn say(&self, gate: &Gate, saying: Saying) -> Result<Said, SayError> {
        let id = find(gate, &saying.question).map_err(|error| closed(gate, error))?;
        let who = self.who(gate, &saying).await?;
        let by = who.name.clone();
        let vote = match saying.no {
            Some(because) => Vote::No { because: cut(because, APPROVAL_TEXT_MAX_BYTES) },
            None => Vote::Yes,
        };
        let answered = gate.answer(id, &who, &vote)?;
        gate.answers_durable().await?;
        let answered = match answered {
            Answered::Approved => Effect::Approved,
            Answered::Denied => Effect::Denied,
            Answered::MoreWanted(more) => Effect::MoreWanted(more),
        };
        Ok(Said { id, by, answered })
    }

    async fn who(&self, gate: &Gate, saying: &Saying) -> Result<Approver, SayError> {
        let Some(code) = &saying.code else {
            return match &saying.name {
                // A no needs no proof: it only keeps things from happening.
                Some(name) if saying.no.is_none() => Err(SayError::Unproven(cut(name.clone(), 64))),
                _ => Ok(Approver { name: LOCAL.to_owned(), groups: Vec::new(), proven: false }),
            };
        };
        let roster = Roster::of(&self.home);
        let name = match &saying.name {
            Some(name) => name.clone(),
            None => match roster.names()?.as_slice() {
                [only] => only.clone(),
                _ => return Err(SayError::Nameless),
            },
        };
        let enrolled = roster.find(&name)?;
        codes::prove(gate.journal().store(), &enrolled, code, gate.clock().calendar()).await?;
        Ok(Approver { name: enrolled.name, groups: enrolled.groups, proven: true })
    }
}

fn find(gate: &Gate, name: &str) -> Result<ApprovalId, SayError> {
    let shown: String = name.chars().take(32).collect();
    let wanted = name.to_ascii_lowercase();
    let open = gate.questions();
    let mut found = open.iter().filter(|question| !wanted.is_empty() && question.id.to_string().starts_with(&wanted));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.id),
        (Some(_), Some(_)) => Err(SayError::Many(shown)),
        (None, _) => Err(SayError::Unknown(shown)),
    }
}

/// What became of a question that is not open, where somebody remembers.
fn closed(gate: &Gate, error: SayError) -> SayError {
    let SayError::Unknown(id) = error else { return error };
    let questions = approval::all(&**gate.journal().store()).unwrap_or_default();
    match approval::named(&questions, &id) {
        Some(question) => {
            // It was open a moment ago: what became of it is on its way to the store.
            let how = approval::became(question).unwrap_or_else(|| "it has just been closed".to_owned());
            SayError::Closed { id, how }
        }
        None => SayError::Unknown(id),
    }
}
