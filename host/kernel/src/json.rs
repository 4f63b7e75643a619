//! JSON as a decision needs it: read strictly and once, so that policy and tool see the same value, and written in one
//! way only. It never guesses: what two readers could understand differently is refused.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::limits::{JSON_CHECK_DEPTH_MAX, JSON_DEPTH_MAX, JSON_MAX_BYTES, JSON_VALUES_MAX};

mod read;
#[cfg(test)]
mod tests;

/// A value. Two that are equal print the same bytes, and the other way round.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number. `1.0` and `1e0` are the same one and print as `1`.
    Integer(i64),
    /// Any other number, as a double; never infinite, never not a number, and never a whole one below 2⁵³: that is a [`Value::Integer`].
    Decimal(f64),
    /// A text of whole characters.
    Text(String),
    /// `[…]`
    List(Vec<Value>),
    /// `{…}`, ordered by key; each key stands once.
    Object(Vec<(String, Value)>),
}

/// No decimal is "not a number", so every value equals itself.
impl Eq for Value {}

/// Why a text is not taken as JSON, and where, in bytes from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Flaw {
    /// What is wrong, lowercase, without a full stop.
    pub what: &'static str,
    /// Where.
    pub at: usize,
}

/// Reads a text that is one JSON value (RFC 8259) and nothing else.
///
/// # Errors
/// What is not JSON; and of what is: a key that stands twice in its object, half of a surrogate pair, a number that
/// does not fit, and more than [`JSON_MAX_BYTES`], [`JSON_DEPTH_MAX`] or [`JSON_VALUES_MAX`] allow.
pub fn parse(text: &str) -> Result<Value, Flaw> {
    if text.len() > JSON_MAX_BYTES {
        return Err(Flaw { what: "longer than 1 MiB", at: JSON_MAX_BYTES });
    }
    read::Reader::new(text).whole()
}

/// Whether a text is JSON that everybody reads the same, however long it is and whatever is to be done with it: no key twice in one object, no whole
/// number beyond 64 bits, no half of a pair.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(text: &str) -> Result<(), Flaw> {
    read::Reader::checking(text).whole().map(drop)
}

impl Value {
    /// What stands under a key of an object; none if there is no such key or it is no object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let entries = self.entries()?;
        let at = entries.binary_search_by(|(name, _)| name.as_str().cmp(key)).ok()?;
        entries.get(at).map(|(_, value)| value)
    }

    /// The entries of an object, by key.
    pub fn entries(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The characters of a text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, as a person says it: `a text`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Decimal(_) => "a number with a fraction",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// The canonical form: no space, keys in order of their bytes, only what must be escaped is.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(number) => write!(f, "{number}"),
            // The shortest digits that read back as the same double.
            Self::Decimal(number) => write!(f, "{number:?}"),
            Self::Text(text) => write_text(f, text),
            Self::List(values) => {
                f.write_str("[")?;
                for (count, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if count > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(entries) => {
                f.write_str("{")?;
                for (count, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if count > 0 { "," } else { "" })?;
                    write_text(f, key)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| *byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        f.write_str(&text[plain..at])?;
        match byte {
            b'"' => f.write_str("\\\"")?,
            b'\\' => f.write_str("\\\\")?,
            b'\n' => f.write_str("\\n")?,
            b'\r' => f.write_str("\\r")?,
            b'\t' => f.write_str("\\t")?,
            control => write!(f, "\\u{control:04x}")?,
        }
        plain = at + 1;
    }
    f.write_str(&text[plain..])?;
    f.write_str("\"")
}
