//! What is counted and in which amounts: resources, limits and the windows in which they hold. Integers only.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::ops::{Index, IndexMut};

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod account;
pub mod words;

pub use account::{Account, Books, Period};

/// What a run was given at its start; the engine enforces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Instructions.
    pub fuel: u64,
    /// Milliseconds from its start.
    pub wall_ms: u64,
    /// Bytes of linear memory.
    pub memory_bytes: u64,
}

impl Allowance {
    /// None.
    pub const NOTHING: Self = Self { fuel: 0, wall_ms: 0, memory_bytes: 0 };

    /// As a journal has it.
    pub fn of(held: &Amounts) -> Self {
        let (fuel, wall_ms, memory_bytes) = (held[Resource::Fuel], held[Resource::WallTime], held[Resource::Memory]);
        Self { fuel, wall_ms, memory_bytes }
    }
}

/// What a budget counts. The first nine are in the wire order of `types.resource-kind`; a guest sees tokens read and written as `tokens`, and what is
/// written as `storage`.
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
    /// Bytes kept: a level, not a sum. What is deleted comes back.
    Storage,
    /// Bytes sent out by `http` and tools.
    Egress,
    /// Model tokens read, which are part of `Tokens`.
    TokensIn,
    /// Model tokens written, which are part of `Tokens`.
    TokensOut,
    /// Bytes that the host writes to its disk for it: a sum, whatever is deleted or replaced later.
    Written,
}

/// Bytes as they are written in policies, where that is exact.
fn show_bytes(amount: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.into_iter().find(|(unit, _)| amount >= *unit && amount.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", amount / unit),
        None => format!("{amount} {}", if amount == 1 { "byte" } else { "bytes" }),
    }
}

/// How long a limit holds before it refills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// As long as the run; it never refills.
    Run,
    /// A minute of the clock, UTC.
    Minute,
    /// A day, UTC.
    Day,
}

impl Window {
    /// As a person reads it behind "the budget for".
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "this run",
            Self::Minute => "this minute",
            Self::Day => "today",
        }
    }
}

impl Resource {
    /// How many there are.
    pub const COUNT: usize = 12;
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
        Self::TokensIn,
        Self::TokensOut,
        Self::Written,
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
            Self::TokensIn => "tokens read",
            Self::TokensOut => "tokens written",
            Self::Written => "bytes written",
        }
    }

    /// The same for an amount of 1: `tool call`.
    fn name_of_one(self) -> &'static str {
        match self {
            Self::Tokens => "token",
            Self::LlmCalls => "model call",
            Self::ToolCalls => "tool call",
            Self::TokensIn => "token read",
            Self::TokensOut => "token written",
            other => other.name(),
        }
    }

    /// True for what stands at a level instead of being used up: no window refills it, and giving back lowers it.
    pub fn is_level(self) -> bool {
        self == Self::Storage
    }

    /// True if a part of it can be set aside for a child. Wall time passes for parent and child at once, and memory is
    /// each one's own.
    pub fn divides(self) -> bool {
        !matches!(self, Self::WallTime | Self::Memory)
    }

    /// An amount of it, as a person reads it: `0.25 USD`, `1200 tokens`.
    pub fn show(self, amount: u64) -> String {
        match self {
            Self::Usd => show_usd(amount),
            Self::WallTime => format!("{amount} ms"),
            Self::Memory | Self::Storage | Self::Egress | Self::Written => show_bytes(amount),
            Self::Tokens | Self::LlmCalls | Self::ToolCalls | Self::Fuel | Self::TokensIn | Self::TokensOut => {
                format!("{amount} {}", if amount == 1 { self.name_of_one() } else { self.name() })
            }
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

/// What an account does not hold of what a call can take at most, as a person is asked to add it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// Of what.
    pub what: Resource,
    /// The run's own account, or the one of its agent for a minute or a day.
    pub window: Window,
    /// The limit, with what was added to it before.
    pub limit: u64,
    /// Gone.
    pub spent: u64,
    /// Held for calls in flight.
    pub reserved: u64,
    /// What is missing.
    pub more: u64,
}

/// An amount of each resource. Stored as a list that ends with the last amount that is not 0, so that a later version
/// can count more and still read what this one wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts([u64; Resource::COUNT]);

/// A limit on each resource; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

    /// Each amount by its resource.
    #[must_use]
    pub fn by(amount: impl Fn(Resource) -> u64) -> Self {
        Self(Resource::ALL.map(amount))
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

    /// The same, with this limit where there is none.
    #[must_use]
    pub fn or(self, resource: Resource, limit: u64) -> Self {
        if self.get(resource).is_some() { self } else { self.with(resource, limit) }
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

impl Serialize for Amounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let len = self.0.iter().rposition(|amount| *amount > 0).map_or(0, |last| last + 1);
        serializer.collect_seq(&self.0[..len])
    }
}

impl<'de> Deserialize<'de> for Amounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Amounts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {} amounts", Resource::COUNT)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Amounts, A::Error> {
                let mut amounts = Amounts::ZERO;
                for amount in &mut amounts.0 {
                    match list.next_element()? {
                        Some(next) => *amount = next,
                        None => return Ok(amounts),
                    }
                }
                match list.next_element::<u64>()? {
                    None => Ok(amounts),
                    Some(_) => Err(serde::de::Error::invalid_length(Resource::COUNT + 1, &self)),
                }
            }
        }
        deserializer.deserialize_seq(List)
    }
}
