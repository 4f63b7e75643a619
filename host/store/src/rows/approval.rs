//! A question to people as it is stored and shown: what would be done, by whom, why it is asked, and what came of it.

use std::sync::Arc;

use agentry_kernel::approval::{ApprovalId, Factor};
use agentry_kernel::budget::{Amounts, Shortage};
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::digest::Digest;
use agentry_kernel::refusal::Rule;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::ids::HostId;
use crate::limits::QUESTIONS_KEPT_MAX;
use crate::rows;
use crate::rows::parked::OpenRun;
use crate::{Batch, Range, Store, StoreError, keys, scan_all};

/// The version byte of a stored question.
const FORMAT: u8 = 3;

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
    /// What a yes adds to budgets that ran out.
    #[serde(skip)]
    pub short: Vec<Shortage>,
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
    /// The policy changed while it was open, or the tool.
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
    pub fn write(&self, batch: &mut Batch) {
        batch.put(keys::question(self.id), self.encode());
    }
}

impl Question {
    /// Behind its version: the question as version 2 had it, then what it did not have.
    fn encode(&self) -> Vec<u8> {
        postcard::to_extend(&(self, &self.short), vec![FORMAT]).expect("it is plain data, and memory grows")
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged { why: "a question that does not decode".to_owned() };
        let Some((&FORMAT, rest)) = bytes.split_first() else { return rows::run::decode(bytes) };
        let (question, short) = postcard::from_bytes::<(Self, Vec<Shortage>)>(rest).map_err(|_| damaged())?;
        Ok(Self { short, ..question })
    }
}

/// A question on its way to whoever watches its run: as it is stored, so that nothing of it is lost.
pub mod whole {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};

    use super::Question;

    /// Writes the question as its row.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(question: &Question, serializer: S) -> Result<S::Ok, S::Error> {
        question.encode().serialize(serializer)
    }

    /// Reads a question out of its row.
    ///
    /// # Errors
    /// When the row does not decode.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<Question>, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        Question::decode(&bytes).map(Box::new).map_err(D::Error::custom)
    }
}

/// All questions that are kept, oldest first.
///
/// # Errors
/// When the store cannot be read or one does not decode.
pub fn all(store: &dyn Store) -> Result<Vec<Question>, StoreError> {
    let rows = scan_all(store, Range::of(keys::QUESTIONS));
    let mut questions = rows.map(|row| Question::decode(&row?.1)).collect::<Result<Vec<_>, _>>()?;
    questions.sort_by_key(|question| (question.asked, question.id));
    Ok(questions)
}

/// The one question whose id begins so.
pub fn named<'q>(questions: &'q [Question], name: &str) -> Option<&'q Question> {
    let wanted = name.to_ascii_lowercase();
    let mut found =
        questions.iter().filter(|question| !wanted.is_empty() && question.id.to_string().starts_with(&wanted));
    found.next().filter(|_| found.next().is_none())
}

/// What became of a question that was asked, if it has an answer or an end.
pub fn became(question: &Question) -> Option<String> {
    Some(match &question.state {
        State::Open => return None,
        State::Approved => format!("the yes of {} was already used", question.yes.join(" and ")),
        State::Denied { by, .. } => format!("{by} said no already"),
        State::Expired => "nobody answered in time".to_owned(),
        State::Withdrawn => "its run does not wait for it any more".to_owned(),
        State::Void => "the policy or the tool changed, so an answer is void".to_owned(),
        State::Gone => "the host of its run has stopped".to_owned(),
    })
}

/// What the last epoch of this host left open is nobody's any more: its runs wait no longer. Says so, and drops what is too old to be of use.
/// Questions of other hosts' runs stay as they are.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn recover(store: &Arc<dyn Store>, host: HostId) -> Result<(), StoreError> {
    let mut questions = all(&**store)?;
    questions.retain(|question| !is_elsewhere(&**store, question.run, host));
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

/// Whether another host has this run, which has not ended.
fn is_elsewhere(store: &dyn Store, run: RunId, host: HostId) -> bool {
    OpenRun::of(store, run).is_ok_and(|open| open.is_some_and(|open| open.at.host != host))
}

#[cfg(test)]
mod tests {
    use agentry_kernel::budget::{Resource, Window};

    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_written_also_by_the_version_before() {
        let question = Question {
            id: ApprovalId(7),
            run: RunId(1),
            call: CallId(3),
            agent: "scribe".to_owned(),
            package: "acme:scribe@1.0.0".to_owned(),
            title: "llm.complete small".to_owned(),
            text: "hello".to_owned(),
            rule: Rule { id: "scribe/budget".to_owned(), file: "50-scribe.toml".to_owned(), line: 9 },
            from: "anyone".to_owned(),
            factor: Factor::Confirm,
            quorum: 1,
            labels: Vec::new(),
            held: Amounts::of(Resource::Usd, 1000),
            short: Vec::new(),
            asked: Millis(5),
            expires: Millis(60_000),
            binding: Digest::default(),
            times: 1,
            yes: Vec::new(),
            state: State::Open,
        };
        assert_eq!(Question::decode(&rows::run::encode(&question)), Ok(question.clone()), "version 2");
        let (what, window) = (Resource::Usd, Window::Day);
        let short = vec![Shortage { what, window, limit: 2000, spent: 1700, reserved: 0, more: 700 }];
        let question = Question { short, ..question };
        assert_eq!(Question::decode(&question.encode()), Ok(question.clone()));
        assert!(Question::decode(&[FORMAT, 1, 2]).is_err() && Question::decode(&[]).is_err());
    }
}
