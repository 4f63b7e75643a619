//! The report of a run as its journal has it: what `agentry run` prints at the end, for a run that somebody else carries on.

use std::collections::BTreeMap;

use agentry_abi::usage::answered_usage;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::call::{Call, RunId};
use agentry_kernel::journal::{Entry, Outcome, Status};
use agentry_kernel::labels::Labels;
use agentry_kernel::model::Usage;
use agentry_kernel::refusal::Refusal;
use agentry_store::StoreError;
use agentry_store::rows::run::{Cause, RunRecord};
use serde_json::Value;

use crate::history::History;

/// Refusals that a report shows; an agent that tries doors all day is counted beyond that.
pub const REFUSALS_KEPT_MAX: usize = 32;

/// How a run ended and what it took.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which.
    pub run: RunId,
    /// The agent's name.
    pub agent: String,
    /// False if it was refused before it began.
    pub begun: bool,
    /// The labels that it held at its end.
    pub labels: Labels,
    /// How it ended, in one word.
    pub status: Status,
    /// What the agent gave.
    pub output: Option<Value>,
    /// Why it gave nothing, in a sentence.
    pub failure: Option<String>,
    /// What was in its way, where the host knows.
    pub cause: Option<Cause>,
    /// Tokens by model.
    pub usage: BTreeMap<String, Usage>,
    /// All that it took from its accounts.
    pub spent: Amounts,
    /// Of that, money, in millionths of a US dollar.
    pub cost_microusd: u64,
    /// What the kernel refused it: the first ones, see [`REFUSALS_KEPT_MAX`].
    pub refusals: Vec<Refusal>,
    /// How many there were in all.
    pub refused: u32,
    /// Wall time, in milliseconds.
    pub duration_ms: u64,
}

impl History {
    /// How this run ended and what it took.
    ///
    /// # Errors
    /// When the store cannot be read or an entry does not decode.
    pub fn report(&self, record: &RunRecord) -> Result<Report, StoreError> {
        let (mut begun, mut output, mut refusals) = (false, None, Vec::new());
        let (mut asked, mut usage) = (BTreeMap::new(), BTreeMap::<String, Usage>::new());
        for part in self.parts(record.id) {
            for entry in part? {
                begun = true;
                match entry {
                    Entry::Refused { refusal, .. } if refusals.len() < REFUSALS_KEPT_MAX => refusals.push(refusal),
                    Entry::Ended(ended) if ended.status == Status::Done => {
                        let bytes = self.blob(&ended.output)?;
                        output = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                    }
                    Entry::Asked { call, what: Call::LlmComplete(asks) | Call::LlmStream(asks), .. } => {
                        asked.insert(call, asks.model);
                    }
                    Entry::Answered { call, outcome, .. } => {
                        let Some(model) = asked.remove(&call) else { continue };
                        if let Some(took) = self.answered(&outcome)? {
                            usage.entry(model).or_default().add(&took);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(Report {
            run: record.id,
            agent: record.agent.clone(),
            begun: begun || self.receipt(record.id)?.is_some(),
            labels: record.labels.clone(),
            status: record.status,
            output,
            failure: record.failure.clone(),
            cause: record.cause.clone(),
            usage,
            spent: record.spent,
            cost_microusd: record.spent[Resource::Usd],
            refusals,
            refused: record.refused,
            duration_ms: record.ended.map_or(0, |ended| ended.since(record.started)),
        })
    }

    /// What the answer of a model took, if it says so.
    fn answered(&self, outcome: &Outcome) -> Result<Option<Usage>, StoreError> {
        Ok(self.encoded(outcome)?.and_then(|bytes| answered_usage(outcome, &bytes)))
    }

    fn encoded(&self, outcome: &Outcome) -> Result<Option<Vec<u8>>, StoreError> {
        match outcome {
            Outcome::Inline(bytes) => Ok(Some(bytes.clone())),
            Outcome::Stored { content, .. } | Outcome::Error { partial: Some(content), .. } => self.blob(content),
            Outcome::Error { partial: None, .. } => Ok(None),
        }
    }
}
