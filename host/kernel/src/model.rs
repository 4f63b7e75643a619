//! What the kernel knows of a model: what it costs and how many calls it takes at once.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::budget::{Amounts, Resource};

/// Prices of a million tokens, in micro-USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Read at full price.
    pub input: u64,
    /// Read from the provider's cache.
    pub cache_read: u64,
    /// Written to the provider's cache.
    pub cache_write: u64,
    /// Written by the model.
    pub output: u64,
}

/// Tokens of one call, as `llm.usage` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Read at full price.
    pub input_fresh: u64,
    /// Read from the provider's cache.
    pub cache_read: u64,
    /// Written to the provider's cache.
    pub cache_write: u64,
    /// Written by the model, thinking included.
    pub output: u64,
    /// How much of `output` was thinking.
    pub reasoning: u64,
    /// True where the provider did not say and we counted.
    pub estimated: bool,
}

/// A model that an alias stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The admin's name for it.
    pub alias: String,
    /// None if nobody said; such a model cannot be asked where money is limited.
    pub price: Option<Price>,
    /// Tokens that prompt and answer may fill together.
    pub context_tokens: u64,
    /// The longest answer, in tokens.
    pub output_tokens_max: u64,
    /// Calls that it answers at once.
    pub slots: u32,
    /// True if no word leaves this machine.
    pub local: bool,
}

const MTOK: u128 = 1_000_000;

impl Price {
    /// What these tokens cost, in micro-USD, rounded up once for the whole call.
    pub fn of(&self, usage: &Usage) -> u64 {
        let terms = [
            (usage.input_fresh, self.input),
            (usage.cache_read, self.cache_read),
            (usage.cache_write, self.cache_write),
            (usage.output, self.output),
        ];
        let sum = terms.iter().fold(0u128, |sum, (tokens, price)| {
            sum.saturating_add(u128::from(*tokens).saturating_mul(u128::from(*price)))
        });
        u64::try_from(sum.div_ceil(MTOK)).unwrap_or(u64::MAX)
    }

    /// The most that so many tokens can cost, whichever way the provider books the prompt.
    pub fn worst(&self, input_tokens: u64, output_tokens: u64) -> u64 {
        let input = self.input.max(self.cache_read).max(self.cache_write);
        Self { input, output: self.output, ..Self::default() }.of(&Usage {
            input_fresh: input_tokens,
            output: output_tokens,
            ..Usage::default()
        })
    }
}

impl Usage {
    /// Adds that of another call.
    pub fn add(&mut self, other: &Self) {
        self.input_fresh = self.input_fresh.saturating_add(other.input_fresh);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.estimated |= other.estimated;
    }

    /// Tokens of all kinds.
    pub fn tokens(&self) -> u64 {
        self.tokens_in().saturating_add(self.output)
    }

    /// Tokens that it read, whichever way the provider booked them.
    pub fn tokens_in(&self) -> u64 {
        [self.input_fresh, self.cache_read, self.cache_write].into_iter().fold(0, u64::saturating_add)
    }
}

impl Model {
    /// What this usage takes from an account.
    pub fn cost(&self, usage: &Usage) -> Amounts {
        let microusd = self.price.map_or(0, |price| price.of(usage));
        Amounts::of(Resource::Usd, microusd)
            .with(Resource::Tokens, usage.tokens())
            .with(Resource::TokensIn, usage.tokens_in())
            .with(Resource::TokensOut, usage.output)
    }
}
