//! That a person holds a trigger: it notices nothing and begins nothing until they let it go, through stops and kills of its host.

use agentry_kernel::limits::TEXT_MAX_BYTES;
use agentry_kernel::text::cut;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::{StoreError, Value};

/// The version byte of such a row.
const FORMAT: u8 = 1;

/// A trigger that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Millis,
    /// In the person's words; empty if they did not say.
    pub because: String,
}

impl Hold {
    /// From now on, for this reason.
    pub fn of(since: Millis, because: Option<&str>) -> Self {
        Self { since, because: cut(because.unwrap_or_default().to_owned(), TEXT_MAX_BYTES) }
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(row: &[u8]) -> Result<Self, StoreError> {
        let row = row.strip_prefix(&[FORMAT]).and_then(|rest| postcard::from_bytes(rest).ok());
        row.ok_or_else(|| StoreError::Damaged { why: "a hold of a trigger that does not decode".to_owned() })
    }

    /// As it is stored.
    pub fn encode(&self) -> Value {
        postcard::to_extend(self, vec![FORMAT]).expect("it is plain data, and memory grows")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_read_as_it_was_written() {
        let hold = Hold::of(Millis(300), Some("it asks too much"));
        let hex: String = hold.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "01ac021069742061736b7320746f6f206d756368");
        assert_eq!(Hold::decode(&hold.encode()), Ok(hold));
        assert!(Hold::decode(b"").is_err() && Hold::decode(b"\x02\x01\x00").is_err());
    }
}
