//! A question to people as it is stored and shown: what would be done, by whom, why it is asked, and what came of it.

use std::sync::Arc;

use agentry_kernel::approval::{ApprovalId, Factor};
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::digest::Digest;
use agentry_kernel::refusal::Rule;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::journal::record::{decode, encode};
use crate::limits::QUESTIONS_KEPT_MAX;
use crate::store::{Batch, Page, Range, Store, StoreError, keys};

const PAGE: Page = Page { rows: 256, bytes: 4 * 1024 * 1024 };

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Which: a random number, which is its nonce.
    pub id: ApprovalId,
    /// Whose call.
    pub run: RunId,
    /// Which call of it.
    pub call: CallId,
    /// The agent's name.
    pub agent: String,
    /// `publisher:name@version`
    pub package: String,
    /// The syscall and what it is about: `tools.call mail.send`.
    pub title: String,
    /// The canonical arguments, whole, as the agent gave them: escape them before they reach a terminal.
    pub text: String,
    /// The rule that asks.
    pub rule: Rule,
    /// Whose yes counts.
    pub from: String,
    /// How they show who they are.
    pub factor: Factor,
    /// How many must say yes.
    pub quorum: u32,
    /// What the run carries, and how it came by it.
    pub labels: Vec<Gained>,
    /// What is held for the call: the most that it can cost.
    pub held: Amounts,
    /// When it was asked.
    pub asked: Millis,
    /// From then on a yes is good for nothing.
    pub expires: Millis,
    /// The name of all that a yes is bound to.
    pub binding: Digest,
    /// How many equal calls wait for it.
    pub times: u32,
    /// Who has said yes so far.
    pub yes: Vec<String>,
    /// How it stands.
    pub state: State,
}

/// A label, and how a run came by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gained {
    /// For example `untrusted`.
    pub label: String,
    /// The call that brought it, if that is known.
    pub by: Option<String>,
}

/// How a question stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It waits for an answer.
    Open,
    /// Enough people said yes.
    Approved,
    /// Somebody said no.
    Denied {
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
    /// Nobody answered in time.
    Expired,
    /// The agent does not wait for it any more.
    Withdrawn,
    /// The policy changed while it was open.
    Void,
    /// The host of its run has ended; nothing waits for an answer.
    Gone,
}

impl State {
    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Denied { .. } => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Void => "void",
            Self::Gone => "gone",
        }
    }
}

impl Question {
    /// Writes it into a batch.
    pub(crate) fn write(&self, batch: &mut Batch) {
        batch.put(keys::question(self.id), encode(self));
    }
}

/// All questions that are kept, oldest first.
///
/// # Errors
/// When the store cannot be read or one does not decode.
pub fn all(store: &dyn Store) -> Result<Vec<Question>, StoreError> {
    let mut questions = Vec::new();
    let mut range = Range::of(keys::QUESTIONS);
    loop {
        let rows = store.scan(&range, PAGE)?;
        let Some((last, _)) = rows.last() else { break };
        range = range.after(last);
        for (_, row) in &rows {
            questions.push(decode::<Question>(row)?);
        }
    }
    questions.sort_by_key(|question| (question.asked, question.id));
    Ok(questions)
}

/// See [`super::recover`].
pub(super) async fn recover(store: &Arc<dyn Store>) -> Result<(), StoreError> {
    let questions = all(&**store)?;
    let old = questions.len().saturating_sub(QUESTIONS_KEPT_MAX);
    let mut batch = Batch::default();
    for (place, question) in questions.into_iter().enumerate() {
        if place < old {
            batch.remove(keys::question(question.id));
        } else if question.state == State::Open {
            Question { state: State::Gone, ..question }.write(&mut batch);
        }
    }
    if batch.writes.is_empty() { Ok(()) } else { store.commit(batch).await }
}
