//! Accounts: what may be spent, what is held for calls in flight and what is gone.
//!
//! Every amount is held at its worst case before a call and settled at its true cost after. Integers only.

use alloc::format;
use alloc::string::String;
use core::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

use crate::time::{Day, Millis};

/// What a budget counts. The order is the wire order of `types.resource-kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Millionths of a US dollar.
    Usd,
    /// Model tokens, read and written.
    Tokens,
    /// Calls to a model.
    LlmCalls,
    /// Calls to a tool.
    ToolCalls,
    /// Instructions, as the engine counts them.
    Fuel,
    /// Milliseconds.
    WallTime,
    /// Bytes of linear memory: a cap, not a sum.
    Memory,
    /// Bytes kept.
    Storage,
    /// Bytes sent out.
    Egress,
}

impl Resource {
    /// How many there are.
    pub const COUNT: usize = 9;
    /// All of them, in order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Usd,
        Self::Tokens,
        Self::LlmCalls,
        Self::ToolCalls,
        Self::Fuel,
        Self::WallTime,
        Self::Memory,
        Self::Storage,
        Self::Egress,
    ];

    /// As a person reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usd => "money",
            Self::Tokens => "tokens",
            Self::LlmCalls => "model calls",
            Self::ToolCalls => "tool calls",
            Self::Fuel => "fuel",
            Self::WallTime => "wall time",
            Self::Memory => "memory",
            Self::Storage => "storage",
            Self::Egress => "egress",
        }
    }

    /// An amount of it, as a person reads it: `0.25 USD`, `1200 tokens`.
    pub fn show(self, amount: u64) -> String {
        match self {
            Self::Usd => show_usd(amount),
            Self::WallTime => format!("{amount} ms"),
            Self::Memory | Self::Storage | Self::Egress => format!("{amount} bytes"),
            Self::Tokens | Self::LlmCalls | Self::ToolCalls | Self::Fuel => format!("{amount} {}", self.name()),
        }
    }
}

/// Micro-USD in dollars: two decimals, or as many as the amount has.
fn show_usd(microusd: u64) -> String {
    let (whole, rest) = (microusd / 1_000_000, microusd % 1_000_000);
    let decimals = format!("{rest:06}");
    let decimals = decimals.trim_end_matches('0');
    format!("{whole}.{decimals:0<2} USD")
}

/// An amount of each resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts([u64; Resource::COUNT]);

/// A limit on each resource; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits([Option<u64>; Resource::COUNT]);

impl Amounts {
    /// Nothing of anything.
    pub const ZERO: Self = Self([0; Resource::COUNT]);

    /// This much of one resource, and nothing else.
    pub fn of(resource: Resource, amount: u64) -> Self {
        Self::ZERO.with(resource, amount)
    }

    /// The same, with this much of `resource`.
    #[must_use]
    pub fn with(mut self, resource: Resource, amount: u64) -> Self {
        self[resource] = amount;
        self
    }

    /// Both together; what does not fit a number stays at its end, which no limit allows.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i].saturating_add(other.0[i])))
    }

    /// This without the other, never below zero.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i].saturating_sub(other.0[i])))
    }

    /// True if there is nothing of anything.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// Of each resource the smaller amount.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i].min(other.0[i])))
    }
}

impl Index<Resource> for Amounts {
    type Output = u64;
    fn index(&self, resource: Resource) -> &u64 {
        &self.0[resource as usize]
    }
}

impl IndexMut<Resource> for Amounts {
    fn index_mut(&mut self, resource: Resource) -> &mut u64 {
        &mut self.0[resource as usize]
    }
}

impl Limits {
    /// No limit on anything.
    pub const NONE: Self = Self([None; Resource::COUNT]);

    /// The same, with this limit.
    #[must_use]
    pub fn with(mut self, resource: Resource, limit: u64) -> Self {
        self.0[resource as usize] = Some(limit);
        self
    }

    /// The limit on this resource.
    pub fn get(&self, resource: Resource) -> Option<u64> {
        self.0[resource as usize]
    }

    /// Of each resource the tighter limit.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| match (self.0[i], other.0[i]) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }))
    }
}

/// What one account has spent and holds. Its limits come from policy each time it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Gone.
    pub spent: Amounts,
    /// Set aside for calls in flight, at their worst case.
    pub held: Amounts,
    /// The day that `spent` counts, for an account that refills daily.
    pub day: Option<Day>,
}

impl Account {
    /// An account that refills each day.
    pub fn daily(now: Millis) -> Self {
        Self { day: Some(now.day()), ..Self::default() }
    }

    /// Begins a new day if one has come; a clock set back refills nothing.
    pub fn refill(&mut self, now: Millis) {
        if let Some(day) = &mut self.day
            && now.day() > *day
        {
            *day = now.day();
            self.spent = Amounts::ZERO;
        }
    }

    /// What can still be held of this resource; none if it has no limit.
    pub fn left(&self, limits: &Limits, resource: Resource) -> Option<u64> {
        limits.get(resource).map(|limit| self.room(limit, resource))
    }

    /// The first resource of which `worst` does not fit. Where there is no limit, the end of a number is one, so that
    /// no sum is ever rounded.
    pub fn lacks(&self, limits: &Limits, worst: &Amounts) -> Option<Resource> {
        Resource::ALL.into_iter().find(|resource| {
            let limit = limits.get(*resource).unwrap_or(u64::MAX);
            worst[*resource] > 0 && worst[*resource] > self.room(limit, *resource)
        })
    }

    /// Sets `worst` aside; the caller has seen that nothing lacks.
    pub fn hold(&mut self, worst: &Amounts) {
        self.held = self.held.plus(*worst);
    }

    /// Gives `held` back and takes as much of `spent` as the limits leave; returns what it took.
    pub fn settle(&mut self, limits: &Limits, held: &Amounts, spent: &Amounts) -> Amounts {
        self.held = self.held.minus(*held);
        let mut taken = Amounts::ZERO;
        for resource in Resource::ALL {
            let limit = limits.get(resource).unwrap_or(u64::MAX);
            // What was held is owed even if a reload has made the limit smaller since.
            let room = self.room(limit, resource).max(held[resource]);
            taken[resource] = spent[resource].min(room);
        }
        self.spent = self.spent.plus(taken);
        taken
    }

    /// Seconds until it refills, if it does. After a clock was set back that is longer than a day.
    pub fn refills_in_s(&self, now: Millis) -> Option<u64> {
        let tomorrow = Day(self.day?.0.saturating_add(1)).begins();
        Some(tomorrow.since(now).div_ceil(1000))
    }

    fn room(&self, limit: u64, resource: Resource) -> u64 {
        limit.saturating_sub(self.spent[resource]).saturating_sub(self.held[resource])
    }

    /// After a crash nobody knows what the calls in flight cost, so all that was held counts as spent.
    pub fn write_off(&mut self) {
        self.spent = self.spent.plus(core::mem::take(&mut self.held));
    }
}
