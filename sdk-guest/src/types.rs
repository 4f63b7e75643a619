//! Types that every syscall shares, as `wit/types.wit` defines them; it must stay of the same shape.

use std::fmt;

/// Why the kernel said no. The admin sees more in the run's trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// A stable word: `no-grant`, `not-declared`, `argument`, `expired`, … More may come.
    pub code: String,
    /// The argument that was refused, if it was one.
    pub argument: Option<String>,
    /// Where an admin finds the whole story: `RUN/CALL`.
    pub reference: String,
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ResourceKind {
    /// Money, in millionths of a US dollar.
    Usd,
    /// Model tokens, read and written together.
    Tokens,
    /// Calls to a model.
    LlmCalls,
    /// Calls to a tool.
    ToolCalls,
    /// Instructions executed, as the engine counts them.
    Fuel,
    /// Milliseconds since the run began.
    WallTime,
    /// Bytes of linear memory.
    Memory,
    /// Bytes kept in memory namespaces and files, names included.
    Storage,
    /// Bytes sent out of this machine.
    Egress,
}

impl ResourceKind {
    /// The kind of this number in the table. The host only sends numbers of the table.
    #[doc(hidden)]
    #[must_use]
    #[allow(unsafe_code, reason = "generated bindings call it as they call their own")]
    pub unsafe fn _lift(number: u8) -> Self {
        match number {
            0 => Self::Usd,
            1 => Self::Tokens,
            2 => Self::LlmCalls,
            3 => Self::ToolCalls,
            4 => Self::Fuel,
            5 => Self::WallTime,
            6 => Self::Memory,
            7 => Self::Storage,
            8 => Self::Egress,
            _ => unreachable!("the component model checks enums at the border"),
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usd => "money",
            Self::Tokens => "tokens",
            Self::LlmCalls => "model calls",
            Self::ToolCalls => "tool calls",
            Self::Fuel => "fuel",
            Self::WallTime => "wall time",
            Self::Memory => "memory",
            Self::Storage => "storage",
            Self::Egress => "egress",
        })
    }
}

/// A budget that does not hold what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhaustion {
    /// The budget that ran out.
    pub what: ResourceKind,
    /// Seconds until it refills; none if it never does.
    pub refills_in_s: Option<u64>,
}

/// Something that is not to be had now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailability {
    /// A sentence for a person.
    pub reason: String,
    /// Milliseconds after which trying again makes sense, if known.
    pub retry_after_ms: Option<u64>,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Millionths of a US dollar.
    pub microusd: u64,
    /// Milliseconds from the moment the kernel admitted the call to its end, waiting included.
    pub duration_ms: u64,
}

/// How any syscall fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Policy says no. Trying again changes nothing.
    Denied(Denial),
    /// A budget does not hold the worst case of this call. Nothing was spent.
    Exhausted(Exhaustion),
    /// The arguments make no sense; the text says which and why.
    Invalid(String),
    /// There is no such thing.
    NotFound(String),
    /// The thing changed since it was read.
    Conflict(String),
    /// A model, tool or part of the kernel does not answer now.
    Unavailable(Unavailability),
    /// The host stopped between the effect and its answer; whether it happened is not known.
    Interrupted(String),
    /// The caller dropped the call, or the run is being stopped.
    Cancelled,
    /// The deadline passed first.
    TimedOut,
}

impl Error {
    /// Whether there is no such thing.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// Whether the thing changed since it was read.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// Whether policy said no.
    #[must_use]
    pub const fn is_denied(&self) -> bool {
        matches!(self, Self::Denied(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denial) => {
                write!(f, "denied ({}", denial.code)?;
                if let Some(argument) = &denial.argument {
                    write!(f, ", argument `{argument}`")?;
                }
                write!(f, "), see {}", denial.reference)
            }
            Self::Exhausted(gone) => {
                write!(f, "the budget of {} does not hold this call", gone.what)?;
                match gone.refills_in_s {
                    Some(seconds) => write!(f, "; it refills in {seconds} s"),
                    None => Ok(()),
                }
            }
            Self::Invalid(text) => write!(f, "invalid: {text}"),
            Self::NotFound(text) => write!(f, "not found: {text}"),
            Self::Conflict(text) => write!(f, "conflict: {text}"),
            Self::Unavailable(what) => {
                write!(f, "unavailable: {}", what.reason)?;
                match what.retry_after_ms {
                    Some(ms) => write!(f, "; try again in {ms} ms"),
                    None => Ok(()),
                }
            }
            Self::Interrupted(text) => write!(f, "interrupted: {text}"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

impl std::error::Error for Error {}
