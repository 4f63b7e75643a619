//! A question of an agent as it is stored and shown, and whether an answer to it counts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::journal::Status;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::limits::{HUMAN_ANSWER_MAX_BYTES, HUMAN_KEPT_MAX, HUMAN_TRIES_MAX};
use crate::rows;
use crate::{Batch, Expect, Key, Range, Store, StoreError, keys, scan_all};

/// The version byte of a stored question.
const FORMAT: u8 = 1;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiry {
    /// Whose.
    pub run: RunId,
    /// Which call of it.
    pub call: CallId,
    /// The agent's name.
    pub agent: String,
    /// As the agent wrote it: escape it before it reaches a terminal.
    pub text: String,
    /// Answers to choose from; empty for free text.
    pub choices: Vec<String>,
    /// When it was asked.
    pub asked: Millis,
    /// From then on nobody waits for an answer; none if as long as the run does.
    pub expires: Option<Millis>,
    /// How it stands.
    pub state: State,
}

/// How a question stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It waits for an answer.
    Open,
    /// Somebody answered.
    Answered {
        /// With these words.
        text: String,
    },
    /// Somebody said that they do not answer.
    Declined {
        /// Why; empty if they did not say.
        because: String,
    },
    /// Nobody answered in time.
    Expired,
    /// The agent does not want to know any more.
    Withdrawn,
    /// Its run is over.
    Gone,
}

impl State {
    /// In one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Answered { .. } => "answered",
            Self::Declined { .. } => "declined",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Gone => "gone",
        }
    }
}

/// A person's answer, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answering {
    /// The question: `RUN/CALL`, or the beginning of it.
    pub question: String,
    /// What is said.
    pub reply: Reply,
}

/// What a person says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// An answer.
    Text(String),
    /// That they do not answer, and why.
    Decline(String),
}

/// Why an answer does not count.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// No open question is called so.
    #[error("no open question is called `{0}`")]
    Unknown(String),
    /// More than one is.
    #[error("more than one question begins with `{0}`\nhint: give all of its name")]
    Many(String),
    /// It is none of those to choose from.
    #[error("`{given}` is none of the answers to choose from\nhint: answer one of, or its number: {choices}")]
    NoChoice {
        /// What was said.
        given: String,
        /// Those to choose from.
        choices: String,
    },
    /// It is too long.
    #[error(
        "an answer has at most {HUMAN_ANSWER_MAX_BYTES} bytes, and this one has {0}\nhint: say less, or put it in a file that the agent may read"
    )]
    TooLong(usize),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Inquiry {
    /// `RUN/CALL`
    pub fn id(&self) -> String {
        format!("{}/{}", self.run, self.call)
    }

    /// True if the time for an answer is over.
    pub fn is_over(&self, now: Millis) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    /// True if it is the question that was asked before, by the same call.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        (self.agent.as_str(), &self.text, &self.choices) == (other.agent.as_str(), &other.text, &other.choices)
    }

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT]).expect("it is plain data, and memory grows")
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it does not decode.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let inquiry = bytes.strip_prefix(&[FORMAT]).and_then(|rest| postcard::from_bytes(rest).ok());
        inquiry.ok_or_else(|| StoreError::Damaged { why: "a question of an agent that does not decode".to_owned() })
    }

    /// The choice of this number, from 1 on.
    fn numbered(&self, given: &str) -> Option<&String> {
        self.choices.get(given.trim().parse::<usize>().ok()?.checked_sub(1)?)
    }

    /// The same with this answer.
    fn answered(&self, reply: &Reply) -> Result<Self, AnswerError> {
        let (Reply::Text(said) | Reply::Decline(said)) = reply;
        if said.len() > HUMAN_ANSWER_MAX_BYTES {
            return Err(AnswerError::TooLong(said.len()));
        }
        let state = match reply {
            Reply::Decline(because) => State::Declined { because: because.clone() },
            Reply::Text(text) if self.choices.is_empty() => State::Answered { text: text.clone() },
            // Its words or, if none is so called, its number, as people see them.
            Reply::Text(text) => {
                match self.choices.iter().find(|choice| *choice == text).or_else(|| self.numbered(text)) {
                    Some(choice) => State::Answered { text: choice.clone() },
                    None => {
                        let choices = Choices(&self.choices).to_string();
                        return Err(AnswerError::NoChoice { given: text.clone(), choices });
                    }
                }
            }
        };
        Ok(Self { state, ..self.clone() })
    }
}

struct Choices<'a>(&'a [String]);

impl fmt::Display for Choices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, choice) in self.0.iter().enumerate() {
            write!(f, "{}`{choice}`", if place > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// All questions that are kept, oldest first, as they stand: one whose run is over is gone, and one whose time is over has expired.
///
/// # Errors
/// When the store cannot be read or one does not decode.
pub fn inquiries(store: &dyn Store, now: Millis) -> Result<Vec<Inquiry>, StoreError> {
    let mut found: Vec<_> = rows(store)?.into_iter().map(|(_, inquiry)| stands(store, inquiry, now)).collect();
    found.sort_by_key(|inquiry| (inquiry.asked, inquiry.run, inquiry.call));
    Ok(found)
}

/// Takes an answer.
pub async fn answer(store: &Arc<dyn Store>, answering: &Answering, now: Millis) -> Result<Inquiry, AnswerError> {
    for _ in 0..HUMAN_TRIES_MAX {
        let open = find(&**store, &answering.question, now)?;
        let answered = open.answered(&answering.reply)?;
        let key = keys::inquiry(open.run, open.call);
        let mut batch = Batch::default();
        batch.expect(key.clone(), Expect::Equals(open.encode()));
        batch.put(key, answered.encode());
        rows::parked::wake_now(&**store, open.run, &mut batch)?;
        match store.commit(batch).await {
            Ok(()) => return Ok(answered),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict.into())
}

/// Whether the question of this row waits for its answer.
pub fn is_open(row: &[u8]) -> Result<bool, StoreError> {
    Ok(Inquiry::decode(row)?.state == State::Open)
}

/// Closes what nobody waits for, drops what is too old, and gives what is open.
pub async fn recover(store: &Arc<dyn Store>) -> Result<BTreeMap<(RunId, CallId), String>, StoreError> {
    let mut all = rows(&**store)?;
    all.sort_by_key(|(_, inquiry)| inquiry.asked);
    let mut old = all.len().saturating_sub(HUMAN_KEPT_MAX);
    let (mut open, mut batch) = (BTreeMap::new(), Batch::default());
    for (key, inquiry) in all {
        if goes_on(&**store, inquiry.run) {
            if inquiry.state == State::Open {
                open.insert((inquiry.run, inquiry.call), inquiry.agent);
            }
        } else if old > 0 {
            old -= 1;
            batch.remove(key);
        } else if inquiry.state == State::Open {
            batch.put(key, Inquiry { state: State::Gone, ..inquiry }.encode());
        }
    }
    if !batch.writes.is_empty() {
        store.commit(batch).await?;
    }
    Ok(open)
}

/// True if this run is not over: whoever asks for it may yet want its answers.
pub fn goes_on(store: &dyn Store, run: RunId) -> bool {
    rows::run::of(store, run)
        .ok()
        .flatten()
        .is_some_and(|record| matches!(record.status, Status::Running | Status::Suspended))
}

fn stands(store: &dyn Store, inquiry: Inquiry, now: Millis) -> Inquiry {
    let state = match &inquiry.state {
        State::Open if !goes_on(store, inquiry.run) => State::Gone,
        State::Open if inquiry.is_over(now) => State::Expired,
        state => state.clone(),
    };
    Inquiry { state, ..inquiry }
}

fn find(store: &dyn Store, name: &str, now: Millis) -> Result<Inquiry, AnswerError> {
    let shown: String = name.chars().take(32).collect();
    let wanted = name.to_ascii_lowercase();
    let open: Vec<_> = inquiries(store, now)?.into_iter().filter(|inquiry| inquiry.state == State::Open).collect();
    if let Some(exact) = open.iter().find(|inquiry| inquiry.id() == wanted) {
        return Ok(exact.clone());
    }
    let mut found = open.into_iter().filter(|inquiry| !wanted.is_empty() && inquiry.id().starts_with(&wanted));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(AnswerError::Many(shown)),
        (None, _) => Err(AnswerError::Unknown(shown)),
    }
}

fn rows(store: &dyn Store) -> Result<Vec<(Key, Inquiry)>, StoreError> {
    let rows = scan_all(store, Range::of(keys::INQUIRIES));
    rows.map(|row| row.and_then(|(key, row)| Ok((key, Inquiry::decode(&row)?)))).collect()
}
